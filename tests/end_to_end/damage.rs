//! Blobs with other content than their digest says: the message is that they are damaged, whatever the reader stumbled over.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::generator::Image;
use crate::generator::compress::Compression;
use crate::generator::layout::{Format, blob_path};
use crate::support::registry::DockerRegistry;
use crate::support::{Sandbox, json_file, profile, run, skopeo_copy};
use crate::{Base, base_of, tiny_image};

/// Puts other bytes into a file, whose length stays.
fn damage(path: &Path, at: impl Fn(usize) -> usize) {
    let mut content = fs::read(path).expect("a blob");
    let at = at(content.len());
    for byte in content.iter_mut().skip(at).take(40) {
        *byte ^= 0x55;
    }
    fs::write(path, content).expect("the sandbox can be written to");
}

fn pack(layout: &Path, archive: &Path) {
    let mut command = Command::new("tar");
    command.arg("-cf").arg(archive).arg("-C").arg(layout).args(["oci-layout", "index.json", "blobs"]);
    run(command, "tar").done();
}

/// An image whose layers have no checksum but their digest.
fn plain_base(sandbox: &Sandbox) -> Base {
    base_of(sandbox, &tiny_image(), &Format { compression: Compression::None, ..Format::default() })
}

#[test]
fn every_document_and_layer_of_a_layout() {
    for (compression, name) in [(Compression::Gzip, "gzip"), (Compression::None, "plain")] {
        let format = Format { compression, ..Format::default() };
        let sandbox = Sandbox::new();
        let base = base_of(&sandbox, &tiny_image(), &format);
        let manifest = base.written.manifests[0].digest.clone();
        let config = json_file(&blob_path(&base.directory, &manifest))["config"]["digest"].clone();
        let config = config.as_str().expect("a digest").to_owned();
        let layer = base.written.layers[1].blob.digest.clone();
        let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
        let ends: [fn(usize) -> usize; 3] = [|_| 0, |length| length / 2, |length| length - 1];
        for digest in [&base.written.index.digest, &manifest, &config, &layer] {
            for end in ends {
                let blob = blob_path(&base.directory, digest);
                let whole = fs::read(&blob).expect("a blob");
                damage(&blob, end);
                let target = format!("{}:x", sandbox.layout("slim"));
                let archive = sandbox.path("a.tar");
                pack(&base.directory, &archive);
                for source in [base.reference.clone(), format!("oci-archive:{}", archive.display())] {
                    let outcome = sandbox.winslim(&["build", &source, "-p", &profile, "-t", &target]);
                    outcome.fails(1, &["is damaged", &digest[..], "copy the image again", "hint: `winslim copy"]);
                    sandbox.winslim(&["verify", &source]).fails(1, &["is damaged", &digest[..]]);
                }
                fs::write(&blob, whole).expect("the sandbox can be written to");
            }
        }
        assert!(sandbox.is_empty("slim"), "{name}: something was written");
    }
}

#[test]
fn a_layer_that_is_damaged_after_it_was_indexed() {
    let sandbox = Sandbox::new();
    let base = plain_base(&sandbox);
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    let layer = blob_path(&base.directory, &base.written.layers[0].blob.digest);
    sandbox.winslim(&["verify", &base.reference]).done();
    damage(&layer, |length| length / 2);
    let target = format!("{}:x", sandbox.layout("slim"));
    let path = layer.display().to_string();
    for arguments in [
        &["verify", &base.reference][..],
        &["build", &base.reference, "-p", &profile, "-t", &target],
        &["copy", &base.reference, &target],
    ] {
        sandbox.winslim(arguments).fails(1, &["is damaged", &path]);
    }
    fs::remove_file(&layer).expect("the layer");
    sandbox.winslim(&["verify", &base.reference]).fails(1, &["the blob", "is missing", "hint: `winslim copy"]);
}

#[test]
fn verify_reads_what_an_archive_has_and_not_what_the_cache_has() {
    let sandbox = Sandbox::new();
    let base = plain_base(&sandbox);
    let archive = sandbox.path("a.tar");
    let reference = format!("oci-archive:{}", archive.display());
    pack(&base.directory, &archive);
    sandbox.winslim(&["verify", &reference]).done();
    sandbox.winslim(&["verify", &reference]).done();
    damage(&blob_path(&base.directory, &base.written.layers[0].blob.digest), |length| length / 2);
    pack(&base.directory, &archive);
    sandbox.winslim(&["verify", &reference]).fails(1, &["is damaged", &archive.display().to_string()]);
}

#[test]
fn verify_says_what_it_did_not_pull_from_a_registry() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let remote = registry.reference("base:x");
    skopeo_copy(&base.reference, &format!("docker://{remote}"), &["--all"]);
    let first = sandbox.winslim(&["verify", &remote]).done();
    assert!(!first.contains("not pulled"), "{first}");
    let count = base.written.layers.len();
    sandbox.winslim(&["verify", &remote]).code_is(0, &[&format!("{count} of {count} blobs were not pulled")]);
    let json = sandbox.winslim(&["verify", &remote, "--format", "json"]).done();
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["blobs"]["read"], &json["blobs"]["cached"]), (&0.into(), &count.into()));
}

#[test]
fn a_docker_archive_whose_blobs_are_named_by_their_digests() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let manifest = json_file(&blob_path(&base.directory, &base.written.manifests[0].digest));
    let name = |digest: &serde_json::Value| digest.as_str().expect("a digest").replace("sha256:", "blobs/sha256/");
    let layers = manifest["layers"].as_array().expect("layers");
    let layers: Vec<String> = layers.iter().map(|layer| name(&layer["digest"])).collect();
    let config = name(&manifest["config"]["digest"]);
    let list = serde_json::json!([{"Config": config, "RepoTags": ["base:x"], "Layers": layers}]);
    fs::write(base.directory.join("manifest.json"), list.to_string()).expect("the sandbox can be written to");
    let archive = sandbox.path("saved.tar");
    let save = || {
        let mut command = Command::new("tar");
        command.arg("-cf").arg(&archive).arg("-C").arg(&base.directory).args(["manifest.json", "blobs"]);
        run(command, "tar").done();
    };
    let reference = format!("docker-archive:{}", archive.display());
    save();
    sandbox.winslim(&["verify", &reference]).done();
    for blob in [&layers[1], &config] {
        let path = base.directory.join(blob);
        let whole = fs::read(&path).expect("a blob");
        damage(&path, |length| length / 2);
        save();
        let digest = blob.replace("blobs/sha256/", "sha256:");
        sandbox.winslim(&["inspect", &reference]).fails(1, &["is damaged", &digest, "copy the image again"]);
        fs::write(&path, whole).expect("the sandbox can be written to");
    }
}

#[test]
fn an_image_that_was_made_wrong_is_not_called_damaged() {
    let sandbox = Sandbox::new();
    let image: Image = tiny_image();
    let base = base_of(&sandbox, &image, &Format::default());
    // The layer is cut off, and all documents have the digest of what is left.
    let format = Format::default();
    let stored = fs::read(blob_path(&base.directory, &base.written.layers[0].blob.digest)).expect("a blob");
    let mut layers = base.written.layers.clone();
    layers[0].blob =
        crate::generator::layout::put_blob(&base.directory, &stored[..stored.len() / 2]).expect("a sandbox");
    fs::remove_file(base.directory.join("index.json")).expect("the index");
    crate::generator::layout::write_documents(&image, layers, &format, &base.directory).expect("a sandbox");
    let outcome = sandbox.winslim(&["verify", &base.reference]);
    outcome.fails(1, &["cannot be decompressed", "hint: the layer has the digest", "copying it again does not help"]);
    assert!(!outcome.stderr.contains("damaged"), "{outcome:#?}");
}
