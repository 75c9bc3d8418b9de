//! A proxy in front of a real registry that does what registries and networks do on bad days.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing, so that a later rule begins with a later request.
    Nothing,
    /// The registry is not asked; this comes instead: status, headers, body. The request is read to its end before.
    Answer(u16, Vec<(&'static str, String)>, &'static str),
    /// The same, before the body of the request is read.
    AnswerEarly(u16),
    /// The connection ends after so many bytes of the answer's body.
    Cut(u64),
    /// Nothing comes any more after so many bytes of the answer's body.
    Stall(u64),
    /// The answer's body comes byte by byte, and slowly.
    Drip,
    /// This byte of the answer's body is another one.
    Flip(u64),
    /// The answer says that its body has so many bytes more, or less, and no more come.
    Lie(i64),
    /// A header of the answer is replaced.
    Header(&'static str, String),
    /// The answer has another status.
    Status(u16),
    /// The registry does not get to see which part is wanted.
    IgnoreRange,
    /// The connection ends after so many bytes of the request's body.
    CutRequest(u64),
    /// After so many bytes of the request's body, no more are taken.
    StallRequest(u64),
    /// The last byte of the request's body is another one.
    FlipRequest,
    /// The registry does what was asked, and its answer gets lost.
    LoseAnswer,
    /// Nothing is done before a request of this method, with this in its target, has come as well; then the other happens.
    /// Without such a request there is nothing to be found here.
    After(&'static str, &'static str, Box<Fault>),
}

/// Which requests something goes wrong with.
#[derive(Debug, Clone)]
pub struct Rule {
    method: &'static str,
    /// What is in the path or in the query.
    place: String,
    /// How many times still.
    times: usize,
    fault: Fault,
}

/// So many times, for those requests.
pub fn fault(times: usize, method: &'static str, place: impl Into<String>, fault: Fault) -> Rule {
    Rule { method, place: place.into(), times, fault }
}

pub const ALWAYS: usize = usize::MAX;

/// A request, and how it went.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub authorization: String,
    /// Bytes of its body that were taken.
    pub taken: u64,
    /// Bytes of the answer's body that were passed on.
    pub given: u64,
}

/// A running proxy. Its threads end with the test.
pub struct FaultProxy {
    address: String,
    state: Arc<State>,
}

struct State {
    own: String,
    registry: String,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    tokens: Option<Tokens>,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A token server whose tokens are good for a few requests each.
struct Tokens {
    uses: usize,
    given: AtomicUsize,
    used: AtomicUsize,
}

impl FaultProxy {
    pub fn start(registry: &str, rules: &[Rule]) -> FaultProxy {
        FaultProxy::launch(registry, rules, None)
    }

    /// Wants tokens, each of which it takes only `uses` times.
    pub fn with_tokens(registry: &str, uses: usize) -> FaultProxy {
        let tokens = Tokens { uses, given: AtomicUsize::new(0), used: AtomicUsize::new(0) };
        FaultProxy::launch(registry, &[], Some(tokens))
    }

    fn launch(registry: &str, rules: &[Rule], tokens: Option<Tokens>) -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            own: address.clone(),
            registry: registry.to_owned(),
            rules: Mutex::new(rules.to_vec()),
            seen: Mutex::default(),
            tokens,
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // A side that went away is what this is about.
                    let _ = state.serve(client);
                });
            }
        });
        FaultProxy { address, state }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How many requests there were at the same time at most.
    pub fn most_at_once(&self) -> usize {
        self.state.most.load(Ordering::SeqCst)
    }

    /// From now on nothing else goes wrong than this.
    pub fn change(&self, rules: &[Rule]) {
        *self.state.rules.lock().unwrap() = rules.to_vec();
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.state.seen.lock().unwrap().clear();
    }
}

/// A request that has come and whose answer has not gone to its last byte yet, so that the client is not done with it.
struct Unanswered<'a>(&'a State);

impl Unanswered<'_> {
    fn count(state: &State) -> Unanswered<'_> {
        let now = state.now.fetch_add(1, Ordering::SeqCst) + 1;
        state.most.fetch_max(now, Ordering::SeqCst);
        Unanswered(state)
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The lines of a request's or an answer's head.
struct Head(Vec<String>);

impl Head {
    fn read(reader: &mut impl BufRead) -> std::io::Result<Head> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                return Ok(Head(lines));
            }
            lines.push(line.to_owned());
        }
    }

    fn get(&self, name: &str) -> &str {
        let found = self.0[1..].iter().filter_map(|line| line.split_once(':'));
        found
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
            .unwrap_or_default()
    }

    fn set(&mut self, name: &str, value: Option<&str>) {
        let is_it = |line: &String| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.0.retain(|line| !is_it(line));
        self.0.extend(value.map(|value| format!("{name}: {value}")));
    }

    fn length(&self) -> u64 {
        self.get("content-length").parse().unwrap_or(0)
    }

    fn bytes(&self) -> Vec<u8> {
        format!("{}\r\n\r\n", self.0.join("\r\n")).into_bytes()
    }
}

impl State {
    fn serve(&self, client: TcpStream) -> std::io::Result<()> {
        let mut from_client = BufReader::new(client.try_clone()?);
        let mut to_client = client;
        let head = Head::read(&mut from_client)?;
        let mut unanswered = Some(Unanswered::count(self));
        let mut words = head.0[0].split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let index = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(Seen {
                method: method.to_owned(),
                target: target.to_owned(),
                authorization: head.get("authorization").to_owned(),
                ..Seen::default()
            });
            seen.len() - 1
        };
        let note = |change: &dyn Fn(&mut Seen)| {
            if let Some(seen) = self.seen.lock().unwrap().get_mut(index) {
                change(seen);
            }
        };
        let instead =
            self.tokens.as_ref().and_then(|tokens| tokens.answer(&self.own, target, head.get("authorization")));
        let mut fault = instead.or_else(|| self.fault_of(method, target));
        if let Some(Fault::After(method, place, then)) = fault {
            fault = Some(if self.waits_for(method, place) { *then } else { Fault::Answer(404, Vec::new(), "") });
        }
        let length = head.length();
        let headers_only = method == "HEAD";
        match &fault {
            Some(Fault::AnswerEarly(status)) => {
                write_answer(&mut to_client, *status, &[], "")?;
                // The rest is read for a moment, or the client would lose the answer with the connection.
                to_client.set_read_timeout(Some(Duration::from_millis(200)))?;
                std::thread::sleep(Duration::from_millis(50));
                return to_client.shutdown(Shutdown::Both);
            }
            Some(Fault::Answer(status, headers, body)) => {
                std::io::copy(&mut from_client.take(length), &mut std::io::sink())?;
                note(&|seen| seen.taken = length);
                return write_answer(&mut to_client, *status, headers, body);
            }
            _ => {}
        }
        let mut server = TcpStream::connect(&self.registry)?;
        let mut forwarded = head;
        forwarded.set("connection", Some("close"));
        if matches!(fault, Some(Fault::IgnoreRange)) {
            forwarded.set("range", None);
        }
        server.write_all(&forwarded.bytes())?;
        let mut left = length;
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            let taken = length - left;
            let limit = match fault {
                Some(Fault::CutRequest(limit)) if taken >= limit => return to_client.shutdown(Shutdown::Both),
                Some(Fault::StallRequest(limit)) if taken >= limit => {
                    // The sockets hold some megabytes that nobody has taken.
                    std::thread::sleep(Duration::from_secs(20));
                    return Ok(());
                }
                Some(Fault::CutRequest(limit) | Fault::StallRequest(limit)) => limit - taken,
                _ => u64::MAX,
            };
            let wanted = left.min(limit).min(buffer.len() as u64) as usize;
            let read = from_client.read(&mut buffer[..wanted])?;
            if read == 0 {
                return Ok(());
            }
            left -= read as u64;
            if matches!(fault, Some(Fault::FlipRequest)) && left == 0 {
                buffer[read - 1] ^= 1;
            }
            server.write_all(&buffer[..read])?;
            note(&|seen| seen.taken += read as u64);
        }
        let mut from_server = BufReader::new(server);
        let mut answer = Head::read(&mut from_server)?;
        let mut body_length = u64::MAX;
        match &fault {
            Some(Fault::LoseAnswer) => return to_client.shutdown(Shutdown::Both),
            Some(Fault::Header(name, value)) => answer.set(name, Some(value)),
            Some(Fault::Status(status)) => answer.0[0] = format!("HTTP/1.1 {status} x"),
            Some(Fault::Lie(more)) => {
                let claimed = answer.length().saturating_add_signed(*more);
                body_length = answer.length().min(claimed);
                answer.set("content-length", Some(&claimed.to_string()));
            }
            _ => {}
        }
        // Of an answer as short as this, the client may have read only the head when it goes on.
        if headers_only || answer.length() <= buffer.len() as u64 {
            unanswered.take();
        }
        to_client.write_all(&answer.bytes())?;
        let mut from_server = from_server.take(body_length);
        let mut given = 0;
        loop {
            let limit = match fault {
                Some(Fault::Cut(limit)) if given >= limit => break,
                Some(Fault::Stall(limit)) if given >= limit => {
                    std::thread::sleep(Duration::from_secs(20));
                    break;
                }
                Some(Fault::Drip) => {
                    std::thread::sleep(Duration::from_millis(20));
                    1
                }
                Some(Fault::Cut(limit) | Fault::Stall(limit)) => (limit - given).min(buffer.len() as u64) as usize,
                _ => buffer.len(),
            };
            let read = from_server.read(&mut buffer[..limit])?;
            if read == 0 {
                break;
            }
            if let Some(Fault::Flip(place)) = fault
                && let Some(byte) = place.checked_sub(given).and_then(|place| buffer[..read].get_mut(place as usize))
            {
                *byte ^= 1;
            }
            given += read as u64;
            // Before the bytes go, as a test may look as soon as the client has them.
            note(&|seen| seen.given = given);
            if given >= answer.length() {
                unanswered.take();
            }
            to_client.write_all(&buffer[..read])?;
        }
        to_client.shutdown(Shutdown::Both)
    }

    /// Whether such a request has come, or comes in time.
    fn waits_for(&self, method: &str, place: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        let has_come =
            || self.seen.lock().unwrap().iter().any(|seen| seen.method == method && seen.target.contains(place));
        while !has_come() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    fn fault_of(&self, method: &str, target: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let fits = |rule: &&mut Rule| rule.times > 0 && rule.method == method && target.contains(&rule.place);
        let rule = rules.iter_mut().find(fits)?;
        rule.times = if rule.times == ALWAYS { ALWAYS } else { rule.times - 1 };
        Some(rule.fault.clone())
    }
}

impl Tokens {
    /// What the token server says, or that the token is no longer good.
    fn answer(&self, own: &str, target: &str, authorization: &str) -> Option<Fault> {
        if target.starts_with("/token") {
            self.used.store(0, Ordering::SeqCst);
            self.given.fetch_add(1, Ordering::SeqCst);
            const TOKENS: [&str; 3] = [r#"{"token":"SECRET-0"}"#, r#"{"token":"SECRET-1"}"#, r#"{"token":"SECRET-2"}"#];
            return Some(Fault::Answer(200, Vec::new(), TOKENS[self.given.load(Ordering::SeqCst) % 3]));
        }
        let good = format!("Bearer SECRET-{}", self.given.load(Ordering::SeqCst) % 3);
        if authorization == good && self.used.fetch_add(1, Ordering::SeqCst) < self.uses {
            return None;
        }
        let challenge = format!(r#"Bearer realm="http://{own}/token",service="test""#);
        Some(Fault::Answer(401, vec![("www-authenticate", challenge)], ""))
    }
}

fn write_answer(
    client: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &str,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    client.write_all(format!("{head}\r\n{body}").as_bytes())
}
