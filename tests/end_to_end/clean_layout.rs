//! `winslim cache prune oci:DIRECTORY`: what nothing leads to goes, and everything else stays.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::generator::layout::Format;
use crate::support::{Sandbox, check, json_file, profile};
use crate::{Base, base_of, tiny_image};

fn blobs(sandbox: &Sandbox) -> BTreeSet<PathBuf> {
    let files = fs::read_dir(sandbox.path("slim/blobs/sha256")).expect("blobs");
    files.map(|file| file.expect("a file").path()).collect()
}

/// A layout with two builds of one tag, of which the first is replaced; returns what only the second one needs.
fn prepared(sandbox: &Sandbox) -> (Base, BTreeSet<PathBuf>) {
    let base = base_of(sandbox, &tiny_image(), &Format::default());
    let target = format!("{}:x", sandbox.layout("slim"));
    let build = |removed: &str| {
        let profile = sandbox.file("profile.toml", &profile(&[removed], ""));
        sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).done();
    };
    build(r"Windows\Logs");
    let needed = blobs(sandbox);
    fs::remove_dir_all(sandbox.path("slim")).expect("the target");
    build(r"Windows\Fonts");
    build(r"Windows\Logs");
    (base, needed)
}

#[test]
fn what_no_tag_leads_to_goes() {
    let sandbox = Sandbox::new();
    let (base, needed) = prepared(&sandbox);
    let before = blobs(&sandbox);
    assert!(before.is_superset(&needed) && before.len() > needed.len());
    fs::write(sandbox.path("slim/.winslim-Ab12cd"), "left by a kill").expect("the sandbox");
    fs::write(sandbox.path("slim/blobs/sha256/letter.txt"), "dear reader").expect("the sandbox");
    let prune = ["cache", "prune", &sandbox.layout("slim")];
    let tried = sandbox.winslim(&[&prune[..], &["--dry-run"]].concat()).done();
    let count = before.len() - needed.len() + 1;
    assert!(tried.contains(&format!("would be deleted: {count} files")), "{tried}");
    assert_eq!(blobs(&sandbox).len(), before.len() + 1, "a dry run deletes nothing");
    sandbox.winslim(&prune).code_is(0, &[&format!("deleted: {count} files")]);
    let letter = sandbox.path("slim/blobs/sha256/letter.txt");
    assert!(letter.exists(), "what is no blob is not ours");
    fs::remove_file(letter).expect("the letter");
    assert_eq!(blobs(&sandbox), needed);
    assert!(!sandbox.path("slim/.winslim-Ab12cd").exists());
    let index = json_file(&sandbox.path("slim/index.json"));
    assert_eq!(
        index["manifests"].as_array().map(Vec::len),
        Some(2),
        "the ledger of the replaced image is gone: {index}"
    );
    check(&base.directory, &sandbox.path("slim"), &["--removed", r"Windows\Logs"]);
    let json: Value =
        serde_json::from_str(&sandbox.winslim(&[&prune[..], &["--format", "json"]].concat()).done()).expect("JSON");
    assert_eq!((&json["deletedFiles"], &json["dryRun"]), (&json!(0), &json!(false)));
}

#[test]
fn what_others_put_there_stays() {
    let sandbox = Sandbox::new();
    let (_base, _needed) = prepared(&sandbox);
    let put = |value: &Value| {
        let text = value.to_string();
        let hex = crate::generator::compress::hex(&<sha2::Sha256 as sha2::Digest>::digest(text.as_bytes()));
        fs::write(sandbox.path("slim/blobs/sha256").join(&hex), &text).expect("the sandbox");
        json!({"digest": format!("sha256:{hex}"), "size": text.len()})
    };
    // An artifact of a kind that nobody knows, behind an index within an index, tagged.
    let (blob, odd) = (put(&json!("data")), put(&json!("odd")));
    let mut artifact = put(&json!({"blobs": [blob], "parts": {"deep": [odd]}}));
    artifact["mediaType"] = json!("application/vnd.oci.image.manifest.v1+json");
    let mut inner = put(&json!({"manifests": [artifact]}));
    inner["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    let mut outer = put(&json!({"manifests": [inner]}));
    outer["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    let path = sandbox.path("slim/index.json");
    let mut index = json_file(&path);
    index["manifests"].as_array_mut().expect("entries").push(outer.clone());
    fs::write(&path, index.to_string()).expect("the sandbox");
    sandbox.winslim(&["cache", "prune", &sandbox.layout("slim")]).done();
    for kept in [&blob, &odd, &outer] {
        let name = kept["digest"].as_str().expect("a digest").replace("sha256:", "slim/blobs/sha256/");
        assert!(sandbox.path(&name).exists(), "{kept}");
    }
}

#[test]
fn nothing_goes_while_another_run_writes_or_if_it_is_not_clear_what_is_needed() {
    let sandbox = Sandbox::new();
    let (_base, needed) = prepared(&sandbox);
    let before = blobs(&sandbox);
    let prune = ["cache", "prune", &sandbox.layout("slim")];
    {
        // As a build holds it.
        let writing = File::open(sandbox.path("slim/blobs/sha256")).expect("the blobs");
        writing.lock_shared().expect("a lock");
        sandbox.winslim(&prune).fails(1, &["is in use"]);
    }
    let index = json_file(&sandbox.path("slim/index.json"));
    let root = index["manifests"][0]["digest"].as_str().expect("a digest").replace("sha256:", "slim/blobs/sha256/");
    let whole = fs::read(sandbox.path(&root)).expect("the document");
    fs::remove_file(sandbox.path(&root)).expect("the document");
    fs::write(sandbox.path(&root), "{}").expect("the sandbox");
    sandbox.winslim(&prune).fails(1, &["is damaged"]);
    assert_eq!(blobs(&sandbox), before);
    fs::write(sandbox.path(&root), whole).expect("the sandbox");
    for (layout, code, words) in [
        ("oci:nowhere", 1, "nowhere"),
        ("oci:slim:x", 2, "is not oci:DIRECTORY"),
        ("oci-archive:slim", 2, "is not oci:DIRECTORY"),
    ] {
        sandbox.winslim(&["cache", "prune", layout]).fails(code, &[words]);
    }
    sandbox.winslim(&["cache", "prune", &sandbox.layout("slim"), "--max-size", "0"]).fails(2, &["--max-size"]);
    sandbox.winslim(&prune).done();
    assert_eq!(blobs(&sandbox), needed);
    // The cache has a dry run, too.
    let tried = sandbox.winslim(&["cache", "prune", "--max-size", "0", "--dry-run"]).done();
    assert!(tried.contains("would be deleted"), "{tried}");
    sandbox.winslim(&["cache", "prune", "--max-size", "0"]).code_is(0, &["deleted: "]);
}
