//! Where images come from and where they go to: registries, OCI image layouts and archives.
//!
//! A [`Reference`] is what people write. A [`Source`] finds the documents of an image and brings its blobs to local
//! files; a [`Target`] takes blobs and documents, and makes the image visible as the very last step: whoever reads the
//! target sees the old image or the new one.

pub mod archive;
mod artifacts;
mod contents;
mod delivered;
mod distributable;
mod error;
pub mod layout;
mod listing;
mod local;
mod name;
pub mod reference;
mod referrers;
pub mod registry;
mod resolve;
mod root;
mod source;
mod target;
#[cfg(test)]
mod tests;

pub use artifacts::Artifacts;
pub use contents::{Contents, Part, PartRole};
pub use delivered::Delivered;
pub use error::TransportError;
pub use local::LocalBlob;
pub use name::{Repository, Tag};
pub use reference::{LocalReference, Reference, ReferenceError, RegistryReference};
pub use registry::RegistryOptions;
pub use resolve::{Images, Resolved};
pub use source::{Image, Source};
pub use target::Target;
