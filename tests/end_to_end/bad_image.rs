//! Sources that are damaged or made with ill will: a clear error, and nothing at the target.

use std::fs;
use std::io::{Read, Write};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::generator::Image;
use crate::generator::layer::Kind;
use crate::generator::layout::{Format, blob_path, put_blob, write_documents};
use crate::generator::random::Content;
use crate::support::registry::DockerRegistry;
use crate::support::{Sandbox, profile, skopeo_copy};
use crate::{Base, base_of, tiny_image};

/// Builds into a layout that is not there yet, which must fail and leave nothing.
#[track_caller]
fn build_fails(sandbox: &Sandbox, source: &str, code: i32, words: &[&str]) {
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", source, "-p", &profile, "-t", &target]).fails(code, words);
    assert!(sandbox.is_empty("slim"), "something was written");
}

#[test]
fn layers_that_no_host_would_import() {
    let file = || Kind::File(Content::text("x"));
    for (name, kind, words) in [
        ("Files/../../x", file(), &["Files/../../x"][..]),
        ("/Files/x", file(), &["/Files/x"]),
        ("Files/LICENSE.txt", file(), &["Files/LICENSE.txt"]),
        (
            "Files/nothing.dll",
            Kind::HardLink("Files/not/there.dll".to_owned()),
            &["Files/nothing.dll", "not/there.dll"],
        ),
        ("Files/no/parent.dll", file(), &["Files/no/parent.dll"]),
        (r"Files/C:\x", file(), &["Files/C:"]),
        ("Files/.wh.License.txt", Kind::Whiteout, &["whiteout"]),
    ] {
        let sandbox = Sandbox::new();
        let mut image = tiny_image();
        image.layers[0].unchecked(name, kind);
        let base = base_of(&sandbox, &image, &Format::default());
        build_fails(&sandbox, &base.reference, 5, words);
        let outcome = sandbox.winslim(&["verify", &base.reference]);
        assert_eq!(outcome.code, 5, "{outcome:#?}");
    }
}

/// The tiny image with its base layer's bytes changed; digests of blobs are right again afterwards.
fn with_base_layer(sandbox: &Sandbox, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Base {
    let image: Image = tiny_image();
    let format = Format::default();
    let mut base = base_of(sandbox, &image, &format);
    let mut layers = base.written.layers.clone();
    let stored = fs::read(blob_path(&base.directory, &layers[0].blob.digest)).expect("the layer's blob");
    layers[0].blob = put_blob(&base.directory, &change(stored)).expect("the sandbox can be written to");
    fs::remove_file(base.directory.join("index.json")).expect("the layout's index");
    base.written = write_documents(&image, layers, &format, &base.directory).expect("the sandbox can be written to");
    base
}

/// A change of a layer's tar, behind gzip.
fn inside_gzip(change: impl FnOnce(&mut Vec<u8>)) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    |stored| {
        let mut raw = Vec::new();
        GzDecoder::new(&stored[..]).read_to_end(&mut raw).expect("the layer that was just written");
        change(&mut raw);
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&raw).expect("memory can be written to");
        encoder.finish().expect("memory can be written to")
    }
}

#[test]
fn truncated_gzip() {
    let sandbox = Sandbox::new();
    let base = with_base_layer(&sandbox, |mut stored| {
        stored.truncate(stored.len() / 2);
        stored
    });
    let digest = &base.written.layers[0].blob.digest[..19];
    build_fails(
        &sandbox,
        &base.reference,
        1,
        &[digest, "cannot be decompressed", "hint: ", "copying it again does not help"],
    );
}

#[test]
fn damaged_gzip() {
    let sandbox = Sandbox::new();
    let base = with_base_layer(&sandbox, |mut stored| {
        let middle = stored.len() / 2;
        stored[middle..middle + 64].fill(0xff);
        stored
    });
    build_fails(&sandbox, &base.reference, 1, &[]);
}

#[test]
fn a_blob_that_is_damaged_on_the_disk() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let blob = blob_path(&base.directory, &base.written.layers[0].blob.digest);
    let mut stored = fs::read(&blob).expect("the layer's blob");
    let middle = stored.len() / 2;
    stored[middle] ^= 1;
    fs::write(&blob, stored).expect("the sandbox can be written to");
    build_fails(&sandbox, &base.reference, 1, &["layer 0"]);
    let outcome = sandbox.winslim(&["copy", &base.reference, &sandbox.layout("copy")]);
    outcome.fails(1, &[&blob.display().to_string(), "is damaged, or changed", "get the image again"]);
}

#[test]
fn something_behind_the_gzip_stream() {
    let sandbox = Sandbox::new();
    let base = with_base_layer(&sandbox, |stored| [stored, b"rubbish".to_vec()].concat());
    build_fails(&sandbox, &base.reference, 1, &[]);
}

#[test]
fn corrupt_tar() {
    let sandbox = Sandbox::new();
    // The name in the first header, which its checksum covers.
    let base = with_base_layer(&sandbox, inside_gzip(|raw| raw[1] ^= 1));
    build_fails(&sandbox, &base.reference, 1, &["checksum"]);
}

#[test]
fn truncated_tar() {
    let sandbox = Sandbox::new();
    let base = with_base_layer(&sandbox, inside_gzip(|raw| raw.truncate(100_000)));
    build_fails(&sandbox, &base.reference, 1, &[]);
}

#[test]
fn a_layer_that_is_not_the_one_of_the_config() {
    let sandbox = Sandbox::new();
    // More zeros at the end: a right tar with another diff ID.
    let base = with_base_layer(&sandbox, inside_gzip(|raw| raw.extend([0; 1024])));
    let outcome = sandbox.winslim(&["verify", &base.reference]);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    let outcome = sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]);
    assert!(matches!(outcome.code, 1 | 5), "{outcome:#?}");
    assert!(sandbox.is_empty("slim"), "something was written");
}

#[test]
fn a_blob_with_other_bytes_than_its_digest_says() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let digest = &base.written.layers[0].blob.digest;
    let path = blob_path(&base.directory, digest);
    let mut stored = fs::read(&path).expect("the layer's blob");
    // A byte of the gzip header that means nothing: only the digest can tell.
    stored[4] ^= 1;
    fs::write(&path, stored).expect("the sandbox can be written to");
    build_fails(&sandbox, &base.reference, 1, &["is damaged", &digest[..19]]);
}

#[test]
fn a_registry_that_serves_other_bytes() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let source = registry.reference("base/servercore:ltsc2019");
    skopeo_copy(&base.reference, &format!("docker://{source}"), &["--all"]);
    let digest = &base.written.layers[0].blob.digest;
    let mut stored = fs::read(registry.blob(digest)).expect("the registry's blob");
    stored[4] ^= 1;
    fs::write(registry.blob(digest), stored).expect("the registry's storage can be written to");
    build_fails(&sandbox, &source, 1, &["not what was asked for", &digest[..19]]);
}

#[test]
fn a_blob_that_is_missing() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let digest = &base.written.layers[1].blob.digest;
    fs::remove_file(blob_path(&base.directory, digest)).expect("the layer's blob");
    build_fails(&sandbox, &base.reference, 1, &[&digest[..19]]);
}

#[test]
fn names_of_images_that_are_not_there() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    build_fails(&sandbox, &format!("{}:nonesuch", sandbox.layout("base")), 1, &["nonesuch", "ltsc2019"]);
    build_fails(&sandbox, &format!("{}:x", sandbox.layout("nowhere")), 1, &["nowhere"]);
    let profile = sandbox.file("profile.toml", &profile(&[], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox
        .winslim(&["build", &base.reference, "-p", &profile, "-t", &target, "--platform", "windows/amd64:10.0.99999"])
        .fails(1, &["10.0.99999", "10.0.17763.8511"]);
    assert!(sandbox.is_empty("slim"));
}
