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

#[test]
fn the_readme_shows_what_winslim_prints() {
    let sandbox = Sandbox::new();
    for (name, content) in files(&testdata("sample")) {
        let path = sandbox.path("testdata/sample").join(name);
        fs::create_dir_all(path.parent().expect("the sample around it")).expect("the sandbox can be written to");
        fs::write(path, content).expect("the sandbox can be written to");
    }
    let readme = fs::read_to_string(testdata("../README.md")).expect("the README");
    let examples = readme.split("```console\n$ ").skip(1).filter_map(|rest| rest.split("```").next()?.split_once('\n'));
    let mut count = 0;
    for (command, shown) in examples {
        let arguments = command.strip_prefix("cargo run --release --").or(command.strip_prefix("winslim"));
        let arguments: Vec<&str> = arguments.expect("a command of winslim").split_whitespace().collect();
        let outcome = sandbox.winslim(&arguments);
        assert_eq!(format!("{}{}", outcome.stderr, outcome.stdout), shown, "{command}");
        count += 1;
    }
    assert_eq!(count, 2, "this test does not find the examples as they are written now");
}
