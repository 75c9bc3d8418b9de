//! Builds that share a tag: jobs of a CI matrix, and what registries clean up.

use std::process::Command;

use serde_json::Value;

use crate::generator::Version;
use crate::generator::layout::{Format, write_layout};
use crate::support::registry::DockerRegistry;
use crate::support::{Outcome, Sandbox, profile, run};
use crate::tiny_image;

/// Writes a base image for a build of Windows; returns what to call it.
fn base(sandbox: &Sandbox, build: u32) -> String {
    let mut image = tiny_image();
    let history = image.versions[0].history.clone();
    let created = "2026-03-10T23:20:00Z".to_owned();
    image.versions = vec![Version { os_version: format!("10.0.{build}.1"), created, history }];
    let format = Format { tag: build.to_string(), ..Format::default() };
    write_layout(&image, &format, &sandbox.path("bases")).expect("the sandbox can be written to");
    format!("{}:{build}", sandbox.layout("bases"))
}

fn build(sandbox: &Sandbox, base: &str, target: &str, more: &[&str]) -> Outcome {
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    sandbox.winslim(&[&["build", base, "-p", &profile, "-t", target], more].concat())
}

/// The images of a tag, as `host` lists them.
fn images(sandbox: &Sandbox, reference: &str) -> Vec<String> {
    let report = sandbox.winslim(&["host", reference, "--all", "--format", "json"]).done();
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let images = report["images"].as_array().expect("images").iter();
    images.map(|image| image["osVersion"].as_str().expect("a version").to_owned()).collect()
}

#[test]
fn a_build_adds_to_what_the_tag_has() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let (old, new) = (base(&sandbox, 17763), base(&sandbox, 20348));
    for target in [registry.reference("slim:x"), format!("{}:x", sandbox.layout("slim"))] {
        build(&sandbox, &old, &target, &["--append"]).done();
        let first = build(&sandbox, &new, &target, &["--append"]).done();
        assert_eq!(images(&sandbox, &target), ["10.0.20348.1", "10.0.17763.1"]);
        sandbox.winslim(&["verify", &target]).done();
        // The same again changes nothing, and another result takes the place of its own build alone.
        assert_eq!(build(&sandbox, &new, &target, &["--append"]).done(), first);
        let again = build(&sandbox, &old, &target, &["--append", "--level", "1", "--recompress"]);
        assert!(!again.stderr.contains("does not lead"), "{again:#?}");
        assert_ne!(again.done(), first);
        assert_eq!(images(&sandbox, &target), ["10.0.20348.1", "10.0.17763.1"]);
        // Without the option the tag moves, and that is said.
        let outcome = build(&sandbox, &old, &target, &[]);
        assert!(outcome.stderr.contains("windows/amd64:10.0.20348.1"), "{outcome:#?}");
        assert!(outcome.stderr.contains("--append"), "{outcome:#?}");
        outcome.done();
        assert_eq!(images(&sandbox, &target), ["10.0.17763.1"]);
        let outcome = build(&sandbox, &old, &target, &[]);
        assert!(!outcome.stderr.contains("--append"), "{outcome:#?}");
    }
    let archive = format!("oci-archive:{}", sandbox.path("slim.tar").display());
    build(&sandbox, &old, &archive, &["--append"]).fails(2, &["an archive is written as a whole"]);
}

#[test]
fn a_single_image_is_a_manifest_unless_it_came_from_an_index() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let old = base(&sandbox, 17763);
    let manifest = crate::support::Manifest::of_layout(&sandbox.path("bases")).digest;
    let plain = format!("{}@{manifest}", sandbox.layout("bases"));
    for (source, kind) in [(&old, "image.index"), (&plain, "image.manifest")] {
        let target = registry.reference("slim:x");
        build(&sandbox, source, &target, &[]).done();
        let mut command = Command::new("skopeo");
        command.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{target}")]);
        let raw = run(command, "the Debian package skopeo").done();
        let raw: Value = serde_json::from_str(&raw).expect("JSON");
        assert!(raw["mediaType"].as_str().expect("a type").contains(kind), "{raw}");
        assert_eq!(images(&sandbox, &target), ["10.0.17763.1"]);
    }
}

/// What `garbage-collect -m` of distribution 2.8 does to an index: manifests without a tag go, and so do those of an index.
#[test]
fn tags_of_their_own_keep_the_images_of_an_index() {
    for (more, kept) in [(&["--tag-children"][..], true), (&[], false)] {
        let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
        let target = registry.reference("slim:x");
        for build_number in [17763, 20348] {
            let more = [&["--append", "--no-attach"], more].concat();
            build(&sandbox, &base(&sandbox, build_number), &target, &more).done();
        }
        assert_eq!(images(&sandbox, &target).len(), 2);
        let mut command = Command::new("docker-registry");
        command.arg("garbage-collect").arg("-m").arg(registry.directory().join("config.yml"));
        run(command, "the Debian package docker-registry").done();
        let copied = sandbox.winslim(&["copy", &target, &sandbox.layout("copy")]);
        assert_eq!(copied.code == 0, kept, "{copied:#?}");
        if kept {
            for build_number in [17763, 20348] {
                let child = registry.reference(&format!("slim:x-windows-{build_number}"));
                assert_eq!(images(&sandbox, &child), [format!("10.0.{build_number}.1")]);
            }
        }
    }
}
