//! The same input gives the same digests, whatever the machine.

use std::process::Command;

use crate::generator::Image;
use crate::generator::compress::Compression;
use crate::generator::layout::Format;
use crate::support::{Manifest, Sandbox, check, profile, run};
use crate::{base_of, sample_base, tiny_image};

#[test]
fn threads_and_repetition_do_not_matter() {
    let mut digests = Vec::new();
    for threads in ["1", "1", "2", "3"] {
        let sandbox = Sandbox::new();
        let base = sample_base(&sandbox);
        let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
        let target = format!("{}:slim", sandbox.layout("slim"));
        let arguments = ["build", &base.reference, "-p", &profile, "-t", &target, "--threads", threads];
        sandbox.winslim(&arguments).done();
        // Once more into the same place, with everything in the cache.
        sandbox.winslim(&arguments).done();
        digests.push(Manifest::of_layout(&sandbox.path("slim")).digest);
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_processor_without_vector_instructions_gives_the_same() {
    let sandbox = Sandbox::new();
    let base = sample_base(&sandbox);
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64", r"Windows\WinSxS\amd64_*"], ""));
    for options in [&[][..], &["--recompress"], &["--compression", "zstd"]] {
        let command = |name: &str| {
            let target = format!("{}:slim", sandbox.layout(name));
            let arguments = [&["build", &base.reference, "-p", &profile, "-t", &target], options].concat();
            sandbox.command(&arguments, &[("WINSLIM_CACHE_DIR", &format!("cache-{name}"))])
        };
        run(command("here"), "winslim itself").done();
        // Libraries ask the processor what it can do as they run; the emulator answers for one of 2006.
        let there = command("there");
        let mut emulator = Command::new("qemu-x86_64");
        emulator.args(["-cpu", "core2duo"]).arg(there.get_program()).args(there.get_args());
        emulator.current_dir(sandbox.path(".")).env_clear();
        emulator.envs(there.get_envs().filter_map(|(name, value)| Some((name, value?))));
        run(emulator, "the Debian package qemu-user").done();
        let digests = ["here", "there"].map(|name| Manifest::of_layout(&sandbox.path(name)).digest);
        assert_eq!(digests[0], digests[1], "{options:?}");
    }
}

#[test]
fn an_empty_profile_gives_the_base_back() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).done();
    assert_eq!(Manifest::of_layout(&sandbox.path("slim")).digest, base.written.manifests[0].digest);
}

#[test]
fn no_layer_becomes_larger() {
    let sandbox = Sandbox::new();
    let format = Format { compression: Compression::GzipBest, ..Format::default() };
    let base = base_of(&sandbox, &tiny_image(), &format);
    // What goes is less than what the lower level wastes.
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Temp\*.log"], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target, "--level", "1", "--recompress"]).done();
    let after = Manifest::of_layout(&sandbox.path("slim"));
    for (before, after) in base.written.layers.iter().zip(after.sizes()) {
        assert!(after <= before.blob.size, "{} bytes have become {after}", before.blob.size);
    }
}

#[test]
fn layers_that_the_plan_does_not_touch_are_reused() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    // Only the base layer has this directory.
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).done();
    let after = Manifest::of_layout(&sandbox.path("slim"));
    assert_eq!(after.layers()[1], base.written.layers[1].blob.digest);
    check(&base.directory, &sandbox.path("slim"), &["--removed", r"Windows\Fonts"]);
}

#[test]
fn one_of_several_windows_versions() {
    let sandbox = Sandbox::new();
    let mut image: Image = tiny_image();
    image.add_versions();
    let base = base_of(&sandbox, &image, &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    let arguments = ["build", &base.reference, "-p", &profile, "-t", &target];
    sandbox.winslim(&arguments).fails(1, &["10.0.17763.8511", "10.0.20348.4529", "--platform"]);
    assert!(sandbox.is_empty("slim"));

    // Of a build with two revisions the newer one is taken.
    let removed = ["--removed", r"Windows\Fonts", "--os-version"];
    for (platform, os_version) in [
        ("windows/amd64:10.0.17763", "10.0.17763.8511"),
        ("windows/amd64:10.0.17763.7919", "10.0.17763.7919"),
        ("windows/amd64,osver=10.0.20348", "10.0.20348.4529"),
    ] {
        std::fs::remove_dir_all(sandbox.path("slim")).ok();
        sandbox.winslim(&[&arguments[..], &["--platform", platform]].concat()).done();
        check(&base.directory, &sandbox.path("slim"), &[&removed[..], &[os_version]].concat());
    }
}
