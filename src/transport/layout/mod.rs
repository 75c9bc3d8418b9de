//! OCI image layouts, as a directory or packed into a tar: `oci-layout`, `index.json` and `blobs` (OCI image
//! specification, `image-layout.md`).
//!
//! This module knows the names in a layout and its `index.json`; [`source`] reads layouts, [`target`] writes them.

pub mod source;
pub mod target;

use serde_json::{Value, json};

use super::reference::LocalReference;
use crate::image::document::field;
use crate::image::platform::select;
use crate::image::{Descriptor, Digest, Document, Index, IndexEntry, PlatformRequest, media_type};

/// The file that says that a directory is a layout.
pub(super) const MARKER: &str = "oci-layout";
/// The content of the marker.
pub(super) const MARKER_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The file that lists what is in the layout.
pub(super) const INDEX: &str = "index.json";
/// The directory of the blobs.
pub(super) const BLOBS: &str = "blobs/sha256";
/// The annotation that holds the tag of an entry.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Where containerd and Docker put the whole name of an image, beside the tag in [`REF_NAME`].
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The name of a blob, below the layout, with slashes.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

/// The entry of `index.json` that a reference means; the error says what there is instead, as a sentence.
fn find<'a>(
    index: &'a Index,
    reference: &LocalReference,
    platform: Option<&PlatformRequest>,
) -> Result<&'a IndexEntry, String> {
    let named: Vec<&IndexEntry> = index.entries.iter().filter(|entry| is_wanted(entry, reference)).collect();
    match named[..] {
        [] => Err(tags(index)),
        [only] => Ok(only),
        // Several images under one name, or no name given: they may differ by platform.
        _ => {
            let entries: Vec<IndexEntry> = named.iter().map(|entry| (*entry).clone()).collect();
            let chosen = select(&entries, platform).ok().and_then(|position| named.get(position).copied());
            chosen.ok_or_else(|| format!("choose one of several: {}", tags(index)))
        }
    }
}

fn is_wanted(entry: &IndexEntry, reference: &LocalReference) -> bool {
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) => entry.descriptor.digest == *digest,
        (None, Some(tag)) => [REF_NAME, CONTAINERD_NAME].iter().any(|name| entry.annotations.get(*name) == Some(tag)),
        (None, None) => entry.artifact_type.is_none(),
    }
}

fn tags(index: &Index) -> String {
    let tags: Vec<_> = index.entries.iter().filter_map(|entry| entry.annotations.get(REF_NAME)).cloned().collect();
    match tags.is_empty() {
        true => "there are no tags".to_owned(),
        false => format!("the tags are: {}", tags.join(", ")),
    }
}

/// An `index.json` without images.
pub(super) fn empty_index() -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []})
}

/// Lets a tag, or no tag, lead to a document instead of what it led to before. `platform` says what machines the document is for.
///
/// Artifacts come behind all images: many readers take the first entry.
pub(super) fn set_tag(index: &mut Value, document: &Document, tag: Option<&str>, platform: Option<&Value>) {
    let mut entry = Descriptor::of(document).to_value();
    if let Some(platform) = platform {
        entry["platform"] = platform.clone();
    }
    if let Some(tag) = tag {
        entry["annotations"] = json!({REF_NAME: tag});
    }
    let is_replaced = |old: &Value| tag_of(old) == tag && !is_artifact(old);
    if let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        entries.retain(|old| !is_replaced(old));
        entries.push(entry);
        entries.sort_by_key(is_artifact);
    }
}

fn tag_of(entry: &Value) -> Option<&str> {
    field(entry, "annotations")?.get(REF_NAME)?.as_str()
}

/// Whether an entry is an artifact that goes with an image. One with a tag is what people asked for by that name.
fn is_artifact(entry: &Value) -> bool {
    entry.get("artifactType").is_some() && tag_of(entry).is_none()
}

/// Lists an artifact that refers to an image, so that readers of the layout find it: without a tag, and with its type, as oras
/// does. (The image specification has no place for referrers in a layout.)
pub(super) fn add_referrer(index: &mut Value, artifact: &Document) {
    let mut entry = Descriptor::of(artifact).to_value();
    let artifact_type = field(artifact.value(), "artifactType").cloned();
    entry["artifactType"] = artifact_type.unwrap_or_else(|| json!("application/octet-stream"));
    if let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut)
        && !entries.iter().any(|old| old.get("digest") == entry.get("digest"))
    {
        entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Reference;

    fn document(number: u32) -> Document {
        Document::from_value(media_type::OCI_MANIFEST, json!({"number": number}))
    }

    fn wanted(index: &Value, text: &str) -> Result<Digest, String> {
        let Reference::Layout(reference) = text.parse().unwrap() else { panic!("{text}") };
        let index = Index::parse(Document::from_value("", index.clone())).unwrap();
        find(&index, &reference, None).map(|entry| entry.descriptor.digest)
    }

    #[test]
    fn tags_lead_to_documents() {
        let mut index = empty_index();
        assert_eq!(wanted(&index, "oci:d").unwrap_err(), "there are no tags");
        set_tag(&mut index, &document(1), Some("one"), None);
        assert_eq!(wanted(&index, "oci:d"), Ok(document(1).digest()));
        set_tag(&mut index, &document(2), Some("two"), None);
        assert_eq!(wanted(&index, "oci:d:one"), Ok(document(1).digest()));
        assert_eq!(wanted(&index, "oci:d:two"), Ok(document(2).digest()));
        assert_eq!(wanted(&index, &format!("oci:d:x@{}", document(2).digest())), Ok(document(2).digest()));
        assert_eq!(wanted(&index, "oci:d:three").unwrap_err(), "the tags are: one, two");
        assert_eq!(wanted(&index, "oci:d").unwrap_err(), "choose one of several: the tags are: one, two");
        set_tag(&mut index, &document(3), Some("one"), None);
        assert_eq!(wanted(&index, "oci:d:one"), Ok(document(3).digest()));
        assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn referrers_are_listed_once_and_are_no_images() {
        let mut index = empty_index();
        let artifact = Document::from_value(media_type::OCI_MANIFEST, json!({"artifactType": "a/b"}));
        set_tag(&mut index, &document(1), None, None);
        add_referrer(&mut index, &artifact);
        add_referrer(&mut index, &artifact);
        assert_eq!(wanted(&index, "oci:d"), Ok(document(1).digest()));
        set_tag(&mut index, &document(2), None, None);
        assert_eq!(wanted(&index, "oci:d"), Ok(document(2).digest()));
        assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
        assert_eq!(index["manifests"][1]["artifactType"], "a/b", "many readers take the first entry");
    }

    #[test]
    fn one_of_several_platforms_is_chosen() {
        let entry = |number: u32, os: &str| {
            let mut entry = Descriptor::of(&document(number)).to_value();
            entry["platform"] = json!({"os": os, "architecture": "amd64"});
            entry["annotations"] = json!({REF_NAME: "tag", CONTAINERD_NAME: "example.com/x:tag"});
            entry
        };
        let index = json!({"manifests": [entry(1, "linux"), entry(2, "windows")]});
        for text in ["oci:d", "oci:d:tag", "oci:d:example.com/x:tag"] {
            assert_eq!(wanted(&index, text), Ok(document(2).digest()), "{text}");
        }
    }
}
