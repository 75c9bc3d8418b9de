//! A tag without foreign layers: their content becomes part of the target, as plain layers.
//!
//! Some registries refuse manifests that name addresses of layers, and the OCI image specification gave foreign layers up.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::contents::Contents;
use crate::image::document::DocumentError;
use crate::image::edit::{LayerSource, ManifestEdit, edit_manifest};
use crate::image::media_type::{self, OCI_INDEX};
use crate::image::{Descriptor, Digest, Document, Index, Manifest};

/// An annotation of BuildKit that names the manifest which an attestation is about.
const REFERENCE: &str = "vnd.docker.reference.digest";

impl Contents {
    /// Whether a manifest has layers that registries need not have.
    pub fn has_foreign_layers(&self) -> bool {
        self.parts.iter().any(|part| is_foreign(&part.descriptor))
    }

    /// Makes foreign layers plain ones. Manifests that have some, and the indexes above them, get other digests. What refers to
    /// them is left out, because it is about other bytes; returns how many documents those are.
    pub fn make_distributable(&mut self) -> Result<usize, DocumentError> {
        let mut replaced = BTreeMap::new();
        for document in self.documents.iter_mut().chain([&mut self.root]) {
            // What is named comes before what names it.
            if let Some(new) = distributable(document, &replaced)? {
                replaced.insert(document.digest(), new.clone());
                *document = new;
            }
        }
        let before = self.referrers.len();
        self.referrers.retain(|(subject, _)| !replaced.contains_key(&subject.digest()));
        Ok(before - self.referrers.len())
    }
}

fn is_foreign(layer: &Descriptor) -> bool {
    !layer.urls.is_empty() || media_type::is_foreign(&layer.media_type)
}

/// The document with plain layers, `None` if it stays as it is.
fn distributable(
    document: &Document,
    replaced: &BTreeMap<Digest, Document>,
) -> Result<Option<Document>, DocumentError> {
    if Index::is_index(document) {
        return Ok(with_entries(document, replaced));
    }
    let manifest = Manifest::parse(document.clone())?;
    if !manifest.layers.iter().any(is_foreign) {
        return Ok(None);
    }
    let edit = ManifestEdit {
        config: manifest.config.clone(),
        layers: (0..manifest.layers.len()).map(LayerSource::Kept).collect(),
        annotations: BTreeMap::new(),
    };
    Ok(Some(edit_manifest(&manifest, &edit)))
}

/// The index with entries of what was replaced, `None` if it names nothing of it.
fn with_entries(index: &Document, replaced: &BTreeMap<Digest, Document>) -> Option<Document> {
    let mut value = index.value().clone();
    let object = value.as_object_mut()?;
    let mut changed = false;
    let find = |value: Option<&Value>| replaced.get(&value?.as_str()?.parse().ok()?);
    let entries = object.get_mut("manifests").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(new) = find(entry.get("digest")) {
            entry.insert("mediaType".to_owned(), json!(new.media_type()));
            entry.insert("digest".to_owned(), json!(new.digest()));
            entry.insert("size".to_owned(), json!(new.size()));
            changed = true;
        }
        let annotations = entry.get_mut("annotations").and_then(Value::as_object_mut);
        if let Some(annotations) = annotations
            && let Some(new) = find(annotations.get(REFERENCE))
        {
            annotations.insert(REFERENCE.to_owned(), json!(new.digest()));
            changed = true;
        }
    }
    if !changed {
        return None;
    }
    // Its manifests are OCI's now.
    object.insert("mediaType".to_owned(), json!(OCI_INDEX));
    Some(Document::from_value(OCI_INDEX, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::media_type::{DOCKER_CONFIG, DOCKER_INDEX, DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST};

    fn manifest(layer: Value) -> Document {
        let config = json!({ "mediaType": DOCKER_CONFIG, "digest": Digest::of(b"c"), "size": 1 });
        let value = json!({ "schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": [layer] });
        Document::from_value(DOCKER_MANIFEST, value)
    }

    fn layer(media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": Digest::of(b"l"), "size": 1 })
    }

    #[test]
    fn only_what_is_foreign_and_what_is_above_it_changes() {
        let mut foreign = layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        foreign["urls"] = json!(["https://example.com/l"]);
        let foreign = manifest(foreign);
        let plain = manifest(layer("application/vnd.docker.image.rootfs.diff.tar.gzip"));
        let nothing = BTreeMap::new();
        assert!(distributable(&plain, &nothing).unwrap().is_none());
        let new = distributable(&foreign, &nothing).unwrap().unwrap();
        assert_eq!(new.media_type(), OCI_MANIFEST);
        assert_eq!(new.value()["config"]["mediaType"], OCI_CONFIG);
        assert_eq!(new.value()["layers"][0], layer("application/vnd.oci.image.layer.v1.tar+gzip"));

        let entry = |document: &Document| json!({ "mediaType": document.media_type(), "digest": document.digest(), "size": document.size(), "kept": 1 });
        let mut attestation = entry(&plain);
        attestation["annotations"] = json!({ REFERENCE: foreign.digest(), "kept": 1 });
        let index = |entries: Value| {
            Document::from_value(DOCKER_INDEX, json!({ "mediaType": DOCKER_INDEX, "manifests": entries, "kept": 1 }))
        };
        let replaced = BTreeMap::from([(foreign.digest(), new.clone())]);
        let above = distributable(&index(json!([entry(&foreign), attestation])), &replaced).unwrap().unwrap();
        assert_eq!(above.media_type(), OCI_INDEX);
        let mut expected = attestation.clone();
        expected["annotations"][REFERENCE] = json!(new.digest());
        assert_eq!(above.value()["manifests"], json!([entry(&new), expected]));
        assert_eq!(above.value()["kept"], 1);
        assert!(distributable(&index(json!([entry(&plain)])), &replaced).unwrap().is_none());
    }
}
