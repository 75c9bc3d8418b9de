//! What a build remembers for the next one: which layer came of a rewriting, and how far layers may change.
//!
//! A [`key`] names a piece of work by all that its result depends on, and a [`CacheEntry`] is the result. Both are the same
//! on every machine, so that entries can be kept in the store and in a registry alike. The blobs of layers are not part of an
//! entry.

mod entry;
pub mod key;

pub use entry::{CacheEntry, LONGEST_PACKED, pack_layer, pack_limits};
