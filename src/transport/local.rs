//! What the transports to local directories and files share: reading small files, copying blobs with a check, and
//! temporary files that become visible by a rename.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::TransportError;
use crate::durable::{self, directory_of};
use crate::error::{IoContext, PathError};
use crate::image::Digest;
use crate::image::digest::Hasher;
use crate::progress::Task;
use crate::temporary::TemporaryFile;

/// How much is copied before other tasks get their turn.
pub(super) const CHUNK: usize = 1 << 20;

/// A blob as a local file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalBlob {
    /// Where it is: in the store, or inside of a layout that the user named.
    pub path: PathBuf,
    /// Whether this run has checked its digest. If not, whoever reads it has to.
    pub verified: bool,
    /// Whether it is a file of the store: nobody writes to it any more, so a layout can have the same file.
    pub is_stored: bool,
}

impl LocalBlob {
    /// A blob in the store.
    pub fn in_store(path: PathBuf, verified: bool) -> LocalBlob {
        LocalBlob { path, verified, is_stored: true }
    }

    /// A blob that belongs to others. Nobody knows when it changes.
    pub fn of_others(path: PathBuf) -> LocalBlob {
        LocalBlob { path, verified: false, is_stored: false }
    }
}

/// All bytes of a source that should be small; `path` names it in errors.
pub(super) fn read_small(source: impl Read, path: &Path, limit: u64) -> Result<Bytes, PathError> {
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes).context_path("read", path)?;
    if bytes.len() as u64 > limit {
        let problem = format!("a document in it has more than {} MiB", limit >> 20);
        return Err(PathError::new("read", path, io::Error::other(problem)));
    }
    Ok(bytes.into())
}

/// Copies a blob and checks its digest on the way; `place` names what is written to in errors.
pub(super) async fn copy_blob(
    path: &Path,
    digest: &Digest,
    to: &mut (impl Write + Send),
    place: &Path,
    task: &dyn Task,
) -> Result<(), TransportError> {
    let mut file = File::open(path).context_path("open", path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file.read(&mut buffer).context_path("read", path)?;
        if read == 0 {
            break;
        }
        let bytes = &buffer[..read];
        hasher.update(bytes);
        to.write_all(bytes).context_path("write to", place)?;
        task.advance(read as u64);
        tokio::task::yield_now().await;
    }
    let actual = hasher.finish();
    if actual != *digest {
        return Err(TransportError::ChangedWhileCopied { path: path.to_owned(), expected: *digest, actual });
    }
    Ok(())
}

/// How much the system copies before other tasks get their turn.
const SYSTEM_CHUNK: u64 = 16 << 20;

/// Copies a blob whose digest this run has checked into a new file: that is left to the system, which need not even read it
/// where two files can share their blocks.
pub(super) async fn copy_checked_blob(path: &Path, place: &Path, task: &dyn Task) -> Result<(), TransportError> {
    let from = File::open(path).context_path("open", path)?;
    let mut to = File::options().write(true).open(place).context_path("write to", place)?;
    loop {
        let copied = io::copy(&mut (&from).take(SYSTEM_CHUNK), &mut to).context_path("write to", place)?;
        if copied == 0 {
            return Ok(());
        }
        task.advance(copied);
        tokio::task::yield_now().await;
    }
}

/// Gives a file of the store another name in a layout, with the permissions of a new file there, and its content on the disk:
/// this takes no room. It fails where the two are on different file systems, and where a file cannot have two names.
pub(super) fn link_stored_blob(path: &Path, target: &Path, new_file: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::metadata(new_file)?.permissions())?;
    durable::sync_path(path)?;
    fs::hard_link(path, target)
}

/// What the names of temporary files begin with.
pub(super) const TEMPORARY_PREFIX: &str = ".winslim-";

/// A temporary file in a directory, to be renamed; unlike other temporary files it is for everybody to read, as far as
/// the user's umask allows.
pub(super) fn temporary_in(directory: &Path) -> Result<TemporaryFile, PathError> {
    TemporaryFile::public_in(directory, TEMPORARY_PREFIX).context_path("create a file in", directory)
}

/// Makes a finished temporary file visible under its name, with its content on the disk. Whoever relies on the name flushes its
/// directory first.
pub(super) fn publish(file: TemporaryFile, path: &Path) -> Result<(), PathError> {
    file.publish_flushed(path).context_path("create", path)
}

/// Writes a small file so that readers see the old content or the new one, also after a power cut.
pub(super) fn write_durably(path: &Path, content: &[u8]) -> Result<(), PathError> {
    let mut file = temporary_in(directory_of(path))?;
    file.write_all(content).context_path("write to", file.path())?;
    file.publish_durably(path).context_path("create", path)
}

/// The digest that the content of a file has; other tasks get their turn meanwhile.
pub(super) async fn digest_of(path: &Path, advance: impl FnMut(u64)) -> Result<Digest, PathError> {
    digest_of_content(File::open(path).context_path("open", path)?, path, advance).await
}

/// The digest of what a reader has; `path` names it in errors.
pub(super) async fn digest_of_content(
    mut file: impl Read,
    path: &Path,
    mut advance: impl FnMut(u64),
) -> Result<Digest, PathError> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file.read(&mut buffer).context_path("read", path)?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..read]);
        advance(read as u64);
        tokio::task::yield_now().await;
    }
}
