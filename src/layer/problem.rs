//! Why a tar cannot be read.

use super::LayerPath;

/// Why a tar cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tar is damaged at byte {position}{}: {problem}", .after.as_ref().map(|name| format!(", after `{name}`")).unwrap_or_default())]
pub struct ScanError {
    /// Position in the uncompressed tar.
    pub position: u64,
    /// The name of the last entry that could be read.
    pub after: Option<LayerPath>,
    /// What is wrong there.
    pub problem: ScanProblem,
}

/// What is wrong with a tar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ScanProblem {
    #[error("the checksum of a header is wrong")]
    Checksum,
    #[error("a number in a header cannot be read")]
    Number,
    #[error("an extended header cannot be read")]
    Extended,
    #[error("an extended header of {0} bytes is longer than the 1 MiB that readers accept")]
    ExtendedTooLong(u64),
    #[error("the record `{0}` has a value that cannot be read")]
    Record(&'static str),
    #[error("it has a sparse file of GNU tar, which winslim does not read")]
    Sparse,
    #[error("an entry claims more bytes than any file can have")]
    Size,
    #[error("it ends in the middle of an entry or of its end mark")]
    Truncated,
    #[error("one block of zeros is followed by something else, and an end mark has two")]
    HalfEnd,
    #[error("a name is longer than the 32,767 UTF-16 units that Windows can have")]
    NameTooLong,
    #[error("it has more than {0} entries, which no Windows layer has")]
    TooManyEntries(usize),
    #[error("its entries lie in more than {0} directories, which no Windows layer needs")]
    TooManyDirectories(usize),
    #[error("its names and security descriptors take more than {} MiB, which no Windows layer of its size needs", .0 >> 20)]
    TooMuchText(usize),
    #[error("it unpacks to more than {0} bytes, far more than its size makes likely; --max-unpacked allows more")]
    TooLong(u64),
}
