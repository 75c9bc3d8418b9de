//! What can be wrong with a profile.

use std::fmt;

use super::bounds::OutOfBounds;
use super::parse::MOST_MISTAKES;
use super::pattern::TooManyPatterns;
use crate::error::PathError;
use crate::fault::{Fault, TextError};

/// Why profiles could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Places in a profile are wrong.
    #[error(transparent)]
    Faults(Faults),
    /// A profile's file lies elsewhere than it seems.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// The patterns of all profiles together are too many.
    #[error(transparent)]
    TooManyPatterns(#[from] TooManyPatterns),
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

/// Everything that is wrong with a profile, file by file in the order of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Puts mistakes in order; at least one.
    pub(super) fn new(mut faults: Vec<Fault>) -> Faults {
        faults.sort_by(|one, other| (&one.file, one.line, one.column).cmp(&(&other.file, other.line, other.column)));
        faults.dedup();
        Faults(faults)
    }

    pub(super) fn into_inner(self) -> Vec<Fault> {
        self.0
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().take(MOST_MISTAKES).enumerate() {
            if number > 0 {
                f.write_str("\n\n")?;
            }
            fault.fmt(f)?;
        }
        match self.0.len() {
            0..=MOST_MISTAKES => Ok(()),
            count => write!(f, "\n\nand {} more mistakes", count - MOST_MISTAKES),
        }
    }
}

impl From<Box<Fault>> for ProfileError {
    fn from(fault: Box<Fault>) -> ProfileError {
        ProfileError::Faults(Faults(vec![*fault]))
    }
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
