//! Layers whose tars are odd, and which hosts take all the same: what Go's `archive/tar` reads is read, and a rewritten layer is a
//! plain tar.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::generator::compress::Compression;
use crate::generator::layout::{Format, WrittenLayer, blob_path, write_blob, write_documents};
use crate::support::{Manifest, Sandbox, json_file, profile};
use crate::{base_of, tiny_image};

/// An image whose base layer's tar is changed, how to call it, and the layer.
fn image_with_base(sandbox: &Sandbox, change: impl FnOnce(&mut Vec<u8>)) -> (String, WrittenLayer) {
    let (image, format) = (tiny_image(), Format::default());
    let base = base_of(sandbox, &image, &format);
    let mut layers = base.written.layers.clone();
    let mut tar = tar_of(&base.directory, &layers[0].blob.digest);
    change(&mut tar);
    layers[0] = write_blob(&base.directory, Compression::Gzip, |out| out.write_all(&tar)).expect("the sandbox");
    let layer = layers[0].clone();
    fs::remove_file(base.directory.join("index.json")).expect("the layout's index");
    write_documents(&image, layers, &format, &base.directory).expect("the sandbox can be written to");
    (base.reference, layer)
}

fn tar_of(layout: &Path, digest: &str) -> Vec<u8> {
    let mut tar = Vec::new();
    let blob = fs::read(blob_path(layout, digest)).expect("the layer's blob");
    MultiGzDecoder::new(&blob[..]).read_to_end(&mut tar).expect("a layer in gzip");
    tar
}

/// An entry with a name in any bytes, and its padded data.
fn entry(name: &[u8], kind: tar::EntryType, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(data.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    let mut entry = header.as_bytes().to_vec();
    entry.extend_from_slice(data);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// Puts entries at the end of a tar, before its end mark.
fn append(tar: &mut Vec<u8>, entries: &[Vec<u8>]) {
    tar.truncate(tar.len() - 1024);
    tar.extend(entries.concat());
    tar.extend([0; 1024]);
}

/// Removes paths, and returns the tars of the result's layers.
#[track_caller]
fn slim(sandbox: &Sandbox, image: &str, paths: &[&str]) -> Vec<Vec<u8>> {
    let profile = sandbox.file("profile.toml", &profile(paths, ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", image, "-p", &profile, "-t", &target, "--verify", "full"]).done();
    sandbox.winslim(&["verify", &target]).code_is(0, &[]);
    let directory = sandbox.path("slim");
    Manifest::of_layout(&directory).layers().iter().map(|digest| tar_of(&directory, digest)).collect()
}

#[test]
fn what_follows_the_end_of_a_layer_stays_out_of_a_rewritten_one() {
    let sandbox = Sandbox::new();
    let toc = entry(b"stargz.index.json", tar::EntryType::Regular, br#"{"version":1,"entries":[]}"#);
    let (image, layer) = image_with_base(&sandbox, |tar| tar.extend([&toc[..], &[0; 1024]].concat()));
    sandbox.winslim(&["inspect", &image]).done();
    sandbox.winslim(&["verify", &image]).code_is(0, &[]);
    assert!(!sandbox.winslim(&["ls", &image]).done().contains("stargz"), "behind the end is nothing");
    let before = tar_of(&sandbox.path("base"), &layer.blob.digest);
    let slimmed = slim(&sandbox, &image, &[r"Windows\SysWOW64"]);
    let has_toc = |tar: &[u8]| tar.windows(17).any(|window| window == b"stargz.index.json");
    assert!(has_toc(&before) && !has_toc(&slimmed[0]));
    assert!(slimmed[0].len() < before.len() && slimmed[0].ends_with(&[0; 1024]));
}

#[test]
fn a_layer_that_does_not_change_keeps_what_follows_its_end() {
    let sandbox = Sandbox::new();
    let (image, layer) = image_with_base(&sandbox, |tar| tar.extend(b"anything"));
    let target = format!("{}:copy", sandbox.layout("slim"));
    let profile = sandbox.file("profile.toml", &profile(&[], "[image]\nuser = \"ContainerUser\"\n"));
    sandbox.winslim(&["build", &image, "-p", &profile, "-t", &target]).done();
    assert_eq!(Manifest::of_layout(&sandbox.path("slim")).layers()[0], layer.blob.digest);
}

#[test]
fn a_tar_without_padding_gets_it_when_it_is_rewritten() {
    let sandbox = Sandbox::new();
    let last = entry(b"Files/last.bin", tar::EntryType::Regular, &[7; 700]);
    let (image, _) = image_with_base(&sandbox, |tar| {
        append(tar, std::slice::from_ref(&last));
        tar.truncate(tar.len() - 1024 - (1024 - 700));
    });
    sandbox.winslim(&["verify", &image]).code_is(0, &["tar-end"]);
    let tar = &slim(&sandbox, &image, &[r"Windows\SysWOW64"])[0];
    assert!(tar.ends_with(&[&last[..], &[0; 1024]].concat()), "the last file, its padding, and an end mark");
}

#[test]
fn the_data_at_an_end_without_padding_can_move() {
    let sandbox = Sandbox::new();
    let directory = entry(b"Files/gone", tar::EntryType::Directory, &[]);
    let last = entry(b"Files/gone/last", tar::EntryType::Regular, &[7; 700]);
    let format = Format::default();
    let mut image = tiny_image();
    image.layers[1].hard_link("Files/kept", "Files/gone/last");
    // Both layers become smaller, so that both are rewritten.
    for layer in &mut image.layers {
        layer.made("Files/junk/made-up", 20_000);
    }
    let base = base_of(&sandbox, &image, &format);
    let mut layers = base.written.layers.clone();
    let mut tar = tar_of(&base.directory, &layers[0].blob.digest);
    append(&mut tar, &[directory, last]);
    tar.truncate(tar.len() - 1024 - (1024 - 700));
    layers[0] = write_blob(&base.directory, Compression::Gzip, |out| out.write_all(&tar)).expect("the sandbox");
    fs::remove_file(base.directory.join("index.json")).expect("the layout's index");
    write_documents(&image, layers, &format, &base.directory).expect("the sandbox can be written to");
    let slimmed = slim(&sandbox, &base.reference, &["gone", "junk"]);
    let moved = [[7; 700].as_slice(), &[0; 1024 - 700]].concat();
    assert!(slimmed[1].chunks(512).collect::<Vec<_>>().windows(2).any(|blocks| blocks.concat() == moved));
}

#[test]
fn names_that_are_not_utf8_can_be_listed_removed_and_kept() {
    let sandbox = Sandbox::new();
    let (image, _) = image_with_base(&sandbox, |tar| {
        let file = |name: &[u8]| entry(name, tar::EntryType::Regular, b"data");
        append(tar, &[file(b"Files/gr\xf6\xdfe.txt"), file(b"Files/kept\xed\xa0\x80.txt")]);
    });
    sandbox.winslim(&["inspect", &image]).done();
    sandbox.winslim(&["verify", &image]).code_is(0, &["gr<F6><DF>e.txt", "kept<ED><A0><80>.txt", "unicode-names"]);
    let listed = sandbox.winslim(&["ls", &image, "--format", "json"]).done();
    assert!(listed.contains("gr<F6><DF>e.txt"), "{listed}");
    let tar = &slim(&sandbox, &image, &["gr<f6><DF>*.txt"])[0];
    let has = |name: &[u8]| tar.windows(name.len()).any(|window| window == name);
    assert!(has(b"Files/kept\xed\xa0\x80.txt") && !has(b"Files/gr\xf6"));
}

#[test]
fn two_names_that_windows_takes_for_one_are_refused() {
    let sandbox = Sandbox::new();
    let (image, _) = image_with_base(&sandbox, |tar| {
        let file = |name: &[u8]| entry(name, tar::EntryType::Regular, b"data");
        append(tar, &[file(b"Files/\xf6"), file(b"Files/\xe4")]);
    });
    sandbox.winslim(&["verify", &image]).code_is(5, &["Files/<E4>", "Files/<F6>", "unicode-names"]);
}

#[test]
fn a_global_header_is_a_finding() {
    let sandbox = Sandbox::new();
    let global = entry(b"pax_global_header", tar::EntryType::XGlobalHeader, b"13 comment=a\n");
    let (image, _) = image_with_base(&sandbox, |tar| {
        let rest = std::mem::replace(tar, global.clone());
        tar.extend(rest);
    });
    sandbox.winslim(&["inspect", &image]).done();
    sandbox.winslim(&["verify", &image]).code_is(0, &["global PAX header", "entry-types"]);
    let tar = &slim(&sandbox, &image, &[r"Windows\SysWOW64"])[0];
    assert!(tar.starts_with(&global), "it stays as it was");
}

#[test]
fn half_an_end_mark_is_an_error() {
    let sandbox = Sandbox::new();
    let (image, _) = image_with_base(&sandbox, |tar| tar.truncate(tar.len() - 512 - 100));
    sandbox.winslim(&["verify", &image]).fails(1, &["ends in the middle of an entry or of its end mark"]);
}

#[test]
fn a_history_that_does_not_fit_is_made_to_fit() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let manifest = Manifest::of_layout(&base.directory);
    let config = manifest.value["config"]["digest"].as_str().expect("a digest").to_owned();
    let layers = manifest.layers().len();
    // The config with one line of history, in place of the old one; the build checks digests, so all documents are made anew.
    let mut value = json_file(&blob_path(&base.directory, &config));
    value["history"] = serde_json::json!([{"created_by": "only"}]);
    let put = |value: &serde_json::Value| {
        let bytes = serde_json::to_vec(value).expect("JSON");
        crate::generator::layout::put_blob(&base.directory, &bytes).expect("the sandbox can be written to")
    };
    let config = put(&value);
    let mut document = manifest.value.clone();
    document["config"]["digest"] = config.digest.into();
    document["config"]["size"] = config.size.into();
    let blob = put(&document);
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": document["mediaType"], "digest": blob.digest, "size": blob.size,
        "annotations": {"org.opencontainers.image.ref.name": "short"},
    }]});
    fs::write(base.directory.join("index.json"), index.to_string()).expect("the layout's index");
    let image = format!("{}:short", sandbox.layout("base"));
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    let outcome = sandbox.winslim(&["build", &image, "-p", &profile, "-t", &target]);
    assert!(outcome.stderr.contains("the history of the image tells of 1 layers, and there are"), "{outcome:#?}");
    outcome.done();
    let result = Manifest::of_layout(&sandbox.path("slim"));
    let config = result.value["config"]["digest"].as_str().expect("a digest");
    let config = json_file(&blob_path(&sandbox.path("slim"), config));
    let steps = config["history"].as_array().expect("a history");
    assert_eq!(steps.iter().filter(|step| step["empty_layer"] != true).count(), layers);
    let verified = sandbox.winslim(&["verify", &target]).done();
    assert!(!verified.contains("[history"), "{verified}");
}
