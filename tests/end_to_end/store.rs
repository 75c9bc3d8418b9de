//! The cache: shared by several runs, left behind by runs that were killed, full, damaged, and not to be written to.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::support::registry::DockerRegistry;
use crate::support::{Sandbox, profile, skopeo_copy};
use crate::{Base, sample_base};

const REMOVED: &[&str] = &[r"Windows\SysWOW64", r"Windows\WinSxS\amd64_*"];

/// A registry with the sample, and the arguments of a build of it into a layout.
fn prepared(sandbox: &Sandbox, registry: &DockerRegistry) -> (Base, impl Fn(&str) -> Vec<String> + use<>) {
    let base = sample_base(sandbox);
    let source = registry.reference("base/servercore:ltsc2019");
    skopeo_copy(&base.reference, &format!("docker://{source}"), &["--all"]);
    let profile = sandbox.file("profile.toml", &profile(REMOVED, ""));
    let root = sandbox.path("").display().to_string();
    let build = move |target: &str| {
        let target = format!("oci:{root}{target}:slim");
        ["build", &source, "-p", &profile, "-t", &target].map(str::to_owned).to_vec()
    };
    (base, build)
}

fn digest(stdout: &str) -> String {
    stdout.trim().split_once('@').expect("a digest").1.to_owned()
}

/// Every blob of the store has the digest that it is called by.
fn assert_sound(cache: &Path) {
    let blobs = cache.join("winslim/blobs/sha256");
    for blob in std::fs::read_dir(blobs).expect("a store").map(|blob| blob.expect("a blob").path()) {
        let actual = crate::generator::compress::hex(&<sha2::Sha256 as sha2::Digest>::digest(
            std::fs::read(&blob).expect("a blob can be read"),
        ));
        assert_eq!(blob.file_name().and_then(|name| name.to_str()), Some(&*actual));
    }
}

#[test]
fn two_runs_at_once_share_a_cache() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let (_base, build) = prepared(&sandbox, &registry);
    let digests: BTreeSet<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = ["one", "two", "three"]
            .map(|target| {
                let arguments = build(target);
                let sandbox = &sandbox;
                scope.spawn(move || sandbox.winslim(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).done())
            })
            .into_iter()
            .collect();
        runs.into_iter().map(|run| digest(&run.join().expect("a run"))).collect()
    });
    assert_eq!(digests.len(), 1, "{digests:?}");
    assert_sound(&sandbox.path("cache"));
}

#[test]
fn a_killed_run_leaves_nothing_that_disturbs_the_next() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let (_base, build) = prepared(&sandbox, &registry);
    let arguments = build("slim");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut killed = 0;
    for milliseconds in [5, 20, 40, 70, 100, 150, 200, 300, 450] {
        let mut run = sandbox.command(&arguments, &[]).spawn().expect("winslim itself");
        std::thread::sleep(Duration::from_millis(milliseconds));
        killed += u32::from(run.try_wait().expect("its state").is_none());
        run.kill().expect("a run can be killed");
        run.wait().expect("it ends");
    }
    assert!(killed > 2, "only {killed} runs were still at work when they were killed");
    let after = digest(&sandbox.winslim(&arguments).done());
    assert_sound(&sandbox.path("cache"));
    let left: Vec<_> = std::fs::read_dir(sandbox.path("cache/winslim/temporary")).expect("a store").collect();
    assert!(left.is_empty(), "the run that has the cache to itself cleans up: {left:?}");
    let undisturbed = build("undisturbed");
    let undisturbed: Vec<&str> = undisturbed.iter().map(String::as_str).collect();
    assert_eq!(digest(&sandbox.winslim(&undisturbed).done()), after);
}
