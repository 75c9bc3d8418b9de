//! Blobs and layer indexes on disk, by digest.
//!
//! ```text
//! blobs/sha256/HEX        a complete, checked blob
//! index/VERSION/HEX       the index of the layer blob with that digest
//! seek-points/VERSION/HEX places in it at which decompressing can begin
//! rewritten/VERSION/HEX   what a piece of rewriting with that key gave
//! partial/HEX             a download that is not complete yet
//! temporary/              files of running commands, whose digest is not known yet
//! lock                    held shared by every winslim that uses the store; its time is when the first of them came
//! use-lock                held for a moment by whoever takes a file into use or deletes it
//! ```
//!
//! A file appears under its digest only when it is complete and its digest was checked, by a rename within one file
//! system; so a kill at any moment leaves at most a partial download, which the next run continues, and temporary
//! files, which the next run that has the store to itself deletes.
//!
//! Nothing here is flushed to the disk: everything can be fetched or made again. After a power cut a file may have its name and not
//! its content, so whoever uses one checks it: blobs by their digest, layer indexes by their checksum, and small
//! content by comparing. What leaves the store is flushed where it goes ([`crate::transport::Target`]).
//!
//! The time of a file is when it was last used. [`Store::prune`] goes by it, and never deletes what was used since the first of the
//! present users came.
//!
//! A store that cannot be written to can still be read.

mod contents;
mod partial;
mod prune;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use contents::list;
pub use contents::{Kind, Stored, actual_digest, partial_downloads};
pub use partial::{Filling, Partial};
pub use prune::{Limits, Pruned};

use crate::error::{IoContext, PathError};
use crate::image::Digest;
use crate::temporary::{TemporaryDirectory, TemporaryFile};

/// The lock of all users.
const LOCK: &str = "lock";
/// The lock of the moment of use.
const USE_LOCK: &str = "use-lock";

/// A content-addressed directory, safe for several processes at once.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Held shared as long as the store is open; whoever gets it exclusively may clean up. Nothing if not even that can be
    /// had of a store that cannot be written to.
    _lock: Option<File>,
    /// The blobs that were there already when they were asked for.
    found: Mutex<BTreeSet<Digest>>,
    /// Small content that could not be put into it.
    lent: Mutex<Vec<TemporaryFile>>,
}

/// Why a blob could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The content is not what its digest promised.
    #[error("the content is not what was asked for: expected {expected}, received {actual}")]
    WrongDigest {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// More or fewer bytes than promised.
    #[error("{digest} should have {expected} bytes, but {actual} came")]
    WrongSize {
        /// The digest that was asked for.
        digest: Digest,
        /// The promised number of bytes.
        expected: u64,
        /// The number of bytes that came.
        actual: u64,
    },
}

impl Store {
    /// Opens the store in a directory, which is made if it is not there.
    ///
    /// Deletes what a killed run left behind, if no other winslim is using the store. A store that is there and cannot be
    /// written to is opened too; whoever wants to write to it will be told.
    pub fn open(root: impl Into<PathBuf>) -> Result<Store, PathError> {
        let root = root.into();
        match lock_for_use(&root) {
            Ok(lock) => Ok(Store { root, _lock: Some(lock), found: Mutex::default(), lent: Mutex::default() }),
            Err(error) if is_read_only(error.kind()) && root.join(Kind::Blob.directory()).is_dir() => {
                let lock = File::open(root.join(LOCK)).ok().filter(|lock| lock.lock_shared().is_ok());
                Ok(Store { root, _lock: lock, found: Mutex::default(), lent: Mutex::default() })
            }
            Err(error) => Err(error),
        }
    }

    /// A store in a directory that nobody else knows, for commands that keep nothing: without locks.
    pub fn open_private(root: impl Into<PathBuf>) -> Result<Store, PathError> {
        let root = root.into();
        make_directories(&root)?;
        Ok(Store { root, _lock: None, found: Mutex::default(), lent: Mutex::default() })
    }

    /// Where the store is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory(Kind::Blob).join(digest.hex())
    }

    /// The path of a blob that is in the store, or nothing. It will stay there as long as the store is open.
    pub fn blob(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.blob_path(digest);
        let _moment = self.moment_of_use();
        path.is_file().then(|| {
            note_use(&path);
            self.found().insert(*digest);
            path
        })
    }

    /// Checks the blobs that were found in the store since it was opened. If the content of one is not what it should be,
    /// something outside of winslim has damaged the store: then all blobs are checked, and the damaged ones deleted.
    /// Returns where those were.
    pub fn delete_damaged(&self) -> Vec<PathBuf> {
        let is_damaged = |(digest, path): &(Digest, PathBuf)| actual_digest(path).is_ok_and(|actual| actual != *digest);
        let found: Vec<_> = self.found().iter().map(|digest| (*digest, self.blob_path(digest))).collect();
        if !found.iter().any(is_damaged) {
            return Vec::new();
        }
        let mut blobs = self.contents().unwrap_or_default();
        blobs.retain(|stored| stored.kind == Kind::Blob);
        let blobs = blobs.into_iter().filter_map(|stored| Some((stored.digest()?, stored.path)));
        let damaged = blobs.filter(is_damaged).filter(|(_, path)| self.delete(path).is_ok());
        damaged.map(|(_, path)| path).collect()
    }

    /// Every file in the store, in the order of kinds and names. A file that comes or goes meanwhile may be in it or not.
    pub fn contents(&self) -> Result<Vec<Stored>, PathError> {
        let mut contents = Vec::new();
        for kind in Kind::ALL {
            list(kind, &self.directory(kind), &mut contents)?;
        }
        contents.sort_by(|one, other| (one.kind, &one.path).cmp(&(other.kind, &other.path)));
        Ok(contents)
    }

    /// Deletes a file, for instance one that is damaged. One that is gone already is no failure.
    pub fn delete(&self, path: &Path) -> Result<(), PathError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PathError::new("delete", path, error)),
            _ => Ok(()),
        }
    }

    fn found(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A temporary file in the store, for content whose digest is known only at its end.
    pub fn temporary(&self) -> Result<Temporary, PathError> {
        let directory = self.directory(Kind::Temporary);
        TemporaryFile::new_in(&directory).context_path("create a file in", &directory)
    }

    /// A temporary directory, deleted with the returned value: in the store or, if that cannot be written to, in the system's own
    /// directory for temporary files.
    pub fn temporary_directory(&self) -> Result<TemporaryDirectory, PathError> {
        let directory = self.directory(Kind::Temporary);
        match TemporaryDirectory::new_in(&directory) {
            Err(error) if is_read_only(error.kind()) => {
                let directory = std::env::temp_dir();
                TemporaryDirectory::new_in(&directory).context_path("create a directory in", &directory)
            }
            made => made.context_path("create a directory in", &directory),
        }
    }

    /// Makes a finished temporary file the blob with this digest. The caller has computed the digest while writing.
    pub fn publish(&self, temporary: Temporary, digest: &Digest) -> Result<PathBuf, PathError> {
        let target = self.blob_path(digest);
        publish(temporary, &target)?;
        Ok(target)
    }

    /// Stores small content, such as a config, and returns its digest.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, PathError> {
        let digest = Digest::of(bytes);
        // What is there may be damaged, for instance after a power cut.
        let is_there = self.blob(&digest).is_some_and(|path| fs::read(path).is_ok_and(|present| present == bytes));
        if !is_there {
            let mut temporary = self.temporary()?;
            temporary.write_all(bytes).context_path("write to", temporary.path())?;
            self.publish(temporary, &digest)?;
        }
        Ok(digest)
    }

    /// Has small content as a file as long as the store is open: in the store or, if that cannot be written to, elsewhere.
    pub fn lend(&self, bytes: &[u8]) -> Result<(Digest, PathBuf), PathError> {
        match self.put(bytes) {
            Ok(digest) => Ok((digest, self.blob_path(&digest))),
            Err(error) if is_read_only(error.kind()) => {
                let directory = std::env::temp_dir();
                let mut file = TemporaryFile::new_in(&directory).context_path("create a file in", &directory)?;
                file.write_all(bytes).context_path("write to", file.path())?;
                let path = file.path().to_owned();
                self.lent.lock().unwrap_or_else(PoisonError::into_inner).push(file);
                Ok((Digest::of(bytes), path))
            }
            Err(error) => Err(error),
        }
    }

    /// The stored bytes of the index of a layer, written by this or another version of the index format.
    pub fn read_index(&self, version: u32, layer: &Digest) -> Result<Option<Vec<u8>>, PathError> {
        self.read(Kind::Index, version, layer)
    }

    /// Stores the bytes of the index of a layer, replacing what is there.
    pub fn write_index(&self, version: u32, layer: &Digest, bytes: &[u8]) -> Result<(), PathError> {
        self.write(Kind::Index, version, layer, bytes)
    }

    /// Where the seek points of a layer are, if they are in the store.
    pub fn seek_points(&self, version: u32, layer: &Digest) -> Option<PathBuf> {
        let path = self.versioned_path(Kind::SeekPoints, version, layer);
        path.is_file().then(|| {
            note_use(&path);
            path
        })
    }

    /// Stores a finished file as the seek points of a layer, replacing what is there.
    pub fn publish_seek_points(&self, file: Temporary, version: u32, layer: &Digest) -> Result<(), PathError> {
        self.publish_versioned(file, Kind::SeekPoints, version, layer)
    }

    /// The stored bytes of what a piece of rewriting gave.
    pub fn read_rewritten(&self, version: u32, key: &Digest) -> Result<Option<Vec<u8>>, PathError> {
        self.read(Kind::Rewritten, version, key)
    }

    /// Stores the bytes of what a piece of rewriting gave, replacing what is there.
    pub fn write_rewritten(&self, version: u32, key: &Digest, bytes: &[u8]) -> Result<(), PathError> {
        self.write(Kind::Rewritten, version, key, bytes)
    }

    fn read(&self, kind: Kind, version: u32, digest: &Digest) -> Result<Option<Vec<u8>>, PathError> {
        let path = self.versioned_path(kind, version, digest);
        match fs::read(&path) {
            Ok(bytes) => {
                note_use(&path);
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PathError::new("read", path, error)),
        }
    }

    fn write(&self, kind: Kind, version: u32, digest: &Digest, bytes: &[u8]) -> Result<(), PathError> {
        let mut temporary = self.temporary()?;
        temporary.write_all(bytes).context_path("write to", temporary.path())?;
        self.publish_versioned(temporary, kind, version, digest)
    }

    fn publish_versioned(&self, file: Temporary, kind: Kind, version: u32, digest: &Digest) -> Result<(), PathError> {
        let path = self.versioned_path(kind, version, digest);
        let directory = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(directory).context_path("create", directory)?;
        publish(file, &path)
    }

    fn versioned_path(&self, kind: Kind, version: u32, digest: &Digest) -> PathBuf {
        self.directory(kind).join(version.to_string()).join(digest.hex())
    }

    fn directory(&self, kind: Kind) -> PathBuf {
        self.root.join(kind.directory())
    }

    /// A moment in which nothing is deleted, between finding a file and noting its use.
    fn moment_of_use(&self) -> Option<File> {
        let lock = File::open(self.root.join(USE_LOCK)).ok()?;
        // Who cannot lock it cannot be disturbed by another process of this user.
        lock.lock_shared().ok()?;
        Some(lock)
    }
}

/// A file being written whose digest is not known yet; deleted unless it is published.
pub type Temporary = TemporaryFile;

/// Makes the directories of a store and takes the lock of its users.
fn lock_for_use(root: &Path) -> Result<File, PathError> {
    make_directories(root)?;
    let open = |name| {
        let path = root.join(name);
        let file = File::options().create(true).write(true).truncate(false).open(&path).context_path("open", &path)?;
        Ok((file, path))
    };
    open(USE_LOCK)?;
    let (lock, path) = open(LOCK)?;
    if lock.try_lock().is_ok() {
        clear(&root.join(Kind::Temporary.directory()))?;
        lock.set_modified(SystemTime::now()).context_path("set the time of", &path)?;
        lock.unlock().context_path("unlock", &path)?;
    }
    lock.lock_shared().context_path("lock", &path)?;
    Ok(lock)
}

fn make_directories(root: &Path) -> Result<(), PathError> {
    for kind in Kind::ALL {
        let directory = root.join(kind.directory());
        fs::create_dir_all(&directory).context_path("create", &directory)?;
    }
    Ok(())
}

fn is_read_only(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Gives a temporary file its name in the store.
fn publish(file: Temporary, target: &Path) -> Result<(), PathError> {
    note_use(file.path());
    file.publish(target).context_path("create", target)
}

/// Notes that a file is used now. In a store that cannot be written to, nobody deletes either.
fn note_use(path: &Path) {
    if let Ok(file) = File::options().append(true).open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Deletes everything in a directory.
fn clear(directory: &Path) -> Result<(), PathError> {
    for entry in fs::read_dir(directory).context_path("read", directory)? {
        let path = entry.context_path("read", directory)?.path();
        let deleted = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        deleted.context_path("delete", &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
