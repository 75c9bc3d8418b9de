//! The program on bad days: exit codes and words, a login that is typed, and a push that is killed.

use std::time::{Duration, Instant};

use serde_json::json;
use winslim::image::media_type::{OCI_CONFIG, OCI_MANIFEST};
use winslim::image::{Digest, Document};
use winslim::transport::registry::Registry;

use super::fault::{ALWAYS, Fault, FaultProxy, fault};
use super::faults::{Image, PATIENT, options};
use super::support::registry::{DockerRegistry, PASSWORD, USER};
use super::support::{Sandbox, run_with_input};
use super::{noise, push, reference};

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_an_exit_code_and_say_why() {
    let server = DockerRegistry::start();
    let image = Image::new("failing", 100_000);
    let registry = Registry::new(&options(PATIENT)).unwrap();
    image.push(&registry, &reference(&server.address, "windows/base", "one")).await.unwrap();
    let layer = Digest::of(&image.layer).to_string();
    let answer = |status| Fault::Answer(status, Vec::new(), "");
    let cases: Vec<(Vec<_>, &[&str], i32, &[&str])> = vec![
        (vec![fault(1, "GET", "/manifests/", Fault::Flip(9))], &[], 1, &["its digest is wrong"]),
        (vec![fault(1, "GET", layer.clone(), Fault::Flip(9))], &[], 1, &["cannot get layer 0", "expected sha256:"]),
        (vec![fault(ALWAYS, "GET", layer.clone(), answer(404))], &[], 1, &["blob unknown"]),
        (vec![fault(ALWAYS, "GET", layer.clone(), answer(429))], &[], 1, &["429 Too Many Requests"]),
        (vec![fault(ALWAYS, "GET", "/manifests/", answer(403))], &[], 1, &["refused access (403 Forbidden)"]),
        (vec![], &["--push-mode", "sideways"], 2, &["--push-mode", "chunked:SIZE"]),
        (vec![], &["--mirror", "here"], 2, &["--mirror here", "REGISTRY=MIRROR"]),
        (vec![], &["--client-cert", "file"], 2, &["--client-key"]),
        (vec![], &["--username", "me"], 2, &["--password-stdin"]),
        (vec![], &["--username", "me", "--password-stdin"], 2, &["there is no password"]),
    ];
    let sandbox = Sandbox::new();
    for (rules, more, code, words) in cases {
        let proxy = FaultProxy::start(&server.address, &rules);
        let source = format!("{}/windows/base:one", proxy.address());
        sandbox.winslim(&[&["copy", &source, &sandbox.layout("copy")][..], more].concat()).fails(code, words);
        // The config may be there, because blobs go side by side; the layer is not, and nothing leads to either.
        let blob = format!("blobs/{}", layer.replace(':', "/"));
        for place in [format!("copy/{blob}"), format!("cache/winslim/{blob}"), "copy/index.json".to_owned()] {
            assert!(!sandbox.path(&place).exists(), "{words:?}: {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_typed() {
    let server = DockerRegistry::start_with_password();
    let open = DockerRegistry::start();
    let image = Image::new("login", 100_000);
    let registry = Registry::new(&options(PATIENT)).unwrap();
    image.push(&registry, &reference(&open.address, "windows/base", "one")).await.unwrap();
    let proxy = FaultProxy::start(&open.address, &[]);
    let sandbox = Sandbox::new();
    let (source, target) = (format!("{}/windows/base:one", proxy.address()), server.reference("windows/app:one"));
    let run = |arguments: &[&str], input: &str| {
        let login = ["--username", USER, "--password-stdin"];
        run_with_input(sandbox.command(&[arguments, &login].concat(), &[]), input, "winslim itself")
    };
    run(&["copy", &source, &target], "wrong\n").fails(1, &["refused access (401", "that were given for"]);
    run(&["copy", &source, &target], &format!("{PASSWORD}\r\n")).done();
    run(&["copy", &target, &sandbox.layout("copy")], PASSWORD).done();
    // The registry of the base image gets nothing of it.
    assert!(proxy.seen().iter().all(|seen| seen.authorization.is_empty()));
    run(&["copy", &sandbox.layout("copy"), &sandbox.layout("other")], PASSWORD)
        .fails(2, &["--username is for an image"]);
    let nodes = ["host", &target, "--nodes", "-"];
    run(&nodes, PASSWORD).fails(2, &["both read standard input"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_was_killed_sends_only_what_is_missing() {
    let (from, to) = (DockerRegistry::start(), DockerRegistry::start());
    let registry = Registry::new(&options(PATIENT)).unwrap();
    let source = reference(&from.address, "windows/base", "one");
    let layers: Vec<Vec<u8>> = (0..3_u8).map(|number| [&[number], &noise(2 << 20)[..]].concat()).collect();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({
        "architecture": "amd64", "os": "windows", "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string().into_bytes();
    for blob in layers.iter().chain([&config]) {
        push(&registry, &source, blob).await;
    }
    let part = |media_type: &str, blob: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(blob), "size": blob.len() });
    let tar = "application/vnd.oci.image.layer.v1.tar";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": part(OCI_CONFIG, &config),
        "layers": layers.iter().map(|layer| part(tar, layer)).collect::<Vec<_>>(),
    });
    let manifest = Document::from_value(OCI_MANIFEST, manifest);
    registry.push_document(&source, &manifest, Some(&"one".parse().unwrap())).await.unwrap();

    // The last layer does not get through.
    let stuck = Digest::of(&layers[2]).hex().to_string();
    let proxy = FaultProxy::start(&to.address, &[fault(ALWAYS, "PUT", stuck, Fault::StallRequest(1 << 20))]);
    let sandbox = Sandbox::new();
    let arguments = ["copy", &source.to_string(), &format!("{}/windows/app:one", proxy.address())];
    let mut child = sandbox.command(&arguments, &[]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let delivered = |layer: &Vec<u8>| to.blob(&Digest::of(layer).to_string()).exists();
    while !layers[..2].iter().all(delivered) || proxy.seen().iter().map(|seen| seen.taken).max() < Some(1 << 20) {
        assert!(Instant::now() < deadline, "the first layers should have arrived");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!to.has_tags("windows/app"));

    proxy.change(&[]);
    proxy.forget();
    sandbox.winslim(&arguments).done();
    let sent: u64 = proxy.seen().iter().filter(|seen| seen.target.contains("/uploads/")).map(|seen| seen.taken).sum();
    // The config follows the layers.
    assert_eq!(sent, (layers[2].len() + config.len()) as u64);
    assert_eq!(to.tagged("windows/app", "one"), manifest.digest().to_string());
}
