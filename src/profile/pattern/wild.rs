//! A path of a pattern that has wildcards.

use super::glob::Component;

/// A path with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) parts: Box<[Part]>,
}

/// What stands between two separators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Component(Component),
    /// `**`.
    Deep,
}
