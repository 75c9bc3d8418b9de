//! Build files: what `winslim build` alone does, written down in a `winslim.toml`.
//!
//! [`model`] is the format, [`load()`] reads a file and checks everything that can be checked before any image is asked
//! for, [`template`] are names with places to fill in, and [`STARTER`] is what a new file begins with.

mod load;
pub mod model;
pub mod template;

pub use load::{Base, BuildFile, BuildFileError, load};
pub use template::{Template, TemplateError, Values};

/// The name of a build file where none is given.
pub const DEFAULT_NAME: &str = "winslim.toml";

/// A build file to begin with, with comments on every key.
pub const STARTER: &str = include_str!("starter.toml");
