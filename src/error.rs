//! Failures that people can act on: every I/O error names its file and what was being done to it, and every kind of
//! failure has one exit code.
//!
//! The library's modules have typed errors of their own; this module holds only what all of them share.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// How a run of winslim ends, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Everything asked for was done.
    Done = 0,
    /// The network, the disk, the input or winslim itself failed.
    Failed = 1,
    /// The command line or a profile is wrong.
    Usage = 2,
    /// A policy that the user set was not met.
    Policy = 3,
    /// Something is not as it is locked.
    Drift = 4,
    /// A Windows host would not import the image.
    WouldNotImport = 5,
}

/// An I/O error together with the file it happened to and what was being done.
///
/// Reads as `cannot create /cache/tmp/x: no space left on device`; the number of the operating system's error is
/// left out, because it says nothing to a person.
#[derive(Debug)]
pub struct PathError {
    action: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl PathError {
    /// Joins an I/O error with the `action` (a verb such as `read` or `create`) and the path it failed for.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, error: io::Error) -> PathError {
        PathError { action, path: path.into(), error }
    }

    /// The kind of the underlying I/O error.
    pub fn kind(&self) -> io::ErrorKind {
        self.error.kind()
    }

    /// Whether a lock could not be had.
    pub fn is_about_lock(&self) -> bool {
        self.action == "lock"
    }

    /// The file or directory that the operation failed for.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} `{}`: {}", self.action, self.path.display(), reason(&self.error))
    }
}

impl std::error::Error for PathError {}

/// The words of an I/O error without `(os error N)`, beginning in lower case.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = match text.rfind(" (os error ") {
        Some(end) => &text[..end],
        None => &text,
    };
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        // An acronym at the start (`UTF-8 ...`) keeps its capitals.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

/// Adds the path and the action to the error of an I/O call.
pub trait IoContext<T> {
    /// Names what was being done (`read`, `create`, `write to` …) and to which file.
    fn context_path(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, PathError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context_path(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, PathError> {
        self.map_err(|error| PathError::new(action, path.as_ref(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_and_not_the_number() {
        let error = std::fs::read("/does/not/exist").context_path("read", "/does/not/exist").unwrap_err();
        assert_eq!(error.to_string(), "cannot read `/does/not/exist`: no such file or directory");
    }
}
