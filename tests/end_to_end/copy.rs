//! Copies of a whole tag: the same digests, with what refers to it, and no more bytes than needed.

use std::process::Command;

use serde_json::{Value, json};

use crate::generator::layout::Format;
use crate::platforms::two_builds;
use crate::support::proxy::Proxy;
use crate::support::registry::DockerRegistry;
use crate::support::{Sandbox, json_file, profile, run, skopeo_copy};
use crate::{base_of, tiny_image};

/// The digest that ends what `copy` prints.
fn digest_of(printed: &str) -> String {
    let (_, digest) = printed.trim_end().rsplit_once('@').expect("a digest");
    digest.to_owned()
}

/// What skopeo says that a tag of a registry leads to.
fn skopeo_digest(reference: &str) -> String {
    let mut command = Command::new("skopeo");
    command.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    let raw = run(command, "the Debian package skopeo").done();
    winslim::image::Digest::of(raw.as_bytes()).to_string()
}

#[test]
fn a_tag_with_several_images_and_an_attestation_is_copied_as_it_is() {
    let sandbox = Sandbox::new();
    let base = two_builds(&sandbox);
    let path = |digest: &str| base.directory.join("blobs").join(digest.replace(':', "/"));
    // BuildKit's attestation: a manifest for no platform, with a layer of another type.
    let put = |bytes: &[u8], media_type: &str| {
        let digest = winslim::image::Digest::of(bytes).to_string();
        std::fs::write(path(&digest), bytes).expect("the sandbox can be written to");
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let attestation = json!({
        "schemaVersion": 2, "mediaType": manifest_type,
        "config": put(b"{\"architecture\":\"unknown\",\"os\":\"unknown\"}", "application/vnd.oci.image.config.v1+json"),
        "layers": [put(b"{\"_type\":\"statement\"}", "application/vnd.in-toto+json")],
    });
    let mut entry = put(attestation.to_string().as_bytes(), manifest_type);
    entry["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    entry["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    let mut index = json_file(&path(&base.written.index.digest));
    index["manifests"].as_array_mut().expect("entries").push(entry);
    let root = put(index.to_string().as_bytes(), "application/vnd.oci.image.index.v1+json");
    let digest = root["digest"].as_str().expect("a digest").to_owned();
    let mut listed = root.clone();
    listed["annotations"] = json!({"org.opencontainers.image.ref.name": "all"});
    let layout = json!({"schemaVersion": 2, "manifests": [listed]});
    std::fs::write(base.directory.join("index.json"), layout.to_string()).expect("the sandbox can be written to");

    let source = format!("{}:all", sandbox.layout("base"));
    let (one, two) = (DockerRegistry::start(), DockerRegistry::start());
    let first = one.reference("a/base:all");
    assert_eq!(digest_of(&sandbox.winslim(&["copy", &source, &first]).done()), digest);
    assert_eq!(skopeo_digest(&first), digest);
    let second = two.reference("b/base:all");
    assert_eq!(digest_of(&sandbox.winslim(&["copy", &first, &second]).done()), digest);
    // Everything is there: skopeo can copy it on, and has the same digest too.
    let third = two.reference("c/base:all");
    skopeo_copy(&format!("docker://{second}"), &format!("docker://{third}"), &["--all"]);
    assert_eq!(skopeo_digest(&third), digest);
    for kind in ["oci", "oci-archive"] {
        let target = format!("{kind}:{}:all", sandbox.path(&format!("copy.{kind}")).display());
        assert_eq!(digest_of(&sandbox.winslim(&["copy", &second, &target]).done()), digest);
        let back = two.reference(&format!("back/{kind}:all"));
        assert_eq!(digest_of(&sandbox.winslim(&["copy", &target, &back]).done()), digest);
    }

    // One platform is the manifest that the index lists.
    let target = two.reference("b/base:one");
    let printed = sandbox.winslim(&["copy", &first, &target, "--platform", "ltsc2022"]).done();
    assert_eq!(digest_of(&printed), base.written.manifests[1].digest);
}

#[test]
fn what_refers_to_an_image_is_copied_with_it() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
    let registry = DockerRegistry::start();
    let slim = registry.reference("slim:x");
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &slim]).done();
    let (layout, other) = (&format!("{}:x", sandbox.layout("copy")), &registry.reference("other:x"));
    sandbox.winslim(&["copy", &slim, layout]).done();
    let listed = json_file(&sandbox.path("copy/index.json"));
    let ledgers = |index: &Value| {
        let entries = index["manifests"].as_array().expect("entries").iter();
        entries.filter(|entry| entry["artifactType"].as_str().is_some_and(|kind| kind.contains("winslim"))).count()
    };
    assert_eq!(ledgers(&listed), 1, "{listed}");
    // Back into another repository: there the list under the tag of the subject has it.
    sandbox.winslim(&["copy", layout, other]).done();
    let subject = listed["manifests"].as_array().expect("entries").iter();
    let ledger = subject.clone().find(|entry| !entry["artifactType"].is_null()).expect("the ledger");
    let ledger =
        json_file(&sandbox.path("copy/blobs").join(ledger["digest"].as_str().expect("a digest").replace(':', "/")));
    let tag = ledger["subject"]["digest"].as_str().expect("a digest").replace(':', "-");
    registry.tagged("other", &tag);
    // And as a layout that regclient wrote has it.
    skopeo_copy(&format!("docker://{other}"), &format!("{}:x", sandbox.layout("reg")), &["--all"]);
    skopeo_copy(
        &format!("docker://{}", registry.reference(&format!("other:{tag}"))),
        &format!("{}:{tag}", sandbox.layout("reg")),
        &["--all"],
    );
    let third = registry.reference("third:x");
    sandbox.winslim(&["copy", &format!("{}:x", sandbox.layout("reg")), &third]).done();
    registry.tagged("third", &tag);
}

#[test]
fn a_copy_within_a_registry_pulls_no_layer() {
    let sandbox = Sandbox::new();
    let base = two_builds(&sandbox);
    let registry = DockerRegistry::start();
    let proxy = Proxy::start(&registry.address);
    let name = |name: &str| format!("{}/{name}", proxy.address());
    sandbox.winslim(&["copy", &base.reference, &name("a:one")]).done();
    let layers: u64 = base.written.layers.iter().map(|layer| layer.blob.size).sum();
    assert!(layers > 100_000, "the layers must stand out against documents: {layers}");
    // Another tag, another repository, and one that has a part already.
    for (number, (from, to)) in [("a:one", "a:two"), ("a:one", "b:one"), ("b:one", "b:two")].into_iter().enumerate() {
        let (received, sent) = (proxy.received(), proxy.sent());
        let cache = sandbox.path(&format!("cache-{number}"));
        let cache = cache.to_str().expect("a temporary path in UTF-8");
        sandbox.winslim(&["copy", &name(from), &name(to), "--cache-dir", cache]).done();
        let (received, sent) = (proxy.received() - received, proxy.sent() - sent);
        assert!(received < 50_000 && sent < 50_000, "{from} to {to}: {received} bytes received, {sent} sent");
        assert_eq!(skopeo_digest(&name(to)), base.written.index.digest);
    }
    // The same for a layout that has the layers.
    let layout = format!("{}:one", sandbox.layout("copy"));
    sandbox.winslim(&["copy", &name("a:one"), &layout]).done();
    let received = proxy.received();
    let more = ["--cache-dir", "other-cache"];
    let again = format!("{}:two", sandbox.layout("copy"));
    sandbox.winslim(&[&["copy", &name("b:one"), &again][..], &more].concat()).done();
    assert!(proxy.received() - received < 50_000);
}
