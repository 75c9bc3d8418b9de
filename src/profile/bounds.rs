//! Where what a profile or a build file names may lie.
//!
//! Both come from others, in pull requests. What they name lies in their own directory, in the working directory, or in one
//! that the user allows; links that lead elsewhere are followed only as far as to find that out.

use std::io;
use std::path::{Path, PathBuf};

/// Directories in which files may be read.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    roots: Vec<PathBuf>,
}

/// A file lies where it may not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot read `{}`: it leads out of the directory of the file that names it and out of the working directory; if that is meant, allow its directory with --allow-path",
    .0.display()
)]
pub struct OutOfBounds(pub PathBuf);

impl Bounds {
    /// The working directory, a directory beside it, and those that the user allows. What is not there allows nothing.
    pub fn new(directory: &Path, allowed: &[PathBuf]) -> Bounds {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let roots = [Path::new("."), directory].into_iter().chain(allowed.iter().map(PathBuf::as_path));
        Bounds { roots: roots.filter_map(|root| root.canonicalize().ok()).collect() }
    }

    /// Whether a path, all links followed, lies within them.
    ///
    /// # Errors
    ///
    /// When the path leads nowhere.
    pub fn hold(&self, path: &Path) -> io::Result<bool> {
        let real = path.canonicalize()?;
        Ok(self.roots.iter().any(|root| real.starts_with(root)))
    }

    /// Refuses a path that does not lie within them. One that leads nowhere passes: reading it reports that.
    pub fn check(&self, path: &Path) -> Result<(), OutOfBounds> {
        match self.hold(path) {
            Ok(false) => Err(OutOfBounds(path.to_owned())),
            Ok(true) | Err(_) => Ok(()),
        }
    }
}

/// Refuses a file that was named directly and is a link to one elsewhere: its name promises a file in this place.
pub fn check_named(path: &Path, allowed: &[PathBuf]) -> Result<(), OutOfBounds> {
    Bounds::new(path.parent().unwrap_or(Path::new("")), allowed).check(path)
}
