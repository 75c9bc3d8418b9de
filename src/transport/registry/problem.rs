//! What an HTTP request came to when it did not succeed: whether trying again helps, and what to tell people.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::error::RegistryError;
use super::reach::{Inward, Reach};
use crate::error::reason;

/// The most characters of a registry's own words that are shown.
const MAX_MESSAGE_LENGTH: usize = 300;

/// Why one request failed.
#[derive(Debug)]
pub(super) enum Problem {
    /// The registry answered, but not with what was asked for.
    Answer(Answer),
    /// No answer, or an answer that broke off.
    Network { reason: String, transient: bool },
    /// A document is too large.
    TooLarge { limit: u64 },
    /// An answer names a host that winslim does not go to.
    Misled { host: String, reason: String },
    /// Trying again is of no use, and what to say is known.
    Final(Box<RegistryError>),
}

/// An answer that is not a success.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The first error code of the answer's body, such as `MANIFEST_UNKNOWN`; may be empty.
    pub code: String,
    /// What the registry says about it; may be empty.
    pub message: String,
    /// How long to wait before the next try.
    pub retry_after: Option<Duration>,
    /// Which credentials were used, when that may be the reason.
    pub credentials: Option<String>,
    /// How public the server is that answered.
    pub reach: Option<Reach>,
}

impl Problem {
    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Problem::Answer(answer) => Some(answer.status),
            _ => None,
        }
    }

    /// The registry's error code, empty if there is none.
    pub fn code(&self) -> &str {
        match self {
            Problem::Answer(answer) => &answer.code,
            _ => "",
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Problem::Answer(answer) => {
                matches!(answer.status, 408 | 429 | 500..=599) && answer.status != 501
                    || answer.code == "TOOMANYREQUESTS"
            }
            Problem::Network { transient, .. } => *transient,
            Problem::TooLarge { .. } | Problem::Misled { .. } | Problem::Final(_) => false,
        }
    }

    /// How long the registry asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Problem::Answer(answer) => answer.retry_after,
            _ => None,
        }
    }

    /// Remembers which credentials were used, for the message about a refusal.
    pub fn with_credentials(mut self, credentials: &str) -> Problem {
        if let Problem::Answer(answer) = &mut self
            && matches!(answer.status, 401 | 403)
            && answer.credentials.is_none()
        {
            answer.credentials = Some(credentials.to_owned());
        }
        self
    }

    /// Takes secrets out of the server's own words: some repeat what they were sent.
    pub fn without(mut self, secrets: &[String]) -> Problem {
        if let Problem::Answer(answer) = &mut self {
            for secret in secrets {
                answer.code = hide(&answer.code, secret);
                answer.message = hide(&answer.message, secret);
            }
        }
        self
    }

    /// The error to show: `action` says what was being done, as in ``cannot {action}``.
    pub fn into_error(self, action: &str, registry: &str) -> RegistryError {
        let (action, registry) = (action.to_owned(), registry.to_owned());
        match self {
            Problem::Answer(answer) => match (answer.status, &answer.credentials) {
                (401 | 403, Some(credentials)) => RegistryError::Unauthorized {
                    action,
                    registry,
                    credentials: credentials.clone(),
                    answer: answer.describe(),
                },
                _ => RegistryError::Refused { action, registry, answer: answer.describe() },
            },
            Problem::Network { reason, .. } => RegistryError::Unreachable { action, registry, reason },
            Problem::TooLarge { limit } => RegistryError::TooLarge { action, limit },
            Problem::Misled { host, reason } => RegistryError::Misled { action, registry, host, reason },
            Problem::Final(error) => *error,
        }
    }

    /// In a few words, for a list of several attempts.
    pub fn describe(&self) -> String {
        match self {
            Problem::Answer(answer) => answer.describe(),
            Problem::Network { reason, .. } => reason.clone(),
            Problem::TooLarge { limit } => format!("more than {limit} bytes"),
            Problem::Misled { host, reason } => format!("it leads to {host}, {reason}"),
            Problem::Final(error) => error.to_string(),
        }
    }

    /// The problem of a proxy that wants to know who asks.
    pub fn of_proxy(proxy: &str) -> Problem {
        let reason = format!(
            "the proxy {proxy} wants a name and a password; put them into its address, as in \
             `HTTPS_PROXY=http://NAME:PASSWORD@{proxy}`"
        );
        Problem::Network { reason, transient: false }
    }

    /// The problem of a request to an address behind a proxy.
    pub fn through_proxy(error: reqwest::Error, proxy: &str, url: &Url) -> Problem {
        let causes: Vec<String> = causes(&error).map(ToString::to_string).collect();
        let mentions = |words: &str| causes.iter().any(|cause| cause.contains(words));
        if mentions("proxy authorization required") {
            return Problem::of_proxy(proxy);
        }
        // A connection to the registry itself is the proxy's business.
        let is_own = mentions("tunnel error") || error.is_connect() && url.scheme() == "http";
        match Problem::from(error) {
            Problem::Network { reason, transient } if is_own => Problem::Network {
                reason: format!("the proxy {proxy} failed: {reason}; see `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`"),
                transient,
            },
            Problem::Network { reason, transient } => {
                Problem::Network { reason: format!("{reason} (through the proxy {proxy})"), transient }
            }
            problem => problem,
        }
    }

    /// The problem of an answer that the distribution specification does not allow.
    pub fn violation(message: &str) -> Problem {
        // 406 is what no registry sends.
        Problem::Answer(Answer {
            status: 406,
            code: SPEC_VIOLATION.to_owned(),
            message: message.to_owned(),
            ..Answer::default()
        })
    }
}

/// How long an answer asks to wait: a number of seconds, or a time (RFC 9110, section 10.2.3). That is compared with the
/// server's own clock, because ours may differ.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let wanted = text(RETRY_AFTER)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = |text: &str| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second());
    u64::try_from(time(wanted)? - time(text(DATE)?)?).ok().map(Duration::from_secs)
}

/// Our own code for an answer that the distribution specification does not allow.
pub(super) const SPEC_VIOLATION: &str = "SPEC_VIOLATION";

impl Answer {
    /// Takes the error code and the message out of an answer's body: the JSON of the distribution specification
    /// (`errors`), that of token servers (`details`, `error_description`), or else the text itself.
    pub fn of_body(status: u16, body: &[u8]) -> Answer {
        let mut answer = Answer { status, ..Answer::default() };
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            let text = String::from_utf8_lossy(body);
            // The HTML page of a gateway says nothing that its status does not say.
            if !text.trim_start().starts_with('<') {
                answer.message = shorten(&text);
            }
            return answer;
        };
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(first) = value.get("errors").and_then(|errors| errors.get(0)) {
            answer.code = shorten(&text(first, "code"));
            answer.message = shorten(&text(first, "message"));
        } else {
            let names = ["details", "error_description", "message", "error"];
            let message = names.iter().map(|name| text(&value, name)).find(|text| !text.is_empty());
            answer.message = shorten(&message.unwrap_or_default());
        }
        answer
    }

    /// `404 Not Found: manifest unknown`.
    fn describe(&self) -> String {
        let status = match reqwest::StatusCode::from_u16(self.status) {
            _ if self.code == SPEC_VIOLATION => {
                "in a way that the distribution specification does not allow".to_owned()
            }
            Ok(status) => status.to_string(),
            Err(_) => self.status.to_string(),
        };
        let code = if self.code == SPEC_VIOLATION { "" } else { self.code.as_str() };
        match (code, self.message.as_str()) {
            ("", "") => status,
            ("", message) | (message, "") => format!("{status}: {message}"),
            (code, message) => format!("{status}: {message} ({code})"),
        }
    }
}

/// One line of at most [`MAX_MESSAGE_LENGTH`] characters, without control characters: it comes from outside.
pub(super) fn shorten(text: &str) -> String {
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(MAX_MESSAGE_LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Secrets with fewer characters cannot be told from other words.
const LEAST_SECRET: usize = 4;

/// The text without a secret, also when it was cut off within the secret.
fn hide(text: &str, secret: &str) -> String {
    if secret.len() < LEAST_SECRET {
        return text.to_owned();
    }
    let text = text.replace(secret, "***");
    let Some(line) = text.strip_suffix('…') else { return text };
    let beginnings = (LEAST_SECRET..secret.len()).rev().filter_map(|length| secret.get(..length));
    match beginnings.filter_map(|beginning| line.strip_suffix(beginning)).next() {
        Some(rest) => format!("{rest}***…"),
        None => text,
    }
}

/// What servers say in TLS when a client shows no certificate or not the right one; which of them depends on the version.
const ALERTS: [&str; 4] = ["CertificateRequired", "BadCertificate", "CertificateUnknown", "UnknownCA"];

/// What an error comes from, the bottom last.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| {
        // An I/O error of another kind wraps its cause without naming it as its source.
        match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        }
    })
}

impl From<reqwest::Error> for Problem {
    /// Says what is at the bottom of the client's chain of errors; never its URL, which may hold a signature.
    fn from(error: reqwest::Error) -> Problem {
        if let Some(inward) = causes(&error).find_map(|cause| cause.downcast_ref::<Inward>()) {
            return Problem::Misled { host: inward.host.clone(), reason: inward.to_string() };
        }
        let words = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<io::Error>() {
            Some(error) => reason(error),
            None => cause.to_string(),
        };
        let causes: Vec<String> = causes(&error).map(words).collect();
        let last = causes.last().map_or("", String::as_str);
        let any = |text: &str| causes.iter().any(|cause| cause.contains(text));
        let network = |reason: String, transient| Problem::Network { reason, transient };
        if any("dns error") {
            network(format!("its name does not resolve ({last})"), true)
        } else if any("InvalidContentType") || any("InvalidMessage") {
            network(
                "it does not speak TLS; if it speaks plain HTTP, allow that with `--plain-http HOST`".to_owned(),
                false,
            )
        } else if ALERTS.iter().any(|alert| any(&format!("received fatal alert: {alert}"))) {
            network(
                "it wants a client certificate that it trusts; name one with `--client-cert` and `--client-key`"
                    .to_owned(),
                false,
            )
        } else if any("No CA certificates") {
            network(
                "there are no TLS certificates of authorities on this system; install them (Debian: `ca-certificates`), or name a \
                 file of them in `SSL_CERT_FILE`"
                    .to_owned(),
                false,
            )
        } else if any("certificate") {
            network(format!("its TLS certificate is not trusted ({last}); name its authority with `--ca FILE`"), false)
        } else if error.is_timeout() {
            let what = if error.is_connect() { "no connection" } else { "nothing came" };
            network(format!("{what} in time"), true)
        } else if error.is_builder() || error.is_redirect() {
            network(error.without_url().to_string(), false)
        } else if last.is_empty() {
            network(error.without_url().to_string(), true)
        } else {
            network(shorten(last), true)
        }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Problem {
        Problem::Final(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_in_all_its_forms() {
        let cases: [(u16, &str, &str); 7] = [
            (
                404,
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
                "404 Not Found: manifest unknown (MANIFEST_UNKNOWN)",
            ),
            (
                401,
                r#"{"details":"incorrect username or password"}"#,
                "401 Unauthorized: incorrect username or password",
            ),
            (400, r#"{"error":"invalid_grant","error_description":"token expired"}"#, "400 Bad Request: token expired"),
            (502, "<html><body>Bad Gateway</body></html>", "502 Bad Gateway"),
            (500, "it broke\nhere", "500 Internal Server Error: it broke here"),
            (503, "", "503 Service Unavailable"),
            (403, r#"{"errors":[{"code":"DENIED"}]}"#, "403 Forbidden: DENIED"),
        ];
        for (status, body, expected) in cases {
            assert_eq!(Answer::of_body(status, body.as_bytes()).describe(), expected);
        }
        assert!(Answer::of_body(500, "x".repeat(5000).as_bytes()).message.chars().count() <= MAX_MESSAGE_LENGTH + 1);
    }

    #[test]
    fn secrets_are_taken_out_of_a_servers_words() {
        let long = "s3cr3t".repeat(100);
        let shown = |words: &str, secret: &str| {
            let problem = Problem::Answer(Answer::of_body(403, words.as_bytes()));
            problem.without(&[secret.to_owned()]).describe()
        };
        assert_eq!(shown("no user with hunter22 is known", "hunter22"), "403 Forbidden: no user with *** is known");
        assert_eq!(shown(&format!("bad token {long}"), &long), "403 Forbidden: bad token ***…");
        assert_eq!(shown("a cat", "a"), "403 Forbidden: a cat");
        assert_eq!(shown("nothing of it", ""), "403 Forbidden: nothing of it");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let answer = |status| Problem::Answer(Answer { status, ..Answer::default() });
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(answer(status).is_transient(), "{status}");
        }
        for status in [400, 401, 403, 404, 405, 413, 416, 501] {
            assert!(!answer(status).is_transient(), "{status}");
        }
        assert!(Problem::Network { reason: String::new(), transient: true }.is_transient());
        assert!(!Problem::TooLarge { limit: 1 }.is_transient());
    }

    #[test]
    fn a_registry_asks_to_wait_in_seconds_or_until_a_time() {
        let headers = |wanted: &'static str| {
            let date = "Mon, 23 Nov 2026 12:00:00 GMT";
            HeaderMap::from_iter([(RETRY_AFTER, wanted.parse().unwrap()), (DATE, date.parse().unwrap())])
        };
        let cases = [
            ("17", Some(17)),
            (" 0 ", Some(0)),
            ("Mon, 23 Nov 2026 12:01:30 GMT", Some(90)),
            ("Mon, 23 Nov 2026 11:00:00 GMT", None),
            ("soon", None),
            ("-5", None),
        ];
        for (wanted, seconds) in cases {
            assert_eq!(retry_after(&headers(wanted)), seconds.map(Duration::from_secs), "{wanted}");
        }
    }
}
