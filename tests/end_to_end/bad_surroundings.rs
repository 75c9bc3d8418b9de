//! Networks and disks that fail: a clear error, and the target as it was.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::generator::layout::Format;
use crate::generator::{Image, Scale};
use crate::support::registry::DockerRegistry;
use crate::support::{Manifest, Sandbox, profile, run, skopeo_copy};
use crate::{base_of, tiny_image};

#[test]
fn an_unknown_tag_in_a_registry() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let source = registry.reference("base/servercore");
    skopeo_copy(&base.reference, &format!("docker://{source}:ltsc2019"), &["--all"]);
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    let target = registry.reference("slim/servercore:x");
    for (source, words) in [(format!("{source}:nonesuch"), "nonesuch"), (registry.reference("other:x"), "other")] {
        sandbox.winslim(&["build", &source, "-p", &profile, "-t", &target]).fails(1, &[words, &registry.address]);
    }
    assert!(!registry.has_tags("slim/servercore"));
}

#[test]
fn a_bad_image_is_not_pushed() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let mut image = tiny_image();
    image.layers[0].unchecked("Files/../../x", crate::generator::layer::Kind::Directory);
    let base = base_of(&sandbox, &image, &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    let target = registry.reference("slim/servercore:x");
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).fails(5, &["Files/../../x"]);
    assert!(!registry.has_tags("slim/servercore"));
}

#[test]
fn an_unreachable_registry() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("a bound socket").to_string();
    drop(listener);
    let remote = format!("{address}/base/servercore:x");
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &remote, "-p", &profile, "-t", &target]).fails(1, &[&address, "connection refused"]);
    assert!(sandbox.is_empty("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &remote]).fails(1, &[&address]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_system_without_certificates() {
    let sandbox = Sandbox::new();
    let none = sandbox.file("certificates/none.pem", "");
    let directory = sandbox.path("certificates").display().to_string();
    let environment = [("SSL_CERT_FILE", none.as_str()), ("SSL_CERT_DIR", &directory)];
    let outcome = sandbox.winslim_with(&["inspect", "registry.example.com/base:x"], &environment);
    outcome.fails(1, &["no TLS certificates of authorities", "`ca-certificates`", "`SSL_CERT_FILE`"]);
}

#[test]
fn a_registry_that_wants_a_password() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start_with_password());
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    let remote = registry.reference("base/servercore:x");
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &remote, "-p", &profile, "-t", &target]).fails(1, &[&registry.address, "login"]);
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &remote]).fails(1, &[&registry.address, "login"]);
    assert!(!registry.has_tags("base/servercore"));
}

#[test]
fn a_target_directory_that_holds_something_else() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    fs::create_dir(sandbox.path("slim")).expect("the sandbox can be written to");
    sandbox.file("slim/letter.txt", "dear reader");
    let target = format!("{}:slim", sandbox.layout("slim"));
    let build = ["build", &base.reference, "-p", &profile, "-t"];
    sandbox.winslim(&[&build[..], &[&target]].concat()).fails(2, &[&target, "holds other files"]);
    let file = sandbox.layout("slim/letter.txt");
    sandbox.winslim(&[&build[..], &[&file]].concat()).fails(2, &[&file, "it is a file; name a directory"]);
    assert_eq!(fs::read_dir(sandbox.path("slim")).expect("the directory").count(), 1);
}

#[test]
fn a_file_for_the_ledger_that_cannot_be_made() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let target = format!("{}:slim", sandbox.layout("slim"));
    let build = ["build", &base.reference, "-p", "safe", "-t", &target];
    for (option, words) in [
        (
            "--ledger=none/l.json",
            "cannot write the ledger to `none/l.json`: cannot create a file in `none`: no such file",
        ),
        ("--summary=.", "cannot write the summary to `.`: cannot write to `.`: is a directory"),
        ("--report=none/r.html", "cannot write the report to `none/r.html`"),
    ] {
        sandbox.winslim(&[&build[..], &[option]].concat()).fails(1, &[words]);
    }
    assert!(sandbox.is_empty("slim"), "nothing was built");
    sandbox.winslim(&[&build[..], &["--ledger=/dev/null", "--summary=s.md"]].concat()).done();
    assert!(sandbox.path("s.md").is_file());
}

/// A small file system that is unmounted when the test ends.
struct SmallDisk {
    directory: PathBuf,
}

impl SmallDisk {
    /// Mounts one of so many kilobytes, or says why it cannot.
    fn mount(directory: &Path, kilobytes: u32) -> Option<SmallDisk> {
        fs::create_dir(directory).expect("the sandbox can be written to");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"]).arg(directory);
        let outcome = run(command, "the program mount");
        if outcome.code != 0 {
            #[expect(clippy::print_stderr, reason = "people must see which test did not run")]
            {
                eprintln!("skipped, because no small file system can be mounted here: {}", outcome.stderr);
            }
            return None;
        }
        Some(SmallDisk { directory: directory.to_owned() })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut command = Command::new("umount");
        command.arg(&self.directory);
        // What is left is the mount of a temporary directory; the test has its own result.
        let _ = command.output();
    }
}

#[test]
fn a_full_disk_for_the_cache() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let Some(disk) = SmallDisk::mount(&sandbox.path("disk"), 256) else { return };
    let base = base_of(&sandbox, &Image::sample(&Scale::SMALL), &Format::default());
    let source = registry.reference("base/servercore:ltsc2019");
    skopeo_copy(&base.reference, &format!("docker://{source}"), &["--all"]);
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    let target = registry.reference("slim/servercore:x");
    let cache = disk.directory.join("cache");
    let cache_argument = cache.to_str().expect("a path in UTF-8");
    let arguments = ["build", &source, "-p", &profile, "-t", &target, "--cache-dir", cache_argument];
    sandbox.winslim(&arguments).fails(1, &["no space left", cache_argument]);
    assert!(!registry.has_tags("slim/servercore"));
}

#[test]
fn a_full_disk_for_the_target() {
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(&sandbox.path("disk"), 128) else { return };
    let base = base_of(&sandbox, &Image::sample(&Scale::SMALL), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    let directory = disk.directory.join("slim");
    let target = format!("oci:{}:slim", directory.display());
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).fails(1, &["no space left"]);
    assert!(!directory.join("index.json").exists(), "something was published");
}

#[test]
fn a_failed_build_leaves_the_target_as_it_was() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let good = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &good, "-t", &target]).done();
    let before = Manifest::of_layout(&sandbox.path("slim")).digest;
    let bad = sandbox.file("bad.toml", &profile(&["x"], "match = \"required\""));
    sandbox.winslim(&["build", &base.reference, "-p", &bad, "-t", &target]).fails(2, &["test/all"]);
    assert_eq!(Manifest::of_layout(&sandbox.path("slim")).digest, before);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.command(&["profile", "schema"], &[]).spawn().expect("winslim runs");
    drop(child.stdout.take());
    let outcome = child.wait_with_output().expect("winslim ends");
    assert_eq!((outcome.status.code(), String::from_utf8_lossy(&outcome.stderr).as_ref()), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let sandbox = Sandbox::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a device without room");
    let mut command = sandbox.command(&["profile", "schema"], &[]);
    let outcome = command.stdout(full).output().expect("winslim ends");
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(1));
    assert!(stderr.starts_with("error: cannot write to `standard output`: no space left on device\n"), "{stderr}");
}
