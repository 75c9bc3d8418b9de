//! Image indexes (Docker: manifest lists): the images of one tag for several platforms.

use std::collections::BTreeMap;

use serde_json::Value;

use super::document::{DocumentError, field};
use super::{Descriptor, Document, Platform, media_type};

/// An index, as it was read.
#[derive(Debug, Clone)]
pub struct Index {
    /// The bytes and their digest.
    pub document: Document,
    /// What it lists, in its order.
    pub entries: Vec<IndexEntry>,
}

/// What an index says about one of its manifests.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexEntry {
    /// Where the manifest is.
    pub descriptor: Descriptor,
    /// What machines it is for, if the index says so.
    pub platform: Option<Platform>,
    /// What else the index tells about it.
    pub annotations: BTreeMap<String, String>,
    /// What kind of artifact it is; images have none, or the media type of their config.
    pub artifact_type: Option<String>,
    /// The entry as it is written, with the fields that are not read here.
    pub value: Value,
}

impl Index {
    /// Reads an index.
    pub fn parse(document: Document) -> Result<Index, DocumentError> {
        let digest = document.digest();
        let error = |problem: String| DocumentError::Field { what: "index", digest, problem };
        if ["layers", "config"].iter().any(|name| field(document.value(), name).is_some()) {
            // Two readers could see two different images in it (CVE-2021-41190).
            return Err(error("is an index and a manifest at once".to_owned()));
        }
        let entries = field(document.value(), "manifests").and_then(Value::as_array);
        let entries = entries.ok_or_else(|| error("has no `manifests`".to_owned()))?;
        let entries = entries.iter().map(IndexEntry::parse).collect::<Result<_, _>>().map_err(error)?;
        Ok(Index { document, entries })
    }

    /// Whether a document is an index, by the media type it has or, failing that, by what is in it.
    pub fn is_index(document: &Document) -> bool {
        let own = field(document.value(), "mediaType").and_then(Value::as_str).unwrap_or_default();
        let known = [document.media_type(), own]
            .into_iter()
            .find(|media_type| media_type::is_index(media_type) || media_type::is_manifest(media_type));
        match known {
            Some(media_type) => media_type::is_index(media_type),
            None => field(document.value(), "manifests").is_some(),
        }
    }
}

impl IndexEntry {
    /// Whether it can lead to an image: it is not a build attestation, and not an artifact.
    ///
    /// An `artifactType` that is the media type of an image's config says that it is an image (OCI image specification 1.1,
    /// `descriptor.md`: it is the config's media type for a manifest without an `artifactType` of its own).
    pub fn is_image(&self) -> bool {
        let attestation =
            self.annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest");
        let unknown = self.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
        !attestation && !unknown && self.artifact_type.as_deref().is_none_or(media_type::is_config)
    }

    /// Reads an entry; the error says what is wrong with it, as the end of a sentence about its index.
    pub fn parse(value: &Value) -> Result<IndexEntry, String> {
        let annotations = field(value, "annotations").and_then(Value::as_object).into_iter().flatten();
        Ok(IndexEntry {
            descriptor: Descriptor::parse(value)?,
            platform: field(value, "platform").filter(|platform| platform.is_object()).map(Platform::parse),
            annotations: annotations
                .filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())))
                .collect(),
            artifact_type: field(value, "artifactType").and_then(Value::as_str).map(str::to_owned),
            value: value.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::Digest;

    #[test]
    fn entries_are_read() {
        let index = Index::parse(Document::from_value(
            media_type::DOCKER_INDEX,
            json!({"schemaVersion": 2, "manifests": [
                {"mediaType": media_type::DOCKER_MANIFEST, "digest": Digest::of(b"a"), "size": 7, "x": 1,
                 "platform": {"os": "windows", "architecture": "amd64", "os.version": "10.0.17763.1", "os.features": ["win32k"]}},
                {"digest": Digest::of(b"b"), "size": 8, "annotations": {"a": "b", "c": 1}, "artifactType": "t"},
            ]}),
        ))
        .unwrap();
        let [first, second] = &index.entries[..] else { panic!() };
        assert_eq!(first.platform.as_ref().unwrap().to_string(), "windows/amd64:10.0.17763.1");
        assert_eq!(first.platform.as_ref().unwrap().os_features, ["win32k"]);
        assert_eq!(first.value["x"], 1);
        assert_eq!(second.annotations, BTreeMap::from([("a".to_owned(), "b".to_owned())]));
        assert_eq!((second.artifact_type.as_deref(), second.platform.is_none()), (Some("t"), true));
    }

    #[test]
    fn images_are_told_from_artifacts() {
        for (more, expected) in [
            (json!({}), true),
            (json!({"artifactType": media_type::OCI_CONFIG}), true),
            (json!({"artifactType": media_type::DOCKER_CONFIG}), true),
            (json!({"artifactType": "application/vnd.example+json"}), false),
            (json!({"platform": {"os": "unknown", "architecture": "unknown"}}), false),
            (json!({"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}), false),
        ] {
            let mut value = json!({"mediaType": media_type::OCI_MANIFEST, "digest": Digest::of(b"a"), "size": 7});
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(IndexEntry::parse(&value).unwrap().is_image(), expected, "{value}");
        }
    }

    #[test]
    fn wrong_indexes_are_refused() {
        for (value, problem) in [
            (json!([]), "has no `manifests`"),
            (json!({"manifests": {}}), "has no `manifests`"),
            (json!({"manifests": [{}]}), "without a `digest`"),
            (json!({"manifests": [{"digest": "sha256:0", "size": 1}]}), "wrong digest"),
            (json!({"manifests": [{"digest": Digest::of(b""), "size": -1}]}), "without a `size`"),
            (json!({"manifests": [], "layers": []}), "at once"),
        ] {
            let error = Index::parse(Document::from_value("", value)).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn an_index_is_told_from_a_manifest() {
        for (media_type, value, expected) in [
            (media_type::OCI_INDEX, json!({}), true),
            (media_type::OCI_MANIFEST, json!({"manifests": []}), false),
            ("application/json", json!({"mediaType": media_type::DOCKER_INDEX}), true),
            ("", json!({"manifests": []}), true),
            ("", json!({"layers": []}), false),
        ] {
            assert_eq!(Index::is_index(&Document::from_value(media_type, value)), expected);
        }
    }
}
