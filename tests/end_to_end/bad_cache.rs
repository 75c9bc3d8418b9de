//! A cache on a disk that takes no more, or that cannot be written to: a clear error, and nothing corrupt.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::generator::layout::Format;
use crate::support::registry::DockerRegistry;
use crate::support::{Outcome, Sandbox, profile, run, skopeo_copy};
use crate::{base_of, sample_base, tiny_image};

/// Runs winslim so that no file can become longer than so many blocks of 512 bytes, as on a disk that is full.
fn winslim_with_blocks(sandbox: &Sandbox, blocks: u32, arguments: &[&str]) -> Outcome {
    let inner = sandbox.command(arguments, &[]);
    let mut command = Command::new("sh");
    // Without the trap the shell's child would be killed, where a full disk is an error.
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
    command.arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(command, "a shell")
}

#[test]
fn a_disk_that_takes_no_more() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = sample_base(&sandbox);
    let source = registry.reference("base/servercore:ltsc2019");
    skopeo_copy(&base.reference, &format!("docker://{source}"), &["--all"]);
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    let cache = sandbox.path("cache/winslim").display().to_string();
    let target = format!("{}:x", sandbox.layout("slim"));
    for source in [&source, &base.reference] {
        let arguments = ["build", source, "-p", &profile, "-t", &target];
        // At the first byte, in the middle of a download or of a rewritten layer, and near its end.
        for blocks in [0, 100, 500, 1000] {
            let outcome = winslim_with_blocks(&sandbox, blocks, &arguments);
            outcome.fails(1, &["cannot write to", "file too large", &cache, "--cache-dir"]);
            assert!(sandbox.is_empty("slim"), "something was published");
            sandbox.winslim(&["cache", "verify"]).done();
        }
        sandbox.winslim(&arguments).done();
        for directory in [sandbox.path("cache"), sandbox.path("slim")] {
            std::fs::remove_dir_all(directory).expect("a directory of this user");
        }
    }
}

/// Runs a copy of winslim as somebody who cannot write to the cache.
fn winslim_as_reader(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let mut command = sandbox.command(arguments, &[]);
    let is_root = run(Command::new("id"), "the program id").done().starts_with("uid=0(");
    if is_root {
        // Permissions do not bind root, so it has to be somebody else, who may not reach the program where it is.
        let program = sandbox.path("winslim");
        if !program.exists() {
            std::fs::copy(env!("CARGO_BIN_EXE_winslim"), &program).expect("the sandbox can be written to");
        }
        let mut other = Command::new(program);
        other.args(arguments).env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        other.current_dir("/").uid(65_534).gid(65_534);
        command = other;
    }
    run(command, "winslim itself")
}

fn set_mode(directory: &Path, files: u32, directories: u32) {
    for entry in walkdir::WalkDir::new(directory).contents_first(true) {
        let entry = entry.expect("the sandbox can be read");
        let mode = if entry.file_type().is_dir() { directories } else { files };
        std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(mode)).expect("a file of this user");
    }
}

#[test]
fn a_cache_that_cannot_be_written_to_is_read() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    sandbox.winslim(&["inspect", &base.reference]).done();
    let inspected = sandbox.winslim(&["inspect", &base.reference, "--format", "json"]).done();
    let cache = sandbox.path("cache/winslim");
    set_mode(&sandbox.path(""), 0o644, 0o755);
    set_mode(&cache, 0o444, 0o555);
    let outcome = winslim_as_reader(&sandbox, &["inspect", &base.reference, "--format", "json"]);
    assert_eq!(outcome.done(), inspected);
    winslim_as_reader(&sandbox, &["cache", "info"]).done();
    winslim_as_reader(&sandbox, &["cache", "verify"]).done();
    std::fs::create_dir(sandbox.path("open")).expect("the sandbox can be written to");
    set_mode(&sandbox.path("open"), 0o644, 0o777);
    let target = format!("oci:{}:x", sandbox.path("open/slim").display());
    let place = cache.display().to_string();
    winslim_as_reader(&sandbox, &["build", &base.reference, "-p", &profile, "-t", &target])
        .fails(1, &["permission denied", &place, "--cache-dir"]);
    winslim_as_reader(&sandbox, &["cache", "prune", "--max-size", "0"])
        .fails(1, &["permission denied", &place, "--cache-dir"]);
    set_mode(&cache, 0o644, 0o755);
    sandbox.winslim(&["cache", "verify"]).done();
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).done();
}

#[test]
fn a_cache_that_has_everything_need_not_be_written_to() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    let build = |target: &str| {
        let target = format!("oci:{}:x", sandbox.path(target).display());
        ["build", &base.reference, "-p", &profile, "-t", &target].map(str::to_owned)
    };
    let run = |arguments: &[String], run: fn(&Sandbox, &[&str]) -> Outcome| {
        run(&sandbox, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).done()
    };
    let expected = run(&build("slim"), Sandbox::winslim);
    let digest = expected.trim().rsplit_once('@').expect("a digest").1;
    set_mode(&sandbox.path(""), 0o644, 0o755);
    set_mode(&sandbox.path("cache/winslim"), 0o444, 0o555);
    std::fs::create_dir(sandbox.path("open")).expect("the sandbox");
    set_mode(&sandbox.path("open"), 0o644, 0o777);
    // The ledger names the target, so it is new each time.
    let built = run(&build("open/slim"), winslim_as_reader);
    assert!(built.trim().ends_with(digest), "{built}");
    let copy = format!("oci:{}:x", sandbox.path("open/copy").display());
    winslim_as_reader(&sandbox, &["copy", &base.reference, &copy]).done();
    winslim_as_reader(&sandbox, &["verify", &base.reference]).done();
    set_mode(&sandbox.path("cache/winslim"), 0o644, 0o755);
}

#[test]
fn a_file_in_the_place_of_the_cache() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("letter.txt", "dear reader");
    let outcome = sandbox.winslim(&["cache", "info", "--cache-dir", &file]);
    outcome.fails(1, &[&file, "not a directory", "hint: a file is where the cache should be", "--cache-dir"]);
}
