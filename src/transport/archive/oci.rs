//! Writing an OCI image layout into a tar.
//!
//! What is put is only noted; [`OciArchiveTarget::finish`] writes the file, in one order, so that the same image gives
//! the same bytes. Until then what was put has to stay where it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tar::{EntryType, Header};

use crate::durable::directory_of;
use crate::error::{IoContext, PathError};
use crate::image::{Digest, Document};
use crate::progress::{Progress, Stage, Task};
use crate::transport::layout::{INDEX, MARKER, MARKER_CONTENT, add_referrer, blob_name, empty_index, set_tag};
use crate::transport::local::{copy_blob, temporary_in};
use crate::transport::reference::LocalReference;
use crate::transport::{Delivered, TransportError};

/// An archive that an image is put into. A file that is there is replaced.
#[derive(Debug)]
pub struct OciArchiveTarget {
    path: PathBuf,
    tag: Option<String>,
    contents: Mutex<Contents>,
}

/// What the archive will hold.
#[derive(Debug)]
struct Contents {
    blobs: BTreeMap<Digest, Blob>,
    index: Value,
}

#[derive(Debug)]
enum Blob {
    File { path: PathBuf, size: u64 },
    Document(Bytes),
}

impl OciArchiveTarget {
    /// Begins an archive; nothing is written yet, but a directory that nothing can be written to is found out.
    pub fn open(reference: &LocalReference) -> Result<OciArchiveTarget, TransportError> {
        let path = reference.path.clone();
        if path.is_dir() {
            return Err(TransportError::Target {
                reference: format!("oci-archive:{reference}"),
                problem: "it is a directory; name a file, or write `oci:` in front of it".to_owned(),
            });
        }
        temporary_in(directory_of(&path))?;
        let contents = Mutex::new(Contents { blobs: BTreeMap::new(), index: empty_index() });
        Ok(OciArchiveTarget { path, tag: reference.tag.clone(), contents })
    }

    /// Notes a blob.
    pub fn put_blob(&self, digest: &Digest, size: u64, path: &Path) -> Delivered {
        let blob = Blob::File { path: path.to_owned(), size };
        match self.contents().blobs.insert(*digest, blob) {
            None => Delivered::Written,
            Some(_) => Delivered::Existed,
        }
    }

    /// Notes a document.
    pub fn put_document(&self, document: &Document) {
        self.contents().blobs.insert(document.digest(), Blob::Document(document.bytes().clone()));
    }

    /// Notes an artifact and lists it.
    pub fn put_referrer(&self, artifact: &Document) {
        self.put_document(artifact);
        add_referrer(&mut self.contents().index, artifact);
    }

    /// Lets the tag lead to a document. `platform` says what machines it is for.
    pub fn tag(&self, document: &Document, platform: Option<&Value>) {
        self.put_document(document);
        set_tag(&mut self.contents().index, document, self.tag.as_deref(), platform);
    }

    /// Writes the archive beside its place and moves it there.
    pub async fn finish(self, progress: &dyn Progress) -> Result<(), TransportError> {
        let contents = self.contents.into_inner().unwrap_or_else(PoisonError::into_inner);
        let size = contents.blobs.values().map(Blob::size).sum();
        let label = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let task = progress.start(Stage::Push, &label, size);
        let mut file = temporary_in(directory_of(&self.path))?;
        let place = file.path().to_owned();
        let written = contents.write(&mut file, &place, &*task).await;
        task.finish();
        written?;
        Ok(file.publish_durably(&self.path).context_path("create", &self.path)?)
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // Nothing that holds the lock leaves the contents half changed.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    /// Writes the tar; `place` names it in errors.
    async fn write(&self, to: &mut (impl Write + Send), place: &Path, task: &dyn Task) -> Result<(), TransportError> {
        let written = |result: std::io::Result<()>| result.context_path("write to", place);
        written(add_small(to, MARKER, MARKER_CONTENT))?;
        written(add_small(to, INDEX, self.index.to_string().as_bytes()))?;
        for directory in ["blobs/", "blobs/sha256/"] {
            written(add_header(to, directory, EntryType::Directory, 0))?;
        }
        for (digest, blob) in &self.blobs {
            let name = blob_name(digest);
            match blob {
                Blob::Document(bytes) => written(add_small(to, &name, bytes))?,
                Blob::File { path, size } => {
                    let actual = fs::metadata(path).context_path("read", path)?.len();
                    if actual != *size {
                        let error = std::io::Error::other(format!("it has {actual} bytes instead of {size}"));
                        return Err(PathError::new("copy", path, error).into());
                    }
                    written(add_header(to, &name, EntryType::Regular, *size))?;
                    copy_blob(path, digest, to, place, task).await?;
                    written(add_padding(to, *size))?;
                }
            }
        }
        // The end of a tar: two blocks of zeros (POSIX, pax).
        Ok(written(to.write_all(&[0; 1024]))?)
    }
}

impl Blob {
    fn size(&self) -> u64 {
        match self {
            Blob::File { size, .. } => *size,
            Blob::Document(bytes) => bytes.len() as u64,
        }
    }
}

fn add_small(to: &mut impl Write, name: &str, content: &[u8]) -> std::io::Result<()> {
    add_header(to, name, EntryType::Regular, content.len() as u64)?;
    to.write_all(content)?;
    add_padding(to, content.len() as u64)
}

/// A header without owner and time, so that it is always the same.
fn add_header(to: &mut impl Write, name: &str, kind: EntryType, size: u64) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    to.write_all(header.as_bytes())
}

/// Fills the last block of 512 bytes.
fn add_padding(to: &mut impl Write, size: u64) -> std::io::Result<()> {
    let used = (size % 512) as usize;
    if used == 0 { Ok(()) } else { to.write_all(&[0; 512][used..]) }
}
