//! A `config.json` of Docker or an `auth.json` of Podman, read as leniently as Docker reads it (`cli/config/configfile` of
//! docker/cli): an empty file, `null` for any section, an empty `auth`, names in any case and line feeds in base64 are fine.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::docker_hub::{DOCKER_HUB_KEY, is_docker_hub};
use super::identity::Identity;

/// Base64 as Go's decoder takes it, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who may ask a credential helper, and for what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Helper {
    /// The end of the program's name, behind `docker-credential-`.
    pub name: String,
    /// What the helper knows the registry by.
    pub server: String,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct DockerConfig {
    auths: Map<String, Value>,
    helpers: Map<String, Value>,
    store: Option<String>,
}

impl DockerConfig {
    /// Reads a file. Errors never quote it.
    pub fn parse(bytes: &[u8]) -> Result<DockerConfig, String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        // Docker reads the first value and nothing behind it; an empty file has none.
        let first = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>().next();
        let mut sections = match first {
            None | Some(Ok(Value::Null)) => return Ok(DockerConfig::default()),
            Some(Ok(Value::Object(sections))) => sections,
            Some(Ok(_)) => return Err(wrong_form()),
            Some(Err(error)) => {
                return Err(format!("it is not JSON (line {}, column {})", error.line(), error.column()));
            }
        };
        Ok(DockerConfig {
            auths: table(&mut sections, "auths")?,
            helpers: table(&mut sections, "credHelpers")?,
            store: text(&sections, "credsStore").filter(|name| !name.is_empty()),
        })
    }

    /// The helper to ask for a repository. An empty name means that the file itself counts.
    pub fn helper(&self, registry: &str, repository: &str) -> Option<Helper> {
        for key in keys(registry, repository) {
            if let Some(name) = self.helpers.get(&key).and_then(Value::as_str) {
                return (!name.is_empty()).then(|| Helper { name: name.to_owned(), server: key });
            }
        }
        let server = if is_docker_hub(registry) { DOCKER_HUB_KEY } else { registry };
        self.store.clone().map(|name| Helper { name, server: server.to_owned() })
    }

    /// Who to be in a repository, by the most specific entry that names somebody.
    pub fn identity(&self, registry: &str, repository: &str) -> Result<Option<Identity>, String> {
        let keys = keys(registry, repository);
        let exact = keys.iter().filter_map(|key| self.auths.get_key_value(key));
        // Docker kept addresses here once (`https://HOST/v1/`).
        let by_address = self.auths.iter().filter(|(key, _)| {
            !keys.contains(key)
                && host_of_address(key).is_some_and(|host| {
                    host.eq_ignore_ascii_case(registry) || is_docker_hub(host) && is_docker_hub(registry)
                })
        });
        for (key, entry) in exact.chain(by_address) {
            if let Some(identity) = identity_of(key, entry)? {
                return Ok(Some(identity));
            }
        }
        Ok(None)
    }
}

fn wrong_form() -> String {
    "it does not have the form of docker's `config.json`".to_owned()
}

/// A value by its name, which Go takes in any case if the right one is not there.
fn named<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let alike = || object.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next_back();
    object.get(name).or_else(alike)
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    named(object, name).and_then(Value::as_str).map(str::to_owned)
}

fn table(sections: &mut Map<String, Value>, name: &str) -> Result<Map<String, Value>, String> {
    match named(sections, name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(table)) => Ok(table.clone()),
        Some(_) => Err(wrong_form()),
    }
}

/// Who an entry names, if anybody.
fn identity_of(key: &str, entry: &Value) -> Result<Option<Identity>, String> {
    let entry = match entry {
        Value::Null => return Ok(None),
        Value::Object(entry) => entry,
        _ => return Err(wrong_form()),
    };
    let filled = |name: &str| match named(entry, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(value)) => Ok(Some(value.clone()).filter(|value| !value.is_empty())),
        Some(_) => Err(wrong_form()),
    };
    if let Some(token) = filled("registrytoken")? {
        return Ok(Some(Identity::RegistryToken(token)));
    }
    if let Some(token) = filled("identitytoken")? {
        return Ok(Some(Identity::Token(token)));
    }
    if let Some(encoded) = filled("auth")? {
        let (username, password) =
            decode(&encoded).ok_or_else(|| format!("the entry `{key}` is not the base64 of a name and a password"))?;
        let is_somebody = !username.is_empty() || !password.is_empty();
        return Ok(is_somebody.then_some(Identity::Password { username, password }));
    }
    let (username, password) = (filled("username")?, filled("password")?);
    Ok(match (username, password) {
        (None, None) => None,
        (username, password) => {
            Some(Identity::Password { username: username.unwrap_or_default(), password: password.unwrap_or_default() })
        }
    })
}

/// Name and password in the base64 of `NAME:PASSWORD`.
fn decode(encoded: &str) -> Option<(String, String)> {
    let encoded: Vec<u8> = encoded.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let text = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.trim_matches('\0').to_owned()))
}

/// The host in an address such as `https://HOST/v1/` or `HOST/v2/`. Nothing for `HOST/NAMESPACE`, which Podman means.
fn host_of_address(key: &str) -> Option<&str> {
    if let Some((_, rest)) = key.split_once("://") {
        return rest.split('/').next().filter(|host| !host.is_empty());
    }
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    matches!(path.trim_matches('/'), "" | "v1" | "v2").then_some(host)
}

/// The keys that fit a repository, the most specific first: podman can keep credentials for a single repository or
/// namespace (`containers-auth.json(5)`).
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let hosts: &[&str] = if is_docker_hub(registry) {
        &["docker.io", DOCKER_HUB_KEY, "index.docker.io", "registry-1.docker.io"]
    } else {
        &[registry]
    };
    let mut keys = Vec::new();
    let mut path = Some(repository);
    while let Some(prefix) = path {
        keys.push(format!("{}/{prefix}", hosts[0]));
        path = prefix.rsplit_once('/').map(|(parent, _)| parent);
    }
    keys.extend(hosts.iter().map(|&host| host.to_owned()));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(config: &str, registry: &str) -> Result<Option<Identity>, String> {
        DockerConfig::parse(config.as_bytes())?.identity(registry, "x")
    }

    fn password(username: &str, password: &str) -> Option<Identity> {
        Some(Identity::Password { username: username.to_owned(), password: password.to_owned() })
    }

    /// `dXNlcjpwYXNz` is `user:pass`.
    #[test]
    fn what_docker_reads_is_read() {
        let token = |token: &str| Some(Identity::RegistryToken(token.to_owned()));
        let cases = [
            ("", None),
            (" \r\n\t", None),
            ("null", None),
            ("{}", None),
            ("{} behind the first value", None),
            ("\u{feff}{}", None),
            (r#"{"auths":null,"credHelpers":null,"credsStore":null}"#, None),
            (r#"{"auths":{"a.example":null}}"#, None),
            (r#"{"auths":{"a.example":{}}}"#, None),
            (r#"{"auths":{"a.example":{"auth":""}}}"#, None),
            (r#"{"auths":{"a.example":{"auth":null,"identitytoken":null}}}"#, None),
            (r#"{"auths":{"a.example":{"auth":"dXNlcjpwYXNz"}}}"#, password("user", "pass")),
            (r#"{"auths":{"a.example":{"auth":"dXNl\r\ncjpwYXNz\n"}}}"#, password("user", "pass")),
            (r#"{"auths":{"a.example":{"auth":"dXNlcjpw"}}}"#, password("user", "p")),
            (r#"{"auths":{"a.example":{"auth":"dXNlcjo="}}}"#, password("user", "")),
            (r#"{"auths":{"a.example":{"auth":"dXNlcjo"}}}"#, password("user", "")),
            (r#"{"auths":{"a.example":{"auth":"dXNlcjpwYXNzAAA="}}}"#, password("user", "pass")),
            (r#"{"auths":{"a.example":{"username":"user","password":"pass"}}}"#, password("user", "pass")),
            (r#"{"Auths":{"a.example":{"AUTH":"dXNlcjpwYXNz"}}}"#, password("user", "pass")),
            (r#"{"auths":{"https://a.example/v1/":{"auth":"dXNlcjpwYXNz"}}}"#, password("user", "pass")),
            (r#"{"auths":{"http://a.example":{"auth":"dXNlcjpwYXNz"}}}"#, password("user", "pass")),
            (r#"{"auths":{"a.example/v2/":{"auth":"dXNlcjpwYXNz"}}}"#, password("user", "pass")),
            (r#"{"auths":{"https://a.example:443/":{"auth":"dXNlcjpwYXNz"}}}"#, None),
            (r#"{"auths":{"a.example/team":{"auth":"dXNlcjpwYXNz"}}}"#, None),
            // An entry that names nobody does not hide one that does.
            (r#"{"auths":{"a.example":{},"https://a.example":{"auth":"dXNlcjpwYXNz"}}}"#, password("user", "pass")),
            (r#"{"auths":{"a.example":{"registrytoken":"T"}}}"#, token("T")),
            // What Azure's `az acr login` writes.
            (
                r#"{"auths":{"a.example":{"auth":"MDAwMDo=","identitytoken":"R"}}}"#,
                Some(Identity::Token("R".to_owned())),
            ),
            // A broken entry of another registry is none of this one's business.
            (r#"{"auths":{"b.example":{"auth":"!"},"a.example":{"auth":"dXNlcjpwYXNz"}}}"#, password("user", "pass")),
        ];
        for (config, expected) in cases {
            assert!(identity(config, "a.example") == Ok(expected), "{config}");
        }
        let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz"}}}"#;
        for registry in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            assert!(identity(hub, registry) == Ok(password("user", "pass")), "{registry}");
        }
        let port = r#"{"auths":{"https://a.example:5000/v2/":{"auth":"dXNlcjpwYXNz"}}}"#;
        assert!(identity(port, "a.example:5000") == Ok(password("user", "pass")));
        assert!(identity(port, "a.example") == Ok(None));
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        for config in [
            "{",
            "[]",
            "7",
            r#"{"auths":[]}"#,
            r#"{"auths":{"a.example":"x"}}"#,
            r#"{"auths":{"a.example":{"auth":7}}}"#,
            r#"{"auths":{"a.example":{"auth":"no base64"}}}"#,
            // There is no colon.
            r#"{"auths":{"a.example":{"auth":"dXNlcg=="}}}"#,
        ] {
            assert!(identity(config, "a.example").is_err(), "{config}");
        }
    }

    #[test]
    fn a_helper_of_the_registry_counts_more_than_the_store() {
        let config = r#"{"credsStore":"store","credHelpers":{"a.example":"own","b.example":""}}"#;
        let config = DockerConfig::parse(config.as_bytes()).unwrap();
        let helper = |name: &str, server: &str| Some(Helper { name: name.to_owned(), server: server.to_owned() });
        assert_eq!(config.helper("a.example", "x"), helper("own", "a.example"));
        assert_eq!(config.helper("b.example", "x"), None);
        assert_eq!(config.helper("c.example", "x"), helper("store", "c.example"));
        assert_eq!(config.helper("docker.io", "x"), helper("store", "https://index.docker.io/v1/"));
        assert_eq!(DockerConfig::parse(br#"{"credsStore":""}"#).unwrap().helper("a.example", "x"), None);
    }
}
