//! The digest of a file or directory that a profile adds.

use std::fs::File;
use std::io;
use std::path::Path;

use walkdir::WalkDir;

use crate::error::{IoContext, PathError};
use crate::image::Digest;
use crate::image::digest::{Hasher, Hashing};

/// The digest of a file's content, or of all names in a directory together with the contents of the files.
///
/// It covers what a build takes over and nothing else: no times, no permissions, and no path outside of the directory.
pub fn digest(path: &Path) -> Result<Digest, PathError> {
    if !path.metadata().context_path("read", path)?.is_dir() {
        return of_file(path);
    }
    let mut hasher = Hasher::new();
    for found in WalkDir::new(path).min_depth(1).sort_by_file_name() {
        let found = found.map_err(|error| {
            let place = error.path().unwrap_or(path).to_owned();
            PathError::new("read", place, error.into())
        })?;
        for component in found.path().strip_prefix(path).unwrap_or(found.path()) {
            // No name has a slash or a zero in it, so no two trees come to the same bytes.
            hasher.update(component.as_encoded_bytes());
            hasher.update(b"/");
        }
        let kind = found.file_type();
        if kind.is_file() {
            hasher.update(format!("\0{}\n", of_file(found.path())?).as_bytes());
        } else {
            // A link or a device is no content; the build refuses it with its reason.
            hasher.update(if kind.is_dir() { b"\0directory\n" } else { b"\0other\n" });
        }
    }
    Ok(hasher.finish())
}

fn of_file(path: &Path) -> Result<Digest, PathError> {
    let file = File::open(path).context_path("open", path)?;
    let mut reader = Hashing::new(file);
    io::copy(&mut reader, &mut io::sink()).context_path("read", path)?;
    Ok(reader.into_parts().1.finish())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_tree_is_told_by_its_names_and_contents() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (tree, files) in [
            ("a", &[("x/one", "1"), ("two", "2")][..]),
            ("same", &[("two", "2"), ("x/one", "1")]),
            ("content", &[("x/one", "2"), ("two", "2")]),
            ("name", &[("x/One", "1"), ("two", "2")]),
            ("place", &[("one", "1"), ("two", "2")]),
        ] {
            for (name, text) in files {
                let file = path(tree).join(name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
        }
        let first = digest(&path("a")).unwrap();
        assert_eq!(digest(&path("same")).unwrap(), first);
        for other in ["content", "name", "place"] {
            assert_ne!(digest(&path(other)).unwrap(), first, "{other}");
        }
        fs::create_dir(path("same/empty")).unwrap();
        assert_ne!(digest(&path("same")).unwrap(), first, "an empty directory is added too");
        assert_eq!(digest(&path("a/two")).unwrap(), Digest::of(b"2"));
        let error = digest(&path("no")).unwrap_err().to_string();
        assert!(error.contains("no such file"), "{error}");
    }
}
