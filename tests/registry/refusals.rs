//! Registries that refuse what most take: the image gets there all the same, or it already is there.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use winslim::image::Digest;
use winslim::image::media_type::{OCI_INDEX, OCI_MANIFEST};
use winslim::transport::registry::{Registry, RegistryError};

use super::fault::{Fault, FaultProxy, fault};
use super::faults::{Image, PATIENT, options};
use super::generator::Scale;
use super::generator::layout::{Format, write_layout};
use super::http::{Request, Response};
use super::odd::{OddRegistry, Usual};
use super::reference;
use super::support::registry::DockerRegistry;
use super::support::{Outcome, Sandbox, json_file, profile};

/// A base image in a layout, and a profile that changes it.
pub struct Scene {
    pub sandbox: Sandbox,
    pub base: String,
    pub profile: String,
}

impl Scene {
    pub fn new() -> Scene {
        let sandbox = Sandbox::new();
        let image = super::generator::Image::sample(&Scale { components: 4, mean: 200, streams: false });
        let format = Format::default();
        write_layout(&image, &format, &sandbox.path("base")).unwrap();
        let base = format!("{}:{}", sandbox.layout("base"), format.tag);
        let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
        Scene { sandbox, base, profile }
    }

    pub fn build(&self, target: &str, options: &[&str]) -> Outcome {
        self.sandbox.winslim(&[&["build", &self.base, "-p", &self.profile, "-t", target], options].concat())
    }
}

fn refuse(code: &str) -> Option<Response> {
    Some(Response::new(400, format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#)))
}

fn has_subject(request: &Request) -> bool {
    request.method == "PUT" && String::from_utf8_lossy(&request.body).contains("\"subject\"")
}

fn is_list(request: &Request) -> bool {
    request.method == "PUT" && request.target.contains("/manifests/sha256-")
}

#[test]
fn an_image_is_pushed_where_its_ledger_is_refused() {
    let scene = Scene::new();
    type Refusal = fn(&Request, &Usual) -> Option<Response>;
    let cases: [(&str, Refusal); 4] = [
        ("subject", |request, _| if has_subject(request) { refuse("MANIFEST_INVALID") } else { None }),
        ("list", |request, _| if is_list(request) { refuse("TAG_INVALID") } else { None }),
        ("forbidden", |request, _| if is_list(request) { Some(Response::new(403, "")) } else { None }),
        // What is under the tag of the list is something else.
        ("no list", |request, _| {
            let asked = request.method == "GET" && request.target.contains("/manifests/sha256-");
            asked.then(|| Response::new(200, "<html>").with("content-type", "text/html"))
        }),
    ];
    for (name, refusal) in cases {
        let registry = OddRegistry::start(refusal);
        let outcome = scene.build(&registry.reference("slim:one"), &[]);
        assert!(outcome.stderr.contains("warning: the ledger is not attached to the image: "), "{name}: {outcome:#?}");
        assert!(outcome.stderr.contains("--no-attach"), "{name}: {outcome:#?}");
        let digest = outcome.done().trim().rsplit_once('@').unwrap().1.to_owned();
        assert_eq!(registry.tagged("slim:one"), Some(digest), "{name}");
        assert_eq!(registry.open_uploads(), 0, "{name}");
        let outcome = scene.build(&registry.reference("slim:two"), &["--no-attach"]);
        assert!(!outcome.stderr.contains("warning:"), "{name}: {outcome:#?}");
        outcome.done();
    }
}

#[test]
fn a_failure_that_is_no_refusal_still_ends_the_build() {
    let scene = Scene::new();
    // The answer breaks off each time.
    let registry = OddRegistry::start(|request, _| {
        has_subject(request).then(|| Response::new(201, "").with("content-length", "10"))
    });
    scene.build(&registry.reference("slim:one"), &[]).fails(1, &["cannot attach the ledger to the image"]);
    assert_eq!(registry.tagged("slim:one"), None);
}

#[test]
fn two_writers_of_a_list_of_referrers_lose_nothing() {
    let scene = Scene::new();
    let other = Digest::of(b"the other's").to_string();
    // What another writer puts in place of each of the first lists, which it has not read.
    let list = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{other}","size":11}}]}}"#
    );
    let start = |others: usize| {
        let (writes, list) = (AtomicUsize::new(0), list.clone());
        OddRegistry::start(move |request, _| {
            if is_list(request) {
                writes.fetch_add(1, Ordering::Relaxed);
            }
            let asked = request.method == "GET" && request.target.contains("/manifests/sha256-");
            let is_replaced = (1..=others).contains(&writes.load(Ordering::Relaxed));
            (asked && is_replaced).then(|| Response::new(200, list.clone()).with("content-type", OCI_INDEX))
        })
    };
    let written = |registry: &OddRegistry| -> Vec<Value> {
        let lists = registry.requests().into_iter().filter(is_list);
        lists.map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
    };

    let registry = start(2);
    let outcome = scene.build(&registry.reference("slim:one"), &[]);
    assert!(!outcome.stderr.contains("warning:"), "{outcome:#?}");
    outcome.done();
    let lists = written(&registry);
    assert_eq!(lists.len(), 3);
    let digests = |list: &Value| -> Vec<String> {
        let entries = list["manifests"].as_array().unwrap().iter();
        entries.map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
    };
    let ledger = digests(&lists[0]).remove(0);
    assert_eq!(digests(&lists[2]), [other.clone(), ledger]);

    // Somebody who never stops.
    let registry = start(usize::MAX);
    let outcome = scene.build(&registry.reference("slim:one"), &[]);
    assert!(outcome.stderr.contains("others keep replacing it"), "{outcome:#?}");
    outcome.done();
    assert_eq!(written(&registry).len(), 5);
}

#[test]
fn a_tag_that_cannot_move_may_lead_to_the_image_already() {
    let scene = Scene::new();
    for status in [400, 403, 409] {
        let registry = OddRegistry::start(move |request, usual| {
            let moves = request.method == "PUT" && !request.target.contains("/sha256:") && usual.leads_to.is_some();
            (moves && request.target.contains("/manifests/")).then(|| Response::new(status, "it is immutable"))
        });
        let target = registry.reference("slim:one");
        let first = scene.build(&target, &[]).done();
        assert_eq!(scene.build(&target, &[]).done(), first, "{status}");
        // Another image is refused as before, and nothing has moved.
        let other = ["copy", &scene.base, &target];
        scene.sandbox.winslim(&other).fails(1, &["cannot push the manifest", "it is immutable"]);
        assert!(first.trim().ends_with(&registry.tagged("slim:one").unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_cannot_be_pushed_twice_counts_as_pushed() {
    let registry = OddRegistry::start(|request, usual| {
        let again =
            request.method == "PUT" && request.target.contains("/manifests/sha256:") && usual.leads_to.is_some();
        again.then(|| Response::new(400, "ImageAlreadyExistsException"))
    });
    let client = Registry::new(&options(PATIENT)).unwrap();
    let image = Image::new("twice", 1000);
    let target = reference(registry.address(), "slim", "one");
    image.push(&client, &target).await.unwrap();
    client.push_document(&target, &image.manifest, None).await.unwrap();
    let other = Image::new("never", 1000);
    let error = client.push_document(&target, &other.manifest, None).await.unwrap_err();
    assert!(matches!(error, RegistryError::Refused { .. }), "{error}");
}

#[test]
fn a_registry_need_not_answer_head() {
    let scene = Scene::new();
    for status in [400, 403, 404, 405, 501] {
        let registry =
            OddRegistry::start(move |request, _| (request.method == "HEAD").then(|| Response::new(status, "")));
        let base = registry.reference("base:one");
        scene.sandbox.winslim(&["copy", &scene.base, &base]).done();
        let target = registry.reference("slim:one");
        let built = scene.sandbox.winslim(&["build", &base, "-p", &scene.profile, "-t", &target]).done();
        assert!(built.trim().ends_with(&registry.tagged("slim:one").unwrap()), "{status}");
        scene.build(&registry.reference("slim:two"), &[]).done();
        assert!(registry.requests().iter().any(|request| request.method == "HEAD"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_fails_after_the_tag_has_moved() {
    let image = Image::new("moved", 1000);
    let wrong = winslim::image::Digest::of(b"").to_string();
    // What a registry says to the push and what it shows later; and whether that can be right.
    let cases: [(&str, Option<&str>, u16, bool); 4] = [
        ("hides", None, 403, true),
        ("says", Some("right"), 404, true),
        ("lies", Some("wrong"), 200, true),
        ("took another", Some("wrong"), 404, false),
    ];
    for (name, announced, status, fine) in cases {
        let digest = if announced == Some("wrong") { wrong.clone() } else { image.manifest.digest().to_string() };
        let registry = OddRegistry::start(move |request, _| {
            if !request.target.contains("/manifests/") {
                return None;
            }
            match request.method.as_str() {
                "PUT" => None,
                _ if status != 200 => Some(Response::new(status, "")),
                "HEAD" => Some(Response::new(200, "").with("docker-content-digest", digest.clone())),
                _ => None,
            }
        });
        // The header of the answer to the push is changed on the way.
        let rule = match announced {
            None => Fault::Header("docker-content-digest", String::new()),
            Some("wrong") => Fault::Header("docker-content-digest", wrong.clone()),
            Some(_) => Fault::Nothing,
        };
        let rules = [fault(1, "PUT", "/manifests/", rule)];
        let proxy = FaultProxy::start(registry.address(), &rules);
        let client = Registry::new(&options(PATIENT)).unwrap();
        let pushed = image.push(&client, &reference(proxy.address(), "slim", "one")).await;
        assert_eq!(pushed.is_ok(), fine, "{name}: {pushed:?}");
    }
}

#[test]
fn a_list_that_names_what_is_gone_is_made_anew() {
    let scene = Scene::new();
    // This one checks what a list names.
    let registry = DockerRegistry::start();
    let build = |tag: &str| {
        let outcome = scene.build(&registry.reference(&format!("slim:{tag}")), &["--ledger", "ledger.json"]);
        assert!(!outcome.stderr.contains("warning:"), "{outcome:#?}");
        outcome.done();
    };
    build("one");
    let manifest = json_file(&scene.sandbox.path("ledger.json"))["result"]["manifest"].as_str().unwrap().to_owned();
    let entries = || {
        let list = registry.tagged("slim", &manifest.replace(':', "-"));
        json_file(&registry.blob(&list))["manifests"].as_array().unwrap().clone()
    };
    let before = entries();
    assert_eq!(before.len(), 1);
    // What garbage collection does to a manifest without a tag.
    let gone = before[0]["digest"].as_str().unwrap().replace(':', "/");
    let repository = registry.directory().join("storage/docker/registry/v2/repositories/slim");
    std::fs::remove_dir_all(repository.join("_manifests/revisions").join(&gone)).unwrap();
    build("two");
    let after = entries();
    assert_eq!(after.len(), 1);
    assert_ne!(after[0]["digest"], before[0]["digest"]);
    build("three");
    assert_eq!(entries().len(), 2);
}
