//! Foreign layers on their way to a registry that does not take addresses of layers.

use serde_json::{Value, json};
use winslim::image::media_type::{OCI_CONFIG, OCI_MANIFEST};
use winslim::image::{Digest, Document};
use winslim::transport::registry::Registry;

use super::faults::{Image, PATIENT, options};
use super::http::Response;
use super::odd::OddRegistry;
use super::support::Sandbox;
use super::{push, reference};

const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

/// Puts an image with a foreign layer, whose content is there, into a registry.
async fn put(registry: &OddRegistry) -> (Image, Document) {
    let client = Registry::new(&options(PATIENT)).unwrap();
    let image = Image::new("foreign", 5000);
    let target = reference(registry.address(), "base", "one");
    push(&client, &target, &image.layer).await;
    push(&client, &target, &image.config).await;
    let part =
        |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() });
    let mut layer = part(FOREIGN, &image.layer);
    layer["urls"] = json!(["https://mcr.microsoft.com/v2/windows/servercore/blobs/sha256:0"]);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": part(OCI_CONFIG, &image.config), "layers": [layer],
    });
    let manifest = Document::from_value(OCI_MANIFEST, manifest);
    client.push_document(&target, &manifest, Some(&"one".parse().unwrap())).await.unwrap();
    (image, manifest)
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_layers_become_plain_where_they_are_refused() {
    let source = OddRegistry::start(|_, _| None);
    let (image, manifest) = put(&source).await;
    let target = OddRegistry::start(|request, _| {
        let names_addresses = request.method == "PUT" && String::from_utf8_lossy(&request.body).contains("\"urls\"");
        names_addresses
            .then(|| Response::new(400, r#"{"errors":[{"code":"MANIFEST_INVALID","message":"invalid URL"}]}"#))
    });
    let sandbox = Sandbox::new();
    let (from, to) = (source.reference("base:one"), target.reference("copy:one"));
    sandbox.winslim(&["copy", &from, &to]).fails(1, &["cannot push the manifest", "hint: ", "--distributable"]);
    assert_eq!(target.tagged("copy:one"), None);

    let outcome = sandbox.winslim(&["copy", &from, &to, "--distributable"]);
    assert!(outcome.stderr.contains(&format!("instead of {}", manifest.digest())), "{outcome:#?}");
    let printed = outcome.done();
    let digest = target.tagged("copy:one").unwrap();
    assert!(printed.trim().ends_with(&digest) && digest != manifest.digest().to_string(), "{printed}");
    let pushed = target.requests().into_iter().rev().find(|request| request.method == "PUT").unwrap();
    let pushed: Value = serde_json::from_slice(&pushed.body).unwrap();
    let layer = &pushed["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    assert_eq!(layer["digest"], json!(Digest::of(&image.layer)));
    assert!(layer.get("urls").is_none());

    // An image without foreign layers stays as it is.
    let again = target.reference("again:one");
    let outcome = sandbox.winslim(&["copy", &to, &again, "--distributable"]);
    assert!(!outcome.stderr.contains("instead of"), "{outcome:#?}");
    assert!(outcome.done().trim().ends_with(&digest));
}
