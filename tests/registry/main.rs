//! The registry transport against a real registry, and against servers that misbehave.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod child;
mod command;
mod distributable;
mod early_push;
mod escaping;
mod fault;
mod faults;
#[path = "../../testdata/generator/mod.rs"]
mod generator;
mod http;
mod inward;
mod logins;
mod mirrors;
mod odd;
mod permission;
mod refusals;
mod secrets;
#[path = "../support/mod.rs"]
mod support;
mod tls;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use base64::Engine;
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use winslim::image::media_type::{OCI_CONFIG, OCI_INDEX, OCI_MANIFEST};
use winslim::image::{Descriptor, Digest, Document};
use winslim::progress::Silent;
use winslim::store::Store;
use winslim::transport::registry::{Registry, RegistryError};
use winslim::transport::{Delivered, RegistryOptions, RegistryReference};

use child::own_docker_config;
use http::{Response, Server};
use support::proxy::Proxy;
use support::registry::{DockerRegistry, PASSWORD, USER};

fn client() -> Registry {
    Registry::new(&RegistryOptions::default()).unwrap()
}

fn reference(registry: &str, repository: &str, tag: &str) -> RegistryReference {
    RegistryReference {
        registry: registry.to_owned(),
        repository: repository.parse().unwrap(),
        tag: Some(tag.parse().unwrap()),
        digest: None,
    }
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: String::new(), digest: Digest::of(bytes), size: bytes.len() as u64, urls: Vec::new() }
}

/// Bytes that no compression makes smaller and that differ everywhere.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

async fn push(registry: &Registry, target: &RegistryReference, bytes: &[u8]) -> Delivered {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    push_file(registry, target, &Digest::of(bytes), file.path(), None).await
}

async fn push_file(
    registry: &Registry,
    target: &RegistryReference,
    digest: &Digest,
    path: &Path,
    mount_from: Option<&RegistryReference>,
) -> Delivered {
    let size = std::fs::metadata(path).unwrap().len();
    registry.push_blob(target, digest, size, path, mount_from, &Silent).await.unwrap()
}

/// Pushes a small image with a config and no layers, and returns its manifest.
async fn push_image(registry: &Registry, target: &RegistryReference, name: &str) -> Document {
    let config = json!({ "architecture": "amd64", "os": "windows", "author": name }).to_string();
    push(registry, target, config.as_bytes()).await;
    let manifest = Document::from_value(
        OCI_MANIFEST,
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": { "mediaType": OCI_CONFIG, "digest": Digest::of(config.as_bytes()), "size": config.len() },
            "layers": [],
        }),
    );
    registry.push_document(target, &manifest, target.tag.as_ref()).await.unwrap();
    manifest
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_blobs_go_there_and_back() {
    let server = DockerRegistry::start();
    let registry = client();
    let target = reference(&server.address, "windows/app", "one");
    let manifest = push_image(&registry, &target, "test").await;

    let pulled = registry.document(&target).await.unwrap();
    assert_eq!(pulled.bytes(), manifest.bytes());
    assert_eq!(pulled.media_type(), OCI_MANIFEST);
    let by_digest = registry.document(&target.at_digest(manifest.digest())).await.unwrap();
    assert_eq!(by_digest.bytes(), manifest.bytes());

    let config = Descriptor::parse(&manifest.value()["config"]).unwrap();
    let bytes = registry.pull_small(&target, &config).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["author"], "test");

    // An index by digest only; then under a tag.
    let entry = json!({ "mediaType": OCI_MANIFEST, "digest": manifest.digest(), "size": manifest.size() });
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] });
    let index = Document::from_value(OCI_INDEX, index);
    registry.push_document(&target, &index, None).await.unwrap();
    let pulled = registry.document(&target.at_digest(index.digest())).await.unwrap();
    assert_eq!((pulled.bytes(), pulled.media_type()), (index.bytes(), OCI_INDEX));
    assert_eq!(registry.document(&target).await.unwrap().digest(), manifest.digest());
    registry.push_document(&target, &index, Some(&"one".parse().unwrap())).await.unwrap();
    assert_eq!(registry.document(&target).await.unwrap().digest(), index.digest());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_blob_goes_there_and_back_once() {
    let server = DockerRegistry::start();
    let registry = client();
    let target = reference(&server.address, "windows/app", "one");
    let bytes = noise(64 << 20);
    let descriptor = descriptor(&bytes);
    assert_eq!(push(&registry, &target, &bytes).await, Delivered::Written);
    assert_eq!(push(&registry, &target, &bytes).await, Delivered::Existed);

    let (_directory, store) = store();
    // Two at once: one downloads, the other waits for it.
    let (one, two) = tokio::join!(
        registry.pull_blob(&target, &descriptor, &store, &Silent),
        registry.pull_blob(&target, &descriptor, &store, &Silent),
    );
    let path = one.unwrap();
    assert_eq!(path, two.unwrap());
    assert!(std::fs::read(path).unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_blobs_are_blobs() {
    let server = DockerRegistry::start();
    let registry = client();
    let target = reference(&server.address, "windows/app", "one");
    assert_eq!(push(&registry, &target, b"").await, Delivered::Written);
    let (_directory, store) = store();
    let path = registry.pull_blob(&target, &descriptor(b""), &store, &Silent).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_continues_where_an_earlier_run_left_it() {
    let server = DockerRegistry::start();
    let registry = client();
    let bytes = noise(8 << 20);
    let descriptor = descriptor(&bytes);
    push(&registry, &reference(&server.address, "windows/app", "one"), &bytes).await;

    let (_directory, store) = store();
    let half = bytes.len() / 2;
    store.fill(&descriptor.digest, descriptor.size).unwrap().unwrap().append(&bytes[..half]).unwrap();
    let proxy = Proxy::start(&server.address);
    let target = reference(proxy.address(), "windows/app", "one");
    let path = registry.pull_blob(&target, &descriptor, &store, &Silent).await.unwrap();
    assert!(std::fs::read(path).unwrap() == bytes);
    let received = proxy.received();
    assert!((half as u64..half as u64 + 10_000).contains(&received), "{received} bytes came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_beginning_is_downloaded_anew() {
    let server = DockerRegistry::start();
    let registry = client();
    let bytes = noise(1 << 20);
    let descriptor = descriptor(&bytes);
    let target = reference(&server.address, "windows/app", "one");
    push(&registry, &target, &bytes).await;
    let (_directory, store) = store();
    store.fill(&descriptor.digest, descriptor.size).unwrap().unwrap().append(b"something else").unwrap();
    let path = registry.pull_blob(&target, &descriptor, &store, &Silent).await.unwrap();
    assert!(std::fs::read(path).unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_many_times_continues_each_time() {
    let server = DockerRegistry::start();
    let registry = client();
    let bytes = noise(8 << 20);
    let descriptor = descriptor(&bytes);
    push(&registry, &reference(&server.address, "windows/app", "one"), &bytes).await;
    // More cuts than tries without progress are allowed.
    let proxy = Proxy::cutting(&server.address, &[1 << 20; 6]);
    let target = reference(proxy.address(), "windows/app", "one");
    let (_directory, store) = store();
    let path = registry.pull_blob(&target, &descriptor, &store, &Silent).await.unwrap();
    assert!(std::fs::read(path).unwrap() == bytes);
    let twice = proxy.received() - descriptor.size;
    assert!(twice < 2 << 20, "{twice} bytes came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_mounted_from_another_repository() {
    let server = DockerRegistry::start();
    let registry = client();
    let source = reference(&server.address, "windows/base", "one");
    let target = reference(&server.address, "windows/app", "one");
    let bytes = noise(100_000);
    let digest = Digest::of(&bytes);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    push_file(&registry, &source, &digest, file.path(), None).await;
    let delivered = push_file(&registry, &target, &digest, file.path(), Some(&source)).await;
    assert_eq!(delivered, Delivered::Mounted);
    assert_eq!(registry.pull_small(&target, &descriptor(&bytes)).await.unwrap(), bytes);
    // What the source does not have is uploaded.
    std::fs::write(file.path(), b"other").unwrap();
    let delivered = push_file(&registry, &target, &Digest::of(b"other"), file.path(), Some(&source)).await;
    assert_eq!(delivered, Delivered::Written);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_named() {
    let server = DockerRegistry::start();
    let registry = client();
    let target = reference(&server.address, "windows/app", "one");
    push_image(&registry, &target, "test").await;
    let name = target.name();

    let error = registry.document(&reference(&server.address, "windows/app", "two")).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("manifest unknown: {name} has no tag two")), "{error}");
    let digest = Digest::of(b"no such manifest");
    let error = registry.document(&target.at_digest(digest)).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("manifest unknown: {name} has no manifest {digest}")), "{error}");
    let error = registry.document(&reference(&server.address, "windows/none", "one")).await.unwrap_err();
    assert!(matches!(error, RegistryError::UnknownRepository { .. }), "{error}");
    let missing = descriptor(b"no such blob");
    let (_directory, store) = store();
    for error in [
        registry.pull_small(&target, &missing).await.unwrap_err(),
        registry.pull_blob(&target, &missing, &store, &Silent).await.unwrap_err(),
    ] {
        assert!(matches!(error, RegistryError::UnknownBlob { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_registry_is_named_with_the_reason() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = reference(&format!("127.0.0.1:{port}"), "windows/app", "one");
    let error = client().document(&target).await.unwrap_err().to_string();
    let expected =
        format!("cannot pull the manifest of {target}: 127.0.0.1:{port} cannot be reached: connection refused");
    assert_eq!(error, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_the_refusal_says_what_to_do() {
    let server = DockerRegistry::start_with_password();
    let target = reference(&server.address, "windows/app", "one");
    let error = client().document(&target).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("cannot pull the manifest of {target}")), "{text}");
    assert!(text.contains("No credentials for"), "{text}");
    assert!(text.contains(&format!("`docker login {}`", server.address)), "{text}");
}

fn write_credentials(docker_config: &Path, registry: &str, password: &str) {
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
    let config = json!({ "auths": { registry: { "auth": auth } } }).to_string();
    std::fs::write(docker_config.join("config.json"), config).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_docker_are_used() {
    let Some(docker_config) = own_docker_config("credentials_of_docker_are_used") else { return };
    let server = DockerRegistry::start_with_password();
    let target = reference(&server.address, "windows/app", "one");
    write_credentials(&docker_config, &server.address, PASSWORD);
    let registry = client();
    let manifest = push_image(&registry, &target, "test").await;
    assert_eq!(registry.document(&target).await.unwrap().digest(), manifest.digest());
    let bytes = noise(100_000);
    let descriptor = descriptor(&bytes);
    push(&registry, &target, &bytes).await;
    let (_directory, store) = store();
    registry.pull_blob(&target, &descriptor, &store, &Silent).await.unwrap();
    let other = reference(&server.address, "windows/other", "one");
    let path = store.blob_path(&descriptor.digest);
    let delivered = push_file(&registry, &other, &descriptor.digest, &path, Some(&target)).await;
    assert_eq!(delivered, Delivered::Mounted);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_named_and_not_shown() {
    let Some(docker_config) = own_docker_config("wrong_credentials_are_named_and_not_shown") else { return };
    let server = DockerRegistry::start_with_password();
    let target = reference(&server.address, "windows/app", "one");
    write_credentials(&docker_config, &server.address, "SECRET");
    let error = client().document(&target).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{text}");
    assert!(text.contains(&docker_config.join("config.json").display().to_string()), "{text}");
    assert!(!format!("{text} {error:?}").contains("SECRET"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let pushed = client().push_blob(&target, &Digest::of(b""), 0, file.path(), None, &Silent).await;
    assert!(matches!(pushed.unwrap_err(), RegistryError::Unauthorized { .. }));
}

/// A registry whose token server gives `token-1`, `token-2` … and that takes each token only `uses` times.
fn token_registry(uses: usize, document: Document) -> Server {
    let (given, used) = (AtomicUsize::new(0), AtomicUsize::new(0));
    Server::start(move |own, request| {
        let challenge = format!(r#"Bearer realm="http://{own}/token",service="test""#);
        let refuse = || Response::new(401, "").with("www-authenticate", challenge.clone());
        if request.target.starts_with("/token") {
            let identity = String::from_utf8_lossy(&request.body).contains("refresh_token=good-refresh");
            let password = request.header("authorization") == "Basic dGVzdGVyOmdvb2Q=";
            if !identity && !password {
                return Response::new(401, r#"{"details":"incorrect username or password"}"#);
            }
            used.store(0, Ordering::SeqCst);
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            return Response::new(200, format!(r#"{{"access_token":"token-{number}"}}"#));
        }
        let token = format!("Bearer token-{}", given.load(Ordering::SeqCst));
        if request.header("authorization") != token || used.fetch_add(1, Ordering::SeqCst) >= uses {
            return refuse();
        }
        Response::new(200, document.bytes().to_vec()).with("content-type", document.media_type())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_got_and_renewed() {
    let Some(docker_config) = own_docker_config("tokens_are_got_and_renewed") else { return };
    let manifest = Document::from_value(OCI_MANIFEST, json!({ "mediaType": OCI_MANIFEST }));
    let server = token_registry(2, manifest.clone());
    let target = reference(server.address(), "windows/app", "one");
    let cases = [json!({ "identitytoken": "good-refresh" }), json!({ "username": "tester", "password": "good" })];
    for entry in cases {
        let config = json!({ "auths": { server.address(): entry } }).to_string();
        std::fs::write(docker_config.join("config.json"), config).unwrap();
        let registry = client();
        for _ in 0..5 {
            assert_eq!(registry.document(&target).await.unwrap().digest(), manifest.digest());
        }
    }
    let asked = server.requests().into_iter().filter(|request| request.target.starts_with("/token"));
    for request in asked {
        let text = format!("{} {}", request.target, String::from_utf8_lossy(&request.body));
        assert!(text.contains("repository%3Awindows%2Fapp%3Apull") && text.contains("service=test"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_servers_own_words_are_shown() {
    let Some(docker_config) = own_docker_config("the_token_servers_own_words_are_shown") else { return };
    let server = token_registry(1, Document::from_value(OCI_MANIFEST, json!({})));
    write_credentials(&docker_config, server.address(), "SECRET");
    let error = client().document(&reference(server.address(), "windows/app", "one")).await.unwrap_err();
    let text = format!("{error}");
    assert!(text.contains("incorrect username or password"), "{text}");
    assert!(!format!("{text} {error:?}").contains("SECRET"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_layer_comes_from_its_url_without_credentials() {
    let Some(docker_config) = own_docker_config("a_foreign_layer_comes_from_its_url_without_credentials") else {
        return;
    };
    let server = DockerRegistry::start_with_password();
    write_credentials(&docker_config, &server.address, PASSWORD);
    let registry = client();
    let target = reference(&server.address, "windows/app", "one");
    push_image(&registry, &target, "test").await;

    let bytes = noise(300_000);
    let layer = bytes.clone();
    let elsewhere = Server::start(move |_, request| match request.target.as_str() {
        "/layer" => match request.header("range").strip_prefix("bytes=") {
            Some(range) => {
                let (start, end) = range.split_once('-').unwrap();
                let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
                Response::new(206, &layer[start..=end])
                    .with("content-range", format!("bytes {start}-{end}/{}", layer.len()))
            }
            None => Response::new(200, layer.clone()),
        },
        _ => Response::new(404, "not here"),
    });
    let url = |path: &str| format!("http://{}/{path}", elsewhere.address());
    let mut descriptor = descriptor(&bytes);
    descriptor.urls = vec!["file:///etc/passwd".to_owned(), url("gone"), url("layer")];

    let (_directory, store) = store();
    // The first bytes are there: the URL is asked for the others only.
    store.fill(&descriptor.digest, descriptor.size).unwrap().unwrap().append(&bytes[..1000]).unwrap();
    let path = registry.pull_blob(&target, &descriptor, &store, &Silent).await.unwrap();
    assert!(std::fs::read(path).unwrap() == bytes);
    let requests = elsewhere.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].header("range"), "bytes=1000-299999");
    assert!(requests.iter().all(|request| request.header("authorization").is_empty()));

    let mut missing = self::descriptor(b"missing");
    missing.urls = vec![url("gone")];
    let error = registry.pull_blob(&target, &missing, &store, &Silent).await.unwrap_err();
    assert!(matches!(error, RegistryError::ForeignLayer { .. }), "{error}");
    // What a server that need not be public says is not repeated.
    assert!(!error.to_string().contains("not here"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_gets_no_credentials() {
    let Some(docker_config) = own_docker_config("a_redirect_to_another_host_gets_no_credentials") else { return };
    let bytes = noise(1000);
    let content = bytes.clone();
    let storage = Server::start(move |_, _| Response::new(200, content.clone()));
    let location = format!("http://{}/signed?signature=1", storage.address());
    let server = Server::start(move |_, request| match request.header("authorization") {
        "" => Response::new(401, "").with("www-authenticate", r#"Basic realm="test""#),
        _ => Response::new(307, "").with("location", location.clone()),
    });
    write_credentials(&docker_config, server.address(), PASSWORD);
    let (_directory, store) = store();
    let target = reference(server.address(), "x", "y");
    client().pull_blob(&target, &descriptor(&bytes), &store, &Silent).await.unwrap();
    let requests = storage.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].header("authorization"), requests[0].header("referer")), ("", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_referrer_is_found_through_the_tag() {
    let server = DockerRegistry::start();
    let registry = client();
    let target = reference(&server.address, "windows/app", "one");
    let subject = push_image(&registry, &target, "test").await;
    let artifact = |name: &str| {
        Document::from_value(
            OCI_MANIFEST,
            json!({
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": "application/vnd.example.ledger",
                "config": subject.value()["config"],
                "layers": [],
                "subject": { "mediaType": OCI_MANIFEST, "digest": subject.digest(), "size": subject.size() },
                "annotations": { "name": name },
            }),
        )
    };
    for name in ["first", "second", "first"] {
        registry.push_referrer(&target, &subject, &artifact(name)).await.unwrap();
    }
    let list = reference(&server.address, "windows/app", &format!("sha256-{}", subject.digest().hex()));
    let list = registry.document(&list).await.unwrap();
    let entries = list.value()["manifests"].as_array().unwrap();
    assert_eq!(list.media_type(), OCI_INDEX);
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["digest"], artifact("second").digest().to_string());
    assert_eq!(entries[1]["artifactType"], "application/vnd.example.ledger");
    assert_eq!(entries[1]["annotations"]["name"], "second");
    registry.document(&target.at_digest(artifact("first").digest())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_what_was_asked_for_is_refused() {
    let blob = b"the right bytes".to_vec();
    let manifest = json!({ "mediaType": OCI_MANIFEST }).to_string();
    let digest = Digest::of(b"another document").to_string();
    let server = Server::start(move |_, request| match request.target.as_str() {
        "/v2/" => Response::new(200, "{}"),
        "/v2/x/manifests/wrong" => Response::new(200, manifest.clone()).with("docker-content-digest", digest.clone()),
        "/v2/x/manifests/large" => Response::new(200, vec![b' '; 9 << 20]),
        "/v2/x/manifests/page" => Response::new(200, "<html>").with("content-type", "text/html"),
        "/v2/x/manifests/other" => Response::new(200, "{}").with("content-type", "application/json"),
        _ => Response::new(200, b"the wrong bytes".to_vec()),
    });
    let registry = client();
    let wrong = registry.document(&reference(server.address(), "x", "wrong")).await.unwrap_err();
    assert!(matches!(wrong, RegistryError::WrongDigest { .. }), "{wrong}");
    let large = registry.document(&reference(server.address(), "x", "large")).await.unwrap_err();
    assert!(matches!(large, RegistryError::TooLarge { .. }), "{large}");
    let page = registry.document(&reference(server.address(), "x", "page")).await.unwrap_err();
    assert!(matches!(page, RegistryError::Document { .. }), "{page}");
    let other = registry.document(&reference(server.address(), "x", "other")).await.unwrap_err();
    assert!(matches!(other, RegistryError::NotAnImage { .. }), "{other}");

    let target = reference(server.address(), "x", "y");
    let (directory, store) = store();
    let error = registry.pull_blob(&target, &descriptor(&blob), &store, &Silent).await.unwrap_err();
    assert!(error.to_string().contains("expected"), "{error}");
    let error = registry.pull_blob(&target, &descriptor(b"short"), &store, &Silent).await.unwrap_err();
    assert!(error.to_string().contains("should have 5 bytes"), "{error}");
    let small = registry.pull_small(&target, &descriptor(&blob)).await.unwrap_err();
    assert!(matches!(small, RegistryError::WrongDigest { .. }), "{small}");
    assert_eq!(std::fs::read_dir(directory.path().join("blobs/sha256")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_registry_is_asked_again() {
    let asked = AtomicUsize::new(0);
    let manifest = Bytes::from(json!({ "mediaType": OCI_MANIFEST }).to_string());
    let server = Server::start(move |_, request| match (request.target.as_str(), asked.load(Ordering::SeqCst)) {
        ("/v2/", _) => Response::new(200, "{}"),
        (_, 0 | 1) => {
            asked.fetch_add(1, Ordering::SeqCst);
            Response::new(429, r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#).with("retry-after", "1")
        }
        _ => Response::new(200, manifest.to_vec()),
    });
    let begun = Instant::now();
    client().document(&reference(server.address(), "x", "y")).await.unwrap();
    assert!(begun.elapsed().as_millis() >= 2000, "the registry asked to wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_ranges_is_downloaded_from_the_beginning() {
    let bytes = noise(50_000);
    let whole = bytes.clone();
    let server = Server::start(move |_, request| match request.target.as_str() {
        "/v2/" => Response::new(200, "{}"),
        target if target.starts_with("/v2/wrong/") && !request.header("range").is_empty() => {
            Response::new(206, &whole[5..]).with("content-range", format!("bytes 5-49999/{}", whole.len()))
        }
        target if target.starts_with("/v2/refuses/") && !request.header("range").is_empty() => Response::new(416, ""),
        _ => Response::new(200, whole.clone()),
    });
    for repository in ["ignores", "refuses", "wrong"] {
        let (_directory, store) = store();
        let descriptor = descriptor(&bytes);
        store.fill(&descriptor.digest, descriptor.size).unwrap().unwrap().append(&bytes[..1000]).unwrap();
        let target = reference(server.address(), repository, "y");
        let path = client().pull_blob(&target, &descriptor, &store, &Silent).await.unwrap();
        assert!(std::fs::read(path).unwrap() == bytes, "{repository}");
    }
}

/// A registry that takes blobs in one mode only, and says so with `status`.
fn one_mode_registry(takes: &'static str, status: u16) -> Server {
    Server::start(move |_, request| match (request.method.as_str(), request.target.as_str()) {
        ("GET", "/v2/") => Response::new(200, "{}"),
        ("HEAD", _) => Response::new(404, ""),
        ("POST", _) => Response::new(202, "").with("location", "/v2/x/blobs/uploads/1"),
        ("PATCH", _) if takes == "chunks" => Response::new(202, "").with("location", "/v2/x/blobs/uploads/1"),
        ("PATCH", _) => Response::new(status, ""),
        ("PUT", _) if takes == "chunks" && !request.body.is_empty() => Response::new(status, ""),
        ("PUT", target) => {
            Response::new(201, "").with("location", format!("/v2/x/blobs/{}", target.rsplit_once('=').unwrap().1))
        }
        _ => Response::new(405, ""),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_mode_of_uploading_is_tried_and_remembered() {
    let server = one_mode_registry("chunks", 413);
    let registry = client();
    let target = reference(server.address(), "x", "y");
    for bytes in [noise(100_000), noise(90_000)] {
        assert_eq!(push(&registry, &target, &bytes).await, Delivered::Written);
    }
    let refused = |request: &http::Request| request.method == "PUT" && !request.body.is_empty();
    assert_eq!(server.requests().iter().filter(|request| refused(request)).count(), 1);

    let server = one_mode_registry("none", 413);
    let target = reference(server.address(), "x", "y");
    assert_eq!(push(&registry, &target, &noise(1000)).await, Delivered::Written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_size_is_not_pushed() {
    let target = reference("127.0.0.1:1", "x", "y");
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = client().push_blob(&target, &Digest::of(b"x"), 1, file.path(), None, &Silent).await.unwrap_err();
    assert!(matches!(error, RegistryError::Content { .. }), "{error}");
    let gone = Path::new("/no/such/file");
    let error = client().push_blob(&target, &Digest::of(b"x"), 1, gone, None, &Silent).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read `/no/such/file`: no such file or directory");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_whatever_the_size() {
    let Some(_) = own_docker_config("memory_stays_bounded_whatever_the_size") else { return };
    let server = DockerRegistry::start();
    let registry = client();
    let target = reference(&server.address, "windows/app", "one");
    let file = tempfile::NamedTempFile::new().unwrap();
    let size = 256 << 20;
    file.as_file().set_len(size).unwrap();
    let mut hasher = winslim::image::digest::Hasher::new();
    let zeros = vec![0; 1 << 20];
    for _ in 0..256 {
        hasher.update(&zeros);
    }
    let descriptor = Descriptor { digest: hasher.finish(), size, ..descriptor(b"") };
    push_file(&registry, &target, &descriptor.digest, file.path(), None).await;
    let (_directory, store) = store();
    registry.pull_blob(&target, &descriptor, &store, &Silent).await.unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 120 << 10, "{peak} kB");
}
