//! The user's own settings: `winslim/config.toml` in the user's configuration directory.
//!
//! ```toml
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

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::PathError;
use crate::transport::registry::{Mirror, RegistryName};

/// The settings. Without a file there are none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is said about single registries, in the order of the file.
    #[serde(default, rename = "registry")]
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
    Path(#[from] PathError),
    /// The file says something that it cannot say.
    #[error("cannot use the settings in `{path}`: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its place.
        problem: String,
    },
}

impl Config {
    /// Reads the settings in a file; one that is not there says nothing.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, has keys that are not known, or names half of a client certificate.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Config::default()),
            Err(error) => return Err(PathError::new("read", path, error).into()),
        };
        let wrong = |problem: String| ConfigError::Content { path: path.to_owned(), problem };
        let mut config: Config =
            toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        for registry in &mut config.registries {
            let (host, has_tls) = (&registry.host, registry.ca.is_some() || registry.client_cert.is_some());
            if registry.client_cert.is_some() != registry.client_key.is_some() {
                return Err(wrong(format!("`{host}` needs both `client-cert` and `client-key`, or neither")));
            }
            if has_tls && registry.plain_http == Some(true) {
                return Err(wrong(format!("`{host}` has certificates, and none are used with `plain-http = true`")));
            }
            for file in [&mut registry.ca, &mut registry.client_cert, &mut registry.client_key].into_iter().flatten() {
                *file = directory.join(&*file);
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        fs::write(&path, text).unwrap();
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
            "[[registry]]\nhost = \"docker.io\"\nmirrors = [\"m.example/a\", \"localhost:5000\"]\n\
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
            ("[[registry]]\nhost = \"a.example\"\nmirror = []", "unknown field `mirror`"),
            ("[[registry]]\nhost = \"https://a.example\"", "line 2"),
            ("[[registry]]\nmirrors = []", "missing field `host`"),
            ("[[registry]]\nhost = \"a.example\"\nmirrors = [\"one\"]", "does not name a mirror"),
            ("[[registry]]\nhost = \"a.example\"\nclient-key = \"x\"", "needs both"),
            ("[[registry]]\nhost = \"a.example\"\nca = \"x\"\nplain-http = true", "certificates"),
            ("registry = 1", "line 1"),
        ];
        for (text, words) in cases {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("config.toml"), "{error}");
        }
    }
}
