//! Registry hives: the files in which Windows keeps its registry, in the format `regf`.
//!
//! [`base_block`] says whether a file is a hive that can be used, [`reader`] looks keys and values up without holding a hive
//! in memory, and [`software`] finds out what Windows says of itself.

pub mod base_block;
pub mod reader;
pub mod software;
#[cfg(test)]
mod tests;

pub use base_block::{BaseBlock, BaseBlockError};
pub use reader::{HiveError, HiveReader};
pub use software::{RegistryVersion, read_version};
