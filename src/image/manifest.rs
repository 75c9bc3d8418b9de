//! Image manifests: the config and the layers of one image.

use serde_json::Value;

use super::document::{DocumentError, field};
use super::{Descriptor, Document};

/// A manifest, as it was read.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The bytes and their digest.
    pub document: Document,
    /// Where the config is.
    pub config: Descriptor,
    /// Where the layers are, the base first.
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(document: Document) -> Result<Manifest, DocumentError> {
        let digest = document.digest();
        let error = |problem: String| DocumentError::Field { what: "manifest", digest, problem };
        let value = document.value();
        if field(value, "manifests").is_some() {
            // Two readers could see two different images in it (CVE-2021-41190).
            return Err(error("is an index and a manifest at once".to_owned()));
        }
        if field(value, "schemaVersion").and_then(Value::as_u64) == Some(1) {
            return Err(error("is of schema version 1, which registries gave up; push the image anew".to_owned()));
        }
        let config = field(value, "config").ok_or_else(|| error("has no `config`".to_owned()))?;
        let config = Descriptor::parse(config).map_err(error)?;
        let layers = field(value, "layers").and_then(Value::as_array);
        let layers = layers.ok_or_else(|| error("has no `layers`".to_owned()))?;
        let layers = layers.iter().map(Descriptor::parse).collect::<Result<_, _>>().map_err(error)?;
        Ok(Manifest { document, config, layers })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::Digest;

    #[test]
    fn config_and_layers_are_read() {
        let manifest = Manifest::parse(Document::from_value(
            "",
            json!({"config": {"digest": Digest::of(b"c"), "size": 1},
                   "layers": [{"mediaType": "t", "digest": Digest::of(b"l"), "size": 2, "urls": ["https://example.com/l"]}]}),
        ))
        .unwrap();
        assert_eq!(manifest.config.digest, Digest::of(b"c"));
        assert_eq!((manifest.layers[0].size, manifest.layers[0].media_type.as_str()), (2, "t"));
        assert_eq!(manifest.layers[0].urls, ["https://example.com/l"]);
    }

    #[test]
    fn wrong_manifests_are_refused() {
        let config = json!({"digest": Digest::of(b"c"), "size": 1});
        for (value, problem) in [
            (json!(null), "has no `config`"),
            (json!({"schemaVersion": 1, "fsLayers": []}), "schema version 1"),
            (json!({"config": config}), "has no `layers`"),
            (json!({"config": config, "layers": [1]}), "without a `digest`"),
            (json!({"config": config, "layers": [], "manifests": []}), "at once"),
        ] {
            let error = Manifest::parse(Document::from_value("", value)).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
