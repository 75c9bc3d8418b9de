//! From each kind of place to each kind of place.

use std::process::Command;

use crate::support::registry::DockerRegistry;
use crate::support::{Manifest, Sandbox, check, json_file, profile, run, skopeo_copy};
use crate::{base_of, sample_base, tiny_image};

const REMOVED: &[&str] = &[r"Windows\SysWOW64", r"Windows\WinSxS\amd64_*"];

fn removed_options() -> Vec<&'static str> {
    [&["--removed"], REMOVED].concat()
}

#[test]
fn from_registry_to_registry() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = sample_base(&sandbox);
    let (source, target) =
        (registry.reference("base/servercore:ltsc2019"), registry.reference("slim/servercore:ltsc2019"));
    skopeo_copy(&base.reference, &format!("docker://{source}"), &["--all"]);

    let profile = sandbox.file("profile.toml", &profile(REMOVED, ""));
    let ledger = sandbox.path("ledger.json");
    let ledger_argument = ledger.to_str().expect("a path in UTF-8");
    let stdout =
        sandbox.winslim(&["build", &source, "-p", &profile, "-t", &target, "--ledger", ledger_argument]).done();

    let printed = stdout.strip_suffix('\n').expect("one line");
    let (repository, digest) = printed.split_once('@').expect("a reference with a digest");
    assert_eq!(repository, registry.reference("slim/servercore"), "only the result goes to stdout");
    let slim = sandbox.path("slim");
    // By its digest and by its tag the same image is found.
    for reference in [format!("{repository}@{digest}"), target] {
        std::fs::remove_dir_all(&slim).ok();
        skopeo_copy(&format!("docker://{reference}"), &format!("{}:slim", sandbox.layout("slim")), &["--all"]);
        check(&base.directory, &slim, &removed_options());
    }
    let before: u64 = base.written.layers.iter().map(|layer| layer.blob.size).sum();
    let after: u64 = Manifest::of_layout(&slim).sizes().iter().sum();
    assert!(after < before, "{before} bytes have become {after}");
    let ledger = json_file(&ledger).to_string();
    for word in [&*base.written.layers[0].blob.digest, &base.written.layers[0].diff_id, "10.0.17763.8511", digest] {
        assert!(ledger.contains(word), "`{word}` is not in the ledger {ledger}");
    }
}

#[test]
fn from_layout_to_archive_and_back() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    let profile = sandbox.file("profile.toml", &profile(REMOVED, ""));
    let archive = format!("oci-archive:{}:slim", sandbox.path("slim.tar").display());
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &archive]).done();

    let slim = sandbox.path("slim");
    std::fs::create_dir(&slim).expect("the sandbox can be written to");
    let mut command = Command::new("tar");
    command.arg("-xf").arg(sandbox.path("slim.tar")).arg("-C").arg(&slim);
    run(command, "tar").done();
    check(&base.directory, &slim, &removed_options());
}

#[test]
fn a_copy_has_the_same_digests() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    let remote = registry.reference("copy/servercore:ltsc2019");
    sandbox.winslim(&["copy", &base.reference, &remote]).done();
    sandbox.winslim(&["copy", &remote, &format!("{}:copy", sandbox.layout("copy"))]).done();
    let copy = sandbox.path("copy");
    assert_eq!(Manifest::of_layout(&copy).digest, base.written.manifests[0].digest);
    check(&base.directory, &copy, &[]);
}

#[test]
fn other_tags_of_a_layout_stay() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    let profile = sandbox.file("profile.toml", &profile(REMOVED, ""));
    // Into the very layout that the base is in.
    let target = format!("{}:slim", sandbox.layout("base"));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).done();
    let options = [&["--source-tag", "ltsc2019", "--result-tag", "slim"], &*removed_options()].concat();
    check(&base.directory, &base.directory, &options);
}
