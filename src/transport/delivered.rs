//! What it took to have a blob at a target.

/// What it took to have a blob at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// The target had it already.
    Existed,
    /// The registry took it over from another of its repositories.
    Mounted,
    /// Its bytes were sent or written.
    Written,
}
