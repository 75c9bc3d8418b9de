//! New indexes, and artifacts that refer to an image.

use serde_json::{Value, json};

use super::spell_keys;
use crate::image::document::field;
use crate::image::{Config, Descriptor, Document, IndexEntry, media_type};

/// The content of the config of an artifact, which needs none (OCI image specification, `manifest.md`).
pub const EMPTY_CONFIG: &[u8] = b"{}";

/// One image of a new index.
#[derive(Debug, Clone, Copy)]
pub struct NewIndexEntry<'a> {
    /// The manifest of the image.
    pub manifest: &'a Document,
    /// The config of the image, which says what machines it is for.
    pub config: &'a Config,
    /// The entry of the index that the image was made from, if there is one: unknown fields of its platform are kept.
    pub base: Option<&'a IndexEntry>,
}

/// Makes an index of images, in their order.
///
/// An entry says the same platform as the config: hosts choose by the entry, and hold neither against the other.
pub fn make_index(entries: &[NewIndexEntry<'_>]) -> Document {
    let entry = |entry: &NewIndexEntry<'_>| {
        let mut value = Descriptor::of(entry.manifest).to_value();
        value["platform"] = platform(entry.config, entry.base);
        value
    };
    let manifests: Vec<Value> = entries.iter().map(entry).collect();
    let value = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
    Document::from_value(media_type::OCI_INDEX, value)
}

/// What an index says of the machines that an image is for: the same as its config, and unknown fields of what the base's index
/// said.
pub fn platform(config: &Config, base: Option<&IndexEntry>) -> Value {
    const KNOWN: [&str; 5] = ["architecture", "os", "os.version", "os.features", "variant"];
    let base = base.and_then(|base| field(&base.value, "platform"));
    let mut platform = base.and_then(Value::as_object).cloned().unwrap_or_default();
    spell_keys(&mut platform, &KNOWN);
    let of_config = config.platform();
    platform.insert("architecture".to_owned(), json!(of_config.architecture));
    platform.insert("os".to_owned(), json!(of_config.os));
    if let Some(version) = of_config.os_version {
        platform.insert("os.version".to_owned(), json!(version));
    }
    if !of_config.os_features.is_empty() {
        platform.insert("os.features".to_owned(), json!(of_config.os_features));
    }
    if let Some(variant) = of_config.variant {
        platform.insert("variant".to_owned(), json!(variant));
    }
    Value::Object(platform)
}

/// Makes the manifest of an artifact: its blobs, and [`EMPTY_CONFIG`] as its config, which has to be put beside them.
pub fn make_artifact(artifact_type: &str, blobs: &[Descriptor]) -> Document {
    Document::from_value(media_type::OCI_MANIFEST, artifact(artifact_type, blobs))
}

/// Makes the manifest of an artifact of one blob that refers to an image; see [`make_artifact`].
pub fn make_referrer(subject: &Document, artifact_type: &str, blob: &Descriptor) -> Document {
    let mut value = artifact(artifact_type, std::slice::from_ref(blob));
    value["subject"] = Descriptor::of(subject).to_value();
    Document::from_value(media_type::OCI_MANIFEST, value)
}

fn artifact(artifact_type: &str, blobs: &[Descriptor]) -> Value {
    let empty = Descriptor::of_content(media_type::OCI_EMPTY, EMPTY_CONFIG);
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": empty.to_value(),
        "layers": blobs.iter().map(Descriptor::to_value).collect::<Vec<Value>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Digest, Index, Manifest};

    fn config(value: Value) -> Config {
        let mut value = value;
        value["rootfs"] = json!({"type": "layers", "diff_ids": []});
        Config::parse(Document::from_value("", value)).unwrap()
    }

    #[test]
    fn an_entry_says_what_the_config_says() {
        let manifest = Document::from_value(media_type::OCI_MANIFEST, json!({"m": 1}));
        let config = config(
            json!({"os": "windows", "architecture": "amd64", "OS.version": "10.0.17763.2", "os.features": ["win32k"]}),
        );
        let index = make_index(&[NewIndexEntry { manifest: &manifest, config: &config, base: None }]);
        let expected = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [
            {"mediaType": media_type::OCI_MANIFEST, "digest": manifest.digest(), "size": 7, "platform":
                {"architecture": "amd64", "os": "windows", "os.version": "10.0.17763.2", "os.features": ["win32k"]}},
        ]});
        assert_eq!(index.value().to_string(), expected.to_string());
        assert_eq!(Index::parse(index).unwrap().entries[0].platform, Some(config.platform()));
    }

    #[test]
    fn unknown_platform_fields_of_the_base_are_kept() {
        let manifest = Document::from_value(media_type::OCI_MANIFEST, json!({}));
        let config = config(json!({"os": "windows", "architecture": "amd64"}));
        let base = json!({"digest": Digest::of(b""), "size": 0, "annotations": {"about": "the base"},
                          "platform": {"odd": 1, "OS": "windows", "os.version": "10.0.17763.1", "architecture": "arm64"}});
        let base = IndexEntry::parse(&base).unwrap();
        let index = make_index(&[NewIndexEntry { manifest: &manifest, config: &config, base: Some(&base) }; 2]);
        let platform = json!({"odd": 1, "os": "windows", "os.version": "10.0.17763.1", "architecture": "amd64"});
        assert_eq!(index.value()["manifests"][1]["platform"].to_string(), platform.to_string());
        assert_eq!(index.value()["manifests"][0].get("annotations"), None);
    }

    #[test]
    fn a_referrer_names_its_subject() {
        let subject = Document::from_value(media_type::OCI_INDEX, json!({"manifests": []}));
        let blob = Descriptor::of_content("application/json", b"ledger");
        let referrer = make_referrer(&subject, "application/vnd.example+json", &blob);
        assert_eq!(referrer.value()["subject"]["digest"], json!(subject.digest()));
        assert_eq!(referrer.value()["subject"]["mediaType"], media_type::OCI_INDEX);
        let manifest = Manifest::parse(referrer).unwrap();
        assert_eq!((manifest.config.digest, manifest.config.size), (Digest::of(b"{}"), 2));
        assert_eq!(manifest.layers, [blob]);
    }
}
