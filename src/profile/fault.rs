//! What can be wrong with a profile.

use crate::error::PathError;
use crate::fault::{Fault, TextError};

/// Why profiles could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A place in a profile is wrong.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
    /// A profile's file cannot be read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A profile's file is not text.
    #[error("the profile `{0}` is not text in UTF-8; save it in that encoding")]
    NotText(String),
    /// A profile's file is larger than any profile.
    #[error("the profile `{0}` is larger than {limit} KiB; is it a profile?", limit = .1 >> 10)]
    TooLarge(String, u64),
    /// A name on the command line is not that of a built-in profile.
    #[error("{0}")]
    Unknown(String),
    /// Two profiles of one run have the same name, so that reports could not tell their rules apart.
    #[error("two profiles are named `{name}`: {first} and {second}; give one of them another name")]
    SameName {
        /// The name of both.
        name: String,
        /// Where the first comes from.
        first: String,
        /// Where the second comes from.
        second: String,
    },
}

impl From<TextError> for ProfileError {
    fn from(error: TextError) -> ProfileError {
        match error {
            TextError::Path(error) => ProfileError::Path(error),
            TextError::NotText(name) => ProfileError::NotText(name),
            TextError::TooLarge(name, limit) => ProfileError::TooLarge(name, limit),
        }
    }
}
