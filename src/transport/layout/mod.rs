//! OCI image layouts, as a directory or packed into a tar: `oci-layout`, `index.json` and `blobs` (OCI image
//! specification, `image-layout.md`).
//!
//! This module knows the names in a layout and its `index.json`; [`source`] reads layouts, [`target`] writes them.

pub mod clean;
pub mod source;
pub mod target;

use serde_json::{Value, json};

use super::reference::LocalReference;
use super::referrers;
use crate::image::document::field;
use crate::image::{Descriptor, Digest, Document, Index, IndexEntry, media_type};

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

/// What a reference means in a layout.
#[derive(Debug)]
enum Found {
    /// This entry of `index.json`.
    Entry(IndexEntry),
    /// Several entries, of one name or of none, which may differ by platform: they are the index of the image.
    Entries(Document),
}

/// What a reference means in a layout; the error says what there is instead, as a sentence.
fn find(index: &Index, reference: &LocalReference) -> Result<Found, String> {
    let named: Vec<&IndexEntry> = index.entries.iter().filter(|entry| is_wanted(entry, reference)).collect();
    match named[..] {
        [] => Err(tags(index)),
        [first, ref others @ ..] if others.iter().all(|other| other.descriptor.digest == first.descriptor.digest) => {
            Ok(Found::Entry(first.clone()))
        }
        [first, ref others @ ..] if others.iter().all(|other| name_of(other) == name_of(first)) => {
            Ok(Found::Entries(index_of(index, &named)))
        }
        _ => Err(format!("choose one of several: {}", tags(index))),
    }
}

/// The tag of an entry, if it has one.
fn name_of(entry: &IndexEntry) -> Option<&String> {
    entry.annotations.get(REF_NAME)
}

/// The index of some entries of `index.json`: that file itself if it is nothing but the index of one image, or else a new index
/// of these entries without their tags.
fn index_of(index: &Index, named: &[&IndexEntry]) -> Document {
    let names = [REF_NAME, CONTAINERD_NAME];
    let has_name = |entry: &&IndexEntry| names.iter().any(|name| entry.annotations.contains_key(*name));
    if named.len() == index.entries.len() && !named.iter().any(has_name) {
        return index.document.clone();
    }
    let nameless = |entry: &&IndexEntry| {
        let mut value = entry.value.clone();
        if let Some(annotations) = value.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| !names.contains(&name.as_str()));
            if annotations.is_empty()
                && let Some(entry) = value.as_object_mut()
            {
                entry.shift_remove("annotations");
            }
        }
        value
    };
    let manifests: Vec<Value> = named.iter().map(nameless).collect();
    let value = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
    Document::from_value(media_type::OCI_INDEX, value)
}

fn is_wanted(entry: &IndexEntry, reference: &LocalReference) -> bool {
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) => entry.descriptor.digest == *digest,
        (None, Some(tag)) => [REF_NAME, CONTAINERD_NAME].iter().any(|name| entry.annotations.get(*name) == Some(tag)),
        // A tag like that of a digest is a list of what refers to an image, as regclient writes it.
        (None, None) => entry.is_image() && !name_of(entry).is_some_and(|tag| tag.starts_with("sha256-")),
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

/// Lists an artifact that refers to an image, so that readers of the layout find it.
pub(super) fn add_referrer(index: &mut Value, artifact: &Document) {
    if let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        let is_new = referrers::add(entries, artifact);
        let annotations = entries.last_mut().filter(|_| is_new).and_then(|entry| entry.get_mut("annotations"));
        // A name would make it an image that people can ask for.
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.retain(|key, _| key != REF_NAME && key != CONTAINERD_NAME);
        }
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
        find(&index, &reference).map(|found| match found {
            Found::Entry(entry) => entry.descriptor.digest,
            Found::Entries(document) => document.digest(),
        })
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
        let annotations = json!({REF_NAME: "x", CONTAINERD_NAME: "x", "kept": "y"});
        let artifact = json!({"artifactType": "a/b", "annotations": annotations});
        let artifact = Document::from_value(media_type::OCI_MANIFEST, artifact);
        set_tag(&mut index, &document(1), None, None);
        add_referrer(&mut index, &artifact);
        add_referrer(&mut index, &artifact);
        assert_eq!(wanted(&index, "oci:d"), Ok(document(1).digest()));
        set_tag(&mut index, &document(2), None, None);
        assert_eq!(wanted(&index, "oci:d"), Ok(document(2).digest()));
        assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
        assert_eq!(index["manifests"][1]["artifactType"], "a/b", "many readers take the first entry");
        assert_eq!(index["manifests"][1]["annotations"], json!({"kept": "y"}));
    }

    #[test]
    fn several_platforms_of_one_name_or_of_none_are_an_index() {
        let entry = |number: u32, os: &str, annotations: Value| {
            let mut entry = Descriptor::of(&document(number)).to_value();
            entry["platform"] = json!({"os": os, "architecture": "amd64"});
            entry["annotations"] = annotations;
            entry
        };
        let names = json!({REF_NAME: "tag", CONTAINERD_NAME: "example.com/x:tag"});
        let index = json!({"manifests": [entry(1, "linux", names.clone()), entry(2, "windows", names)]});
        let find = |index: &Value, text: &str| {
            let Reference::Layout(reference) = text.parse().unwrap() else { panic!("{text}") };
            find(&Index::parse(Document::from_value("", index.clone())).unwrap(), &reference).unwrap()
        };
        for text in ["oci:d", "oci:d:tag", "oci:d:example.com/x:tag"] {
            let Found::Entries(found) = find(&index, text) else { panic!("{text}") };
            let found = Index::parse(found).unwrap();
            assert_eq!(found.entries.len(), 2, "{text}");
            assert!(found.entries.iter().all(|entry| entry.annotations.is_empty() && entry.platform.is_some()));
        }
        // An `index.json` that is nothing else is that index, byte for byte.
        let more = json!({"x": "y"});
        let nameless = json!({"manifests": [entry(1, "linux", more.clone()), entry(2, "windows", more)], "z": 1});
        let Found::Entries(found) = find(&nameless, "oci:d") else { panic!() };
        assert_eq!(found.value(), &nameless);
        // The same image twice is one image.
        let twice = json!({"manifests": [entry(1, "windows", json!({})), entry(1, "windows", json!({}))]});
        assert!(matches!(find(&twice, "oci:d"), Found::Entry(_)));
    }

    #[test]
    fn lists_of_referrers_are_no_images() {
        let mut index = empty_index();
        set_tag(&mut index, &document(1), Some("one"), None);
        set_tag(&mut index, &document(2), Some(&document(1).digest().to_string().replace(':', "-")), None);
        assert_eq!(wanted(&index, "oci:d"), Ok(document(1).digest()));
    }
}
