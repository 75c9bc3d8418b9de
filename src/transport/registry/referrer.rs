//! Attaching an artifact to an image, so that its readers find it: through the registry's referrers API, or else
//! through a tag (OCI distribution specification, "Referrers Tag Schema").

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Registry;
use super::error::RegistryError;
use crate::image::Document;
use crate::image::document::{DocumentError, field};
use crate::image::media_type::{OCI_INDEX, is_index};
use crate::transport::RegistryReference;

/// So many entries of a list are looked up at most.
const MAX_ASKED: usize = 1000;

impl Registry {
    /// Pushes an artifact's manifest, whose `subject` is the manifest or index `subject`, and makes it findable.
    ///
    /// A registry that knows about referrers says so in its answer; for the others the index under the tag
    /// `sha256-…` of the subject gets one more entry.
    pub async fn push_referrer(
        &self,
        target: &RegistryReference,
        subject: &Document,
        artifact: &Document,
    ) -> Result<(), RegistryError> {
        let answered = self.put_document(target, artifact, None).await?;
        if answered.contains_key("oci-subject") {
            return Ok(());
        }
        let tag = subject.digest().to_string().replace(':', "-");
        let list = RegistryReference { tag: Some(tag.clone()), digest: None, ..target.clone() };
        let present = match self.document_at(&list).await {
            Ok(document) => Some(document),
            Err(RegistryError::UnknownTag { .. } | RegistryError::UnknownRepository { .. }) => None,
            Err(error) => return Err(error),
        };
        let wrong = |error| RegistryError::Document { reference: list.to_string(), error };
        let Some(index) = with_entry(present.as_ref(), artifact).map_err(wrong)? else { return Ok(()) };
        let Err(error) = self.push_document(target, &index, Some(&tag)).await else { return Ok(()) };
        // Garbage collection may have deleted what the list names, and then some registries refuse the list.
        let (Some(present), RegistryError::Refused { .. }) = (present, &error) else { return Err(error) };
        let gone = self.gone(target, &present).await;
        if gone.is_empty() {
            return Err(error);
        }
        tracing::info!(count = gone.len(), list = %list, "leaving out referrers that are not there any more");
        match with_entry(Some(&without(&present, &gone)), artifact).map_err(wrong)? {
            Some(index) => self.push_document(target, &index, Some(&tag)).await,
            None => Ok(()),
        }
    }

    /// The digests of a list that the registry does not have.
    async fn gone(&self, target: &RegistryReference, list: &Document) -> BTreeSet<String> {
        let entries = field(list.value(), "manifests").and_then(Value::as_array);
        let mut gone = BTreeSet::new();
        for digest in entries.into_iter().flatten().filter_map(digest_of).take(MAX_ASKED) {
            if !self.has_manifest(target, digest).await {
                gone.insert(digest.to_owned());
            }
        }
        gone
    }
}

/// The list of referrers with an entry for the artifact; nothing when it has one.
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
    let digest = artifact.digest().to_string();
    if entries.iter().any(|entry| digest_of(entry) == Some(&digest)) {
        return Ok(None);
    }
    entries.push(entry(artifact));
    Ok(Some(Document::from_value(present.map_or(OCI_INDEX, Document::media_type), index)))
}

/// The list without the entries of these digests.
fn without(list: &Document, gone: &BTreeSet<String>) -> Document {
    let mut index = list.value().clone();
    if let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        entries.retain(|entry| digest_of(entry).is_none_or(|digest| !gone.contains(digest)));
    }
    Document::from_value(list.media_type(), index)
}

fn digest_of(entry: &Value) -> Option<&str> {
    entry.get("digest").and_then(Value::as_str)
}

/// The descriptor of an artifact, with its type and its annotations.
fn entry(artifact: &Document) -> Value {
    let manifest = artifact.value();
    let mut entry = Map::new();
    entry.insert("mediaType".to_owned(), artifact.media_type().into());
    entry.insert("digest".to_owned(), artifact.digest().to_string().into());
    entry.insert("size".to_owned(), artifact.size().into());
    // An artifact without a type has that of its config.
    let config_type = || field(field(manifest, "config")?, "mediaType");
    if let Some(artifact_type) = field(manifest, "artifactType").or_else(config_type) {
        entry.insert("artifactType".to_owned(), artifact_type.clone());
    }
    if let Some(annotations) = field(manifest, "annotations") {
        entry.insert("annotations".to_owned(), annotations.clone());
    }
    Value::Object(entry)
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
