//! The user's own settings: `winslim/config.toml` in the user's configuration directory.
//!
//! ```toml
//! allow-hosts = ["auth.example.com"]     # registries may name these, though their addresses are less public
//!
//! [[registry]]
//! host = "mcr.microsoft.com"
//! mirrors = ["mirror.example.com/mcr"]   # asked first when pulling, in this order
//!
//! [[registry]]
//! host = "mirror.example.com"
//! ca = "ca.pem"                          # beside this file, or an absolute path
//! client-cert = "client.pem"
//! client-key = "client.key"
//!
//! [[registry]]
//! host = "lab.example.com:5000"
//! plain-http = true
//! ```

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::fault::{Fault, Source, TextError, read_text};
use crate::transport::registry::{AddressHost, Mirror, RegistryName};

/// The settings. Without a file there are none.
#[derive(Debug, Default)]
pub struct Config {
    /// Hosts that registries and manifests may name although their addresses are less public.
    pub allowed_hosts: Vec<AddressHost>,
    /// What is said about single registries, in the order of the file.
    pub registries: Vec<RegistryConfig>,
}

/// What is said about one registry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegistryConfig {
    /// `HOST` or `HOST:PORT`, as in references.
    pub host: RegistryName,
    /// Registries that are asked first when pulling.
    #[serde(default)]
    pub mirrors: Vec<Mirror>,
    /// Whether it is spoken to without TLS; unless this is said, only registries on this machine are.
    pub plain_http: Option<bool>,
    /// A PEM file with the certificate authorities to trust for it.
    pub ca: Option<PathBuf>,
    /// A PEM file with the certificate to show it.
    pub client_cert: Option<PathBuf>,
    /// The PEM file with the key of that certificate.
    pub client_key: Option<PathBuf>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A place in it is wrong.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
}

impl Config {
    /// Reads the settings in a file; one that is not there says nothing.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, has keys that are not known, or names half of a client certificate.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = match read_text("read the settings", path) {
            Ok(text) => text,
            Err(TextError::Path(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(Config::default()),
            Err(error) => return Err(error.into()),
        };
        let name = path.display().to_string();
        let directory = path.parent().unwrap_or(Path::new(""));
        Ok(parse(Source { name: &name, text: &text }, directory)?)
    }
}

fn parse(source: Source<'_>, directory: &Path) -> Result<Config, Box<Fault>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Content {
        #[serde(default)]
        allow_hosts: Vec<AddressHost>,
        #[serde(default)]
        registry: Vec<Spanned<RegistryConfig>>,
    }
    let content: Content = toml::from_str(source.text).map_err(|error| source.toml_fault(&error))?;
    let registry = |registry: Spanned<RegistryConfig>| {
        let span = registry.span();
        let mut registry = registry.into_inner();
        if registry.client_cert.is_some() != registry.client_key.is_some() {
            let problem = format!("`{}` needs both `client-cert` and `client-key`, or neither", registry.host);
            return Err(source.fault(span, problem));
        }
        if (registry.ca.is_some() || registry.client_cert.is_some()) && registry.plain_http == Some(true) {
            let problem = format!("`{}` has certificates, and none are used with `plain-http = true`", registry.host);
            return Err(source.fault(span, problem));
        }
        for file in [&mut registry.ca, &mut registry.client_cert, &mut registry.client_key].into_iter().flatten() {
            *file = directory.join(&*file);
        }
        Ok(registry)
    };
    let registries = content.registry.into_iter().map(registry).collect::<Result<_, _>>()?;
    Ok(Config { allowed_hosts: content.allow_hosts, registries })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    #[test]
    fn without_a_file_there_are_no_settings() {
        assert!(Config::load(Path::new("/no/such/config.toml")).unwrap().registries.is_empty());
        assert!(load("").unwrap().registries.is_empty());
    }

    #[test]
    fn files_lie_beside_the_settings() {
        let config = load(
            "allow-hosts = [\"auth\", \"10.0.0.1:8080\"]\n[[registry]]\nhost = \"docker.io\"\nmirrors = [\"m.example/a\", \"localhost:5000\"]\n\
             [[registry]]\nhost = \"b.example:443\"\nca = \"/etc/ca.pem\"\nclient-cert = \"c.pem\"\nclient-key = \"c.key\"",
        );
        let registries = config.unwrap().registries;
        assert_eq!(registries[0].mirrors[1].registry, "localhost:5000");
        assert_eq!(registries[1].ca.as_deref(), Some(Path::new("/etc/ca.pem")));
        assert!(registries[1].client_key.as_ref().unwrap().is_absolute());
    }

    #[test]
    fn mistakes_are_shown_with_their_place() {
        let cases = [
            ("[[registry]]\nhost = \"a.example\"\nmirror = []", "3:1: unknown key `mirror`; did you mean `mirrors`?"),
            ("[[registry]]\nhost = \"https://a.example\"", "2:8: "),
            ("[[registry]]\nmirrors = []", "1:1: the key `host` is missing"),
            ("[[registry]]\nhost = \"a.example\"\nmirrors = [\"one\"]", "does not name a mirror"),
            ("[[registry]]\nhost = \"a.example\"\nclient-key = \"x\"", "1:1: `a.example` needs both"),
            ("[[registry]]\nhost = \"a.example\"\nca = \"x\"\nplain-http = true", "1:1: `a.example` has certificates"),
            ("allow-hosts = [\"https://a.example/\"]", "1:15: `https://a.example/` is not a host"),
            ("registry = 1", "1:12: this is of the wrong type"),
        ];
        for (text, words) in cases {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains("config.toml:") && error.contains(words), "{error}");
        }
    }
}
