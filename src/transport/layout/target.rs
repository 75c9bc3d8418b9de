//! Writing images to a layout in a directory.
//!
//! Blobs appear under their digest when they are complete; `index.json` is replaced as the last step. Other images of
//! the layout stay.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;

use serde_json::Value;

use super::{INDEX, MARKER, MARKER_CONTENT, add_referrer, blob_name, empty_index, set_tag};
use crate::error::{IoContext, PathError};
use crate::image::document::MAX_DOCUMENT_SIZE;
use crate::image::{Digest, Document};
use crate::progress::Task;
use crate::transport::local::{
    copy_blob, copy_checked_blob, link_stored_blob, publish, read_small, temporary_in, write_atomically,
};
use crate::transport::reference::LocalReference;
use crate::transport::{Delivered, LocalBlob, TransportError};

/// A layout that images are put into.
#[derive(Debug)]
pub struct LayoutTarget {
    directory: PathBuf,
    tag: Option<String>,
}

impl LayoutTarget {
    /// Opens a layout, or a directory that can become one: it is empty, or not there yet.
    ///
    /// Nothing is written: a build that fails before it has something to put leaves the place as it was.
    pub fn open(reference: &LocalReference) -> Result<LayoutTarget, TransportError> {
        let directory = reference.path.clone();
        let refuse = |problem: &str| {
            Err(TransportError::Target { reference: format!("oci:{reference}"), problem: problem.to_owned() })
        };
        let is_empty = match fs::read_dir(&directory) {
            Ok(mut files) => files.next().is_none(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(_) if directory.is_file() => {
                return refuse("it is a file; name a directory, or write `oci-archive:` in front of it");
            }
            Err(error) => return Err(PathError::new("read", directory, error).into()),
        };
        if !is_empty && !directory.join(MARKER).is_file() {
            return refuse("the directory holds other files; name a new or an empty one");
        }
        Ok(LayoutTarget { directory, tag: reference.tag.clone() })
    }

    /// Makes the directory a layout, if it is none yet.
    fn begin(&self) -> Result<(), PathError> {
        let blobs = self.directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).context_path("create", &blobs)?;
        let marker = self.directory.join(MARKER);
        if !marker.is_file() {
            write_atomically(&marker, MARKER_CONTENT)?;
        }
        Ok(())
    }

    /// Whether a blob is there, by its name and its size.
    pub fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        let metadata = fs::metadata(self.directory.join(blob_name(digest)));
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    }

    /// Puts a blob in, unless it is there: the very file of the store if that can be, or a copy.
    pub async fn put_blob(
        &self,
        digest: &Digest,
        size: u64,
        blob: &LocalBlob,
        task: &dyn Task,
    ) -> Result<Delivered, TransportError> {
        if self.has_blob(digest, size) {
            return Ok(Delivered::Existed);
        }
        self.begin()?;
        let target = self.directory.join(blob_name(digest));
        let mut file = temporary_in(&self.directory)?;
        let place = file.path().to_owned();
        if blob.verified && blob.is_stored && link_stored_blob(&blob.path, &target, &place).is_ok() {
            task.advance(size);
            return Ok(Delivered::Written);
        }
        if blob.verified {
            copy_checked_blob(&blob.path, &place, task).await?;
        } else {
            copy_blob(&blob.path, digest, &mut file, &place, task).await?;
        }
        publish(file, &target)?;
        Ok(Delivered::Written)
    }

    /// Puts a document under its digest.
    pub fn put_document(&self, document: &Document) -> Result<(), TransportError> {
        self.begin()?;
        let path = self.directory.join(blob_name(&document.digest()));
        Ok(write_atomically(&path, document.bytes())?)
    }

    /// Puts an artifact and lists it.
    pub fn put_referrer(&self, artifact: &Document) -> Result<(), TransportError> {
        self.put_document(artifact)?;
        self.change_index(|index| add_referrer(index, artifact))
    }

    /// Puts a document and lets the tag lead to it.
    pub fn tag(&self, document: &Document) -> Result<(), TransportError> {
        self.put_document(document)?;
        self.change_index(|index| set_tag(index, document, self.tag.as_deref()))
    }

    /// Replaces `index.json`, alone: the lock keeps another winslim from losing this one's change.
    fn change_index(&self, change: impl FnOnce(&mut Value)) -> Result<(), TransportError> {
        let marker = self.directory.join(MARKER);
        let lock = File::open(&marker).context_path("open", &marker)?;
        lock.lock().context_path("lock", &marker)?;
        let path = self.directory.join(INDEX);
        let mut index = match File::open(&path) {
            Ok(file) => self.parse(&read_small(file, &path, MAX_DOCUMENT_SIZE)?)?,
            Err(error) if error.kind() == ErrorKind::NotFound => empty_index(),
            Err(error) => return Err(PathError::new("open", path, error).into()),
        };
        change(&mut index);
        Ok(write_atomically(&path, index.to_string().as_bytes())?)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Value, TransportError> {
        let index: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if index.get("manifests").is_some_and(Value::is_array) {
            return Ok(index);
        }
        Err(TransportError::Kind {
            path: self.directory.clone(),
            expected: "an OCI image layout",
            problem: format!("its `{INDEX}` is not an index"),
        })
    }
}
