//! Each fault against pulls and pushes: they complete, or they fail with the right words; nothing wrong is in the store
//! then, and the tag of the target has not moved.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use winslim::image::media_type::{OCI_CONFIG, OCI_MANIFEST};
use winslim::image::{Descriptor, Digest, Document};
use winslim::progress::Silent;
use winslim::store::Store;
use winslim::transport::registry::{Limits, Login, PushMode, Registry, RegistryError};
use winslim::transport::{Delivered, RegistryOptions, RegistryReference};

use super::fault::{ALWAYS, Fault, FaultProxy, Rule, Seen, fault};
use super::http::{Response, Server};
use super::support::registry::DockerRegistry;
use super::{descriptor, noise, push_file, reference, store};

/// How an attempt has to end.
#[derive(Debug, Clone, Copy)]
enum End {
    Completes,
    /// With all of these words.
    Fails(&'static [&'static str]),
}
use End::{Completes, Fails};

/// Pauses for tests, and patience for those that stall.
pub fn options(stall: Duration) -> RegistryOptions {
    let limits = Limits {
        stall,
        commit: stall,
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(50),
        ..Limits::default()
    };
    RegistryOptions { limits, ..RegistryOptions::default() }
}

pub const PATIENT: Duration = Duration::from_secs(30);
const IMPATIENT: Duration = Duration::from_millis(800);

/// The cases that stall say so in their names.
fn patience(name: &str) -> Duration {
    if name.contains("stall") { IMPATIENT } else { PATIENT }
}

/// An image with one layer and a config.
pub struct Image {
    pub layer: Vec<u8>,
    pub config: Vec<u8>,
    pub manifest: Document,
}

impl Image {
    pub fn new(name: &str, size: usize) -> Image {
        let mut layer = noise(size);
        layer[..name.len()].copy_from_slice(name.as_bytes());
        let rootfs = json!({ "type": "layers", "diff_ids": [Digest::of(&layer)] });
        let config = json!({ "architecture": "amd64", "os": "windows", "author": name, "rootfs": rootfs });
        let config = config.to_string().into_bytes();
        let part = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() });
        let manifest = Document::from_value(
            OCI_MANIFEST,
            json!({
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": part(OCI_CONFIG, &config),
                "layers": [part("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
            }),
        );
        Image { layer, config, manifest }
    }

    /// As commands do it: blobs first, the tag last.
    pub async fn push(&self, registry: &Registry, target: &RegistryReference) -> Result<(), RegistryError> {
        for bytes in [&self.layer, &self.config] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let size = bytes.len() as u64;
            registry.push_blob(target, &Digest::of(bytes), size, file.path(), None, &Silent).await?;
        }
        registry.push_document(target, &self.manifest, target.tag.as_ref()).await
    }

    pub async fn pull(
        &self,
        registry: &Registry,
        source: &RegistryReference,
        store: &Store,
    ) -> Result<(), RegistryError> {
        let manifest = registry.document(source).await?;
        assert_eq!(manifest.bytes(), self.manifest.bytes());
        assert_eq!(registry.pull_small(source, &descriptor(&self.config)).await?, self.config);
        let path = registry.pull_blob(source, &descriptor(&self.layer), store, &Silent).await?;
        assert!(std::fs::read(path).unwrap() == self.layer);
        Ok(())
    }
}

/// Checks that every blob of a store is what its name says.
pub fn check_store(directory: &Path) -> usize {
    let mut blobs = 0;
    for entry in std::fs::read_dir(directory.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let digest = Digest::of(&std::fs::read(&path).unwrap());
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), digest.hex().to_string());
        blobs += 1;
    }
    blobs
}

fn check_end(name: &str, end: End, result: &Result<(), RegistryError>) {
    match (end, result) {
        (Completes, Ok(())) => {}
        (Fails(words), Err(error)) => {
            let text = error.to_string();
            assert!(words.iter().all(|word| text.contains(word)), "{name}: {text}");
            assert!(!text.contains("SECRET") && !text.contains("os error"), "{name}: {text}");
        }
        (_, result) => panic!("{name}: {end:?} was expected, and it came to {result:?}"),
    }
}

const LAYER: usize = 1 << 20;
const BUSY: Fault = Fault::Answer(429, Vec::new(), r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#);
const BROKEN: Fault = Fault::Answer(500, Vec::new(), "");

#[tokio::test(flavor = "multi_thread")]
async fn pulls_survive_faults_or_say_what_is_wrong() {
    let server = DockerRegistry::start();
    let image = Image::new("pulled", LAYER);
    let origin = reference(&server.address, "windows/base", "one");
    image.push(&Registry::new(&options(PATIENT)).unwrap(), &origin).await.unwrap();
    let layer = format!("/blobs/{}", Digest::of(&image.layer));
    let get = |times, what: Fault| fault(times, "GET", layer.clone(), what);
    let manifest = |times, what: Fault| fault(times, "GET", "/manifests/one", what);
    let later = || Fault::Answer(429, vec![("retry-after", "1".to_owned())], "");
    let header = |name, value: &str| Fault::Header(name, value.to_owned());
    let cases: Vec<(&str, Vec<Rule>, End)> = vec![
        ("cut at once", vec![get(1, Fault::Cut(0))], Completes),
        ("cut after a byte", vec![get(1, Fault::Cut(1))], Completes),
        ("cut in the middle", vec![get(1, Fault::Cut(LAYER as u64 / 2))], Completes),
        ("cut before the last byte", vec![get(1, Fault::Cut(LAYER as u64 - 1))], Completes),
        ("cut again and again, with progress", vec![get(ALWAYS, Fault::Cut(260 << 10))], Completes),
        (
            "cut again and again",
            vec![get(ALWAYS, Fault::Cut(10))],
            Fails(&["cannot pull the layer", "after 50 of 1048576 bytes"]),
        ),
        ("cut manifest", vec![manifest(2, Fault::Cut(10))], Completes),
        ("stall in the middle", vec![get(1, Fault::Stall(100_000))], Completes),
        ("stall always", vec![get(ALWAYS, Fault::Stall(0))], Fails(&["nothing came for 0.8 seconds after 0 of"])),
        ("drips once", vec![get(1, Fault::Drip)], Completes),
        ("drips always", vec![get(ALWAYS, Fault::Drip)], Fails(&["bytes passed in", "of 1048576 bytes"])),
        ("manifest drips", vec![manifest(1, Fault::Drip)], Completes),
        ("stall manifest", vec![manifest(1, Fault::Stall(0))], Completes),
        ("busy", vec![get(2, later()), manifest(2, later())], Completes),
        ("busy always", vec![get(ALWAYS, BUSY)], Fails(&["answered 429", "slow down"])),
        ("broken for a while", vec![get(2, BROKEN), manifest(2, BROKEN)], Completes),
        ("broken for good", vec![manifest(ALWAYS, BROKEN)], Fails(&["cannot pull the manifest", "answered 500"])),
        ("no ranges", vec![get(1, Fault::Cut(500_000)), get(ALWAYS, Fault::IgnoreRange)], Completes),
        (
            "no ranges, refused",
            vec![get(1, Fault::Cut(500_000)), get(1, Fault::Answer(416, Vec::new(), ""))],
            Completes,
        ),
        (
            "another range",
            vec![get(1, Fault::Cut(500_000)), get(1, header("content-range", "bytes 7-1048575/1048576"))],
            Completes,
        ),
        (
            "a range of another blob",
            vec![get(1, Fault::Cut(500_000)), get(1, header("content-range", "bytes 500000-1048575/1048577"))],
            Completes,
        ),
        ("wrong byte", vec![get(1, Fault::Flip(12_345))], Fails(&["the content is not what was asked for", "sha256:"])),
        // Pieces of two answers that do not fit together: everything is asked for once more.
        ("wrong byte in a piece", vec![get(1, Fault::Cut(500_000)), get(1, Fault::Flip(12))], Completes),
        (
            "wrong byte in every piece",
            vec![get(1, Fault::Cut(500_000)), get(ALWAYS, Fault::Flip(12))],
            Fails(&["the content is not what was asked for"]),
        ),
        ("wrong byte of manifest", vec![manifest(1, Fault::Flip(12))], Fails(&["its digest is wrong"])),
        (
            "wrong digest",
            vec![manifest(1, header("docker-content-digest", &Digest::of(b"").to_string()))],
            Fails(&["its digest is wrong", "expected sha256:e3b0c44"]),
        ),
        ("claims more", vec![get(ALWAYS, Fault::Lie(1))], Fails(&["should have 1048576 bytes, but 1048577 came"])),
        ("claims less", vec![get(1, Fault::Lie(-1))], Completes),
        ("claims less always", vec![get(ALWAYS, Fault::Lie(-1048570))], Fails(&["of 1048576 bytes"])),
        ("manifest claims more", vec![manifest(1, Fault::Lie(1))], Completes),
        (
            "circle",
            vec![get(ALWAYS, Fault::Answer(307, vec![("location", layer.clone())], ""))],
            Fails(&["redirects more than 10"]),
        ),
        ("gone", vec![get(ALWAYS, Fault::Answer(404, Vec::new(), ""))], Fails(&["blob unknown"])),
    ];
    let pulls = cases.into_iter().map(|(name, rules, end)| {
        let (server, image) = (&server, &image);
        async move {
            let proxy = FaultProxy::start(&server.address, &rules);
            let (directory, store) = store();
            let mut options = options(patience(name));
            if name.contains("drips") {
                options.limits.slow = IMPATIENT;
            }
            let registry = Registry::new(&options).unwrap();
            let source = reference(proxy.address(), "windows/base", "one");
            let result = image.pull(&registry, &source, &store).await;
            check_end(name, end, &result);
            assert_eq!(check_store(directory.path()), usize::from(result.is_ok()), "{name}");
            // What was left continues to the right end without the fault.
            proxy.change(&[]);
            image.pull(&registry, &source, &store).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    });
    for pull in pulls {
        pull.await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_survive_faults_or_leave_the_tag() {
    let server = DockerRegistry::start();
    let mono = PushMode::Monolithic;
    let chunked = PushMode::Chunked(128 << 10);
    let on = |times, method, what: Fault| fault(times, method, "/blobs/uploads/", what);
    let manifest = |times, what: Fault| fault(times, "PUT", "/manifests/", what);
    let elsewhere = Server::start(|_, _| Response::new(201, ""));
    let redirect = || Fault::Answer(307, vec![("location", format!("http://{}/upload", elsewhere.address()))], "");
    let refuse = |status| Fault::Answer(status, Vec::new(), "");
    let cases: Vec<(&str, PushMode, Vec<Rule>, End)> = vec![
        ("cut", mono, vec![on(1, "PUT", Fault::CutRequest(300_000))], Completes),
        (
            "cut, in pieces",
            chunked,
            vec![on(2, "PATCH", Fault::Nothing), on(2, "PATCH", Fault::CutRequest(100_000))],
            Completes,
        ),
        (
            "cut always",
            mono,
            vec![on(ALWAYS, "PUT", Fault::CutRequest(1000))],
            Fails(&["cannot push the blob sha256:"]),
        ),
        ("cut always but in pieces", PushMode::Auto, vec![on(ALWAYS, "PUT", Fault::CutRequest(1000))], Completes),
        ("lost answer", mono, vec![on(1, "PUT", Fault::LoseAnswer)], Completes),
        (
            "lost answer, in pieces",
            chunked,
            vec![on(2, "PATCH", Fault::Nothing), on(2, "PATCH", Fault::LoseAnswer)],
            Completes,
        ),
        ("stall", mono, vec![on(1, "PUT", Fault::StallRequest(0))], Completes),
        (
            "stall, in pieces",
            chunked,
            vec![on(2, "PATCH", Fault::Nothing), on(1, "PATCH", Fault::StallRequest(10))],
            Completes,
        ),
        (
            "stall always",
            mono,
            vec![on(ALWAYS, "PUT", Fault::StallRequest(0))],
            Fails(&["took no bytes for 0.8 seconds"]),
        ),
        ("busy", mono, vec![on(2, "POST", BUSY), on(1, "PUT", BUSY), manifest(1, BUSY)], Completes),
        ("busy, in pieces", chunked, vec![on(2, "PATCH", Fault::Nothing), on(3, "PATCH", BUSY)], Completes),
        ("broken for a while", mono, vec![on(2, "POST", BROKEN), on(2, "PUT", BROKEN), manifest(2, BROKEN)], Completes),
        ("broken for a while, in pieces", chunked, vec![on(2, "PATCH", BROKEN)], Completes),
        ("broken for good", mono, vec![on(ALWAYS, "PUT", BROKEN)], Fails(&["cannot push the blob", "answered 500"])),
        ("manifest broken", mono, vec![manifest(ALWAYS, BROKEN)], Fails(&["cannot push the manifest", "answered 500"])),
        (
            "manifest refused",
            mono,
            vec![manifest(1, Fault::Answer(400, Vec::new(), r#"{"errors":[{"code":"MANIFEST_INVALID"}]}"#))],
            Fails(&["400 Bad Request: MANIFEST_INVALID"]),
        ),
        ("too large", mono, vec![on(1, "PUT", refuse(413))], Completes),
        ("too large, at once", mono, vec![on(1, "PUT", Fault::AnswerEarly(413))], Completes),
        ("no pieces", chunked, vec![on(ALWAYS, "PATCH", refuse(405))], Completes),
        ("no such pieces", chunked, vec![on(ALWAYS, "PATCH", refuse(416))], Completes),
        ("neither", mono, vec![on(ALWAYS, "PUT", refuse(413)), on(ALWAYS, "PATCH", refuse(405))], Fails(&["405"])),
        ("pieces answered with 201", chunked, vec![on(ALWAYS, "PATCH", Fault::Status(201))], Completes),
        ("wrong bytes", mono, vec![on(1, "PUT", Fault::FlipRequest)], Completes),
        ("wrong bytes in a piece", chunked, vec![on(1, "PATCH", Fault::FlipRequest)], Completes),
        (
            "wrong bytes always",
            mono,
            vec![on(ALWAYS, "PUT", Fault::FlipRequest), on(ALWAYS, "PATCH", Fault::FlipRequest)],
            Fails(&["DIGEST_INVALID"]),
        ),
        (
            "wrong digest",
            mono,
            vec![on(1, "PUT", Fault::Header("docker-content-digest", Digest::of(b"").to_string()))],
            Fails(&["its digest is wrong"]),
        ),
        (
            "wrong digest of manifest",
            mono,
            vec![fault(1, "HEAD", "/manifests/", Fault::Header("docker-content-digest", Digest::of(b"").to_string()))],
            // The document is there by then, and only what the registry says of it is wrong.
            Completes,
        ),
        ("elsewhere", mono, vec![on(ALWAYS, "POST", redirect())], Fails(&["answered 307"])),
        ("bytes elsewhere", mono, vec![on(ALWAYS, "PUT", redirect())], Fails(&["answered 307"])),
        ("denied", mono, vec![on(ALWAYS, "POST", refuse(403))], Fails(&["refused access (403", "No credentials for"])),
    ];
    for (number, (name, push_mode, rules, end)) in cases.into_iter().enumerate() {
        let proxy = FaultProxy::start(&server.address, &rules);
        let repository = format!("windows/app-{number}");
        let target = |address: &str| reference(address, &repository, "one");
        let old = Image::new("old", 1000);
        old.push(&Registry::new(&options(PATIENT)).unwrap(), &target(&server.address)).await.unwrap();
        let new = Image::new(name, LAYER);
        let registry = Registry::new(&RegistryOptions { push_mode, ..options(patience(name)) }).unwrap();
        let result = new.push(&registry, &target(proxy.address())).await;
        check_end(name, end, &result);
        let expected = if result.is_ok() { &new } else { &old };
        assert_eq!(server.tagged(&repository, "one"), expected.manifest.digest().to_string(), "{name}");
        // Whatever was left, a second run without the fault completes.
        proxy.change(&[]);
        new.push(&registry, &target(proxy.address())).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let (directory, store) = store();
        new.pull(&registry, &target(&server.address), &store).await.unwrap();
        assert_eq!(check_store(directory.path()), 1);
    }
    assert!(elsewhere.requests().is_empty(), "no other host gets an upload");
}

fn bytes_taken(seen: &[Seen], method: &str) -> u64 {
    seen.iter().filter(|seen| seen.method == method).map(|seen| seen.taken).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_run_out_in_the_middle_of_pulls_and_pushes() {
    let server = DockerRegistry::start();
    let image = Image::new("tokens", LAYER);
    let proxy = FaultProxy::with_tokens(&server.address, 2);
    let target = reference(proxy.address(), "windows/app", "one");
    // Sixteen pieces of one upload take eight tokens.
    let chunks = RegistryOptions { push_mode: PushMode::Chunked(64 << 10), ..options(PATIENT) };
    let registry = Registry::new(&chunks).unwrap();
    image.push(&registry, &target).await.unwrap();
    let seen = proxy.seen();
    let sent = bytes_taken(&seen, "PATCH") + bytes_taken(&seen, "PUT");
    assert!(sent >= LAYER as u64, "{sent}");
    assert!(seen.iter().filter(|seen| seen.target.starts_with("/token")).count() > 8);
    assert!(seen.iter().filter(|seen| seen.target.starts_with("/token")).all(|seen| seen.authorization.is_empty()));

    proxy.change(&[fault(ALWAYS, "GET", "/blobs/", Fault::Cut(270_000))]);
    let (directory, store) = store();
    image.pull(&registry, &target, &store).await.unwrap();
    assert_eq!(check_store(directory.path()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_pull_downloads_hardly_anything_twice() {
    let server = DockerRegistry::start();
    let size = 16 << 20;
    let image = Image::new("large", size);
    let origin = reference(&server.address, "windows/base", "one");
    image.push(&Registry::new(&options(PATIENT)).unwrap(), &origin).await.unwrap();
    // As Microsoft's registry cuts: at multiples of some megabytes.
    let layer = format!("/blobs/{}", Digest::of(&image.layer));
    let proxy = FaultProxy::start(&server.address, &[fault(ALWAYS, "GET", layer.clone(), Fault::Cut(3 << 20))]);
    let (_directory, store) = store();
    let registry = Registry::new(&options(PATIENT)).unwrap();
    image.pull(&registry, &reference(proxy.address(), "windows/base", "one"), &store).await.unwrap();
    let given: u64 = proxy.seen().iter().filter(|seen| seen.target.contains(&layer)).map(|seen| seen.given).sum();
    let twice = given - size as u64;
    assert!(proxy.seen().len() > 5 && twice * 100 < size as u64, "{twice} of {size} bytes came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_pieces_continues_where_the_registry_says() {
    let server = DockerRegistry::start();
    let image = Image::new("pieces", LAYER);
    // Five pieces are there when the sixth fails.
    let on = |times, what: Fault| fault(times, "PATCH", "/blobs/uploads/", what);
    let proxy = FaultProxy::start(&server.address, &[on(5, Fault::Nothing), on(1, BROKEN)]);
    let chunks = RegistryOptions { push_mode: PushMode::Chunked(128 << 10), ..options(PATIENT) };
    let registry = Registry::new(&chunks).unwrap();
    image.push(&registry, &reference(proxy.address(), "windows/app", "one")).await.unwrap();
    let seen = proxy.seen();
    let asked = seen.iter().filter(|seen| seen.method == "GET" && seen.target.contains("/uploads/")).count();
    assert_eq!(asked, 1, "the registry is asked how much it has");
    let sent = bytes_taken(&seen, "PATCH");
    assert!(sent <= (LAYER + image.config.len() + (128 << 10)) as u64, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_is_turned_down_becomes_an_upload() {
    let server = DockerRegistry::start();
    let bytes = noise(100_000);
    let source = reference(&server.address, "windows/base", "one");
    let registry = Registry::new(&options(PATIENT)).unwrap();
    super::push(&registry, &source, &bytes).await;
    // The proxy hides what is to be mounted, so that the registry offers an upload instead, with 202.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"unknown to the source").unwrap();
    let digest = Digest::of(b"unknown to the source");
    let proxy = FaultProxy::start(&server.address, &[]);
    let from = reference(proxy.address(), "windows/base", "one");
    let target = reference(proxy.address(), "windows/app", "one");
    let delivered = push_file(&registry, &target, &digest, file.path(), Some(&from)).await;
    assert_eq!(delivered, Delivered::Written);
    let begun = proxy.seen().iter().filter(|seen| seen.method == "POST").count();
    assert_eq!(begun, 1, "the upload that the registry offered is used");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_registry_keeps_uploads_gets_no_credentials() {
    let storage = Server::start(|own, request| match request.method.as_str() {
        "PATCH" => Response::new(202, "").with("location", format!("http://{own}/upload?signature=1")),
        _ => Response::new(201, ""),
    });
    let location = format!("http://{}/upload?signature=1", storage.address());
    let server = Server::start(move |_, request| match (request.method.as_str(), request.header("authorization")) {
        (_, "") => Response::new(401, "").with("www-authenticate", r#"Basic realm="test""#),
        ("HEAD", _) => Response::new(404, ""),
        _ => Response::new(202, "").with("location", location.clone()),
    });
    let login =
        Login { registry: server.address().to_owned(), username: "me".to_owned(), password: "SECRET".to_owned() };
    for push_mode in [PushMode::Monolithic, PushMode::Chunked(64 << 10)] {
        let registry = RegistryOptions { login: Some(login.clone()), push_mode, ..options(PATIENT) };
        let target = reference(server.address(), "x", "y");
        super::push(&Registry::new(&registry).unwrap(), &target, &noise(100_000)).await;
    }
    let requests = storage.requests();
    assert_eq!(requests.iter().map(|request| request.body.len()).sum::<usize>(), 200_000);
    assert!(requests.iter().all(|request| request.header("authorization").is_empty()));
    assert!(requests.iter().all(|request| request.target.starts_with("/upload?signature=1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_repeats_the_password_is_not_repeated() {
    let server = Server::start(|_, request| match (request.method.as_str(), request.header("authorization")) {
        (_, "") => Response::new(401, "").with("www-authenticate", r#"Basic realm="test""#),
        ("HEAD", _) => Response::new(404, ""),
        (_, authorization) => Response::new(403, format!("I do not like {authorization}, the one of me:SECRET")),
    });
    let login =
        Login { registry: server.address().to_owned(), username: "me".to_owned(), password: "SECRET".to_owned() };
    let registry = Registry::new(&RegistryOptions { login: Some(login), ..options(PATIENT) }).unwrap();
    let target = reference(server.address(), "x", "y");
    let pulled = registry.document(&target).await.unwrap_err();
    let file = tempfile::NamedTempFile::new().unwrap();
    let pushed = registry.push_blob(&target, &Digest::of(b""), 0, file.path(), None, &Silent).await.unwrap_err();
    for error in [pulled, pushed] {
        let text = format!("{error} {error:?}");
        assert!(text.contains("I do not like Basic ***") && !text.contains("SECRET"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_requests_go_to_one_registry_at_once() {
    let server = DockerRegistry::start();
    let mut options = options(PATIENT);
    options.limits.connections = 3;
    let registry = Registry::new(&options).unwrap();
    let layers: Vec<Vec<u8>> = (0..12_u8).map(|number| vec![number; 200_000]).collect();
    let proxy = FaultProxy::start(&server.address, &[]);
    let target = reference(proxy.address(), "windows/app", "one");
    futures_util::future::join_all(layers.iter().map(|layer| super::push(&registry, &target, layer))).await;
    let (_directory, store) = store();
    let descriptors: Vec<Descriptor> = layers.iter().map(|layer| descriptor(layer)).collect();
    let pulls = descriptors.iter().map(|layer| registry.pull_blob(&target, layer, &store, &Silent));
    futures_util::future::try_join_all(pulls).await.unwrap();
    assert!((2..=3).contains(&proxy.most_at_once()), "{} at once", proxy.most_at_once());
}
