//! Writing images to a layout in a directory.
//!
//! Blobs appear under their digest when they are complete and on the disk; `index.json` is replaced as the last step, when the
//! directory of the blobs is on the disk, too. Other images of the layout stay. A blob that is there already counts as there only
//! if its content has the digest; a damaged one is replaced.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

use super::{BLOBS, INDEX, MARKER, MARKER_CONTENT, add_referrer, blob_name, empty_index, set_tag};
use crate::durable::{directory_of, sync_directory};
use crate::error::{IoContext, PathError};
use crate::image::document::MAX_DOCUMENT_SIZE;
use crate::image::{Digest, Document};
use crate::progress::Task;
use crate::transport::local::{
    TEMPORARY_PREFIX, copy_blob, copy_checked_blob, digest_of, link_stored_blob, publish, read_small, temporary_in,
    write_durably,
};
use crate::transport::reference::LocalReference;
use crate::transport::{Delivered, LocalBlob, TransportError};

/// A layout that images are put into.
#[derive(Debug)]
pub struct LayoutTarget {
    directory: PathBuf,
    tag: Option<String>,
    /// The blobs that this run has put in or has checked.
    sound: Mutex<BTreeSet<Digest>>,
    /// Held shared from the moment at which there is a directory of blobs, so that nobody deletes blobs that no index names yet.
    in_use: OnceLock<Option<File>>,
}

impl LayoutTarget {
    /// Opens a layout, or a directory that can become one: it is empty, not there yet, or has only what a run of winslim left
    /// that was ended before it was done.
    ///
    /// Nothing stays: a build that fails before it has something to put leaves the place as it was. But where nothing can be
    /// written is found out.
    pub fn open(reference: &LocalReference) -> Result<LayoutTarget, TransportError> {
        let directory = reference.path.clone();
        let refuse = |problem: &str| {
            Err(TransportError::Target { reference: format!("oci:{reference}"), problem: problem.to_owned() })
        };
        let is_free = match fs::read_dir(&directory) {
            Ok(_) if directory.join(MARKER).is_file() => true,
            Ok(_) => has_only_leftovers(&directory).context_path("read", &directory)?,
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(_) if directory.is_file() => {
                return refuse("it is a file; name a directory, or write `oci-archive:` in front of it");
            }
            Err(error) => return Err(PathError::new("read", directory, error).into()),
        };
        if !is_free {
            return refuse("the directory holds other files; name a new or an empty one");
        }
        check_writable(&directory)?;
        let target =
            LayoutTarget { directory, tag: reference.tag.clone(), sound: Mutex::default(), in_use: OnceLock::new() };
        target.hold();
        Ok(target)
    }

    /// Makes the directory a layout, if it is none yet: the marker first, so that a run that ends here leaves a layout.
    fn begin(&self) -> Result<(), PathError> {
        let (marker, blobs) = (self.directory.join(MARKER), self.directory.join(BLOBS));
        if !marker.is_file() {
            fs::create_dir_all(&self.directory).context_path("create", &self.directory)?;
            flush(directory_of(&self.directory))?;
            write_durably(&marker, MARKER_CONTENT)?;
        }
        if !blobs.is_dir() {
            fs::create_dir_all(&blobs).context_path("create", &blobs)?;
            flush(directory_of(&blobs))?;
            flush(&self.directory)?;
        }
        self.hold();
        Ok(())
    }

    fn hold(&self) {
        let blobs = self.directory.join(BLOBS);
        if blobs.is_dir() {
            // Where directories cannot be opened or locked, nobody can find out that nobody uses them, and so nobody deletes.
            self.in_use.get_or_init(|| File::open(blobs).ok().filter(|directory| directory.lock_shared().is_ok()));
        }
    }

    fn sound(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.sound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a blob is there, with its size and its content: one that this run has not put in itself is read once.
    pub async fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        let path = self.directory.join(blob_name(digest));
        let Ok(metadata) = fs::metadata(&path) else { return false };
        let has_size = metadata.is_file() && metadata.len() == size;
        if has_size && self.sound().contains(digest) {
            return true;
        }
        // One that cannot be read is as bad as one with other content.
        if has_size && digest_of(&path, |_| ()).await.is_ok_and(|actual| actual == *digest) {
            self.sound().insert(*digest);
            return true;
        }
        tracing::warn!(path = %path.display(), "a blob of the target is damaged and is replaced");
        false
    }

    /// Puts a blob in, unless it is there: the very file of the store if that can be, or a copy.
    pub async fn put_blob(
        &self,
        digest: &Digest,
        size: u64,
        blob: &LocalBlob,
        task: &dyn Task,
    ) -> Result<Delivered, TransportError> {
        if self.has_blob(digest, size).await {
            return Ok(Delivered::Existed);
        }
        self.begin()?;
        let target = self.directory.join(blob_name(digest));
        let mut file = temporary_in(&self.directory)?;
        let place = file.path().to_owned();
        if blob.verified && blob.is_stored && link_stored_blob(&blob.path, &target, &place).is_ok() {
            task.advance(size);
        } else {
            if blob.verified {
                copy_checked_blob(&blob.path, &place, task).await?;
            } else {
                copy_blob(&blob.path, digest, &mut file, &place, task).await?;
            }
            publish(file, &target)?;
        }
        self.sound().insert(*digest);
        Ok(Delivered::Written)
    }

    /// Puts a document under its digest.
    pub fn put_document(&self, document: &Document) -> Result<(), TransportError> {
        self.begin()?;
        let path = self.directory.join(blob_name(&document.digest()));
        let mut file = temporary_in(&self.directory)?;
        std::io::Write::write_all(&mut file, document.bytes()).context_path("write to", file.path())?;
        Ok(publish(file, &path)?)
    }

    /// Puts an artifact and lists it.
    pub fn put_referrer(&self, artifact: &Document) -> Result<(), TransportError> {
        self.put_document(artifact)?;
        self.change_index(|index| add_referrer(index, artifact))
    }

    /// Puts a document and lets the tag lead to it. `platform` says what machines it is for.
    pub fn tag(&self, document: &Document, platform: Option<&Value>) -> Result<(), TransportError> {
        self.put_document(document)?;
        self.change_index(|index| set_tag(index, document, self.tag.as_deref(), platform))
    }

    /// Replaces `index.json`, alone: the lock keeps another winslim from losing this one's change. What it names is on the disk
    /// before.
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
        flush(&self.directory.join(BLOBS))?;
        Ok(write_durably(&path, index.to_string().as_bytes())?)
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

/// Fails if nothing can be written to a directory, or made in the nearest one above it that is there. A file that goes away at
/// once finds out.
fn check_writable(directory: &Path) -> Result<(), PathError> {
    if !directory.is_dir() {
        let above =
            directory.ancestors().skip(1).map(|above| if above == Path::new("") { Path::new(".") } else { above });
        return above.into_iter().find(|above| above.is_dir()).map_or(Ok(()), |above| temporary_in(above).map(drop));
    }
    let blobs = directory.join(BLOBS);
    let mut places = [directory, &blobs].into_iter().filter(|place| place.is_dir());
    places.try_for_each(|place| temporary_in(place).map(drop))
}

fn flush(directory: &Path) -> Result<(), PathError> {
    sync_directory(directory).context_path("write to", directory)
}

/// Whether a directory has nothing in it, or only what winslim itself makes before there is a layout: temporary files, and the
/// directory of blobs, which earlier versions made first.
fn has_only_leftovers(directory: &Path) -> std::io::Result<bool> {
    let only = |directory: &Path, is_ours: &dyn Fn(&str) -> bool| -> std::io::Result<bool> {
        for entry in fs::read_dir(directory)? {
            if !entry?.file_name().to_str().is_some_and(is_ours) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let (blobs, sha256) = (directory.join("blobs"), directory.join(BLOBS));
    Ok(only(directory, &|name| name == "blobs" || name.starts_with(TEMPORARY_PREFIX))?
        && (!blobs.exists() || only(&blobs, &|name| name == "sha256")?)
        && (!sha256.exists() || only(&sha256, &|name| format!("sha256:{name}").parse::<Digest>().is_ok())?))
}
