//! What a caller may say about registries: how they are reached, who to be there, and how long to wait.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use crate::transport::{Reference, RegistryReference, Repository};

/// How registries are spoken to.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Registries that are spoken to without TLS, besides those on this machine: `HOST` for all its ports, or
    /// `HOST:PORT`.
    pub plain_http: Vec<String>,
    /// Hosts (`HOST`, or `HOST:PORT`) that a registry or a manifest may name although their addresses are less public.
    pub allowed_hosts: Vec<AddressHost>,
    /// The mirrors of registries, in the order in which they are asked before the registry itself. Only for pulls.
    pub mirrors: BTreeMap<String, Vec<Mirror>>,
    /// PEM files with certificate authorities that are trusted everywhere, besides those of the system.
    pub authorities: Vec<PathBuf>,
    /// What TLS needs at single registries, by `HOST` or `HOST:PORT` as in their references.
    pub tls: BTreeMap<String, Tls>,
    /// Who to be at one registry, instead of what files and helpers say.
    pub login: Option<Login>,
    /// How the bytes of blobs are sent.
    pub push_mode: PushMode,
    /// How much at once, and how long to wait.
    pub limits: Limits,
}

/// What TLS needs at one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file with certificate authorities that are trusted for this registry and its token server.
    pub authority: Option<PathBuf>,
    /// The PEM files of a client certificate and of its key. Shown to this registry only.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Name and password for one registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The registry as in its references: nobody else gets the password.
    pub registry: String,
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// A registry as it stands in references: `HOST` or `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RegistryName(String);

impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RegistryName {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<RegistryName, OptionError> {
        if split(text).is_some_and(|(_, prefix)| prefix.is_empty()) {
            return Ok(RegistryName(text.to_owned()));
        }
        Err(OptionError(format!(
            "`{text}` does not name a registry; write it as in references, like `mcr.microsoft.com` or `localhost:5000`"
        )))
    }
}

impl TryFrom<String> for RegistryName {
    type Error = OptionError;

    fn try_from(text: String) -> Result<RegistryName, OptionError> {
        text.parse()
    }
}

/// A host as it is in an address, with a port or without: `auth.example.com`, `10.0.0.1:8080`, `[fd00::1]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AddressHost {
    /// As in the address, in lower case.
    host: String,
    port: Option<u16>,
}

impl AddressHost {
    /// Whether an address is at this host.
    pub(super) fn is_of(&self, url: &Url) -> bool {
        url.host_str() == Some(&self.host) && self.port.is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

impl FromStr for AddressHost {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<AddressHost, OptionError> {
        let wrong = || {
            OptionError(format!(
                "`{text}` is not a host; write it as in an address, like `auth.example.com` or `10.0.0.1:8080`"
            ))
        };
        if text.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong());
        }
        // Both schemes, because an address without a port and one with that of its scheme look the same.
        let address = match text.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => text.to_owned(),
        };
        let parse = |scheme: &str| Url::parse(&format!("{scheme}://{address}/")).map_err(|_| wrong());
        let (plain, tls) = (parse("http")?, parse("https")?);
        let host = tls.host_str().ok_or_else(wrong)?.to_owned();
        Ok(AddressHost { host, port: tls.port().or(plain.port()) })
    }
}

impl TryFrom<String> for AddressHost {
    type Error = OptionError;

    fn try_from(text: String) -> Result<AddressHost, OptionError> {
        text.parse()
    }
}

/// A registry that has what another one has: `HOST[:PORT][/PREFIX]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mirror {
    /// Its host, with its port if there is one.
    pub registry: String,
    /// The path that the mirrored repositories lie below, if any.
    pub prefix: Option<Repository>,
}

impl Mirror {
    /// What an image is called there.
    pub(super) fn reference(&self, origin: &RegistryReference) -> RegistryReference {
        let repository = match &self.prefix {
            None => origin.repository.clone(),
            Some(prefix) => origin.repository.below(prefix),
        };
        RegistryReference { registry: self.registry.clone(), repository, ..origin.clone() }
    }
}

/// Text that does not say what it should about registries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OptionError(String);

impl FromStr for Mirror {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Mirror, OptionError> {
        let mirror = split(text).and_then(|(registry, prefix)| {
            let prefix = if prefix.is_empty() { None } else { Some(prefix.parse().ok()?) };
            Some(Mirror { registry: registry.to_owned(), prefix })
        });
        mirror.ok_or_else(|| {
            OptionError(format!(
                "`{text}` does not name a mirror; write it like `mirror.example.com/prefix` or `localhost:5000`"
            ))
        })
    }
}

impl TryFrom<String> for Mirror {
    type Error = OptionError;

    fn try_from(text: String) -> Result<Mirror, OptionError> {
        text.parse()
    }
}

/// The host and what follows it, of something that can stand before the name of a repository.
fn split(text: &str) -> Option<(&str, &str)> {
    let (registry, prefix) = text.split_once('/').unwrap_or((text, ""));
    let Ok(Reference::Registry(name)) = format!("{text}/some/name").parse() else { return None };
    let expected = if prefix.is_empty() { "some/name".to_owned() } else { format!("{prefix}/some/name") };
    (name.registry == registry && name.repository.as_str() == expected).then_some((registry, prefix))
}

/// The bytes of one PATCH request, unless the user says otherwise: the most that GitHub's registry takes
/// (oras-project/rust-oci-client#37).
pub(super) const CHUNK: u64 = 4 << 20;

/// How the bytes of blobs are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PushMode {
    /// As the registry is known to like it, and otherwise if it refuses that.
    #[default]
    Auto,
    /// In one request each.
    Monolithic,
    /// In requests of so many bytes.
    Chunked(u64),
}

/// The smallest piece that a blob is sent in: less means more round trips than anybody wants.
const LEAST_CHUNK: u64 = 64 << 10;

impl FromStr for PushMode {
    type Err = OptionError;

    /// `auto`, `monolithic`, `chunked` or `chunked:SIZE`, where the size is a number of bytes or of KiB, MiB or GiB.
    fn from_str(text: &str) -> Result<PushMode, OptionError> {
        let wrong = || {
            OptionError(format!(
                "`{text}` is not a way of pushing; write `auto`, `monolithic`, `chunked` or `chunked:SIZE` as in \
                 `chunked:16MiB`, with 64KiB at least"
            ))
        };
        let size = match text {
            "auto" => return Ok(PushMode::Auto),
            "monolithic" => return Ok(PushMode::Monolithic),
            "chunked" => return Ok(PushMode::Chunked(CHUNK)),
            _ => text.strip_prefix("chunked:").ok_or_else(wrong)?,
        };
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
        let unit = units.iter().find_map(|(name, shift)| Some((size.strip_suffix(name)?, *shift)));
        let (number, shift) = unit.unwrap_or((size, 0));
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let size = number.checked_mul(1 << shift).filter(|size| *size >= LEAST_CHUNK).ok_or_else(wrong)?;
        Ok(PushMode::Chunked(size))
    }
}

/// How much is done at once with one registry, and how long it may take to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most requests to one registry at the same time.
    pub connections: usize,
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How long nothing may come, or be taken, before a transfer counts as broken.
    pub stall: Duration,
    /// The least rate of a transfer in bytes per second; one that is slower all through a window of [`Limits::slow`] counts as
    /// broken.
    pub least_rate: u64,
    /// The window in which a transfer may be slow.
    pub slow: Duration,
    /// How long a registry may think after the last byte of an upload: some copy the whole blob to where it stays.
    pub commit: Duration,
    /// How long a credential helper may take to answer: some ask their user.
    pub helper: Duration,
    /// The pause before the second try; it doubles from try to try, and up to as much again is added at random.
    pub first_pause: Duration,
    /// The longest pause, also when the registry asks for a longer one.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 6,
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(60),
            least_rate: 1000,
            slow: Duration::from_secs(60),
            commit: Duration::from_secs(15 * 60),
            helper: Duration::from_secs(60),
            first_pause: Duration::from_millis(300),
            longest_pause: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_a_host_with_or_without_a_prefix() {
        let mirror =
            |registry: &str, prefix: &str| Some(Mirror { registry: registry.to_owned(), prefix: prefix.parse().ok() });
        let cases = [
            ("mirror.example.com", mirror("mirror.example.com", "")),
            ("localhost:5000", mirror("localhost:5000", "")),
            ("mirror.example.com/mcr", mirror("mirror.example.com", "mcr")),
            ("mirror.example.com:8443/a/b", mirror("mirror.example.com:8443", "a/b")),
            ("", None),
            ("mirror", None),
            ("https://mirror.example.com", None),
            ("mirror.example.com/", None),
            ("mirror.example.com/Prefix", None),
            ("mirror.example.com/a:tag", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
        let origin = "mcr.microsoft.com/windows/nanoserver:1".parse();
        let Ok(Reference::Registry(origin)) = origin else { panic!("it is a reference") };
        let there = |mirror: &str| mirror.parse::<Mirror>().unwrap().reference(&origin).to_string();
        assert_eq!(there("a.example"), "a.example/windows/nanoserver:1");
        assert_eq!(there("a.example/mcr"), "a.example/mcr/windows/nanoserver:1");
    }

    #[test]
    fn a_host_of_an_address_is_read() {
        let cases = [
            ("auth.example.com", "https://auth.example.com/token", true),
            ("Auth.Example.com", "http://auth.example.com:8080/", true),
            ("auth", "https://auth/", true),
            ("auth:443", "https://auth/", true),
            ("auth:443", "http://auth/", false),
            ("auth:80", "http://auth/", true),
            ("auth:8080", "http://auth:8080/", true),
            ("auth:8080", "http://auth/", false),
            ("auth", "https://auth.example.com/", false),
            ("fd00::1", "https://[fd00::1]:5000/", true),
            ("[fd00::1]:5000", "https://[fd00::1]:5000/", true),
            ("10.0.0.1", "https://0xa.1/", true),
        ];
        for (text, url, expected) in cases {
            let host: AddressHost = text.parse().unwrap();
            assert_eq!(host.is_of(&Url::parse(url).unwrap()), expected, "{text} {url}");
        }
        for wrong in ["", "https://a.example", "a.example/x", "a.example:x", "me@a.example", ":80"] {
            assert!(wrong.parse::<AddressHost>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_way_of_pushing_is_read() {
        let cases = [
            ("auto", Some(PushMode::Auto)),
            ("monolithic", Some(PushMode::Monolithic)),
            ("chunked", Some(PushMode::Chunked(4 << 20))),
            ("chunked:65536", Some(PushMode::Chunked(64 << 10))),
            ("chunked:16MiB", Some(PushMode::Chunked(16 << 20))),
            ("chunked:1GiB", Some(PushMode::Chunked(1 << 30))),
            ("chunked:1KiB", None),
            ("chunked:", None),
            ("chunked:-1", None),
            ("chunked:99999999999999GiB", None),
            ("Auto", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let login = Login { registry: "a.example".into(), username: "user".into(), password: "SECRET".into() };
        assert!(!format!("{login:?}").contains("SECRET"));
    }
}
