//! Every form in which an image can come.

use std::fs;

use crate::generator::Image;
use crate::generator::compress::Compression;
use crate::generator::layout::{Format, blob_path, write_layout};
use crate::support::http::WebServer;
use crate::support::registry::DockerRegistry;
use crate::support::{Manifest, Sandbox, check, problems, profile, skopeo_copy};
use crate::{Base, base_of, tiny_image};

/// What goes is in both layers, so that both are written anew.
const REMOVED: &[&str] = &[r"Windows\SysWOW64", r"Windows\WinSxS\{amd64,wow64}_*"];

/// Builds from a source that has the layers of `image`, and compares with the same image as plain gzip.
#[track_caller]
fn build_and_check(sandbox: &Sandbox, image: &Image, source: &str) {
    build_and_check_with(sandbox, image, source, &[]);
}

/// The same with more options.
#[track_caller]
fn build_and_check_with(sandbox: &Sandbox, image: &Image, source: &str, options: &[&str]) {
    let plain = sandbox.path("plain");
    write_layout(image, &Format::default(), &plain).expect("the sandbox can be written to");
    let profile = sandbox.file("profile.toml", &profile(REMOVED, ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&[&["build", source, "-p", &profile, "-t", &target], options].concat()).done();
    check(&plain, &sandbox.path("slim"), &[&["--removed"], REMOVED].concat());
}

#[test]
fn layers_in_every_compression() {
    for compression in [
        Compression::GzipBest,
        Compression::GzipMembers(100_000),
        Compression::GzipMembers(4_096),
        Compression::Zstd,
        Compression::None,
    ] {
        let sandbox = Sandbox::new();
        let base = base_of(&sandbox, &tiny_image(), &Format { compression, ..Format::default() });
        // The checker reads no zstd, and a layer keeps the format that it has unless another one is asked for.
        build_and_check_with(&sandbox, &tiny_image(), &base.reference, &["--compression", "gzip"]);
    }
}

#[test]
fn zstd_when_asked_for() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(REMOVED, ""));
    let target = |name: &str| format!("{}:slim", sandbox.layout(name));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target("zstd"), "--compression", "zstd"]).done();
    let manifest = Manifest::of_layout(&sandbox.path("zstd"));
    for layer in manifest.value["layers"].as_array().expect("layers") {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    }
    // As a source it is an image like any other, and nothing is left to remove.
    sandbox.winslim(&["verify", &target("zstd")]).done();
}

/// Puts an image with Docker's media types into a registry: what Docker's own push does, without the foreign layers.
fn upload(base: &Base, registry: &DockerRegistry, repository: &str, left_out: &[&str]) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let client = reqwest::Client::new();
    let put = |url: String, media_type: &'static str, digest: &str| {
        let body = fs::read(blob_path(&base.directory, digest)).expect("the layout's blob");
        let request = client.put(url).header("Content-Type", media_type).body(body);
        let response = runtime.block_on(request.send()).expect("an answer of the registry");
        assert!(response.status().is_success(), "{}: {:?}", response.status(), runtime.block_on(response.text()));
    };
    let repository = format!("http://{}/v2/{repository}", registry.address);
    let manifest = Manifest::of_layout(&base.directory);
    let config = manifest.value["config"]["digest"].as_str().expect("a digest").to_owned();
    for digest in manifest.layers().iter().chain([&config]).filter(|digest| !left_out.contains(&digest.as_str())) {
        let request = client.post(format!("{repository}/blobs/uploads/"));
        let response = runtime.block_on(request.send()).expect("an answer of the registry");
        let place = response.headers()["location"].to_str().expect("a URL").to_owned();
        put(format!("{place}&digest={digest}"), "application/octet-stream", digest);
    }
    let index = &base.written.index.digest;
    for (name, media_type, digest) in [
        (&*manifest.digest, "application/vnd.docker.distribution.manifest.v2+json", &manifest.digest),
        ("ltsc2019", "application/vnd.docker.distribution.manifest.list.v2+json", index),
    ] {
        put(format!("{repository}/manifests/{name}"), media_type, digest);
    }
}

#[test]
fn docker_media_types_through_a_registry() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = base_of(&sandbox, &tiny_image(), &Format { docker: true, ..Format::default() });
    upload(&base, &registry, "base/servercore", &[]);
    let source = registry.reference("base/servercore:ltsc2019");
    build_and_check(&sandbox, &tiny_image(), &source);
}

#[test]
fn a_foreign_layer_comes_from_its_url() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let server = WebServer::start(&sandbox.path("base"));
    let foreign = Some(format!("http://{}/blobs/", server.address));
    let base = base_of(&sandbox, &tiny_image(), &Format { docker: true, foreign, ..Format::default() });
    let digest = &base.written.layers[0].blob.digest;
    upload(&base, &registry, "base/servercore", &[digest]);
    let source = registry.reference("base/servercore:ltsc2019");
    assert!(!registry.blob(digest).exists(), "the registry must not have the foreign layer");

    build_and_check(&sandbox, &tiny_image(), &source);
    let requests = server.requests();
    assert!(!requests.is_empty(), "the layer came from somewhere else");
    for request in requests {
        assert!(!request.to_lowercase().contains("authorization"), "{request}");
    }
}

/// Moves the base layer out of a layout into one that is served, and packs an archive of what is left.
fn lack_base_layer(sandbox: &Sandbox, base: &Base, served: &str) -> String {
    let digest = &base.written.layers[0].blob.digest;
    fs::create_dir_all(sandbox.path(served).join("blobs/sha256")).expect("the sandbox can be written to");
    fs::rename(blob_path(&base.directory, digest), blob_path(&sandbox.path(served), digest)).expect("one file system");
    let archive = sandbox.path("base.tar").display().to_string();
    let mut command = std::process::Command::new("tar");
    command.arg("-cf").arg(&archive).arg("-C").arg(&base.directory).arg(".");
    crate::support::run(command, "tar").done();
    format!("oci-archive:{archive}")
}

#[test]
fn a_foreign_layer_that_a_layout_or_an_archive_lacks_comes_from_its_url() {
    let sandbox = Sandbox::new();
    let server = WebServer::start(&sandbox.path("served"));
    let foreign = Some(format!("http://{}/blobs/", server.address));
    let base = base_of(&sandbox, &tiny_image(), &Format { docker: true, foreign, ..Format::default() });
    let archive = lack_base_layer(&sandbox, &base, "served");
    for source in [&base.reference, &archive] {
        fs::remove_dir_all(sandbox.path("cache")).ok();
        fs::remove_dir_all(sandbox.path("slim")).ok();
        build_and_check(&sandbox, &tiny_image(), source);
        sandbox.winslim(&["verify", source]).code_is(0, &["1 of 2 blobs were not pulled"]);
        // A copy is whole.
        sandbox.winslim(&["copy", source, &format!("{}:x", sandbox.layout("copy"))]).done();
        assert!(blob_path(&sandbox.path("copy"), &base.written.layers[0].blob.digest).is_file());
    }
    assert!(server.requests().iter().all(|request| !request.to_lowercase().contains("authorization")));
}

#[test]
fn a_foreign_layer_that_nobody_has() {
    let sandbox = Sandbox::new();
    let server = WebServer::start(&sandbox.path("empty"));
    let foreign = Some(format!("http://{}/blobs/", server.address));
    let base = base_of(&sandbox, &tiny_image(), &Format { docker: true, foreign, ..Format::default() });
    let archive = lack_base_layer(&sandbox, &base, "elsewhere");
    for source in [&base.reference, &archive] {
        let words = ["foreign layer sha256:", "cannot be had", "127.0.0.1", "hint: allow those URLs", "winslim copy"];
        sandbox.winslim(&["inspect", source]).fails(1, &words);
        sandbox.winslim(&["copy", source, &format!("{}:x", sandbox.layout("copy"))]).fails(1, &words);
    }
}

#[test]
fn a_foreign_layer_becomes_a_plain_one_though_nothing_goes() {
    let sandbox = Sandbox::new();
    let foreign = Some("https://example.com/".to_owned());
    let base = base_of(&sandbox, &tiny_image(), &Format { docker: true, foreign, ..Format::default() });
    // Only the servicing layer has this directory.
    let removed = r"ProgramData\sample";
    let profile = sandbox.file("profile.toml", &profile(&[removed], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).done();
    check(&base.directory, &sandbox.path("slim"), &["--removed", removed]);
    assert_eq!(Manifest::of_layout(&sandbox.path("slim")).layers()[0], base.written.layers[0].blob.digest);
    assert!(blob_path(&sandbox.path("slim"), &base.written.layers[0].blob.digest).exists());
}

#[test]
fn archives() {
    for kind in ["oci-archive", "docker-archive"] {
        let sandbox = Sandbox::new();
        let base = base_of(&sandbox, &tiny_image(), &Format::default());
        let archive = format!("{kind}:{}:servercore:ltsc2019", sandbox.path("base.tar").display());
        skopeo_copy(&base.reference, &archive, &["--override-os=windows", "--override-arch=amd64"]);
        let source = format!("{kind}:{}", sandbox.path("base.tar").display());
        build_and_check(&sandbox, &tiny_image(), &source);
    }
}

#[test]
fn the_checker_tells_sources_apart() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let mut other = tiny_image();
    other.layers[0].made("Files/more.txt", 10);
    write_layout(&other, &Format::default(), &sandbox.path("other")).expect("the sandbox can be written to");
    assert!(problems(&base.directory, &sandbox.path("other"), &[]).contains("layer 0 has grown `Files/more.txt`"));
}
