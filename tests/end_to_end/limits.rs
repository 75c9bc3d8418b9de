//! Surroundings that lack something: threads, room in files, locks, a cache, variables with content.

use std::process::Command;

use crate::support::{Outcome, Sandbox, profile, run};
use crate::{base_of, tiny_image};

/// Runs winslim while strace lets system calls fail.
fn winslim_with_fault(sandbox: &Sandbox, fault: &str, arguments: &[&str]) -> Outcome {
    let inner = sandbox.command(arguments, &[]);
    let mut command = Command::new("strace");
    let calls = fault.split(':').next().expect("system calls");
    command.args(["-f", "-qq", "-e", &format!("trace={calls}"), "-e", &format!("inject={fault}"), "-o", "/dev/null"]);
    command.arg(inner.get_program()).args(inner.get_args()).env_clear().current_dir(sandbox.path(""));
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(command, "the Debian package strace")
}

#[test]
fn no_threads() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    let target = format!("{}:x", sandbox.layout("slim"));
    let arguments = ["build", &base.reference, "-p", &profile, "-t", &target];
    // Each thread that winslim begins is the first that it cannot have.
    for number in 1..=8 {
        let outcome = winslim_with_fault(&sandbox, &format!("clone,clone3:error=EAGAIN:when={number}+"), &arguments);
        if outcome.code == 0 {
            assert!(number > 2, "winslim needs threads");
            continue;
        }
        let words = ["the system gives no more threads", "cannot be decompressed: resource temporarily unavailable"];
        assert_eq!(outcome.code, 1, "{number}: {outcome:#?}");
        assert!(words.iter().any(|word| outcome.stderr.contains(word)), "{number}: {outcome:#?}");
        for word in ["panicked", "src/", ".cargo", ".rs:"] {
            assert!(!outcome.stderr.contains(word), "{number}: {outcome:#?}");
        }
    }
}

#[test]
fn files_that_may_not_be_long() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    let target = format!("{}:x", sandbox.layout("slim"));
    for blocks in [0, 20] {
        let inner = sandbox.command(&["build", &base.reference, "-p", &profile, "-t", &target], &[]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        command.arg(inner.get_program()).args(inner.get_args()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        run(command, "a shell").fails(1, &["cannot write to", "file too large", "hint: "]);
    }
}

#[test]
fn a_file_system_without_locks() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    let fault = "flock:error=ENOLCK";
    winslim_with_fault(&sandbox, fault, &["inspect", &base.reference])
        .fails(1, &["cannot lock", "cache/winslim/lock", "hint: this file system has no locks", "--cache-dir"]);
    for arguments in [
        &["host", &base.reference, "--build", "10.0.17763.1"][..],
        &["host", "--build", "10.0.17763.1"],
        &["profile", "list"],
        &["completions", "bash"],
        &["man"],
        &["schema", "inspect"],
    ] {
        winslim_with_fault(&sandbox, fault, arguments).done();
    }
}

#[test]
fn no_home_and_no_cache() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    let file = sandbox.file("cache-is-a-file", "x");
    let place = ["--cache-dir", &file];
    sandbox.winslim(&[&["inspect", &base.reference][..], &place].concat()).fails(1, &["--cache-dir"]);
    sandbox.winslim(&[&["host", &base.reference, "--build", "10.0.17763.1"][..], &place].concat()).done();
    sandbox.file(
        "winslim.toml",
        &format!("target = \"oci:slim:x\"\nprofiles = [\"safe\"]\n[[base]]\nimage = \"{}\"\n", base.reference),
    );
    sandbox.winslim(&[&["lock"][..], &place].concat()).done();
}

#[test]
fn empty_variables_count_as_not_set() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    let build = |target: &str, environment: &[(&str, &str)]| {
        let target = format!("{}:x", sandbox.layout(target));
        sandbox.winslim_with(&["build", &base.reference, "-p", &profile, "-t", &target], environment).done()
    };
    let without = build("without", &[]);
    let empty = [
        "WINSLIM_CACHE_DIR",
        "WINSLIM_LOG_FORMAT",
        "WINSLIM_MIRROR",
        "WINSLIM_CA",
        "WINSLIM_CLIENT_CERT",
        "WINSLIM_CLIENT_KEY",
        "WINSLIM_PUSH_MODE",
        "SOURCE_DATE_EPOCH",
        "DOCKER_CONFIG",
        "REGISTRY_AUTH_FILE",
        "HTTPS_PROXY",
        "XDG_CONFIG_HOME",
        "NO_COLOR",
    ];
    for name in empty {
        let with = build(name, &[(name, "")]);
        assert_eq!(with.split('@').nth(1), without.split('@').nth(1), "{name}");
    }
    let outcome = sandbox.winslim_with(&["cache", "info"], &[("WINSLIM_CACHE_DIR", "")]);
    assert!(outcome.done().contains("cache/winslim"));
    let registry = crate::support::registry::DockerRegistry::start();
    let all: Vec<(&str, &str)> = empty.iter().map(|name| (*name, "")).collect();
    sandbox.winslim_with(&["copy", &base.reference, &registry.reference("base:x")], &all).done();
}
