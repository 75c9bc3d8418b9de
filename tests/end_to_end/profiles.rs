//! The built-in profiles, on a tree that has something for each of them.

use crate::support::{Manifest, Sandbox, check};
use crate::{sample_base, tiny_image};

const BUILT_IN: [&str; 11] = [
    "safe",
    "native-images",
    "winsxs",
    "servicing",
    "drivers",
    "no-wow64",
    "no-utilityvm",
    "no-defender",
    "no-speech-ime-help",
    "balanced",
    "minimal",
];

#[test]
fn every_built_in_profile_makes_an_image_that_a_host_would_import() {
    let sandbox = Sandbox::new();
    let base = sample_base(&sandbox);
    for name in BUILT_IN {
        let target = format!("{}:slim", sandbox.layout(name));
        sandbox.winslim(&["build", &base.reference, "-p", name, "-t", &target]).done();
        sandbox.winslim(&["verify", &target]).done();
        let slim = sandbox.path(name);
        check(&base.directory, &slim, &["--any-removed", "--shadowed"]);
        let before = base.written.layers[0].blob.size;
        assert!(Manifest::of_layout(&slim).sizes()[0] < before, "`{name}` makes nothing smaller");
    }
}

#[test]
fn the_sample_has_something_for_every_pattern_of_the_built_in_profiles() {
    let sandbox = Sandbox::new();
    let base = sample_base(&sandbox);
    let arguments = [&["plan", &*base.reference][..], &BUILT_IN.map(|name| ["-p", name]).concat()].concat();
    let plan = sandbox.winslim(&arguments).done();
    // What is kept for the sake of other versions of Windows is counted; every other pattern finds something.
    let (_, silent) = plan.split_once("Patterns that match nothing:\n").expect("exceptions for other images");
    let silent = silent.lines().next().expect("a line");
    assert!(silent.ends_with(" patterns of built-in profiles that keep files of other images"), "{plan}");
}

#[test]
fn the_list_has_every_built_in_profile() {
    let list = Sandbox::new().winslim(&["profile", "list"]).done();
    for name in BUILT_IN {
        assert!(list.contains(name), "`{name}` is not in {list}");
    }
}

#[test]
fn what_must_not_go_stays_and_is_named() {
    let sandbox = Sandbox::new();
    let base = crate::base_of(&sandbox, &tiny_image(), &Default::default());
    let removed = ["License.txt", r"Windows\System32\config", r"Windows\Fonts"];
    let profile = sandbox.file("profile.toml", &crate::support::profile(&removed, ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    let plan = sandbox.winslim(&["plan", &base.reference, "-p", &profile]).done();
    for name in ["License.txt", r"Windows\System32\config\SYSTEM"] {
        assert!(plan.contains(name), "`{name}` is not named in {plan}");
    }
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).done();
    let hives =
        ["DEFAULT", "SAM", "SECURITY", "SOFTWARE", "SYSTEM"].map(|name| format!(r"Windows\System32\config\{name}"));
    let hives = hives.each_ref().map(|name| &**name);
    let options = [&["--removed"], &removed[..], &["--keep", "License.txt"], &hives[..]].concat();
    check(&base.directory, &sandbox.path("slim"), &options);
}

#[test]
fn a_plan_is_printed_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    let base = crate::base_of(&sandbox, &tiny_image(), &Default::default());
    let text = sandbox.winslim(&["plan", &base.reference, "-p", "balanced"]).done();
    assert!(!text.is_empty());
    let json = sandbox.winslim(&["plan", &base.reference, "-p", "balanced", "--format", "json"]).done();
    serde_json::from_str::<serde_json::Value>(&json).expect("the plan as JSON");
    assert_eq!(Manifest::of_layout(&base.directory).digest, base.written.manifests[0].digest);
}

#[test]
fn what_is_added_is_planned_where_it_will_be() {
    let sandbox = Sandbox::new();
    let base = crate::base_of(&sandbox, &tiny_image(), &Default::default());
    sandbox.file("note.txt", "a text");
    let plan_with = |target: &str| {
        let more = format!("[[add]]\nsource = \"note.txt\"\ntarget = '{target}'\n");
        let profile = sandbox.file("profile.toml", &crate::support::profile(&[r"Windows\Fonts"], &more));
        sandbox.winslim(&["plan", &base.reference, "-p", &profile])
    };
    for (target, planned) in [(r"C:\Windows", r"Windows\note.txt"), (r"C:\new\name.txt", r"new\name.txt")] {
        let plan = plan_with(target).done();
        assert!(plan.contains(&format!("{planned} (")), "{plan}");
    }
    // What no profile can remove, none can replace.
    for target in [r"C:\License.txt", r"C:\windows\system32\CONFIG\system"] {
        plan_with(target).fails(1, &["cannot add", "protected"]);
    }
}

#[test]
fn what_a_profile_adds_is_in_a_layer_on_top() {
    let sandbox = Sandbox::new();
    let base = crate::base_of(&sandbox, &tiny_image(), &Default::default());
    std::fs::create_dir_all(sandbox.path("app/empty")).expect("the sandbox can be written to");
    sandbox.file("app/server.exe", "a program");
    sandbox.file("app/Größe.txt", "a text");
    let more = "[[add]]\nsource = \"app\"\ntarget = 'C:\\app'\n";
    let profile = sandbox.file("profile.toml", &crate::support::profile(&[r"Windows\Fonts"], more));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).done();
    sandbox.winslim(&["verify", &target]).done();
    check(&base.directory, &sandbox.path("slim"), &["--added-layers", "1", "--removed", r"Windows\Fonts"]);

    let manifest = Manifest::of_layout(&sandbox.path("slim"));
    let layer = manifest.layers().pop().expect("a layer on top");
    let stored = std::fs::File::open(crate::generator::layout::blob_path(&sandbox.path("slim"), &layer));
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(stored.expect("the layer's blob")));
    let names = archive.entries().expect("a tar").map(|entry| {
        let entry = entry.expect("an entry");
        String::from_utf8(entry.path_bytes().into_owned()).expect("a name in UTF-8")
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    let expected = ["Files", "Files/app", "Files/app/Größe.txt", "Files/app/empty", "Files/app/server.exe", "Hives"]
        .map(str::to_owned);
    assert_eq!(names, expected);
}
