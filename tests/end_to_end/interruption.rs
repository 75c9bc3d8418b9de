//! Ctrl-C, and what CI systems send: a run cleans up, says what is kept, and ends at once.

#![cfg(unix)]

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::sample_base;
use crate::support::registry::DockerRegistry;
use crate::support::{Sandbox, profile, skopeo_copy};

/// Waits until something is so; that it never is fails the test.
#[track_caller]
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn send(signal: &str, run: &Child) {
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", run.id())]).status().expect("a shell");
    assert!(status.success());
}

/// How a run ended that was sent a signal: its exit code and what it said. It must not wait for its work.
#[track_caller]
fn ended(mut run: Child) -> (i32, String) {
    let begin = Instant::now();
    wait_for("the run to end", || run.try_wait().expect("its state").is_some());
    let took = begin.elapsed();
    // What it would have to wait for takes longer: a connection that is silent for a minute.
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    let mut said = String::new();
    run.stderr.take().expect("its stderr").read_to_string(&mut said).expect("text");
    (run.wait().expect("its state").code().unwrap_or(-1), said)
}

fn count(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

#[test]
fn a_rewrite_is_interrupted() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::new();
        let base = sample_base(&sandbox);
        let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
        let target = format!("{}:slim", sandbox.layout("slim"));
        let slow = ["--recompress", "--level", "9", "--threads", "1"];
        let arguments = [&["build", &base.reference, "-p", &profile, "-t", &target][..], &slow].concat();
        let run = sandbox.command(&arguments, &[]).spawn().expect("winslim itself");
        let temporary = sandbox.path("cache/winslim/temporary");
        wait_for("the rewrite to begin", || count(&temporary) > 1);
        send(signal, &run);
        let (status, said) = ended(run);
        assert_eq!(status, code, "{said}");
        assert!(said.contains("interrupted") && said.contains("cache/winslim"), "{said}");
        assert_eq!(count(&temporary), 0, "temporary files are left");
        assert!(sandbox.is_empty("slim"));
        sandbox.winslim(&arguments).done();
    }
}

#[test]
fn a_download_is_interrupted() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = sample_base(&sandbox);
    skopeo_copy(&base.reference, &format!("docker://{}", registry.reference("base:x")), &["--all"]);
    // Passes everything on to the registry, and so much of what it answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let server = registry.address.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = std::net::TcpStream::connect(&server).expect("the registry");
            let (mut from, mut to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            thread::spawn(move || {
                let (mut answer, mut client) = (server.take(200_000), client);
                let _ = std::io::copy(&mut answer, &mut client);
                thread::sleep(Duration::from_secs(60));
            });
        }
    });
    let copy = |address: &str| {
        let target = format!("{}:copy", sandbox.layout("copy"));
        ["copy".to_owned(), format!("{address}/base:x"), target]
    };
    let arguments = copy(&address);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = sandbox.command(&arguments, &[]).spawn().expect("winslim itself");
    let partial = sandbox.path("cache/winslim/partial");
    // Of the longest file: a short layer beside it may become complete, and go, at any moment.
    let bytes = || {
        let files = std::fs::read_dir(&partial).into_iter().flatten().flatten();
        files.map(|file| file.metadata().map_or(0, |metadata| metadata.len())).max().unwrap_or(0)
    };
    wait_for("the download to begin", || bytes() > 100_000);
    send("INT", &run);
    let (status, said) = ended(run);
    assert_eq!(status, 130, "{said}");
    assert!(said.contains("partial download") && said.contains("cache/winslim"), "{said}");
    assert!(bytes() > 100_000, "what has come is kept");
    let arguments = copy(&registry.address);
    sandbox.winslim(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).done();
    assert_eq!(bytes(), 0);
}
