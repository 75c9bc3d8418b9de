//! Image manifests: the config and the layers of one image.

use serde_json::Value;

use super::document::{DocumentError, field};
use super::{Descriptor, Document, media_type};

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

/// The most layers that an image may have. Windows hosts refuse images long before (Docker: over 125, moby
/// `layer/layer_store.go`), and each layer costs memory.
const MAX_LAYERS: usize = 127;

impl Manifest {
    /// Refuses an image of more layers than any host takes, before anything of it is pulled.
    pub fn check_layers(&self) -> Result<(), DocumentError> {
        let count = self.layers.len();
        if count <= MAX_LAYERS {
            return Ok(());
        }
        Err(DocumentError::Field {
            what: "manifest",
            digest: self.document.digest(),
            problem: format!("has {count} layers, and no host takes more than {MAX_LAYERS}"),
        })
    }

    /// An annotation of the manifest.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        field(self.document.value(), "annotations")?.get(name)?.as_str()
    }

    /// Whether it is the manifest of an artifact, by its own word or by the type of its config.
    pub fn is_artifact(&self) -> bool {
        let own = field(self.document.value(), "artifactType").and_then(Value::as_str);
        let config = Some(self.config.media_type.as_str());
        let known = [own, config].into_iter().flatten().find(|kind| !kind.is_empty());
        known.is_some_and(|kind| !media_type::is_config(kind))
    }

    /// Reads a manifest.
    pub fn parse(document: Document) -> Result<Manifest, DocumentError> {
        let digest = document.digest();
        let error = |problem: String| DocumentError::Field { what: "manifest", digest, problem };
        let value = document.value();
        if field(value, "manifests").is_some() {
            if ["layers", "config"].iter().all(|name| field(value, name).is_none()) {
                return Err(error("is an index, and what leads to it says that it is a manifest".to_owned()));
            }
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
    fn an_image_of_more_layers_than_hosts_take_is_refused() {
        let of_layers = |count: usize| {
            let layer = json!({"mediaType": "t", "digest": Digest::of(b"l"), "size": 2});
            let config = json!({"digest": Digest::of(b"c"), "size": 1});
            let value = json!({"config": config, "layers": vec![layer; count]});
            Manifest::parse(Document::from_value("", value)).unwrap()
        };
        of_layers(127).check_layers().unwrap();
        let error = of_layers(128).check_layers().unwrap_err().to_string();
        assert!(error.ends_with("has 128 layers, and no host takes more than 127"), "{error}");
    }

    #[test]
    fn artifacts_are_known_by_their_own_word_or_their_config() {
        for (own, config, expected) in [
            (None, "", false),
            (None, media_type::OCI_CONFIG, false),
            (Some(media_type::OCI_CONFIG), media_type::OCI_CONFIG, false),
            (None, media_type::OCI_EMPTY, true),
            (Some("application/x"), media_type::OCI_CONFIG, true),
        ] {
            let mut value =
                json!({"config": {"mediaType": config, "digest": Digest::of(b"c"), "size": 1}, "layers": []});
            if let Some(own) = own {
                value["artifactType"] = json!(own);
            }
            assert_eq!(Manifest::parse(Document::from_value("", value)).unwrap().is_artifact(), expected);
        }
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
            (json!({"manifests": []}), "is an index, and what leads to it"),
        ] {
            let error = Manifest::parse(Document::from_value("", value)).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
