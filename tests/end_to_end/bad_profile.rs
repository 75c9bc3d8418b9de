//! Profiles that are wrong: exit code 2, the place, and what to do.

use crate::generator::layout::Format;
use crate::support::{Sandbox, profile};
use crate::{base_of, tiny_image};

#[track_caller]
fn build_fails(text: &str, words: &[&str]) {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", text);
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).fails(2, words);
    assert!(sandbox.is_empty("slim"));
}

#[test]
fn an_unknown_key() {
    let text = profile(&["x"], "").replace("paths", "pathes");
    build_fails(&text, &["profile.toml", "pathes", "did you mean `paths`?"]);
}

#[test]
fn an_unknown_profile() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", "minimul", "-t", &target]).fails(2, &["minimul", "minimal"]);
}

#[test]
fn a_file_that_is_not_there() {
    let missing = Sandbox::new().winslim(&["profile", "check", "balanced.toml"]);
    missing.fails(
        2,
        &["cannot read the profile `balanced.toml`: no such", "hint: a built-in profile is given by its name"],
    );
}

#[test]
fn a_circular_include() {
    let include = |name: &str| profile(&[], "").replace("risk", &format!("include = [\"./{name}\"]\nrisk"));
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let first = sandbox.file("first.toml", &include("second.toml"));
    sandbox.file("second.toml", &include("first.toml"));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox
        .winslim(&["build", &base.reference, "-p", &first, "-t", &target])
        .fails(2, &["first.toml", "second.toml", "→"]);
    sandbox.winslim(&["profile", "check", &first]).fails(2, &["first.toml", "second.toml"]);
    assert!(sandbox.is_empty("slim"));
}

#[test]
fn a_required_rule_that_matches_nothing() {
    build_fails(&profile(&[r"Windows\NotThere"], "match = \"required\""), &["test/all"]);
}

#[test]
fn a_rule_that_matches_nothing_is_reported() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\NotThere"], ""));
    let plan = sandbox.winslim(&["plan", &base.reference, "-p", &profile]).done();
    assert!(plan.contains(r"Windows\NotThere"), "{plan}");
}

#[test]
fn a_missing_source_of_an_addition() {
    let more = "[[add]]\nsource = \"not-there\"\ntarget = 'C:\\app'\n";
    build_fails(&profile(&[], more), &["not-there", "profile.toml"]);
}

#[test]
fn a_missing_profile_file() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", "./no.toml", "-t", &target]).fails(2, &["no.toml"]);
}
