//! What is in a store: the directory of each kind of file, what it holds, and whether it is sound.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{IoContext, PathError};
use crate::image::Digest;
use crate::image::digest::Hashing;

/// The kinds of files in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A complete blob.
    Blob,
    /// The index of a layer.
    Index,
    /// The seek points of a layer.
    SeekPoints,
    /// What a piece of rewriting gave.
    Rewritten,
    /// A download that is not complete.
    Partial,
    /// A file of a running command.
    Temporary,
}

/// A file in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] =
        [Kind::Blob, Kind::Index, Kind::SeekPoints, Kind::Rewritten, Kind::Partial, Kind::Temporary];

    /// The directory of its files, below the store's.
    pub(super) fn directory(self) -> &'static str {
        match self {
            Kind::Blob => "blobs/sha256",
            Kind::Index => "index",
            Kind::SeekPoints => "seek-points",
            Kind::Rewritten => "rewritten",
            Kind::Partial => "partial",
            Kind::Temporary => "temporary",
        }
    }
}

impl Stored {
    /// The digest that the file is called by; nothing if it is not called by one.
    pub fn digest(&self) -> Option<Digest> {
        format!("sha256:{}", self.path.file_name()?.to_str()?).parse().ok()
    }

    /// The version of the format of an index, of seek points or of a result of rewriting, from the directory that it is in.
    pub fn version(&self) -> Option<u32> {
        self.path.parent()?.file_name()?.to_str()?.parse().ok()
    }
}

/// The digest that the content of a file has.
pub fn actual_digest(path: &Path) -> Result<Digest, PathError> {
    let mut file = Hashing::new(File::open(path).context_path("open", path)?);
    io::copy(&mut file, &mut io::sink()).context_path("read", path)?;
    Ok(file.into_parts().1.finish())
}

/// The number of downloads in the store of a directory that a later run continues, and their bytes. The store need not be
/// open, nor be there.
pub fn partial_downloads(root: &Path) -> (usize, u64) {
    let mut partial = Vec::new();
    // Who asks is about to end; a directory that cannot be read holds nothing to tell of.
    let _ = list(Kind::Partial, &root.join(Kind::Partial.directory()), &mut partial);
    partial.retain(|stored| stored.bytes > 0);
    (partial.len(), partial.iter().map(|stored| stored.bytes).sum())
}

/// Adds the files of a kind in a directory, and in those below it.
pub(super) fn list(kind: Kind, directory: &Path, contents: &mut Vec<Stored>) -> Result<(), PathError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.context_path("read", directory)?,
    };
    for entry in entries {
        let entry = entry.context_path("read", directory)?;
        let path = entry.path();
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata.context_path("read", &path)?,
        };
        if metadata.is_dir() {
            list(kind, &path, contents)?;
            continue;
        }
        let used = metadata.modified().context_path("read the time of", &path)?;
        contents.push(Stored { kind, path, bytes: metadata.len(), used });
    }
    Ok(())
}
