//! The whole command line on a damaged layout: nothing but escaped text comes out, whatever is in it.
#![no_main]

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::LazyLock;

use clap::Parser;
use libfuzzer_sys::fuzz_target;
use rustix::stdio::{dup2_stderr, dup2_stdout, stderr, stdout};
use serde_json::{Value, json};
use winslim::cli::Cli;
use winslim::image::Digest;
use winslim::text::is_printable;

/// Where the layout, the cache and the results are.
static PLACE: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

/// What is run on the layout.
const VERBS: &[&[&str]] = &[
    &["inspect", "oci:base:t", "--by", "file", "--top", "0"],
    &["inspect", "oci:base:t", "--by", "directory", "--format", "markdown"],
    &["inspect", "oci:base:t", "--format", "html"],
    &["ls", "oci:base:t"],
    &["ls", "oci:base:t", "--format", "json"],
    &["verify", "oci:base:t"],
    &["verify", "oci:base:t", "--format", "markdown", "-vv"],
    &["plan", "oci:base:t", "-p", "minimal"],
    &["plan", "oci:base:t", "-p", "minimal", "--format", "json"],
    &["build", "oci:base:t", "-p", "minimal", "-t", "oci:result:t", "--log-format", "json"],
    &["build", "oci:base:t", "-p", "minimal", "-t", "oci:result:t", "-vv"],
    &["host", "oci:base:t", "--all"],
    &["diff", "oci:base:t", "oci:base:t"],
    &["copy", "oci:base:t", "oci:copy:t"],
];

fn put(directory: &Path, bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    let path = directory.join("blobs").join(digest.to_string().replace(':', "/"));
    std::fs::write(path, bytes).expect("a temporary file");
    json!({ "digest": digest, "size": bytes.len() })
}

/// Writes a layout in which one part is the fuzzer's: a layer, the config, the manifest, the index or index.json.
fn write_layout(directory: &Path, part: u8, bytes: &[u8]) {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(directory.join("blobs/sha256")).expect("a temporary directory");
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a temporary file");
    let is = |number| part % 6 == number;
    let layers: Vec<&[u8]> = if is(0) { vec![bytes] } else { Vec::new() };
    let (diff_ids, descriptors): (Vec<Value>, Vec<Value>) = layers
        .iter()
        .map(|layer| {
            let mut descriptor = put(directory, layer);
            descriptor["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
            (json!(Digest::of(layer)), descriptor)
        })
        .unzip();
    let text = String::from_utf8_lossy(bytes);
    let said = if is(1) { text.as_ref() } else { "10.0.17763.1" };
    let config = json!({
        "os": "windows", "architecture": "amd64", "os.version": said,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": [{ "created_by": said }], "config": { "Cmd": [said], "Labels": { said: said } },
    });
    let config = if is(2) { bytes.to_vec() } else { config.to_string().into_bytes() };
    let mut config = put(directory, &config);
    config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": descriptors,
    });
    let manifest = if is(3) { bytes.to_vec() } else { manifest.to_string().into_bytes() };
    let mut entry = put(directory, &manifest);
    entry["mediaType"] = "application/vnd.oci.image.manifest.v1+json".into();
    entry["platform"] = json!({ "os": "windows", "architecture": "amd64", "os.version": said });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    let index = if is(4) { bytes.to_vec() } else { index.to_string().into_bytes() };
    let mut root = put(directory, &index);
    root["mediaType"] = "application/vnd.oci.image.index.v1+json".into();
    root["annotations"] = json!({ "org.opencontainers.image.ref.name": "t" });
    let root = json!({ "schemaVersion": 2, "manifests": [root] });
    let root = if is(5) { bytes.to_vec() } else { root.to_string().into_bytes() };
    std::fs::write(directory.join("index.json"), root).expect("a temporary file");
}

/// Runs winslim with its output in files, and returns what it wrote.
fn run(arguments: &[&str]) -> String {
    let directory = PLACE.path();
    let output = || tempfile::tempfile_in(directory).expect("a temporary file");
    let (mut out, mut err): (File, File) = (output(), output());
    std::io::stdout().flush().expect("standard output");
    let (own_out, own_err) = (rustix::io::dup(stdout()), rustix::io::dup(stderr()));
    let (own_out, own_err) = (own_out.expect("a descriptor"), own_err.expect("a descriptor"));
    dup2_stdout(&out).and_then(|()| dup2_stderr(&err)).expect("standard output and error");
    let typed = ["winslim"].iter().chain(arguments).map(OsString::from).collect::<Vec<_>>();
    winslim::commands::run(|| Cli::parse_from(&typed));
    std::io::stdout().flush().expect("standard output");
    dup2_stdout(&own_out).and_then(|()| dup2_stderr(&own_err)).expect("standard output and error");
    let mut text = Vec::new();
    for file in [&mut out, &mut err] {
        file.rewind().and_then(|()| file.read_to_end(&mut text)).expect("a temporary file");
    }
    String::from_utf8(text).expect("output is UTF-8")
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (verb, part, bytes) = input;
    let directory = PLACE.path();
    std::env::set_current_dir(directory).expect("a temporary directory");
    for made in ["result", "copy", "cache"] {
        let _ = std::fs::remove_dir_all(directory.join(made));
    }
    write_layout(&directory.join("base"), part, bytes);
    let arguments = [VERBS[usize::from(verb) % VERBS.len()], &["--cache-dir", "cache", "--no-progress"]].concat();
    let shown = run(&arguments);
    let odd: Vec<char> = shown.chars().filter(|&c| c != '\n' && !is_printable(c)).collect();
    assert!(odd.is_empty(), "{arguments:?}: {odd:?}");
    for line in shown.lines() {
        assert!(!line.trim_start().starts_with("::") && !line.contains("##vso["), "{arguments:?}: {line}");
    }
});
