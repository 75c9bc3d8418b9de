//! Where a rewritten layer goes: hashed, compressed, hashed again and written.

use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{IoContext, PathError};
use crate::gzip::{BlockMap, GzipWriter, Source};
use crate::image::digest::{Hasher, Hashing};
use crate::image::media_type::Compression;
use crate::layer::LayerIndex;
use crate::layer::scan::{ScanError, Scanner};
use crate::position::RawPosition;
use crate::store::Temporary;

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The format.
    pub compression: Compression,
    /// The level: 0 to 9 for gzip, 1 to 22 for zstd.
    pub level: u32,
    /// Whether everything is compressed again, instead of copying the blocks of a gzip source that did not change.
    pub recompress: bool,
    /// How many threads compress. The output does not depend on it.
    pub threads: usize,
    /// Whether a finished layer is read back before it is used.
    pub read_back: bool,
}

/// The gzip level that other tools and registries' images have.
pub const DEFAULT_GZIP_LEVEL: u32 = 6;

/// zstd's own default level.
pub const DEFAULT_ZSTD_LEVEL: u32 = 3;

/// A layer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Its file cannot be written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// What was written is not a layer.
    #[error("the new layer is damaged ({0}); this is a mistake in winslim, please report it")]
    Damaged(#[from] ScanError),
}

/// Writes the uncompressed bytes of a layer into a compressed blob, and indexes them on the way.
pub struct LayerWriter {
    encoder: Encoder,
    raw: Hasher,
    /// Nothing once something was not a tar; then [`LayerWriter::finish`] says what.
    scan: Result<Scanner, ScanError>,
    compression: Compression,
    recompress: bool,
    path: PathBuf,
}

type Blob = Hashing<BufWriter<Temporary>>;

enum Encoder {
    Plain(Blob),
    Gzip(GzipWriter<Blob>),
    Zstd(zstd::stream::write::Encoder<'static, Blob>),
}

impl LayerWriter {
    /// A writer into a temporary file.
    pub fn new(file: Temporary, settings: Settings) -> Result<LayerWriter, PathError> {
        let path = file.path().to_owned();
        let blob = Hashing::new(BufWriter::with_capacity(256 << 10, file));
        let encoder = match settings.compression {
            Compression::None => Encoder::Plain(blob),
            Compression::Gzip => Encoder::Gzip(GzipWriter::new(blob, settings.level, settings.threads)),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(blob, settings.level.min(22) as i32)
                    .context_path("write to", &path)?;
                encoder.include_checksum(true).context_path("write to", &path)?;
                Encoder::Zstd(encoder)
            }
        };
        let Settings { compression, recompress, .. } = settings;
        Ok(LayerWriter { encoder, raw: Hasher::new(), scan: Ok(Scanner::new()), compression, recompress, path })
    }

    /// Announces that what is written next is this part of a source's data, so that what its blocks are need not be found out again.
    /// A writer that does not copy blocks takes no notice.
    pub fn expect(
        &mut self,
        source: &Arc<Source>,
        blocks: &BlockMap,
        part: Range<RawPosition>,
    ) -> Result<(), PathError> {
        match &mut self.encoder {
            Encoder::Gzip(encoder) if !self.recompress => {
                encoder.expect(source, blocks, part).context_path("write to", &self.path)
            }
            _ => Ok(()),
        }
    }

    /// Appends uncompressed bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PathError> {
        self.raw.update(bytes);
        if let Ok(scanner) = &mut self.scan
            && let Err(error) = scanner.feed(bytes)
        {
            self.scan = Err(error);
        }
        let written = match &mut self.encoder {
            Encoder::Plain(blob) => blob.write_all(bytes),
            Encoder::Gzip(encoder) => encoder.write_all(bytes),
            Encoder::Zstd(encoder) => encoder.write_all(bytes),
        };
        match written {
            // The encoder's thread has failed and knows why; so ask it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(self.failure(error)),
            written => written.context_path("write to", &self.path),
        }
    }

    /// Writes the end, and returns the index of what was written. Of its compressed bytes it knows the number only: an index
    /// that is stored must not depend on how the blob came about.
    pub fn finish(self) -> Result<(Temporary, LayerIndex), WriteError> {
        let path = self.path;
        let blob = match self.encoder {
            Encoder::Plain(blob) => Ok(blob),
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        };
        let (file, hasher) = blob.context_path("write to", &path)?.into_parts();
        let file = file.into_inner().map_err(io::IntoInnerError::into_error).context_path("write to", &path)?;
        let scan = self.scan?.finish()?;
        let stored_size = hasher.length();
        let index = LayerIndex {
            digest: hasher.finish(),
            stored_size,
            compression: self.compression,
            diff_id: self.raw.finish(),
            unpacked_size: scan.length,
            entries_end: scan.entries_end,
            ends_in_zeros: scan.ends_in_zeros,
            entries: scan.entries.into(),
            remarks: scan.remarks,
            security: scan.security,
            blocks: BlockMap::opaque(scan.length, stored_size),
            registry: None,
        };
        Ok((file, index))
    }

    /// The error that ended the encoder.
    fn failure(&mut self, error: io::Error) -> PathError {
        let Encoder::Gzip(encoder) = &mut self.encoder else { return PathError::new("write to", &self.path, error) };
        let cause = encoder.failure().unwrap_or(error);
        PathError::new("write to", &self.path, cause)
    }
}
