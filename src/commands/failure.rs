//! Failures of commands: which exit code they mean, and what to do next.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::causes::causes;
use super::choice::Choices;
use crate::build_file::BuildFileError;
use crate::config::ConfigError;
use crate::engine::{EngineError, TargetError, WouldNotImport};
use crate::error::{ExitStatus, PathError};
use crate::fault::TextError;
use crate::image::platform::PlatformError;
use crate::inspect::policy::ConditionError;
use crate::layer::index::IndexError;
use crate::lock::LockError;
use crate::plan::PlanError;
use crate::printer::{self, Printer};
use crate::profile::{PatternError, ProfileError};
use crate::rewrite::{RewriteError, WriteError};
use crate::store::StoreError;
use crate::text::escape;
use crate::transport::registry::RegistryError;
use crate::transport::{ReferenceError, TransportError};

/// The command line asks for something that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Blobs in the cache were not what they should be, and were deleted.
#[derive(Debug)]
pub(super) struct DamagedCache(pub(super) Vec<PathBuf>);

impl fmt::Display for DamagedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<String> = self.0.iter().map(|path| format!("`{}`", path.display())).collect();
        write!(f, "the cache was damaged; deleted {}, which something else has changed", paths.join(", "))
    }
}

/// A build was to be as the lock says, and would not be.
#[derive(Debug, thiserror::Error)]
#[error("nothing is built, because `{lock}` does not agree with what is here:{}", lines(differences))]
pub(super) struct NotAsLocked {
    /// The lock.
    pub(super) lock: String,
    /// What is different, in lines.
    pub(super) differences: Vec<String>,
}

fn lines(texts: &[String]) -> String {
    texts.iter().map(|text| format!("\n{}", escape(text))).collect()
}

/// A registry refused the manifest of an image with foreign layers.
#[derive(Debug, thiserror::Error)]
#[error("the image has foreign layers, which some registries refuse")]
pub(super) struct ForeignRefused(#[source] pub(super) TransportError);

/// How a failed command ends.
pub(super) struct Failure {
    pub(super) status: ExitStatus,
    pub(super) hint: Option<&'static str>,
}

impl Failure {
    /// Prints why a command failed.
    pub(super) fn print(&self, error: &anyhow::Error, printer: &Printer) {
        let (message, details) = message(error);
        printer.fail(&printer::Failure {
            message: &message,
            details: &details,
            hint: self.hint,
            status: Some(self.status),
        });
    }
}

/// What an error says: each cause behind the one that it caused, in one line, and the lines below it.
fn message(error: &anyhow::Error) -> (String, Vec<String>) {
    let (mut message, mut details) = (String::new(), Vec::new());
    for cause in causes(error) {
        let text = cause.to_string();
        let text = match has_lines(cause) {
            true => {
                let mut lines = text.lines();
                let first = lines.next().unwrap_or_default().to_owned();
                details.extend(lines.map(str::to_owned));
                first
            }
            false => text,
        };
        if !message.is_empty() {
            message += ": ";
        }
        message += &text;
    }
    (message, details)
}

/// Returns `true` if an error has lines of its own, whose parts it escapes. Line ends in any other are somebody else's.
fn has_lines(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<WouldNotImport>()
        || cause.is::<NotAsLocked>()
        || cause.is::<Choices>()
        || matches!(cause.downcast_ref(), Some(ProfileError::Faults(_)))
        || matches!(cause.downcast_ref(), Some(BuildFileError::Fault(_)))
        || matches!(cause.downcast_ref(), Some(LockError::Fault(_)))
        || matches!(cause.downcast_ref(), Some(ConfigError::Fault(_)))
}

/// Finds out how a command ends from the error that ended it; `cache` is where the cache is.
pub(super) fn classify(error: &anyhow::Error, cache: Option<&Path>) -> Failure {
    let has = |status| Failure { status, hint: hint(error, cache) };
    for cause in causes(error) {
        if cause.is::<WouldNotImport>() {
            return has(ExitStatus::WouldNotImport);
        }
        if cause.is::<NotAsLocked>() {
            return has(ExitStatus::Drift);
        }
        if cause.is::<Usage>()
            || cause.is::<BuildFileError>()
            || cause.is::<LockError>()
            || cause.is::<ProfileError>()
            || cause.is::<PlanError>()
            || cause.is::<TargetError>()
            || matches!(cause.downcast_ref(), Some(EngineError::Time(_)))
            || cause.is::<ReferenceError>()
            || cause.is::<PlatformError>()
            || matches!(cause.downcast_ref(), Some(TransportError::Target { .. }))
            || cause.is::<PatternError>()
            || cause.is::<ConditionError>()
            || matches!(cause.downcast_ref(), Some(ConfigError::Fault(_)))
        {
            return has(ExitStatus::Usage);
        }
    }
    has(ExitStatus::Failed)
}

fn hint(error: &anyhow::Error, cache: Option<&Path>) -> Option<&'static str> {
    causes(error).find_map(|cause| {
        if cause.is::<WouldNotImport>() {
            Some("no image was pushed; `winslim verify IMAGE` lists every finding")
        } else if cause.is::<NotAsLocked>() {
            Some("`winslim lock` writes the lock anew, and `winslim lock --update` follows moved tags too")
        } else if let Some(TransportError::DamagedBlob { .. } | TransportError::MissingBlob { .. }) = cause.downcast_ref() {
            Some("`winslim copy IMAGE oci:DIRECTORY:TAG`, from where the image is whole, replaces what is damaged or missing")
        } else if cause.is::<ForeignRefused>() {
            Some("`winslim copy --distributable` makes them plain layers, with another digest")
        } else if let Some(TransportError::Registry(RegistryError::ForeignLayer { .. })) = cause.downcast_ref() {
            Some(
                "allow those URLs, or run `winslim copy IMAGE oci:DIRECTORY:TAG` where they can be reached and use that copy",
            )
        } else if let Some(IndexError::Read(_)) = cause.downcast_ref() {
            Some("the layer has the digest that its manifest names, so it was made like this; copying it again does not help")
        } else if let Some(LockError::Fault(_)) = cause.downcast_ref() {
            Some("restore the file, or delete it and let `winslim lock` write a new one")
        } else if let Some(PlanError::RequiredMatchedNothing(_)) = cause.downcast_ref() {
            Some("correct the patterns, or let the rule say `match = \"optional\"` where the names need not be there")
        } else if let Some(ProfileError::Path(error)) = cause.downcast_ref() {
            let is_missing = error.kind() == ErrorKind::NotFound;
            is_missing.then_some("a built-in profile is given by its name alone, and `winslim profile list` shows them")
        } else if let Some(BuildFileError::Text(TextError::Path(error))) = cause.downcast_ref() {
            let is_missing = error.kind() == ErrorKind::NotFound;
            is_missing
                .then_some("`winslim init` writes a build file to begin with, and `winslim build IMAGE` needs none")
        } else {
            disk_hint(path_error(cause)?, cache)
        }
    })
}

/// What to do about a disk that takes no more.
fn disk_hint(error: &PathError, cache: Option<&Path>) -> Option<&'static str> {
    let is_in_cache = cache.is_some_and(|cache| error.path().starts_with(cache));
    match error.kind() {
        _ if error.is_about_lock() && is_in_cache => {
            Some("this file system has no locks; put the cache on a local disk with --cache-dir")
        }
        _ if error.is_about_lock() => {
            Some("this file system has no locks; write to a local disk and move the result there")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge if is_in_cache => Some(
            "nothing is lost; free space on that disk, make the cache smaller with `winslim cache prune`, or put it \
             elsewhere with --cache-dir",
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Some("free space on that disk, or choose another place")
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied if is_in_cache => {
            Some("the cache cannot be written to; make it writable, or put it elsewhere with --cache-dir")
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists if is_in_cache => {
            Some("a file is where the cache should be; put the cache elsewhere with --cache-dir")
        }
        _ => None,
    }
}

/// The failure of a file that a cause stands for. Errors that only pass it on do not list it as a cause of their own.
fn path_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a PathError> {
    let of_store = |error: &'a StoreError| match error {
        StoreError::Path(error) => Some(error),
        _ => None,
    };
    match cause.downcast_ref() {
        Some(TransportError::Path(error)) => return Some(error),
        Some(TransportError::Store(error)) => return of_store(error),
        Some(TransportError::Registry(RegistryError::Content { error, .. })) => return of_store(error),
        _ => {}
    }
    if let Some(RewriteError::Path(error) | RewriteError::Write(WriteError::Path(error))) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(WriteError::Path(error)) = cause.downcast_ref() {
        return Some(error);
    }
    cause.downcast_ref().or_else(|| of_store(cause.downcast_ref()?))
}
