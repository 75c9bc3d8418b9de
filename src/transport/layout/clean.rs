//! Cleaning a layout: deleting what nothing in its `index.json` leads to.
//!
//! An image whose tag was moved leaves its blobs behind, and so does a run that was ended. What anything in `index.json` leads to
//! stays, whatever kind of document it is. An untagged artifact, such as a ledger, stays as long as the image that it refers to
//! does.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{BLOBS, INDEX, MARKER, blob_name, is_artifact};
use crate::error::{IoContext, PathError};
use crate::image::document::{MAX_DOCUMENT_SIZE, field};
use crate::image::{Digest, media_type};
use crate::transport::TransportError;
use crate::transport::local::{TEMPORARY_PREFIX, read_small, write_durably};

/// What was deleted from a layout, or would be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Cleaned {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes of the blobs that stay.
    pub left: u64,
}

/// Deletes the blobs of a layout that nothing leads to; with `dry_run`, only finds them.
///
/// # Errors
/// If another run of winslim is writing to the layout, or if a document that something leads to is damaged: what it needs cannot be
/// known then.
pub fn clean(directory: &Path, dry_run: bool) -> Result<Cleaned, TransportError> {
    let wrong =
        |problem: String| TransportError::Kind { path: directory.to_owned(), expected: "an OCI image layout", problem };
    let (marker, blobs, index) = (directory.join(MARKER), directory.join(BLOBS), directory.join(INDEX));
    let marker_file = match File::open(&marker) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(wrong(format!("there is no `{MARKER}` in it")));
        }
        Err(error) => return Err(PathError::new("open", marker, error).into()),
    };
    // Who writes to the layout holds the first, and who changes its index the second.
    let in_use = File::open(&blobs).context_path("open", &blobs)?;
    match in_use.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(TransportError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(PathError::new("lock", blobs, error).into()),
    }
    marker_file.lock().context_path("lock", &marker)?;
    let file = File::open(&index).context_path("open", &index)?;
    let mut listed: Value = serde_json::from_slice(&read_small(file, &index, MAX_DOCUMENT_SIZE)?).unwrap_or_default();
    let Some(entries) = listed.get_mut("manifests").and_then(Value::as_array_mut) else {
        return Err(wrong(format!("its `{INDEX}` is not an index")));
    };
    let reached = reached(directory, entries)?;
    let count = entries.len();
    entries.retain(|entry| digest_of(entry).is_none_or(|digest| reached.contains(&digest)));
    if entries.len() < count && !dry_run {
        write_durably(&index, listed.to_string().as_bytes())?;
    }
    delete(directory, &blobs, &reached, dry_run)
}

/// Deletes the blobs that are not reached, and temporary files: nobody writes to the layout now.
fn delete(
    directory: &Path,
    blobs: &Path,
    reached: &BTreeSet<Digest>,
    dry_run: bool,
) -> Result<Cleaned, TransportError> {
    let mut cleaned = Cleaned::default();
    let is_unreached = |name: &str| match format!("sha256:{name}").parse() {
        Ok(digest) => !reached.contains(&digest),
        // Whatever it is, it is not winslim's to delete.
        Err(_) => false,
    };
    let is_temporary = |name: &str| name.starts_with(TEMPORARY_PREFIX);
    for (place, is_blobs) in [(directory, false), (blobs, true)] {
        for entry in fs::read_dir(place).context_path("read", place)? {
            let entry = entry.context_path("read", place)?;
            let (name, path) = (entry.file_name(), entry.path());
            let metadata = entry.metadata().context_path("read", &path)?;
            let Some(name) = name.to_str().filter(|_| metadata.is_file()) else { continue };
            if if is_blobs { is_unreached(name) } else { is_temporary(name) } {
                if !dry_run {
                    fs::remove_file(&path).context_path("delete", &path)?;
                }
                cleaned.files += 1;
                cleaned.bytes += metadata.len();
            } else if is_blobs {
                cleaned.left += metadata.len();
            }
        }
    }
    Ok(cleaned)
}

/// Everything that the entries lead to.
fn reached(directory: &Path, entries: &[Value]) -> Result<BTreeSet<Digest>, TransportError> {
    let mut reached = BTreeSet::new();
    let (mut artifacts, images): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(|entry| is_artifact(entry));
    for entry in images {
        follow(directory, entry, &mut reached)?;
    }
    // An artifact may refer to another one.
    loop {
        let mut waiting = Vec::new();
        let count = artifacts.len();
        for entry in artifacts {
            let subject = match digest_of(entry) {
                Some(digest) => {
                    document(directory, &digest)?.and_then(|document| digest_of(field(&document, "subject")?))
                }
                None => None,
            };
            match subject {
                Some(subject) if !reached.contains(&subject) => waiting.push(entry),
                _ => follow(directory, entry, &mut reached)?,
            }
        }
        if waiting.len() == count || waiting.is_empty() {
            return Ok(reached);
        }
        artifacts = waiting;
    }
}

/// Adds what a descriptor leads to: its blob and, if that is a document, all blobs that are named anywhere in it.
fn follow(directory: &Path, descriptor: &Value, reached: &mut BTreeSet<Digest>) -> Result<(), TransportError> {
    let mut waiting: Vec<(Digest, bool)> = Vec::new();
    descriptors(descriptor, &mut waiting);
    while let Some((digest, is_document)) = waiting.pop() {
        if reached.insert(digest)
            && is_document
            && let Some(document) = document(directory, &digest)?
        {
            descriptors(&document, &mut waiting);
        }
    }
    Ok(())
}

/// All descriptors in a value, at any depth; `true` for those of documents.
fn descriptors(value: &Value, found: &mut Vec<(Digest, bool)>) {
    match value {
        Value::Object(fields) => {
            if let Some(digest) = digest_of(value) {
                let media_type = field(value, "mediaType").and_then(Value::as_str).unwrap_or_default();
                let is_document =
                    media_type.is_empty() || media_type::is_index(media_type) || media_type::is_manifest(media_type);
                found.push((digest, is_document));
            }
            fields.values().for_each(|value| descriptors(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| descriptors(value, found)),
        _ => {}
    }
}

fn digest_of(descriptor: &Value) -> Option<Digest> {
    field(descriptor, "digest")?.as_str()?.parse().ok()
}

/// A document of the layout; `None` if it is not there, as in a layout of one of several platforms, or no JSON and so no document.
fn document(directory: &Path, digest: &Digest) -> Result<Option<Value>, TransportError> {
    let path: PathBuf = directory.join(blob_name(digest));
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PathError::new("open", path, error).into()),
    };
    let bytes = read_small(file, &path, MAX_DOCUMENT_SIZE)?;
    let actual = Digest::of(&bytes);
    if actual != *digest {
        let problem = format!("has the content of {actual}");
        return Err(TransportError::DamagedBlob { place: path, digest: *digest, problem });
    }
    Ok(serde_json::from_slice(&bytes).ok())
}
