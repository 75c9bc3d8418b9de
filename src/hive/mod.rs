//! Registry hives: the files in which Windows keeps its registry, in the format `regf`.

pub mod base_block;

pub use base_block::{BaseBlock, BaseBlockError};
