//! A new manifest: an OCI one, with plain distributable layers, whatever the old one was.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{object_at, spell_keys};
use crate::image::{Descriptor, Document, Manifest, media_type};

/// What the new manifest says instead of the old one.
#[derive(Debug, Clone)]
pub struct ManifestEdit {
    /// Where the config is.
    pub config: Descriptor,
    /// All layers, the base first.
    pub layers: Vec<LayerSource>,
    /// Annotations to add; those of the same name are replaced.
    pub annotations: BTreeMap<String, String>,
}

/// Where a layer of the new manifest comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerSource {
    /// The layer at this position of the old manifest, with all that its descriptor says; one that is not there is
    /// left out.
    Kept(usize),
    /// A layer that was rewritten or added.
    New(Descriptor),
}

/// Makes the new manifest.
///
/// Docker's media types become OCI's. Foreign layers become plain ones without `urls`: the OCI image specification
/// gave foreign layers up, and registries refuse layers with `urls`.
pub fn edit_manifest(manifest: &Manifest, edit: &ManifestEdit) -> Document {
    let mut object = manifest.document.value().as_object().cloned().unwrap_or_default();
    spell_keys(
        &mut object,
        &["schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations"],
    );
    object.insert("schemaVersion".to_owned(), json!(2));
    set_media_type(&mut object);
    let old_layers = object.get("layers").and_then(Value::as_array).cloned().unwrap_or_default();
    let layer = |source: &LayerSource| match source {
        LayerSource::Kept(position) => old_layers.get(*position).map(plain_descriptor),
        LayerSource::New(descriptor) => Some(plain_descriptor(&descriptor.to_value())),
    };
    let layers = edit.layers.iter().filter_map(layer).collect();
    object.insert("layers".to_owned(), Value::Array(layers));
    let same_config = manifest.config.digest == edit.config.digest;
    let config = match object.get("config") {
        Some(config) if same_config => plain_descriptor(config),
        _ => plain_descriptor(&edit.config.to_value()),
    };
    object.insert("config".to_owned(), config);
    if !edit.annotations.is_empty() {
        let annotations = object_at(&mut object, "annotations");
        annotations.extend(edit.annotations.iter().map(|(name, text)| (name.clone(), json!(text))));
    }
    Document::from_value(media_type::OCI_MANIFEST, Value::Object(object))
}

/// Sets the manifest's own media type: in place, or right behind `schemaVersion`, where people look for it.
fn set_media_type(object: &mut Map<String, Value>) {
    let known = object.contains_key("mediaType");
    let place = object.keys().position(|key| key == "schemaVersion").map_or(0, |position| position + 1);
    if known {
        object.insert("mediaType".to_owned(), json!(media_type::OCI_MANIFEST));
    } else {
        object.shift_insert(place, "mediaType".to_owned(), json!(media_type::OCI_MANIFEST));
    }
}

/// A descriptor with OCI's media type and without `urls`; its other fields stay.
fn plain_descriptor(descriptor: &Value) -> Value {
    let mut descriptor = descriptor.clone();
    if let Value::Object(object) = &mut descriptor {
        spell_keys(object, &["mediaType", "digest", "size", "urls", "annotations", "platform"]);
        object.shift_remove("urls");
        if let Some(Value::String(media_type)) = object.get_mut("mediaType") {
            *media_type = media_type::to_oci(media_type).to_owned();
        }
    }
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Compression, Digest};

    const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    fn manifest() -> Manifest {
        Manifest::parse(Document::from_value(
            media_type::DOCKER_MANIFEST,
            json!({
                "odd": 1, "schemaVersion": 2,
                "config": {"mediaType": media_type::DOCKER_CONFIG, "size": 3, "digest": Digest::of(b"c"), "odd": 2},
                "layers": [
                    {"size": 4, "odd": 3, "mediaType": FOREIGN, "digest": Digest::of(b"l"), "urls": ["https://example.com/l"]},
                    {"mediaType": FOREIGN, "size": 5, "digest": Digest::of(b"m"), "odd": 4},
                ],
                "annotations": {"a": "1", "b": "2"}, "zebra": null,
            }),
        ))
        .unwrap()
    }

    fn descriptor(media_type: &str, content: &[u8]) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: Digest::of(content),
            size: content.len() as u64,
            urls: vec!["https://example.com".to_owned()],
        }
    }

    #[test]
    fn kept_parts_keep_their_fields_and_become_oci() {
        let old = manifest();
        let layers = vec![LayerSource::Kept(0), LayerSource::Kept(1), LayerSource::Kept(2)];
        let edit = ManifestEdit { config: old.config.clone(), layers, annotations: BTreeMap::new() };
        let expected = json!({
            "odd": 1, "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": {"mediaType": media_type::OCI_CONFIG, "size": 3, "digest": Digest::of(b"c"), "odd": 2},
            "layers": [
                {"size": 4, "odd": 3, "mediaType": PLAIN, "digest": Digest::of(b"l")},
                {"mediaType": PLAIN, "size": 5, "digest": Digest::of(b"m"), "odd": 4},
            ],
            "annotations": {"a": "1", "b": "2"}, "zebra": null,
        });
        let new = edit_manifest(&old, &edit);
        assert_eq!(new.value().to_string(), expected.to_string());
        assert_eq!(new.media_type(), media_type::OCI_MANIFEST);
        // The result edited again is the same.
        assert_eq!(edit_manifest(&Manifest::parse(new.clone()).unwrap(), &edit).digest(), new.digest());
    }

    #[test]
    fn new_parts_replace_old_ones() {
        let layer = descriptor(media_type::layer_media_type(Compression::Gzip), b"new");
        let edit = ManifestEdit {
            config: descriptor(media_type::DOCKER_CONFIG, b"config"),
            layers: vec![LayerSource::New(layer), LayerSource::Kept(1), LayerSource::New(descriptor(FOREIGN, b"top"))],
            annotations: BTreeMap::from([("b".to_owned(), "3".to_owned()), ("c".to_owned(), "4".to_owned())]),
        };
        let new = edit_manifest(&manifest(), &edit);
        let value = new.value();
        assert_eq!(
            value["config"],
            json!({"mediaType": media_type::OCI_CONFIG, "digest": Digest::of(b"config"), "size": 6})
        );
        assert_eq!(value["layers"][0], json!({"mediaType": PLAIN, "digest": Digest::of(b"new"), "size": 3}));
        assert_eq!(value["layers"][1]["odd"], 4);
        assert_eq!(value["layers"][2]["mediaType"], PLAIN);
        assert_eq!(value["annotations"].to_string(), r#"{"a":"1","b":"3","c":"4"}"#);
        assert_eq!(Manifest::parse(new).unwrap().layers.len(), 3);
    }
}
