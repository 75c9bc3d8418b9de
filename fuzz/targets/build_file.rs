//! Any text as a build file and as a lock: what it says, or an error that shows its place.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use winslim::{build_file, lock};

static PLACE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("winslim.toml");
    (directory, file)
});

fuzz_target!(|text: &[u8]| {
    let file = &PLACE.1;
    std::fs::write(file, text).expect("a temporary file");
    if let Err(error) = build_file::load(file, &[]) {
        assert!(!error.to_string().is_empty());
    }
    match lock::read(file, &[]) {
        // What was read is written so that it reads back the same.
        Ok(Some(read)) => {
            std::fs::write(file, read.to_toml()).expect("a temporary file");
            assert_eq!(lock::read(file, &[]).expect("a lock that was just written"), Some(read));
        }
        Ok(None) => unreachable!("the file is there"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
