//! Builds that a `winslim.toml` describes, and the lock beside it.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::generator::Image;
use crate::generator::layout::{Format, Written, write_layout};
use crate::support::registry::DockerRegistry;
use crate::support::{Manifest, Sandbox, check, json_file, profile, run, skopeo_copy};
use crate::tiny_image;

const REMOVED: &str = r"Windows\SysWOW64";

/// The tiny image as one of another version of Windows.
fn image_of(os_version: &str) -> Image {
    let mut image = tiny_image();
    image.versions[0].os_version = os_version.to_owned();
    image
}

/// Writes an image of a version into a layout of its own.
fn layout(sandbox: &Sandbox, name: &str, os_version: &str) -> Written {
    let format = Format { tag: "image".to_owned(), ..Format::default() };
    write_layout(&image_of(os_version), &format, &sandbox.path(name)).expect("the sandbox can be written to")
}

/// Lets a tag of a registry lead to an image of a version.
fn set_tag(sandbox: &Sandbox, registry: &DockerRegistry, tag: &str, os_version: &str) -> Written {
    let name = format!("image-{os_version}");
    let written = match sandbox.path(&name).exists() {
        true => None,
        false => Some(layout(sandbox, &name, os_version)),
    };
    let target = format!("docker://{}", registry.reference(&format!("base/servercore:{tag}")));
    skopeo_copy(&format!("{}:image", sandbox.layout(&name)), &target, &["--all"]);
    written.unwrap_or_else(|| layout(sandbox, &format!("again-{os_version}"), os_version))
}

/// What skopeo finds behind a tag, as it is stored.
fn raw(reference: &str) -> Value {
    let mut command = Command::new("skopeo");
    command.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    serde_json::from_str(&run(command, "the Debian package skopeo").done()).expect("JSON")
}

/// A build file for bases of layouts, with a profile beside it.
fn build_file(sandbox: &Sandbox, head: &str, bases: &[&str]) {
    sandbox.file("mine.toml", &profile(&[REMOVED], ""));
    let bases: String = bases.iter().map(|base| format!("[[base]]\nimage = \"{base}\"\n")).collect();
    sandbox.file("winslim.toml", &format!("profiles = [\"mine.toml\"]\n{head}\n{bases}"));
}

fn read(sandbox: &Sandbox, name: &str) -> String {
    fs::read_to_string(sandbox.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn three_versions_of_windows_under_one_tag() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let versions = [("ltsc2022", "10.0.20348.4529"), ("ltsc2025", "10.0.26100.7171"), ("ltsc2019", "10.0.17763.8511")];
    let bases = versions.map(|(tag, version)| {
        set_tag(&sandbox, &registry, tag, version);
        registry.reference(&format!("base/servercore:{tag}"))
    });
    let target = registry.reference("slim/servercore:windows");
    let head = format!("target = \"{target}\"\nsummary = \"summary.md\"\nledger = \"ledgers/{{build}}.json\"");
    build_file(&sandbox, &head, &bases.each_ref().map(String::as_str));
    fs::create_dir(sandbox.path("ledgers")).expect("the sandbox can be written to");

    let stdout = sandbox.winslim(&["build"]).done();
    let index = raw(&target);
    let entries = index["manifests"].as_array().expect("an index");
    let found: Vec<_> =
        entries.iter().map(|entry| entry["platform"]["os.version"].as_str().expect("a version")).collect();
    assert_eq!(found, ["10.0.26100.7171", "10.0.20348.4529", "10.0.17763.8511"], "the newest first");
    let digest = registry.tagged("slim/servercore", "windows");
    assert_eq!(stdout, format!("{}@{digest}\n", registry.reference("slim/servercore")));

    skopeo_copy(&format!("docker://{target}"), &format!("{}:slim", sandbox.layout("slim")), &["--all"]);
    for (number, (_, version)) in versions.iter().enumerate() {
        let platform = format!("windows/amd64:{version}");
        sandbox.winslim(&["verify", &target, "--platform", &platform]).done();
        let build = version.split('.').nth(2).expect("a build");
        let ledger = json_file(&sandbox.path(&format!("ledgers/{build}.json")));
        assert_eq!(ledger["base"]["reference"], *bases[number]);
        assert_eq!(ledger["result"]["index"], *digest);
        let manifest = ledger["result"]["manifest"].as_str().expect("a digest");
        assert!(entries.iter().any(|entry| entry["digest"] == manifest));
        let referrers = json_file(&registry.blob(&registry.tagged("slim/servercore", &manifest.replace(':', "-"))));
        assert_eq!(referrers["manifests"].as_array().map(Vec::len), Some(1), "each has its own ledger");
        let options = ["--os-version", version, "--removed", REMOVED];
        check(&sandbox.path(&format!("image-{version}")), &sandbox.path("slim"), &options);
    }
    let summary = read(&sandbox, "summary.md");
    assert_eq!(summary.matches("\n## ").count() + 1, 3, "{summary}");
    let lock = read(&sandbox, "winslim.lock");
    for (_, version) in versions {
        assert!(lock.contains(&format!("os-version = \"{version}\"")), "{lock}");
    }
}

#[test]
fn a_moved_tag_is_told_and_the_locked_image_is_still_built() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let old = set_tag(&sandbox, &registry, "ltsc2019", "10.0.17763.8389");
    let base = registry.reference("base/servercore:ltsc2019");
    let target = registry.reference("slim/servercore:{tag}");
    build_file(&sandbox, &format!("target = \"{target}\""), &[&base]);
    sandbox.winslim(&["lock", "--check"]).code_is(4, &["is not in the lock"]);
    assert!(!sandbox.path("winslim.lock").exists(), "checking writes nothing");
    sandbox.winslim(&["lock"]).done();
    let lock = read(&sandbox, "winslim.lock");
    assert!(lock.contains(&old.index.digest) && lock.contains(&old.layers[1].blob.digest), "{lock}");
    sandbox.winslim(&["lock", "--check"]).code_is(0, &["everything is as locked"]);
    let first = sandbox.winslim(&["build", "--locked"]).done();

    let new = set_tag(&sandbox, &registry, "ltsc2019", "10.0.17763.8511");
    let outcome = sandbox.winslim(&["lock", "--check"]);
    outcome.code_is(
        4,
        &["the tag moved from 10.0.17763.8389 (KB5075904, 2026-02-10) to 10.0.17763.8511 (KB5078752, 2026-03-10)"],
    );
    let report = sandbox.winslim(&["lock", "--check", "--format", "json"]);
    let report: Value = serde_json::from_str(&report.stdout).expect("JSON");
    let moved = &report["bases"][0]["moved"];
    assert_eq!((&report["drifted"], &moved["direction"]), (&true.into(), &"forward".into()));
    assert_eq!((&moved["before"]["revision"], &moved["after"]["revision"]), (&8389.into(), &8511.into()));
    assert_eq!(moved["after"]["root"], *new.index.digest);
    sandbox
        .winslim(&["lock", "--check", "--format", "markdown"])
        .code_is(4, &["## winslim.lock: 1 of 1 base not as locked"]);
    assert_eq!(read(&sandbox, "winslim.lock"), lock, "checking writes nothing");

    // Without and with --locked the pinned image is built, and it is the same image as before.
    for arguments in [&["build"][..], &["build", "--locked"]] {
        assert_eq!(sandbox.winslim(arguments).done(), first);
        let slim = raw(&registry.reference("slim/servercore:ltsc2019"));
        assert_eq!(slim["manifests"][0]["platform"]["os.version"], "10.0.17763.8389");
        assert_eq!(read(&sandbox, "winslim.lock"), lock);
    }
    // The tag is not even asked for.
    let log = sandbox.winslim(&["build", "--locked", "-vv"]).stderr;
    assert!(log.contains("base/servercore/manifests/sha256:"), "{log}");
    assert!(!log.contains("base/servercore/manifests/ltsc2019"), "{log}");

    sandbox.winslim(&["lock", "--update", "nobody/knows:it"]).fails(2, &["there is no base `nobody/knows:it`", &base]);
    sandbox.winslim(&["lock", "--update", &base]).code_is(0, &["10.0.17763.8511"]);
    assert!(read(&sandbox, "winslim.lock").contains(&new.index.digest));
    assert_ne!(sandbox.winslim(&["build", "--locked"]).done(), first);

    set_tag(&sandbox, &registry, "ltsc2019", "10.0.17763.8389");
    let outcome = sandbox.winslim(&["lock", "--check"]);
    outcome.code_is(4, &["the tag went back from 10.0.17763.8511"]);
    assert!(outcome.stderr.contains("warning: "), "{outcome:#?}");
    assert!(outcome.stderr.contains("went back from 10.0.17763.8511 to 10.0.17763.8389"), "{outcome:#?}");
}

#[test]
fn two_empty_machines_build_the_same() {
    let registry = DockerRegistry::start();
    let files = ["winslim.toml", "winslim.lock", "mine.toml"];
    let (first, second) = (Sandbox::new(), Sandbox::new());
    set_tag(&first, &registry, "ltsc2019", "10.0.17763.8389");
    set_tag(&first, &registry, "ltsc2022", "10.0.20348.4529");
    let bases = ["ltsc2019", "ltsc2022"].map(|tag| registry.reference(&format!("base/servercore:{tag}")));
    let head = format!("target = \"{}\"", registry.reference("slim/servercore:windows"));
    build_file(&first, &head, &bases.each_ref().map(String::as_str));
    let built = first.winslim(&["build", "--threads", "1"]).done();
    for name in files {
        second.file(name, &read(&first, name));
    }
    set_tag(&first, &registry, "ltsc2019", "10.0.17763.8511");
    assert_eq!(second.winslim(&["build", "--locked", "--threads", "3"]).done(), built);
    assert_eq!(second.winslim(&["build"]).done(), built);
    for name in files {
        assert_eq!(read(&first, name), read(&second, name));
    }
}

#[test]
fn a_locked_build_refuses_every_difference() {
    let sandbox = Sandbox::new();
    layout(&sandbox, "base", "10.0.17763.8511");
    layout(&sandbox, "other", "10.0.20348.4529");
    build_file(&sandbox, "target = \"oci:slim:{build}\"", &["oci:base:image"]);
    let more = "[[add]]\nsource = \"app\"\ntarget = 'C:\\app'\n";
    sandbox.file("mine.toml", &profile(&[REMOVED], more));
    sandbox.file("app/server.txt", "one");
    sandbox.winslim(&["build", "--locked"]).fails(4, &["there is no such file", "winslim.lock", "winslim lock"]);
    sandbox.winslim(&["lock"]).done();
    let (lock, file) = (read(&sandbox, "winslim.lock"), read(&sandbox, "winslim.toml"));

    sandbox.file("app/server.txt", "two");
    sandbox.winslim(&["build", "--locked"]).fails(4, &["source `app` has changed"]);
    sandbox.winslim(&["lock", "--check"]).code_is(4, &["source `app` has changed"]);
    sandbox.file("app/server.txt", "one");
    sandbox.file("mine.toml", &profile(&[], more));
    sandbox.winslim(&["build", "--locked"]).fails(4, &["profile `test` has changed"]);
    sandbox.file("mine.toml", &profile(&[REMOVED], more));
    sandbox.winslim(&["build", "--locked", "-p", "safe"]).fails(4, &["profile `safe` is new", "`test` is gone"]);
    sandbox.file("winslim.toml", &format!("{file}[[base]]\nimage = \"oci:other:image\"\n"));
    sandbox.winslim(&["build", "--locked"]).fails(4, &["oci:other:image: is not in the lock"]);
    sandbox.file("winslim.toml", &file.replace("oci:base", "oci:other"));
    sandbox.winslim(&["build", "--locked"]).fails(4, &["oci:base:image: is in the lock, and no longer in"]);
    sandbox.file("winslim.toml", &file);
    sandbox.file("winslim.lock", &lock.replace("winslim = \"", "winslim = \"0.0."));
    sandbox.winslim(&["build", "--locked"]).fails(4, &["written by winslim 0.0."]);
    sandbox.file("winslim.lock", &lock.replace("version = 1", "version = 9"));
    sandbox.winslim(&["build"]).fails(2, &["winslim.lock:4:11: unknown version", "hint: restore the file"]);
    assert!(sandbox.is_empty("slim"), "nothing was built");

    // Without --locked the lock follows what is here, and the pinned image stays.
    sandbox.file("winslim.lock", &lock);
    sandbox.file("app/server.txt", "two");
    sandbox.winslim(&["build"]).done();
    assert_ne!(read(&sandbox, "winslim.lock"), lock);
    sandbox.winslim(&["build", "--locked"]).done();
    let pinned =
        |lock: &str| lock.lines().filter(|line| line.starts_with("manifest")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(pinned(&read(&sandbox, "winslim.lock")), pinned(&lock));
}

#[test]
fn each_base_may_have_a_target_of_its_own() {
    let sandbox = Sandbox::new();
    layout(&sandbox, "a", "10.0.17763.8511");
    layout(&sandbox, "b", "10.0.20348.4529");
    let head = "target = \"oci:slim-{build}:{os.version}\"\nreport = \"{build}.html\"\ncompression = \"zstd\"";
    build_file(&sandbox, head, &["oci:a:image", "oci:b:image"]);
    let stdout = sandbox.winslim(&["build"]).done();
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{stdout}");
    assert!(lines[0].starts_with("oci:slim-17763:10.0.17763.8511@sha256:"), "{stdout}");
    assert!(lines[1].starts_with("oci:slim-20348:10.0.20348.4529@sha256:"), "{stdout}");
    for build in ["17763", "20348"] {
        assert!(read(&sandbox, &format!("{build}.html")).contains("<html"));
        let manifest = Manifest::of_layout(&sandbox.path(&format!("slim-{build}")));
        assert!(manifest.value["layers"].to_string().contains("tar+zstd"), "{}", manifest.value);
    }
    // Options count more than the file.
    let arguments = ["build", "-t", "oci:own-{build}:x", "--compression", "gzip", "--report", "own-{build}.html"];
    sandbox.winslim(&arguments).done();
    let manifest = Manifest::of_layout(&sandbox.path("own-17763"));
    assert!(!manifest.value["layers"].to_string().contains("zstd"), "{}", manifest.value);
    assert!(sandbox.path("own-20348.html").exists());
}

#[test]
fn what_cannot_be_is_refused_before_any_work() {
    let sandbox = Sandbox::new();
    layout(&sandbox, "a", "10.0.17763.8511");
    layout(&sandbox, "b", "10.0.17763.7919");
    layout(&sandbox, "c", "10.0.20348.4529");
    let (same, other) = (["oci:a:image", "oci:b:image"], ["oci:a:image", "oci:c:image"]);
    for (head, bases, words) in [
        ("target = \"oci:slim\"", same, &["both of Windows build 17763", "oci:a:image", "oci:b:image"][..]),
        ("target = \"oci:slim\"\nledger = \"x.json\"", other, &["ledgers of several bases", "x.json", "{build}"]),
        ("target = \"oci-archive:slim.tar:{build}\"", other, &["written as a whole"]),
        ("target = \"oci:slim@sha256:0\"", other, &["winslim.toml:2:10", "not a SHA-256 digest"]),
        ("targets = \"oci:slim\"", other, &["winslim.toml:2:1: unknown key `targets`; did you mean `target`?"]),
        ("", other, &["has no `target`", "--target"]),
    ] {
        build_file(&sandbox, head, &bases);
        sandbox.winslim(&["build"]).fails(2, words);
    }
    sandbox.file("winslim.toml", "target = \"oci:slim\"\n[[base]]\nimage = \"oci:a:image\"\n");
    sandbox.winslim(&["build"]).fails(2, &["names no profiles for `oci:a:image`"]);
    sandbox
        .file("winslim.toml", "target = \"oci:slim\"\nprofiles = [\"balancd\"]\n[[base]]\nimage = \"oci:a:image\"\n");
    sandbox.winslim(&["build"]).fails(2, &["the profiles of `oci:a:image`", "did you mean `balanced`?"]);
    sandbox.winslim(&["build", "-p", "safe", "--level", "10"]).fails(2, &["the level 10 is not between 0 and 9"]);
    sandbox.winslim(&["build", "--file", "none.toml"]).fails(2, &["none.toml", "no such file", "winslim init"]);
    sandbox.winslim(&["build", "oci:a:image", "-p", "safe"]).fails(2, &["--target"]);
    assert!(sandbox.is_empty("slim") && !sandbox.path("winslim.lock").exists());
}

#[test]
fn nothing_is_pushed_that_does_not_meet_the_policy() {
    let sandbox = Sandbox::new();
    layout(&sandbox, "a", "10.0.17763.8511");
    layout(&sandbox, "b", "10.0.20348.4529");
    let head = "target = \"oci:slim\"\nfail-if = [\"compressed > 1kB\", \"growth > 0\"]";
    build_file(&sandbox, head, &["oci:a:image", "oci:b:image"]);
    let outcome = sandbox.winslim(&["build"]);
    outcome
        .fails(3, &["`oci:a:image`, slimmed, does not meet the policy: compressed > 1kB (it is", "nothing was pushed"]);
    assert!(!outcome.stderr.contains("growth"), "it became smaller: {outcome:#?}");
    assert!(sandbox.is_empty("slim") && !sandbox.path("winslim.lock").exists());
    sandbox.winslim(&["build", "--fail-if", "compressed > 1GB"]).done();
    let arguments = ["build", "oci:a:image", "-p", "safe", "-t", "oci:one", "--fail-if", "files > 1"];
    sandbox.winslim(&arguments).fails(3, &["files > 1"]);
    assert!(sandbox.is_empty("one"));
}

#[test]
fn paths_begin_at_the_build_file() {
    let sandbox = Sandbox::new();
    layout(&sandbox, "sub/base", "10.0.17763.8511");
    sandbox.file(
        "sub/profiles/mine.toml",
        &profile(&[REMOVED], "[[add]]\nsource = \"app.txt\"\ntarget = 'C:\\app.txt'\n"),
    );
    sandbox.file("sub/profiles/app.txt", "app");
    let text = "target = \"oci:slim:x\"\nledger = \"ledger.json\"\n[[base]]\nimage = \"oci:base:image\"\nprofiles = [\"profiles/mine.toml\"]\n";
    sandbox.file("sub/ci.toml", text);
    sandbox.winslim(&["build", "--file", "sub/ci.toml"]).done();
    assert!(sandbox.path("sub/slim/index.json").exists() && sandbox.path("sub/ledger.json").exists());
    let lock = read(&sandbox, "sub/ci.lock");
    assert!(lock.contains("name = \"profiles/app.txt\"") && lock.contains("image = \"oci:base:image\""), "{lock}");
}

#[test]
fn a_first_build_file_is_written_once() {
    let sandbox = Sandbox::new();
    sandbox.winslim(&["init"]).done();
    let text = read(&sandbox, "winslim.toml");
    assert!(text.contains("[[base]]"), "{text}");
    sandbox.file("winslim.toml", "mine");
    sandbox.winslim(&["init"]).fails(2, &["`winslim.toml` is there already"]);
    assert_eq!(read(&sandbox, "winslim.toml"), "mine");
}

#[test]
fn an_archive_is_locked_by_its_content() {
    let sandbox = Sandbox::new();
    layout(&sandbox, "old", "10.0.17763.8389");
    layout(&sandbox, "new", "10.0.17763.8511");
    let save = |name: &str, kind: &str| {
        let archive = sandbox.path("base.tar").display().to_string();
        fs::remove_file(&archive).ok();
        // A name in an archive of docker's is one of a repository.
        let tag = if kind == "docker-archive" { "base:image" } else { "image" };
        let target = format!("{kind}:{archive}:{tag}");
        let mut command = Command::new("skopeo");
        let source = format!("{}:image", sandbox.layout(name));
        command.args(["--insecure-policy", "--override-os", "windows", "copy", &source, &target]);
        run(command, "the Debian package skopeo").done();
    };
    for kind in ["docker-archive", "oci-archive"] {
        build_file(&sandbox, "target = \"oci:slim\"", &[&format!("{kind}:base.tar")]);
        fs::remove_file(sandbox.path("winslim.lock")).ok();
        save("old", kind);
        let built = sandbox.winslim(&["build"]).done();
        assert_eq!(sandbox.winslim(&["build", "--locked"]).done(), built, "{kind}");
        save("new", kind);
        sandbox.winslim(&["lock", "--check"]).code_is(4, &["from 10.0.17763.8389"]);
        sandbox.winslim(&["build", "--locked"]).fails(1, &["is locked to", "winslim lock --update"]);
        assert_eq!(sandbox.winslim(&["lock", "--update"]).code, 0);
        assert_ne!(sandbox.winslim(&["build", "--locked"]).done(), built, "{kind}");
    }
}

#[test]
fn what_the_command_line_overrides_never_touches_the_lock() {
    let sandbox = Sandbox::new();
    layout(&sandbox, "base", "10.0.17763.8511");
    build_file(&sandbox, "target = \"oci:slim:x\"", &["oci:base:image"]);
    let other = sandbox.file("other.toml", &profile(&[r"Windows\Fonts"], "").replace("\"test\"", "\"other\""));
    sandbox.winslim(&["build", "-p", &other]).done();
    assert!(!sandbox.path("winslim.lock").exists(), "a lock of what no build file asks for");
    sandbox.winslim(&["build"]).done();
    let lock = read(&sandbox, "winslim.lock");
    sandbox.winslim(&["build", "-p", &other, "-t", "oci:elsewhere:x", "--compression", "zstd"]).done();
    assert_eq!(read(&sandbox, "winslim.lock"), lock);
    // Nor does it follow a tag that moved, or lock a base that is new in the build file.
    layout(&sandbox, "new", "10.0.20348.1");
    build_file(&sandbox, "target = \"oci:slim-{build}:x\"", &["oci:base:image", "oci:new:image"]);
    sandbox.winslim(&["build", "-p", &other]).done();
    assert_eq!(read(&sandbox, "winslim.lock"), lock);
    sandbox.winslim(&["build"]).done();
    assert!(read(&sandbox, "winslim.lock").contains("oci:new:image"));
}

#[test]
fn a_registry_that_is_down_hides_no_other_base() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    set_tag(&sandbox, &registry, "one", "10.0.17763.1");
    layout(&sandbox, "base", "10.0.20348.1");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let down = format!("{}/base:x", listener.local_addr().expect("a bound socket"));
    drop(listener);
    let up = registry.reference("base/servercore:one");
    build_file(&sandbox, "target = \"oci:slim-{build}:x\"", &[&up, "oci:base:image"]);
    sandbox.winslim(&["lock"]).done();
    set_tag(&sandbox, &registry, "one", "10.0.17763.2");
    build_file(&sandbox, "target = \"oci:slim-{build}:x\"", &[&down, &up, "oci:base:image"]);
    let outcome = sandbox.winslim(&["lock", "--check"]);
    outcome.code_is(1, &[&down, "the tag cannot be looked up", &up, "10.0.17763.2"]);
    assert!(outcome.stderr.contains("not every tag can be looked up"), "{outcome:#?}");
    let json = sandbox.winslim(&["lock", "--check", "--format", "json"]).stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["bases"].as_array().map(Vec::len), Some(3));
    assert!(json["bases"][0]["unknown"].is_string() && json["bases"][1].get("unknown").is_none(), "{json}");
    // What is to be written has to be known.
    sandbox.winslim(&["lock"]).fails(1, &["connection refused"]);
}
