//! Why a layer could not be rewritten.

use std::io;

use super::output::WriteError;
use crate::error::{PathError, reason};
use crate::image::Digest;
use crate::layer::LayerPath;
use crate::layer::header::HeaderError;

/// Why a layer could not be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The blob cannot be decompressed.
    #[error("the layer cannot be decompressed: {}", reason(.0))]
    Read(#[from] io::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The new layer cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The headers of an entry are not what the index says.
    #[error("{path}: {error}")]
    Header {
        /// The name of the entry.
        path: LayerPath,
        /// What is wrong.
        error: HeaderError,
    },
    /// The blob is not the one that was indexed.
    #[error("the layer has changed since it was indexed: its digest was {expected} and is {actual}; get it again")]
    Changed {
        /// The digest of the indexed blob.
        expected: Digest,
        /// The digest of what was read now.
        actual: Digest,
    },
    /// The new layer is not what was written.
    #[error(
        "the new layer reads back as {actual}, and not as {expected}; this is a mistake in winslim, please report it"
    )]
    ReadBack {
        /// The digest of what was written.
        expected: Digest,
        /// The digest of what was read.
        actual: Digest,
    },
    /// The data of an entry that another one takes over is not there.
    #[error("the data of `{0}` was not set aside; this is a mistake in winslim, please report it")]
    NotSetAside(LayerPath),
}
