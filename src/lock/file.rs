//! Reading a lock.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::{Lock, VERSION};
use crate::fault::{Fault, Source, TextError, read_text};
use crate::profile::{OutOfBounds, check_named};

/// Why a lock cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A place in it is wrong.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
    /// It cannot be read.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It lies elsewhere than it seems.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
}

/// Reads the lock at a path; nothing if there is no such file.
pub fn read(path: &Path, allowed: &[PathBuf]) -> Result<Option<Lock>, LockError> {
    check_named(path, allowed)?;
    let text = match read_text("read the lock", path) {
        Ok(text) => text,
        Err(TextError::Path(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let name = path.display().to_string();
    Ok(Some(parse(Source { name: &name, text: &text })?))
}

pub(super) fn parse(source: Source<'_>) -> Result<Lock, Box<Fault>> {
    /// The version alone: a later form may have keys that this winslim does not know.
    #[derive(Deserialize)]
    struct Head {
        version: Spanned<i64>,
    }
    let head: Head = toml::from_str(source.text).map_err(|error| source.toml_fault(&error))?;
    if *head.version.get_ref() != i64::from(VERSION) {
        let message = format!("unknown version of the lock; this winslim reads `version = {VERSION}`");
        return Err(source.fault(head.version.span(), message));
    }
    toml::from_str(source.text).map_err(|error| source.toml_fault(&error))
}
