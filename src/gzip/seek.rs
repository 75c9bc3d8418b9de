//! Places in a gzip stream at which decompressing can begin.

use super::WINDOW;
use crate::position::{BitPosition, RawPosition};

/// How far seek points are apart at least, in bytes of data.
pub const DISTANCE: u64 = 4 << 20;

/// The beginning of a deflate block, together with the data that the block can refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeekPoint {
    /// The position in the data, in bytes.
    pub raw: RawPosition,
    /// The position in the blob.
    pub bit: BitPosition,
    /// The data before it.
    pub window: Box<[u8; WINDOW]>,
}
