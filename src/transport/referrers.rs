//! Lists of what refers to images: the index under the tag `sha256-…` of a registry (OCI distribution specification, "Referrers Tag
//! Schema"), and the `index.json` of a layout, which lists artifacts without tags, as oras does. (The image specification has no
//! place for referrers in a layout.)

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::image::document::{DocumentError, field};
use crate::image::media_type::{OCI_INDEX, is_index};
use crate::image::{Descriptor, Digest, Document};

/// What refers to documents, by their digests.
pub(super) type Referrers = BTreeMap<Digest, Vec<Descriptor>>;

/// Adds an entry for an artifact to the entries of an index. Returns `false` if there is one already.
pub(super) fn add(entries: &mut Vec<Value>, artifact: &Document) -> bool {
    let is_new = !names(entries, artifact);
    if is_new {
        entries.push(entry(artifact));
    }
    is_new
}

/// Returns `true` if there is an entry for an artifact.
fn names(entries: &[Value], artifact: &Document) -> bool {
    let digest = artifact.digest().to_string();
    entries.iter().any(|entry| digest_of(entry) == Some(&digest))
}

/// Returns `true` if a list has an entry for an artifact.
pub(super) fn lists(list: &Document, artifact: &Document) -> bool {
    entries(list).is_some_and(|entries| names(entries, artifact))
}

/// The list of referrers with an entry for the artifact; `None` if it has one already.
pub(super) fn with_entry(present: Option<&Document>, artifact: &Document) -> Result<Option<Document>, DocumentError> {
    let mut index = match present {
        Some(document) => document.value().clone(),
        None => json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] }),
    };
    let entries = index.get_mut("manifests").and_then(Value::as_array_mut);
    let (Some(entries), true) = (entries, present.is_none_or(|document| is_index(document.media_type()))) else {
        return Err(DocumentError::Field {
            what: "index",
            digest: present.map_or_else(|| artifact.digest(), Document::digest),
            problem: "should list what refers to the image, but is not an index".to_owned(),
        });
    };
    Ok(add(entries, artifact).then(|| Document::from_value(present.map_or(OCI_INDEX, Document::media_type), index)))
}

/// The list without the entries of these digests.
pub(super) fn without(list: &Document, gone: &BTreeSet<String>) -> Document {
    let mut index = list.value().clone();
    if let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        entries.retain(|entry| digest_of(entry).is_none_or(|digest| !gone.contains(digest)));
    }
    Document::from_value(list.media_type(), index)
}

/// The digests of a list.
pub(super) fn digests(list: &Document) -> impl Iterator<Item = &str> {
    entries(list).into_iter().flatten().filter_map(digest_of)
}

fn entries(list: &Document) -> Option<&Vec<Value>> {
    field(list.value(), "manifests").and_then(Value::as_array)
}

fn digest_of(entry: &Value) -> Option<&str> {
    entry.get("digest").and_then(Value::as_str)
}

/// The descriptor of an artifact, with its type and its annotations.
fn entry(artifact: &Document) -> Value {
    let manifest = artifact.value();
    let mut entry = Descriptor::of(artifact).to_value();
    // An artifact without a type has that of its config.
    let config_type = || field(field(manifest, "config")?, "mediaType");
    let artifact_type = field(manifest, "artifactType").or_else(config_type).cloned();
    entry["artifactType"] = artifact_type.unwrap_or_else(|| json!("application/octet-stream"));
    if let Some(annotations) = field(manifest, "annotations") {
        entry["annotations"] = annotations.clone();
    }
    entry
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::image::media_type::OCI_MANIFEST;

    fn artifact(name: &str) -> Document {
        let value = json!({ "schemaVersion": 2, "artifactType": "application/x", "annotations": { "name": name } });
        Document::from_value(OCI_MANIFEST, value)
    }

    #[test]
    fn an_artifact_is_listed_once_and_nothing_is_lost() {
        let first = with_entry(None, &artifact("a")).unwrap().unwrap();
        let mut value = first.value().clone();
        value["unknown"] = json!(1);
        let first = Document::from_value(OCI_INDEX, value);
        assert!(with_entry(Some(&first), &artifact("a")).unwrap().is_none());
        let second = with_entry(Some(&first), &artifact("b")).unwrap().unwrap();
        assert_eq!(second.value()["manifests"].as_array().unwrap().len(), 2);
        assert_eq!(second.value()["manifests"][0], first.value()["manifests"][0]);
        assert_eq!(second.value()["manifests"][1]["annotations"]["name"], "b");
        assert_eq!(second.value()["manifests"][1]["artifactType"], "application/x");
        assert_eq!(second.value()["unknown"], 1);
    }

    #[test]
    fn what_is_gone_is_left_out_and_the_rest_stays() {
        let first = with_entry(None, &artifact("a")).unwrap().unwrap();
        let both = with_entry(Some(&first), &artifact("b")).unwrap().unwrap();
        let left = without(&both, &BTreeSet::from([artifact("a").digest().to_string()]));
        assert_eq!(left.value()["manifests"].as_array().unwrap().len(), 1);
        assert_eq!(left.value()["manifests"][0], both.value()["manifests"][1]);
        assert_eq!(without(&both, &BTreeSet::new()).value(), both.value());
    }

    #[test]
    fn what_is_not_an_index_is_left_alone() {
        let manifest = Document::parse("manifest", OCI_MANIFEST, Bytes::from_static(b"{\"manifests\":[]}")).unwrap();
        assert!(with_entry(Some(&manifest), &artifact("a")).is_err());
    }
}
