//! A Windows layer: names, tar entries, hard links and the layer index.
//!
//! [`read`] decompresses a blob, [`scan`] finds the entries in what comes, [`index`] keeps what was found, [`stack`],
//! [`names`] and [`links`] look at the layers of an image together, and [`shadow`] finds what of them is hidden. Layers and
//! entries have numbers ([`number`]) that cannot be mistaken for each other.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap))]

mod base64;
mod block;
mod decoder;
pub mod entry;
pub mod header;
pub mod index;
pub mod links;
pub mod names;
pub mod number;
pub mod order;
pub mod path;
pub mod pax;
pub mod per_entry;
pub mod problem;
pub mod read;
pub mod records;
pub mod scan;
pub mod seek_points;
pub mod shadow;
pub mod spelling;
pub mod stack;

pub use entry::{Entry, EntryId, EntryKind};
pub use index::LayerIndex;
pub use links::LinkGroups;
pub use names::{NameId, Names};
pub use number::{EntryNumber, LayerNumber, PerLayer};
pub use path::{FoldedPath, LayerPath, Tree};
pub use per_entry::PerEntry;
pub use shadow::Shadows;
pub use stack::LayerStack;
