//! Temporary files and directories that are gone in the end, even when the process is interrupted.
//!
//! Each is deleted when its value is dropped. A process that is interrupted does not wait for that: it calls
//! [`delete_all`] and ends. (After a kill that a process does not see, the next run cleans up; see [`crate::store`].)

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::durable;

/// The paths of all that are there now.
static ALL: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn all() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // Whoever holds the lock only adds or takes out a path.
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Deletes every temporary file and directory of this process. As long as the result lives, nobody can make another one.
///
/// Threads that are at work with them will see errors, so this is for the last moment of a process only.
pub fn delete_all() -> impl Sized {
    let all = all();
    delete(&all);
    all
}

/// Like [`delete_all`], for a thread that failed in an unknown state: it does not wait for others. `None` if another one is at work
/// with the list; the next run deletes what is left then.
pub fn try_delete_all() -> Option<impl Sized> {
    let all = match ALL.try_lock() {
        Ok(all) => all,
        Err(TryLockError::Poisoned(all)) => all.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    delete(&all);
    Some(all)
}

fn delete(all: &BTreeSet<PathBuf>) {
    for path in all {
        // What cannot be deleted now, the next run deletes.
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}

/// A file that is deleted unless it is published.
#[derive(Debug)]
pub struct TemporaryFile {
    file: tempfile::NamedTempFile,
    _entry: Entry,
}

/// A directory that is deleted with all in it.
#[derive(Debug)]
pub struct TemporaryDirectory {
    directory: tempfile::TempDir,
    _entry: Entry,
}

/// The place of a file or a directory in the list.
#[derive(Debug)]
struct Entry(PathBuf);

impl Drop for Entry {
    fn drop(&mut self) {
        all().remove(&self.0);
    }
}

impl TemporaryFile {
    /// Makes a file in a directory that only this user can read.
    pub fn new_in(directory: &Path) -> io::Result<TemporaryFile> {
        TemporaryFile::make(tempfile::Builder::new(), directory)
    }

    /// Makes a file in a directory, to be published there: for everybody to read, as far as the user's umask allows. Its name
    /// begins with `prefix`.
    pub fn public_in(directory: &Path, prefix: &str) -> io::Result<TemporaryFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(prefix);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        TemporaryFile::make(builder, directory)
    }

    fn make(builder: tempfile::Builder<'_, '_>, directory: &Path) -> io::Result<TemporaryFile> {
        let mut all = all();
        let file = builder.tempfile_in(directory)?;
        all.insert(file.path().to_owned());
        let entry = Entry(file.path().to_owned());
        Ok(TemporaryFile { file, _entry: entry })
    }

    /// Where the file is until it is published.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives the file its name; what had that name before is replaced at once.
    pub fn publish(self, path: &Path) -> io::Result<()> {
        // Not while everything is being deleted: the failure would be taken for one of the disk.
        let all = all();
        let published = self.file.persist(path);
        drop(all);
        published.map(drop).map_err(|error| error.error)
    }

    /// Waits until the content is on the disk and gives the file its name. The name survives a power cut once its directory is
    /// flushed, too.
    pub fn publish_flushed(self, path: &Path) -> io::Result<()> {
        durable::sync_file(self.file.as_file())?;
        self.publish(path)
    }

    /// Gives the file its name, so that content and name survive a power cut from now on.
    pub fn publish_durably(self, path: &Path) -> io::Result<()> {
        self.publish_flushed(path)?;
        durable::sync_directory(durable::directory_of(path))
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl TemporaryDirectory {
    /// Makes a directory in another one.
    pub fn new_in(directory: &Path) -> io::Result<TemporaryDirectory> {
        let mut all = all();
        let directory = tempfile::TempDir::new_in(directory)?;
        all.insert(directory.path().to_owned());
        let entry = Entry(directory.path().to_owned());
        Ok(TemporaryDirectory { directory, _entry: entry })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_gone_and_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let file = TemporaryFile::new_in(place.path()).unwrap();
        let directory = TemporaryDirectory::new_in(place.path()).unwrap();
        std::fs::write(directory.path().join("inside"), "x").unwrap();
        let paths = [file.path().to_owned(), directory.path().to_owned()];
        assert!(paths.iter().all(|path| path.exists() && all().contains(path)));
        drop((file, directory));
        assert!(paths.iter().all(|path| !path.exists() && !all().contains(path)));
    }

    #[test]
    fn a_published_file_stays() {
        let place = tempfile::tempdir().unwrap();
        let mut file = TemporaryFile::public_in(place.path(), ".winslim-").unwrap();
        let path = file.path().to_owned();
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with(".winslim-"));
        file.write_all(b"x").unwrap();
        file.publish(&place.path().join("name")).unwrap();
        assert!(!path.exists() && !all().contains(&path));
        assert_eq!(std::fs::read_to_string(place.path().join("name")).unwrap(), "x");
    }
}
