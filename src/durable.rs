//! What is to survive a power cut: a file's content reaches the disk before its name does, and the name before anything that
//! relies on it.
//!
//! A rename alone does not do that: after a power cut, a file system may have the new name and not the content behind it.
//! Outside of Unix, directories cannot be flushed; there the file systems' own order has to do.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Waits until the content of a file is on the disk.
pub fn sync_file(file: &File) -> io::Result<()> {
    where_possible(file.sync_data())
}

/// Waits until the content of the file at a path is on the disk.
pub fn sync_path(path: &Path) -> io::Result<()> {
    sync_file(&File::open(path)?)
}

/// Waits until the names in a directory are on the disk.
#[cfg(unix)]
pub fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(directory) => where_possible(directory.sync_all()),
        // Files can be put into a directory that cannot be read.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// Does nothing: directories cannot be flushed here.
#[cfg(not(unix))]
pub fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The directory that a file is in.
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Some file systems cannot flush, and say so; nobody can do more there.
fn where_possible(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_are_flushed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "x").unwrap();
        sync_path(&file).unwrap();
        sync_directory(directory.path()).unwrap();
        assert!(sync_path(&directory.path().join("none")).is_err());
        assert_eq!(directory_of(&file), directory.path());
        assert_eq!(directory_of(Path::new("file")), Path::new("."));
    }

    #[test]
    fn what_cannot_be_flushed_is_no_failure() {
        for (kind, is_failure) in
            [(ErrorKind::InvalidInput, false), (ErrorKind::Unsupported, false), (ErrorKind::Other, true)]
        {
            assert_eq!(where_possible(Err(kind.into())).is_err(), is_failure);
        }
    }
}
