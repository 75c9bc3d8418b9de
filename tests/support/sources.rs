//! The sources of winslim, for tests of what is written in them.

use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Every file in `src`, by name: its path from there, and its text.
pub fn sources() -> impl Iterator<Item = (PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = WalkDir::new(&root).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).map(move |path| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), text)
    })
}
