//! Layouts as targets: what is damaged there, what an interrupted run left, and what `index.json` says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::generator::layout::{Format, blob_path};
use crate::support::{Manifest, Sandbox, check, json_file, profile, run, skopeo_copy};
use crate::{Base, base_of, tiny_image};

const REMOVED: &[&str] = &[r"Windows\Logs"];

/// A sandbox with a base image in a layout and a profile.
struct Workshop {
    sandbox: Sandbox,
    base: Base,
    profile: String,
}

impl Workshop {
    fn new() -> Workshop {
        let sandbox = Sandbox::new();
        let base = base_of(&sandbox, &tiny_image(), &Format::default());
        let profile = sandbox.file("profile.toml", &profile(REMOVED, ""));
        Workshop { sandbox, base, profile }
    }

    fn target(&self) -> String {
        format!("{}:slim", self.sandbox.layout("slim"))
    }

    /// Builds, and returns what is said on stderr.
    #[track_caller]
    fn build(&self, options: &[&str]) -> String {
        let target = self.target();
        let arguments = ["build", &self.base.reference, "-p", &self.profile, "-t", &target];
        let outcome = self.sandbox.winslim(&[&arguments[..], options].concat());
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        outcome.stderr
    }

    fn index(&self, name: &str) -> Value {
        json_file(&self.sandbox.path(name).join("index.json"))
    }
}

fn blobs(layout: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(layout.join("blobs/sha256")).expect("blobs");
    files.map(|file| file.expect("a file").path()).collect()
}

/// Gives a file other content of the same length. It is a new file: the old one may be the cache's, too.
fn damage(path: &Path) {
    let mut content = fs::read(path).expect("a file");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::remove_file(path).expect("a file of this user");
    fs::write(path, content).expect("the sandbox can be written to");
}

#[track_caller]
fn is_sound(layout: &Path) {
    for blob in blobs(layout) {
        let content = fs::read(&blob).expect("a blob");
        let name = blob.file_name().and_then(|name| name.to_str()).expect("a name");
        let digest = crate::generator::compress::hex(&<sha2::Sha256 as sha2::Digest>::digest(&content));
        assert_eq!(digest, name, "{} has other content", blob.display());
    }
}

#[test]
fn damaged_blobs_of_a_target_are_replaced() {
    let workshop = Workshop::new();
    workshop.build(&[]);
    let slim = workshop.sandbox.path("slim");
    let whole = blobs(&slim);
    // Layers that were rewritten and reused, the config, the manifest, the index, the ledger: every one.
    for options in [&[][..], &["--verify", "full"]] {
        blobs(&slim).iter().for_each(|blob| damage(blob));
        let said = workshop.build(options);
        assert!(said.contains("damaged"), "{said}");
        is_sound(&slim);
        check(&workshop.base.directory, &slim, &[&["--removed"], REMOVED].concat());
    }
    assert_eq!(blobs(&slim).len(), whole.len());
    let said = workshop.build(&[]);
    assert!(!said.contains("damaged"), "{said}");
}

#[test]
fn a_copy_replaces_damaged_blobs_too() {
    let workshop = Workshop::new();
    let copy = workshop.sandbox.layout("copy");
    let arguments = ["copy", &workshop.base.reference, &format!("{copy}:x")];
    workshop.sandbox.winslim(&arguments).done();
    blobs(&workshop.sandbox.path("copy")).iter().for_each(|blob| damage(blob));
    // One that was cut off as well.
    let layer = blob_path(&workshop.sandbox.path("copy"), &workshop.base.written.layers[0].blob.digest);
    fs::write(layer, "too short").expect("the sandbox can be written to");
    workshop.sandbox.winslim(&arguments).done();
    is_sound(&workshop.sandbox.path("copy"));
    check(&workshop.base.directory, &workshop.sandbox.path("copy"), &[]);
}

#[test]
fn what_an_interrupted_run_left_does_not_lock_the_target() {
    let workshop = Workshop::new();
    let slim = workshop.sandbox.path("slim");
    let states: [fn(&Path); 4] = [
        |_| (),
        |slim| fs::write(slim.join(".winslim-Ab12cd"), "{").expect("the sandbox can be written to"),
        // As versions before this one were interrupted.
        |slim| fs::create_dir_all(slim.join("blobs/sha256")).expect("the sandbox can be written to"),
        |slim| fs::write(slim.join("blobs/sha256").join("0".repeat(64)), "").expect("the sandbox can be written to"),
    ];
    for count in 1..=states.len() {
        fs::remove_dir_all(&slim).ok();
        fs::create_dir_all(&slim).expect("the sandbox can be written to");
        states[..count].iter().for_each(|state| state(&slim));
        workshop.build(&[]);
        assert_eq!(json_file(&slim.join("oci-layout")), json!({"imageLayoutVersion": "1.0.0"}));
    }
    // What others have there is theirs.
    for name in ["blobs/letter.txt", "blobs/sha256/letter.txt", "letter.txt"] {
        fs::remove_dir_all(&slim).expect("the target");
        workshop.sandbox.file(&format!("slim/{name}"), "dear reader");
        let arguments = ["build", &workshop.base.reference, "-p", &workshop.profile, "-t", &workshop.target()];
        workshop.sandbox.winslim(&arguments).fails(2, &["holds other files"]);
    }
}

#[test]
fn the_image_is_the_first_entry_and_the_ledger_the_last() {
    let workshop = Workshop::new();
    for _ in 0..2 {
        workshop.build(&[]);
        let index = workshop.index("slim");
        let [image, ledger] = &index["manifests"].as_array().expect("entries")[..] else { panic!("{index}") };
        assert_eq!(image["annotations"]["org.opencontainers.image.ref.name"], "slim");
        assert_eq!(image.get("artifactType"), None);
        assert_eq!(ledger["artifactType"], "application/vnd.winslim.ledger.v1+json");
        assert_eq!(ledger.get("annotations"), None);
    }
    // A layout in which an earlier version put the ledger first.
    let path = workshop.sandbox.path("slim/index.json");
    let mut index = workshop.index("slim");
    index["manifests"].as_array_mut().expect("entries").reverse();
    fs::write(&path, index.to_string()).expect("the sandbox can be written to");
    workshop.build(&[]);
    assert!(workshop.index("slim")["manifests"][0].get("artifactType").is_none());
    // What reads the tag, and what reads a layout of one entry without a tag.
    let inspect = |reference: &str| {
        let mut command = Command::new("skopeo");
        command.args(["inspect", "--raw", reference]);
        run(command, "the Debian package skopeo")
    };
    let raw: Value = serde_json::from_str(&inspect(&workshop.target()).done()).expect("JSON");
    assert_eq!(raw["manifests"].as_array().map(Vec::len), Some(1));
    fs::remove_dir_all(workshop.sandbox.path("slim")).expect("the target");
    workshop.build(&["--no-attach"]);
    inspect(&workshop.sandbox.layout("slim")).done();
}

#[test]
fn what_index_json_says_of_platforms_is_kept() {
    let workshop = Workshop::new();
    let sandbox = &workshop.sandbox;
    // A layout that lists the manifest itself, as oras and skopeo write it.
    let manifest = &workshop.base.written.manifests[0];
    let platform = json!({"architecture": "amd64", "os": "windows", "os.version": "10.0.17763.8511", "odd": 1});
    let entry = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": manifest.digest,
        "size": manifest.size,
        "platform": platform,
        "annotations": {"org.opencontainers.image.ref.name": "ltsc2019"},
    });
    let path = workshop.base.directory.join("index.json");
    let write = |entry: &Value| {
        fs::write(&path, json!({"schemaVersion": 2, "manifests": [entry]}).to_string()).expect("the sandbox");
    };
    write(&entry);
    let nothing = sandbox.file("nothing.toml", &profile(&["no/such/name"], ""));
    let copy = |target: &str| sandbox.winslim(&["copy", &workshop.base.reference, target]).done();
    copy(&format!("{}:x", sandbox.layout("copy")));
    assert_eq!(workshop.index("copy")["manifests"][0]["platform"], platform);
    let target = format!("{}:x", sandbox.layout("same"));
    sandbox.winslim(&["build", &workshop.base.reference, "-p", &nothing, "-t", &target]).done();
    assert_eq!(workshop.index("same")["manifests"][0]["platform"], platform);
    assert_eq!(Manifest::of_layout(&sandbox.path("same")).digest, manifest.digest);
    // Through an archive and back.
    let archive = format!("oci-archive:{}:x", sandbox.path("a.tar").display());
    copy(&archive);
    sandbox.winslim(&["copy", &archive, &format!("{}:x", sandbox.layout("back"))]).done();
    assert_eq!(workshop.index("back")["manifests"][0]["platform"], platform);
    // Where nothing is said, the config says it.
    let mut silent = entry;
    silent.as_object_mut().expect("an object").remove("platform");
    write(&silent);
    copy(&format!("{}:y", sandbox.layout("copy")));
    let index = workshop.index("copy");
    let entry = index["manifests"].as_array().expect("entries").last().expect("an entry");
    assert_eq!(
        (&entry["platform"]["os"], &entry["platform"]["os.version"]),
        (&json!("windows"), &platform["os.version"])
    );
    skopeo_copy(&format!("{}:y", sandbox.layout("copy")), &sandbox.layout("skopeo"), &["--all"]);
}
