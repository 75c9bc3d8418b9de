//! Image configs: what the image is for, how its layers came about, and what runs in it.
//!
//! Keys are read without regard to case, as the container engines do: configs of Microsoft say `rootfS` and `user`.

use serde_json::Value;

use super::document::{DocumentError, field};
use super::{Digest, Document, Platform};

/// A config, as it was read (OCI image specification, `config.md`).
#[derive(Debug, Clone)]
pub struct Config {
    /// The bytes and their digest, which is also the image ID of Docker.
    pub document: Document,
    /// The operating system: `windows`.
    pub os: String,
    /// The processor architecture in Go's words: `amd64`.
    pub architecture: String,
    /// The version of Windows in the image, as it is written there.
    pub os_version: Option<String>,
    /// What the image needs of the host; only `win32k` is defined.
    pub os_features: Vec<String>,
    /// When the image was made, as it is written there.
    pub created: Option<String>,
    /// The digests of the uncompressed layers, the base first.
    pub diff_ids: Vec<Digest>,
    /// How the image came about, the oldest step first.
    pub history: Vec<HistoryEntry>,
}

/// One step in the making of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When, as RFC 3339 text.
    pub created: Option<String>,
    /// By what command.
    pub created_by: Option<String>,
    /// What there is to say about it.
    pub comment: Option<String>,
    /// Whether the step made no layer.
    pub empty_layer: bool,
}

impl Config {
    /// Reads a config.
    pub fn parse(document: Document) -> Result<Config, DocumentError> {
        let digest = document.digest();
        let error = |problem: &str| DocumentError::Field { what: "config", digest, problem: problem.to_owned() };
        let value = document.value();
        let platform = Platform::parse(value);
        if platform.os.is_empty() {
            return Err(error("has no `os`: it is not the config of an image"));
        }
        let rootfs = field(value, "rootfs").ok_or_else(|| error("has no `rootfs`"))?;
        if field(rootfs, "type").is_some_and(|kind| kind != "layers") {
            return Err(error("has a `rootfs` of another type than `layers`"));
        }
        let diff_ids = field(rootfs, "diff_ids").and_then(Value::as_array);
        let diff_ids = diff_ids.ok_or_else(|| error("has no `diff_ids`"))?;
        let diff_id = |value: &Value| match value.as_str().unwrap_or_default().parse() {
            Ok(digest) => Ok(digest),
            Err(problem) => Err(error(&format!("has a wrong diff ID: {problem}"))),
        };
        let diff_ids = diff_ids.iter().map(diff_id).collect::<Result<_, _>>()?;
        let history = field(value, "history").and_then(Value::as_array).into_iter().flatten();
        let history = history.map(HistoryEntry::parse).collect();
        let Platform { os, architecture, os_version, os_features, .. } = platform;
        let created = text(value, "created");
        Ok(Config { os, architecture, os_version, os_features, created, diff_ids, history, document })
    }

    /// The machines that the image is for.
    pub fn platform(&self) -> Platform {
        Platform::parse(self.document.value())
    }

    /// Checks that the config tells of as many layers as the manifest has; engines refuse the image otherwise.
    pub fn check_layers(&self, count: usize) -> Result<(), DocumentError> {
        if self.diff_ids.len() == count {
            return Ok(());
        }
        Err(DocumentError::Field {
            what: "config",
            digest: self.document.digest(),
            problem: format!("has {} diff IDs, but the manifest has {count} layers", self.diff_ids.len()),
        })
    }
}

impl HistoryEntry {
    fn parse(value: &Value) -> HistoryEntry {
        HistoryEntry {
            created: text(value, "created"),
            created_by: text(value, "created_by"),
            comment: text(value, "comment"),
            empty_layer: field(value, "empty_layer").and_then(Value::as_bool).unwrap_or(false),
        }
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    field(value, name).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_read_in_any_case() {
        let config = Config::parse(Document::from_value(
            "",
            json!({"Architecture": "amd64", "OS": "windows", "os.Version": "10.0.19042.985", "created": "2021-04-30T07:20:45Z",
                   "history": [{"created": "2021", "Created_By": "Apply image"}, {"empty_layer": true, "comment": "c"}],
                   "rootfS": {"Type": "layers", "diff_IDs": [Digest::of(b"l")]}, "config": {"user": "ContainerUser"}}),
        ))
        .unwrap();
        assert_eq!(config.platform().to_string(), "windows/amd64:10.0.19042.985");
        assert_eq!((config.os.as_str(), config.os_version.as_deref()), ("windows", Some("10.0.19042.985")));
        assert_eq!(config.diff_ids, [Digest::of(b"l")]);
        assert_eq!(config.history[0].created_by.as_deref(), Some("Apply image"));
        assert!(config.history[1].empty_layer && !config.history[0].empty_layer);
        config.check_layers(1).unwrap();
        let error = config.check_layers(2).unwrap_err().to_string();
        assert!(error.ends_with("has 1 diff IDs, but the manifest has 2 layers"), "{error}");
    }

    #[test]
    fn wrong_configs_are_refused() {
        for (value, problem) in [
            (json!({}), "not the config of an image"),
            (json!({"os": 1}), "not the config of an image"),
            (json!({"os": "windows"}), "has no `rootfs`"),
            (json!({"os": "windows", "rootfs": {"type": "layers"}}), "has no `diff_ids`"),
            (json!({"os": "windows", "rootfs": {"type": "layers+base", "diff_ids": []}}), "another type"),
            (json!({"os": "windows", "rootfs": {"diff_ids": [null]}}), "wrong diff ID"),
            (json!({"os": "windows", "rootfs": {"diff_ids": ["sha256:00"]}}), "wrong diff ID"),
        ] {
            let error = Config::parse(Document::from_value("", value)).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn hostile_nesting_is_an_error() {
        let bytes = [b"{\"a\":".repeat(100_000), b"1".to_vec()].concat();
        assert!(Document::parse("config", "", bytes.into()).is_err());
    }
}
