//! Blobs, layer indexes and results of rewriting on disk, by digest.
//!
//! ```text
//! blobs/sha256/HEX        a complete, checked blob
//! index/VERSION/HEX       the index of the layer blob with that digest
//! rewritten/VERSION/HEX   what a piece of rewriting with that key gave
//! partial/HEX             a download that is not complete yet
//! temporary/              files of running commands, whose digest is not known yet
//! lock                    held shared by every winslim that uses the store
//! ```
//!
//! A file appears under its digest only when it is complete and its digest was checked, by a rename within one file
//! system; so a kill at any moment leaves at most a partial download, which the next run continues, and temporary
//! files, which the next run that has the store to itself deletes.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{IoContext, PathError};
use crate::image::Digest;
use crate::image::digest::Hasher;

/// A content-addressed directory, safe for several processes at once.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Held shared as long as the store is open; whoever gets it exclusively may clean up.
    _lock: File,
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

/// What came of asking for a blob to fill in, without waiting.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub enum Filling {
    /// The caller fills it in.
    Begun(Partial),
    /// It is complete already.
    Complete,
    /// Another task or process is filling it in.
    Elsewhere,
}

impl Store {
    /// Opens the store in a directory, which is made if it is not there.
    ///
    /// Deletes what a killed run left behind, if no other winslim is using the store.
    pub fn open(root: impl Into<PathBuf>) -> Result<Store, PathError> {
        let root = root.into();
        for directory in ["blobs/sha256", "partial", "temporary"] {
            let directory = root.join(directory);
            fs::create_dir_all(&directory).context_path("create", &directory)?;
        }
        let path = root.join("lock");
        let lock = File::options().create(true).write(true).truncate(false).open(&path).context_path("open", &path)?;
        if lock.try_lock().is_ok() {
            clear(&root.join("temporary"))?;
            lock.unlock().context_path("unlock", &path)?;
        }
        lock.lock_shared().context_path("lock", &path)?;
        Ok(Store { root, _lock: lock })
    }

    /// Where a blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// The path of a blob that is in the store, or nothing.
    pub fn blob(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.blob_path(digest);
        path.is_file().then_some(path)
    }

    /// Begins or continues to fill in the blob with a known digest and size.
    ///
    /// Waits while another process is filling in the same blob. When it is complete by then, nothing is left to do and
    /// nothing is returned.
    pub fn fill(&self, digest: &Digest, size: u64) -> Result<Option<Partial>, StoreError> {
        loop {
            let (file, path) = self.open_partial(digest)?;
            file.lock().context_path("lock", &path)?;
            match self.take_partial(file, path, digest, size)? {
                Some(Filling::Begun(partial)) => return Ok(Some(partial)),
                Some(Filling::Complete) => return Ok(None),
                Some(Filling::Elsewhere) | None => {}
            }
        }
    }

    /// Like [`Store::fill`], but does not wait while someone else fills in the same blob: for tasks that share threads.
    pub fn try_fill(&self, digest: &Digest, size: u64) -> Result<Filling, StoreError> {
        loop {
            let (file, path) = self.open_partial(digest)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Filling::Elsewhere),
                Err(TryLockError::Error(error)) => return Err(PathError::new("lock", path, error).into()),
            }
            if let Some(filling) = self.take_partial(file, path, digest, size)? {
                return Ok(filling);
            }
        }
    }

    fn open_partial(&self, digest: &Digest) -> Result<(File, PathBuf), PathError> {
        let path = self.root.join("partial").join(digest.hex());
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .context_path("create", &path)?;
        Ok((file, path))
    }

    /// Takes over a partial file whose lock is held; nothing when it has to be opened again.
    fn take_partial(
        &self,
        file: File,
        path: PathBuf,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<Filling>, StoreError> {
        if self.blob(digest).is_some() {
            return Ok(Some(Filling::Complete));
        }
        // Whoever held the lock may have published or removed the file meanwhile: the lock then is on a name that
        // no longer leads anywhere, and has to be taken again on the present file.
        if !same_file(&file, &path) {
            return Ok(None);
        }
        let target = self.blob_path(digest);
        let mut partial = Partial { file, path, target, digest: *digest, size, hasher: Hasher::new() };
        partial.take_over()?;
        Ok(Some(Filling::Begun(partial)))
    }

    /// A temporary file in the store, for content whose digest is known only at its end.
    pub fn temporary(&self) -> Result<Temporary, PathError> {
        let directory = self.root.join("temporary");
        let file = tempfile::NamedTempFile::new_in(&directory).context_path("create a file in", &directory)?;
        Ok(Temporary { file })
    }

    /// A temporary directory in the store, deleted with the returned value.
    pub fn temporary_directory(&self) -> Result<tempfile::TempDir, PathError> {
        let directory = self.root.join("temporary");
        tempfile::TempDir::new_in(&directory).context_path("create a directory in", &directory)
    }

    /// Makes a finished temporary file the blob with this digest. The caller has computed the digest while writing.
    pub fn publish(&self, temporary: Temporary, digest: &Digest) -> Result<PathBuf, PathError> {
        let target = self.blob_path(digest);
        temporary.file.persist(&target).map_err(|error| PathError::new("create", &target, error.error))?;
        Ok(target)
    }

    /// Stores small content, such as a config, and returns its digest.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, PathError> {
        let digest = Digest::of(bytes);
        if self.blob(&digest).is_none() {
            let mut temporary = self.temporary()?;
            temporary.write_all(bytes).context_path("write to", temporary.path())?;
            self.publish(temporary, &digest)?;
        }
        Ok(digest)
    }

    /// The stored bytes of the index of a layer, written by this or another version of the index format.
    pub fn read_index(&self, version: u32, layer: &Digest) -> Result<Option<Vec<u8>>, PathError> {
        self.read("index", version, layer)
    }

    /// Stores the bytes of the index of a layer, replacing what is there.
    pub fn write_index(&self, version: u32, layer: &Digest, bytes: &[u8]) -> Result<(), PathError> {
        self.write("index", version, layer, bytes)
    }

    /// The stored bytes of what a piece of rewriting gave.
    pub fn read_rewritten(&self, version: u32, key: &Digest) -> Result<Option<Vec<u8>>, PathError> {
        self.read("rewritten", version, key)
    }

    /// Stores the bytes of what a piece of rewriting gave, replacing what is there.
    pub fn write_rewritten(&self, version: u32, key: &Digest, bytes: &[u8]) -> Result<(), PathError> {
        self.write("rewritten", version, key, bytes)
    }

    fn read(&self, kind: &str, version: u32, digest: &Digest) -> Result<Option<Vec<u8>>, PathError> {
        let path = self.path(kind, version, digest);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PathError::new("read", path, error)),
        }
    }

    fn write(&self, kind: &str, version: u32, digest: &Digest, bytes: &[u8]) -> Result<(), PathError> {
        let path = self.path(kind, version, digest);
        let directory = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(directory).context_path("create", directory)?;
        let mut temporary = self.temporary()?;
        temporary.write_all(bytes).context_path("write to", temporary.path())?;
        temporary.file.persist(&path).map_err(|error| PathError::new("create", &path, error.error))?;
        Ok(())
    }

    fn path(&self, kind: &str, version: u32, digest: &Digest) -> PathBuf {
        self.root.join(kind).join(version.to_string()).join(digest.hex())
    }
}

/// A file being written whose digest is not known yet; deleted unless it is published.
#[derive(Debug)]
pub struct Temporary {
    file: tempfile::NamedTempFile,
}

impl Temporary {
    /// Where the file is until it is published.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A blob that is being filled in, with a lock on it. Dropping it keeps what has come for the next time.
#[derive(Debug)]
pub struct Partial {
    file: File,
    path: PathBuf,
    target: PathBuf,
    digest: Digest,
    size: u64,
    hasher: Hasher,
}

impl Partial {
    /// How many bytes are there; the next byte to ask for.
    pub fn length(&self) -> u64 {
        self.hasher.length()
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the disk refuses, or when more bytes come than the blob has; these are not written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let actual = self.length() + bytes.len() as u64;
        if actual > self.size {
            self.restart()?;
            return Err(StoreError::WrongSize { digest: self.digest, expected: self.size, actual });
        }
        self.file.write_all(bytes).context_path("write to", &self.path)?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Throws away what has come: the sender begins at the first byte again.
    pub fn restart(&mut self) -> Result<(), PathError> {
        self.file.set_len(0).context_path("truncate", &self.path)?;
        self.file.seek(SeekFrom::Start(0)).context_path("seek in", &self.path)?;
        self.hasher = Hasher::new();
        Ok(())
    }

    /// Checks length and digest and publishes the blob. Content with the wrong digest is deleted.
    pub fn finish(self) -> Result<PathBuf, StoreError> {
        let actual = self.length();
        if actual != self.size {
            return Err(StoreError::WrongSize { digest: self.digest, expected: self.size, actual });
        }
        let actual = self.hasher.finish();
        if actual != self.digest {
            fs::remove_file(&self.path).context_path("delete", &self.path)?;
            return Err(StoreError::WrongDigest { expected: self.digest, actual });
        }
        fs::rename(&self.path, &self.target).context_path("create", &self.target)?;
        Ok(self.target)
    }

    /// Hashes what an earlier run left, so that the digest at the end covers it too.
    fn take_over(&mut self) -> Result<(), PathError> {
        let length = self.file.metadata().context_path("read", &self.path)?.len();
        if length > self.size {
            return self.restart();
        }
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = self.file.read(&mut buffer).context_path("read", &self.path)?;
            if read == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..read]);
        }
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

/// Whether the open file is still what the path leads to.
#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.dev() == named.dev() && open.ino() == named.ino(),
        _ => false,
    }
}

/// Windows does not let anyone rename or delete a file that is open, so the name cannot lead elsewhere.
#[cfg(not(unix))]
fn same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_that_is_being_filled_in_elsewhere_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let digest = Digest::of(b"content");
        let Filling::Begun(mut partial) = store.try_fill(&digest, 7).unwrap() else { panic!("nobody fills it in") };
        assert!(matches!(store.try_fill(&digest, 7).unwrap(), Filling::Elsewhere));
        partial.append(b"content").unwrap();
        partial.finish().unwrap();
        assert!(matches!(store.try_fill(&digest, 7).unwrap(), Filling::Complete));
    }
}
