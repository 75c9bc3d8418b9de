//! What a reference itself leads to.

use crate::image::{Document, Index};

/// What a reference itself leads to.
pub(super) enum Root {
    /// The manifest of an image.
    Manifest(Document),
    /// An index that has a digest of its own.
    Index(Index),
    /// Images that a layout lists under one name, or without names: its `index.json` takes the place of their index.
    Layout(Index),
}
