//! What is on the disk when the power fails: in the order of its system calls, winslim flushes a file before it has its name,
//! and a directory before anything names what is in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sample_base;
use crate::support::{Sandbox, profile, run};

/// What a run did, in its order.
#[derive(Debug, PartialEq)]
enum Call {
    /// A file or a directory is on the disk.
    Flushed(String),
    /// A file has a new name.
    Named { from: String, to: String },
}

/// Runs winslim under strace.
fn calls(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Call> {
    let inner = sandbox.command(arguments, &[]);
    let trace = sandbox.path("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-s", "4096", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat", "-o"]);
    command.arg(&trace).arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(sandbox.path(""));
    run(command, "the Debian package strace").done();
    let text = std::fs::read_to_string(trace).expect("the trace");
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let (pid, call) = line.split_once(' ').expect("a process and its call");
        let call = call.trim_start();
        // A flush counts from its end, and a name from its beginning.
        let call = if call.starts_with("<... f") { begun.remove(pid).expect("its beginning") } else { call };
        let is_unfinished = call.contains("<unfinished") && !line.contains("resumed");
        if call.starts_with("fsync(") || call.starts_with("fdatasync(") {
            if is_unfinished {
                begun.insert(pid, call);
                continue;
            }
            let path = call.split_once('<').and_then(|(_, rest)| rest.split_once('>')).expect("a path").0;
            calls.push(Call::Flushed(path.to_owned()));
        } else if call.starts_with("rename") || call.starts_with("link") {
            // Without the dots of relative paths, as strace shows those of open files.
            let whole = |path: &str| sandbox.path(path).components().collect::<PathBuf>().display().to_string();
            let mut paths = call.split('"').skip(1).step_by(2).map(whole);
            let (from, to) = (paths.next().expect("a path"), paths.next().expect("a path"));
            calls.push(Call::Named { from, to });
        }
    }
    calls
}

/// Checks that each name that begins like this had its content on the disk before; returns where the names are.
#[track_caller]
fn names(calls: &[Call], path: &Path) -> Vec<usize> {
    let path = path.display().to_string();
    let mut found = Vec::new();
    for (position, call) in calls.iter().enumerate() {
        let Call::Named { from, to } = call else { continue };
        if to.starts_with(&path) {
            assert!(calls[..position].contains(&Call::Flushed(from.clone())), "{to} has its name before its content");
            found.push(position);
        }
    }
    assert!(!found.is_empty(), "{path} is not written in {calls:#?}");
    found
}

fn is_flushed(calls: &[Call], directory: &Path) -> bool {
    let directory = directory.display().to_string();
    let directory = directory.trim_end_matches('/');
    calls.iter().any(|call| matches!(call, Call::Flushed(path) if path == directory))
}

#[test]
fn a_build_flushes_blobs_then_their_directory_then_the_index() {
    let sandbox = Sandbox::new();
    let base = sample_base(&sandbox);
    sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    let text = format!(
        "target = \"oci:slim:x\"\nledger = \"ledger.json\"\nsummary = \"summary.md\"\nreport = \"report.html\"\n\
         [[base]]\nimage = \"{}\"\nprofiles = [\"./profile.toml\"]\n",
        base.reference
    );
    sandbox.file("winslim.toml", &text);
    let calls = calls(&sandbox, &["build"]);
    let slim = sandbox.path("slim");
    let blobs = names(&calls, &slim.join("blobs/sha256"));
    let count = std::fs::read_dir(slim.join("blobs/sha256")).expect("blobs").count();
    assert!(blobs.len() >= count, "{} of {count} blobs", blobs.len());
    for index in names(&calls, &slim.join("index.json")) {
        let before = blobs.iter().rfind(|blob| **blob < index).expect("a blob before the index");
        assert!(is_flushed(&calls[*before..index], &slim.join("blobs/sha256")), "the index may name what is not there");
        assert!(is_flushed(&calls[index..], &slim), "the index may be the old one");
    }
    let marker = names(&calls, &slim.join("oci-layout"));
    assert!(marker[0] < blobs[0] && is_flushed(&calls[..blobs[0]], &slim), "a run that ends here leaves no layout");
    let last = names(&calls, &slim.join("index.json")).pop().expect("an index");
    for name in ["winslim.lock", "ledger.json", "summary.md", "report.html"] {
        let written = names(&calls, &sandbox.path(name));
        assert!(written[0] > last, "{name} tells of an image that is not there");
        assert!(is_flushed(&calls[written[0]..], &sandbox.path("")), "{name} may be lost");
    }
}

#[test]
fn archives_and_reports_have_their_content_before_their_names() {
    let sandbox = Sandbox::new();
    let base = sample_base(&sandbox);
    for (arguments, name) in [
        (["copy", &base.reference, "oci-archive:a.tar:x"], "a.tar"),
        (["inspect", &base.reference, "-oreport.txt"], "report.txt"),
    ] {
        let calls = calls(&sandbox, &arguments);
        let written = names(&calls, &sandbox.path(name));
        assert!(is_flushed(&calls[written[0]..], &sandbox.path("")), "{name} may be lost");
    }
}
