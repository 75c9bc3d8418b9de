//! Gzip streams of layers: finding the deflate blocks of one, and writing one that takes whole blocks over from another.
//!
//! Compressing again what did not change would cost most of a build's time. A deflate block carries its own codes, and
//! nothing in it refers to data more than 32 KiB back (RFC 1951). So where that much data stands before it as it did in
//! the source, its bits can be copied as they are. [`inflate`] reads a stream and notes its blocks, [`blocks`] keeps them
//! and says what they are good for where a part of the data is kept, [`bits`] places those that are copied in the output,
//! and [`encode`] compresses everything else, in parallel and the same for any number of threads. Around a cut, `recode`
//! saves most of the work of that: it reads the matches of the source's blocks (`tokens`) and keeps those that still hold. [`seek`]
//! has the places at which reading a stream can begin, so that what is removed need not be decompressed.

pub mod bits;
pub mod blocks;
pub mod encode;
pub mod inflate;
pub mod member;
mod recode;
pub mod seek;
mod source;
mod tokens;
mod zlib;

pub use blocks::{BlockMap, Span, Use};
pub use encode::GzipWriter;
pub use source::Source;

/// How far back a deflate stream can refer, in bytes (RFC 1951, section 2).
pub const WINDOW: usize = 32 << 10;
