//! Any text as a profile: rules, or an error that shows its place.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static PLACE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("profile.toml");
    (directory, file)
});

fuzz_target!(|text: &[u8]| {
    let file = &PLACE.1;
    std::fs::write(file, text).expect("a temporary file");
    match winslim::profile::load(&[file.to_str().expect("a path in UTF-8")]) {
        Ok(rules) => {
            rules.digest();
            winslim::profile::describe::rules(&rules);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
