//! `winslim cache`, and what becomes of a cache whose files were damaged.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::generator::layout::Format;
use crate::support::registry::DockerRegistry;
use crate::support::{Sandbox, profile, skopeo_copy};
use crate::{base_of, tiny_image};

/// A registry with the sample, a cache that a build has filled, and the build.
struct Filled {
    sandbox: Sandbox,
    _registry: DockerRegistry,
    build: Vec<String>,
    result: String,
}

impl Filled {
    fn new() -> Filled {
        let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
        let base = base_of(&sandbox, &tiny_image(), &Format::default());
        let source = registry.reference("base/servercore:ltsc2019");
        skopeo_copy(&base.reference, &format!("docker://{source}"), &["--all"]);
        let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
        let target = registry.reference("slim/servercore:slim");
        // With `--verify full` each build needs the layers: no result of an earlier one is used.
        let build = ["build", &source, "-p", &profile, "-t", &target, "--verify", "full"].map(str::to_owned).to_vec();
        let mut filled = Filled { sandbox, _registry: registry, build, result: String::new() };
        filled.result = filled.build().0;
        filled
    }

    /// Builds again: the result, and what was said.
    #[track_caller]
    fn build(&self) -> (String, String) {
        let arguments: Vec<&str> = self.build.iter().map(String::as_str).collect();
        let outcome = self.sandbox.winslim(&arguments);
        let said = outcome.stderr.clone();
        (outcome.done(), said)
    }

    fn files(&self, directory: &str) -> Vec<PathBuf> {
        let files = walkdir::WalkDir::new(self.sandbox.path("cache/winslim").join(directory)).sort_by_file_name();
        let files = files.into_iter().map(|entry| entry.expect("a cache that can be read"));
        files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
    }

    /// The largest blob: a layer of the base.
    fn layer(&self) -> PathBuf {
        let largest = self.files("blobs").into_iter().max_by_key(|path| fs::metadata(path).expect("a blob").len());
        largest.expect("a cache with blobs")
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], code: i32) -> Value {
        let outcome = self.sandbox.winslim(&[&["cache"], arguments, &["--format", "json"]].concat());
        assert_eq!(outcome.code, code, "{outcome:#?}");
        serde_json::from_str(&outcome.stdout).expect("JSON")
    }
}

fn set_age(path: &Path, days: u64) {
    let file = File::options().append(true).open(path).expect("a file of the cache");
    let time = SystemTime::now() - Duration::from_secs(days * 86_400);
    file.set_modified(time).expect("a file of this user");
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("a file of the cache");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(path, bytes).expect("a file of this user");
}

fn cut(path: &Path) {
    let file = File::options().write(true).open(path).expect("a file of the cache");
    file.set_len(file.metadata().expect("an open file").len() / 2).expect("a file of this user");
}

#[test]
fn info_says_what_there_is() {
    let filled = Filled::new();
    let info = filled.json(&["info"], 0);
    assert_eq!(info["directory"], filled.sandbox.path("cache/winslim").display().to_string());
    let kind = |name: &str| info["kinds"].as_array().expect("kinds").iter().find(|kind| kind["kind"] == name).cloned();
    let blobs = filled.files("blobs");
    let bytes: u64 = blobs.iter().map(|blob| fs::metadata(blob).expect("a blob").len()).sum();
    assert_eq!(kind("blobs"), Some(serde_json::json!({ "kind": "blobs", "files": blobs.len(), "bytes": bytes })));
    assert_eq!(kind("layer indexes").expect("indexes")["files"], filled.files("index").len());
    assert_eq!(kind("partial downloads").expect("downloads")["files"], 0);
    let text = filled.sandbox.winslim(&["cache", "info"]).done();
    assert!(text.contains("blobs") && text.contains("total"), "{text}");
}

#[test]
fn prune_goes_by_age_and_size() {
    let filled = Filled::new();
    filled.sandbox.winslim(&["cache", "prune"]).fails(2, &["--older-than", "--max-size"]);
    filled.sandbox.winslim(&["cache", "prune", "--older-than", "soon"]).fails(2, &["soon", "30d"]);
    filled.sandbox.winslim(&["cache", "prune", "--max-size", "much"]).fails(2, &["much", "20GB"]);
    let layer = filled.layer();
    set_age(&layer, 40);
    let count = filled.files("").len();
    let pruned = filled.json(&["prune", "--older-than", "30d"], 0);
    assert_eq!((&pruned["deletedFiles"], &pruned["inUseFiles"]), (&Value::from(1), &Value::from(0)));
    assert!(!layer.exists() && filled.files("").len() == count - 1);
    assert_eq!(filled.build().0, filled.result);
    assert!(layer.exists(), "a build that needs a layer fetches it again");
    let pruned = filled.json(&["prune", "--max-size", "0"], 0);
    assert_eq!(pruned["leftBytes"], 0);
    assert!(filled.files("blobs").is_empty() && filled.files("index").is_empty());
    assert_eq!(filled.build().0, filled.result);
}

#[test]
fn use_makes_files_young() {
    let filled = Filled::new();
    for file in filled.files("blobs").into_iter().chain(filled.files("index")) {
        set_age(&file, 40);
    }
    filled.build();
    let layer = filled.layer();
    filled.json(&["prune", "--older-than", "30d"], 0);
    assert!(layer.exists(), "the build has read it");
    assert_eq!(filled.build().0, filled.result);
}

#[test]
fn prune_does_no_harm_to_running_builds() {
    let filled = Filled::new();
    let digest = |result: &str| result.trim().split_once('@').expect("a digest").1.to_owned();
    std::thread::scope(|scope| {
        let builds: Vec<_> = (0..2)
            .map(|number| {
                // Each has a target of its own: a registry that is written to from two sides is not what is tried here.
                let mut build = filled.build.clone();
                build[5] = build[5].replace("slim/", &format!("slim{number}/"));
                let filled = &filled;
                scope.spawn(move || {
                    let arguments: Vec<&str> = build.iter().map(String::as_str).collect();
                    (0..4).map(|_| filled.sandbox.winslim(&arguments).done()).collect::<Vec<_>>()
                })
            })
            .collect();
        while !builds.iter().all(|build| build.is_finished()) {
            filled.json(&["prune", "--max-size", "0", "--older-than", "0s"], 0);
        }
        for result in builds.into_iter().flat_map(|build| build.join().expect("a build")) {
            assert_eq!(digest(&result), digest(&filled.result));
        }
    });
    filled.json(&["verify"], 0);
}

#[test]
fn verify_finds_and_deletes_what_is_damaged() {
    let filled = Filled::new();
    let sound = filled.json(&["verify"], 0);
    assert_eq!(
        sound["checked"],
        ["blobs", "index", "rewritten"].map(|kind| filled.files(kind).len()).iter().sum::<usize>()
    );
    let (layer, index) = (filled.layer(), filled.files("index").remove(0));
    flip(&layer);
    cut(&index);
    let stray = filled.sandbox.path("cache/winslim/blobs/sha256/letter.txt");
    fs::write(&stray, "dear reader").expect("the cache can be written to");
    let found = filled.json(&["verify"], 1);
    let damaged = found["damaged"].as_array().expect("a list");
    let paths: Vec<&str> = damaged.iter().map(|damaged| damaged["path"].as_str().expect("a path")).collect();
    for path in [&layer, &index, &stray] {
        assert!(paths.contains(&path.to_str().expect("a path in UTF-8")) && !path.exists(), "{found:#}");
    }
    filled.json(&["verify"], 0);
    assert_eq!(filled.build().0, filled.result);
}

#[test]
fn damaged_files_are_made_or_fetched_anew() {
    let filled = Filled::new();
    // A file from another version of winslim may have any content.
    let other_version = |path: &Path| fs::write(path, b"winslim index\n\x01\0\0\0old").expect("a file of this user");
    let empty = |path: &Path| fs::write(path, b"").expect("a file of this user");
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] =
        [("flipped", flip), ("cut", cut), ("other version", other_version), ("empty", empty)];
    for (name, damage) in damages {
        for index in filled.files("index") {
            damage(&index);
        }
        assert_eq!(filled.build().0, filled.result, "indexes: {name}");
        filled.json(&["verify"], 0);
        for is_indexed in [true, false] {
            for blob in filled.files("blobs") {
                damage(&blob);
            }
            if !is_indexed {
                filled.files("index").iter().for_each(|index| fs::remove_file(index).expect("a file of this user"));
            }
            assert_eq!(filled.build().0, filled.result, "blobs: {name}, indexed: {is_indexed}");
            filled.json(&["verify"], 0);
        }
    }
    // A partial download with a wrong beginning.
    let layer = filled.layer();
    let partial = filled.sandbox.path("cache/winslim/partial").join(layer.file_name().expect("a digest"));
    fs::rename(&layer, &partial).expect("the cache can be written to");
    cut(&partial);
    flip(&partial);
    assert_eq!(filled.build().0, filled.result, "a partial download");
    filled.json(&["verify"], 0);
}
