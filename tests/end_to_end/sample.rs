//! The sample that comes along, and the checker that judges results.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::generator::layout::{Format, write_layout};
use crate::generator::{Image, Scale};
use crate::support::{Sandbox, run, testdata};

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry.expect("a directory that can be read");
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(directory).expect("below the directory").display().to_string();
            files.insert(name, fs::read(entry.path()).expect("a file that can be read"));
        }
    }
    files
}

#[test]
fn the_bundled_sample_is_what_the_generator_writes() {
    let sandbox = Sandbox::new();
    write_layout(&Image::sample(&Scale::BUNDLED), &Format::default(), &sandbox.path("sample")).expect("written");
    let (bundled, made) = (files(&testdata("sample")), files(&sandbox.path("sample")));
    let size: usize = bundled.values().map(Vec::len).sum();
    assert!(size < 1_000_000, "the bundled sample has {size} bytes");
    assert!(
        bundled == made,
        "testdata/sample is out of date: remove it and run `cargo run --example sample -- testdata/sample --scale bundled`"
    );
}

#[test]
fn the_checker_reports_every_way_to_break_a_layer() {
    let mut command = Command::new("python3");
    command.arg(testdata("check_test.py"));
    run(command, "the Debian package python3").done();
}

#[test]
fn a_host_would_import_the_sample() {
    let sandbox = Sandbox::new();
    let sample = format!("oci:{}:ltsc2019", testdata("sample").display());
    sandbox.winslim(&["verify", &sample]).done();
}
