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

#[test]
fn a_keep_pattern_that_matches_nothing_is_reported() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let keep = "[[keep]]\npaths = ['Windows\\Sytsem32\\important.dll']\n";
    let text = profile(&[r"Windows\Temp"], &format!("except = ['Windows\\Temp\\vain']\n{keep}"));
    let file = sandbox.file("profile.toml", &text);
    for format in ["text", "json"] {
        let plan = sandbox.winslim(&["plan", &base.reference, "-p", &file, "--format", format]).done();
        assert!(plan.contains("Sytsem32") && plan.contains("vain"), "{plan}");
    }
    let target = format!("{}:slim", sandbox.layout("slim"));
    let build = ["build", &base.reference, "-p", &file, "-t", &target, "--summary", "summary.md"];
    sandbox.winslim(&build).done();
    let summary = std::fs::read_to_string(sandbox.path("summary.md")).expect("a summary");
    assert!(summary.contains("Sytsem32") && summary.contains("vain"), "{summary}");
    build_fails(&text.replace("important.dll']", "important.dll']\nmatch = 'required'"), &["a keep rule of `test`"]);
}

#[test]
fn all_mistakes_of_a_profile() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("profile.toml", &profile(&["a:b"], "[[keep]]\npaths = ['c:d']\ncolour = 1\n"));
    sandbox
        .winslim(&["profile", "check", &file])
        .fails(2, &["the pattern `a:b`", "the pattern `c:d`", "unknown key `colour`"]);
}

/// Whoever sends a profile in a pull request reads nothing of the machine that checks it.
#[cfg(unix)]
#[test]
fn files_of_the_machine() {
    use std::os::unix::fs::symlink;

    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let secrets = Sandbox::new();
    let secret = secrets.file("passwd", "root:x:0:0:a secret\n");
    for name in ["link", "link.toml", "winslim.toml"] {
        symlink(&secret, sandbox.path(name)).expect("a link");
    }
    let add = sandbox.file("add.toml", &profile(&[], "[[add]]\nsource = 'link'\ntarget = 'C:\\app\\x.txt'\n"));
    let include = sandbox.file("include.toml", &profile(&[], "").replace("risk", "include = ['./link.toml']\nrisk"));
    let target = format!("{}:slim", sandbox.layout("slim"));
    let fails = |arguments: &[&str]| {
        let outcome = sandbox.winslim(arguments);
        assert!(!outcome.stderr.contains("a secret") && !outcome.stdout.contains("a secret"), "{}", outcome.stderr);
        outcome.fails(2, &["--allow-path"]);
    };
    for profile in [&add, &include, "./link.toml"] {
        fails(&["build", &base.reference, "-p", profile, "-t", &target]);
        fails(&["plan", &base.reference, "-p", profile]);
        fails(&["profile", "check", profile]);
    }
    fails(&["profile", "show", "./link.toml"]);
    fails(&["build"]);
    assert!(sandbox.is_empty("slim"));
    let allowed = secrets.path("").display().to_string();
    sandbox.winslim(&["build", &base.reference, "-p", &add, "-t", &target, "--allow-path", &allowed]).done();
}

#[test]
fn the_program_of_the_image_goes() {
    let sandbox = Sandbox::new();
    let mut image = tiny_image();
    image.layers[0].made("Files/Windows/System32/cmd.exe", 2_000);
    let base = base_of(&sandbox, &image, &Format::default());
    let run = |removed: &str, more: &str| {
        let file = sandbox.file("profile.toml", &profile(&[removed], more));
        sandbox.winslim(&["plan", &base.reference, "-p", &file]).stderr
    };
    let starts = "[image]\ncmd = ['cmd', '/S', '/C', 'C:\\Windows\\Temp\\no.bat']\n";
    for (removed, more, is_lost) in [
        (r"Windows\System32\cmd.exe", starts, true),
        (r"Windows\System32\*.exe", starts, true),
        (r"Windows\Temp", starts, false),
    ] {
        let said = run(removed, more);
        assert_eq!(said.contains("the program of the image's own Cmd"), is_lost, "{removed}: {said}");
    }
}
