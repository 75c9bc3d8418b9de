//! Data set aside for entries that take it over later in a layer, or in a layer above.
//!
//! It lies in a file, because it can be as large as a layer.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{IoContext, PathError};
use crate::gzip::Source;
use crate::layer::{EntryId, LayerNumber};

/// Entries set aside, with their headers and padding.
#[derive(Debug)]
pub struct Spool {
    file: File,
    path: PathBuf,
    length: u64,
    places: HashMap<EntryId, Place>,
    /// The blobs that entries come from, by layer, as far as their blocks can be copied.
    blobs: BTreeMap<LayerNumber, Arc<Source>>,
}

/// Where an entry lies in the spool.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    headers: u64,
    /// Data and padding.
    data: u64,
}

impl Spool {
    /// A spool in a new file at this path.
    pub fn create(path: impl Into<PathBuf>) -> Result<Spool, PathError> {
        let path = path.into();
        let file = File::options().create_new(true).read(true).write(true).open(&path).context_path("create", &path)?;
        Ok(Spool { file, path, length: 0, places: HashMap::new(), blobs: BTreeMap::new() })
    }

    /// Whether an entry is in the spool as a whole.
    pub fn has(&self, entry: EntryId) -> bool {
        self.places.get(&entry).is_some_and(|place| place.offset + place.headers + place.data <= self.length)
    }

    /// Remembers the blob of a layer whose entries are set aside, so that its blocks can be copied together with them.
    pub(super) fn set_blob(&mut self, layer: LayerNumber, blob: Arc<Source>) {
        self.blobs.insert(layer, blob);
    }

    /// The blob of a layer, if its blocks can be copied.
    pub(super) fn blob(&self, layer: LayerNumber) -> Option<&Arc<Source>> {
        self.blobs.get(&layer)
    }

    /// Begins an entry with so many bytes of headers, and of data and padding; they are then appended.
    pub(super) fn begin(&mut self, entry: EntryId, headers: u64, data: u64) {
        self.places.insert(entry, Place { offset: self.length, headers, data });
    }

    /// Appends bytes to the entry that was begun last.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), PathError> {
        self.file.seek(SeekFrom::Start(self.length)).context_path("seek in", &self.path)?;
        self.file.write_all(bytes).context_path("write to", &self.path)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Reads an entry piece by piece: first its headers as one piece, then its data and padding. False if it is not here.
    pub(super) fn read<E: From<PathError>>(
        &mut self,
        entry: EntryId,
        mut consume: impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        if !self.has(entry) {
            return Ok(false);
        }
        let place = self.places[&entry];
        self.file.seek(SeekFrom::Start(place.offset)).context_path("seek in", &self.path)?;
        let mut headers = Vec::new();
        (&self.file).take(place.headers).read_to_end(&mut headers).context_path("read", &self.path)?;
        consume(Part::Headers(&headers))?;
        let mut data = (&self.file).take(place.data);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = data.read(&mut buffer).context_path("read", &self.path)?;
            if read == 0 {
                return Ok(true);
            }
            consume(Part::Data(&buffer[..read]))?;
        }
    }
}

/// A part of an entry that was set aside.
pub(super) enum Part<'a> {
    /// All its headers.
    Headers(&'a [u8]),
    /// Some of its data or padding.
    Data(&'a [u8]),
}
