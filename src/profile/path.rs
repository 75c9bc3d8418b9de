//! Paths of files that profiles name.

use std::io;
use std::path::{Path, PathBuf};

/// A path in a profile, with `\` as good as `/` on every system, and without components `.` inside.
pub(super) fn resolve_path(directory: &Path, path: &str) -> PathBuf {
    let path = if cfg!(windows) { path.to_owned() } else { path.replace('\\', "/") };
    directory.join(path).components().collect()
}

/// Whether there is a directory or a file at a path; anything else is an error.
pub(super) fn is_directory(path: &Path) -> io::Result<bool> {
    let metadata = path.metadata()?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe or a device, and not a file"));
    }
    Ok(metadata.is_dir())
}
