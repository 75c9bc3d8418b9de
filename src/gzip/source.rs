//! A blob that is read here and there by several threads.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;

use crate::error::{IoContext, PathError};
use crate::position::StoredPosition;

/// A blob that blocks are copied from.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
}

impl Source {
    /// Opens a blob.
    pub fn open(path: impl Into<PathBuf>) -> Result<Source, PathError> {
        let path = path.into();
        let file = File::open(&path).context_path("open", &path)?;
        Ok(Source { file, path })
    }

    /// A reader of the blob from this byte on.
    pub(super) fn reader(&self, position: StoredPosition) -> impl Read {
        Reader { source: self, position }
    }

    /// A part of the blob.
    pub(super) fn read_range(&self, range: Range<StoredPosition>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
        self.reader(range.start).read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

struct Reader<'a> {
    source: &'a Source,
    position: StoredPosition,
}

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        // The failure names the source, because whoever writes would take it for one of the output.
        let Source { file, path } = self.source;
        let read = read_at(file, bytes, self.position.into())
            .map_err(|error| io::Error::new(error.kind(), PathError::new("read", path, error)))?;
        self.position += read as u64;
        Ok(read)
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, position)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, position)
}
