//! Blobs that are being filled in: downloads that may break and go on in a later run.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Kind, Store, StoreError, note_use};
use crate::error::{IoContext, PathError};
use crate::image::Digest;
use crate::image::digest::Hasher;

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
        let path = self.directory(Kind::Partial).join(digest.hex());
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
        note_use(&self.path);
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
