//! Credential helpers: programs named `docker-credential-NAME` that know the passwords of registries
//! (docker/docker-credential-helpers). One that does not answer in time is ended.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::docker_config::Helper;
use super::identity::Identity;

/// The most bytes of what a helper writes that are read.
const MAX_OUTPUT: u64 = 1 << 20;

/// How often to look whether a helper has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// How long the output of a helper that has ended may still come: a program that it started may hold the pipe.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// What a helper said.
#[derive(PartialEq, Eq)]
pub(super) enum Answer {
    /// Who to be.
    Identity(Identity),
    /// It knows nobody.
    Nobody,
    /// It failed; the sentence never quotes what it wrote, which may hold a secret.
    Trouble(String),
}

/// All helpers of this process.
#[derive(Debug, Clone)]
pub(super) struct Helpers {
    limit: Duration,
    /// Those that did not answer: nobody waits for them a second time.
    silent: Arc<Mutex<BTreeSet<String>>>,
}

impl Helpers {
    /// Helpers that may take so long to answer.
    pub fn new(limit: Duration) -> Helpers {
        Helpers { limit, silent: Arc::default() }
    }

    /// Asks a helper. Blocks until it answers or its time is over.
    pub fn ask(&self, helper: &Helper) -> Answer {
        let program = format!("docker-credential-{}", helper.name);
        let silent = || format!("the helper `{program}` did not answer within {} seconds", self.limit.as_secs_f32());
        if self.silent.lock().unwrap_or_else(PoisonError::into_inner).contains(&program) {
            return Answer::Trouble(silent());
        }
        match run(&program, &helper.server, self.limit) {
            Err(error) => {
                Answer::Trouble(format!("the helper `{program}` cannot be run: {}", crate::error::reason(&error)))
            }
            Ok(None) => {
                self.silent.lock().unwrap_or_else(PoisonError::into_inner).insert(program.clone());
                let seconds = self.limit.as_secs();
                tracing::warn!(program, seconds, "a credential helper did not answer and was ended");
                Answer::Trouble(silent())
            }
            Ok(Some(output)) => read(&program, &output),
        }
    }
}

/// How a helper ended, and what it wrote.
struct Output {
    status: ExitStatus,
    result: Vec<u8>,
    errors: Vec<u8>,
}

fn read(program: &str, output: &Output) -> Answer {
    let mentions = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("credentials not found");
    if !output.status.success() {
        return if mentions(&output.result) || mentions(&output.errors) {
            Answer::Nobody
        } else {
            Answer::Trouble(format!("the helper `{program}` failed"))
        };
    }
    let value: Value = serde_json::from_slice(&output.result).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    match (text("Username"), text("Secret")) {
        (Some(username), Some(secret)) if username.is_empty() && secret.is_empty() => Answer::Nobody,
        (Some(username), Some(secret)) if username == "<token>" => Answer::Identity(Identity::Token(secret)),
        (Some(username), Some(password)) => Answer::Identity(Identity::Password { username, password }),
        _ => Answer::Trouble(format!("the helper `{program}` gave no proper answer")),
    }
}

/// Runs a helper. `None` if it did not end in time, and was killed.
fn run(program: &str, server: &str, limit: Duration) -> io::Result<Option<Output>> {
    let deadline = Instant::now() + limit;
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read it says why.
        let _ = input.write_all(server.as_bytes());
    }
    let (result, errors) = (child.stdout.take().map(Collector::start), child.stderr.take().map(Collector::start));
    let Some(status) = wait(&mut child, deadline)? else {
        // What it has started itself may go on; nobody reads that any more.
        child.kill()?;
        child.wait()?;
        return Ok(None);
    };
    let rest = deadline.min(Instant::now() + LAST_OUTPUT);
    let finish = |collector: Option<Collector>| collector.map(|collector| collector.finish(rest)).unwrap_or_default();
    Ok(Some(Output { status, result: finish(result), errors: finish(errors) }))
}

fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Reads a pipe on a thread of its own, so that nobody has to wait for its end.
struct Collector {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collector {
    fn start(mut pipe: impl Read + Send + 'static) -> Collector {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let (mut buffer, mut left) = ([0; 4096], MAX_OUTPUT);
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                // What is too much is read, so that the helper does not wait, and forgotten.
                let kept = usize::try_from(left).unwrap_or(usize::MAX).min(read);
                shared.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..kept]);
                left -= kept as u64;
            }
        });
        Collector { bytes, thread }
    }

    /// What has come until everything is there, or until the deadline.
    fn finish(self, deadline: Instant) -> Vec<u8> {
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
