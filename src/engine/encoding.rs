//! How new layers are encoded.

use crate::image::media_type::Compression;
use crate::rewrite::Settings;
use crate::rewrite::output::{DEFAULT_GZIP_LEVEL, DEFAULT_ZSTD_LEVEL};

/// How new layers are encoded. The default keeps the format of each layer and copies the blocks that do not change.
#[derive(Debug, Clone, Copy)]
pub struct Encoding {
    /// The format to write; `None` keeps the format of each layer.
    pub compression: Option<Compression>,
    /// The compression level: 0 to 9 for gzip, 1 to 22 for zstd. `None` takes the format's default.
    pub level: Option<u32>,
    /// `true` to compress what stays again, too.
    pub recompress: bool,
    /// How many threads compress. The result does not depend on it.
    pub threads: usize,
    /// `true` to read new layers back as a whole.
    pub read_back: bool,
}

impl Default for Encoding {
    fn default() -> Encoding {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Encoding { compression: None, level: None, recompress: false, threads, read_back: false }
    }
}

impl Encoding {
    /// The settings for a layer that was compressed like this.
    pub(super) fn for_source(self, source: Compression) -> Settings {
        let (compression, default) = match self.compression.unwrap_or(source) {
            Compression::Zstd => (Compression::Zstd, DEFAULT_ZSTD_LEVEL),
            Compression::Gzip | Compression::None => (Compression::Gzip, DEFAULT_GZIP_LEVEL),
        };
        let Encoding { recompress, threads, read_back, .. } = self;
        Settings { compression, level: self.level.unwrap_or(default), recompress, threads, read_back }
    }
}
