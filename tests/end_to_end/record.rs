//! What a build leaves on record: ledger, annotations, history, settings, and the ledger attached to the image.

use serde_json::{Value, json};

use crate::base_of;
use crate::support::registry::DockerRegistry;
use crate::support::{Manifest, Sandbox, json_file, profile, skopeo_copy};
use crate::tiny_image;

const REMOVED: &[&str] = &[r"Windows\Logs"];

const SETTINGS: &str = r#"
[[add]]
source = "app"
target = 'C:\app'

[image]
env = { PATH = 'C:\app', ASPNETCORE_URLS = "http://+:8080" }
cmd = ['C:\app\server.exe']
user = "ContainerUser"
workdir = 'C:\app'
exposed-ports = ["8080/tcp"]
labels = { team = "platform" }
"#;

fn blob(layout: &std::path::Path, digest: &Value) -> Value {
    let hex = digest.as_str().and_then(|text| text.strip_prefix("sha256:")).expect("a digest");
    json_file(&layout.join("blobs/sha256").join(hex))
}

#[test]
fn everything_is_on_record() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    sandbox.file("app/server.exe", "MZ and so on");
    let profile = sandbox.file("profile.toml", &profile(REMOVED, SETTINGS));
    let target = format!("{}:slim", sandbox.layout("slim"));
    let ledger = sandbox.path("ledger.json");
    let ledger_argument = ledger.to_str().expect("UTF-8");
    let environment = [("SOURCE_DATE_EPOCH", "1700000000")];
    let arguments = ["build", &base.reference, "-p", &profile, "-t", &target, "--ledger", ledger_argument];
    sandbox.winslim_with(&arguments, &environment).done();

    let slim = sandbox.path("slim");
    let manifest = Manifest::of_layout(&slim);
    let ledger = json_file(&ledger);
    assert_eq!(ledger["schema"], 1);
    assert_eq!(ledger["created"], "2023-11-14T22:13:20Z");
    assert_eq!(ledger["base"]["osVersion"], "10.0.17763.8511");
    assert_eq!((&ledger["base"]["build"], &ledger["base"]["revision"]), (&json!(17763), &json!(8511)));
    assert_eq!(ledger["base"]["manifest"], *base.written.manifests[0].digest);
    assert_eq!(ledger["result"]["manifest"], *manifest.digest);
    let layers = ledger["layers"].as_array().expect("layers");
    let outcomes: Vec<&str> = layers.iter().filter_map(|layer| layer["outcome"].as_str()).collect();
    let roles: Vec<&str> = layers.iter().filter_map(|layer| layer["role"].as_str()).collect();
    assert_eq!(roles, ["base", "servicing", "added"]);
    assert_eq!((outcomes[0], outcomes[2]), ("rewritten", "added"));
    assert_eq!(layers[0]["before"]["digest"], *base.written.layers[0].blob.digest);
    let sizes: Vec<u64> = layers.iter().filter_map(|layer| layer["after"]["compressed"].as_u64()).collect();
    assert_eq!(sizes, manifest.sizes());
    assert_eq!(ledger["totals"]["compressedAfter"], json!(sizes.iter().sum::<u64>()));
    assert_eq!(ledger["pull"]["emptyNode"], json!(sizes.iter().sum::<u64>()));
    let rewritten: u64 = (0..3).filter(|&number| outcomes[number] != "reused").map(|number| sizes[number]).sum();
    assert_eq!(ledger["pull"]["nodeWithBase"], json!(rewritten));
    let rule = &ledger["rules"][0];
    assert!(rule["unpacked"].as_u64() > Some(0) && rule["compressed"].as_u64() > Some(0), "{rule}");

    let annotations = &manifest.value["annotations"];
    assert_eq!(annotations["io.github.winslim.os.version"], "10.0.17763.8511");
    assert_eq!(annotations["io.github.winslim.size.after"], sizes.iter().sum::<u64>().to_string());
    assert_eq!(annotations["io.github.winslim.profiles.digest"], ledger["profileDigest"]);
    assert_eq!(annotations["org.opencontainers.image.base.digest"], *base.written.index.digest);
    assert_eq!(annotations.get("org.opencontainers.image.base.name"), None, "a local path means nothing to others");

    let config = blob(&slim, &manifest.value["config"]["digest"]);
    assert_eq!(config["os.version"], "10.0.17763.8511");
    assert_eq!(config["os.features"], json!(["win32k"]));
    let history = config["history"].as_array().expect("history");
    let made_layers = history.iter().filter(|line| line["empty_layer"] != true).count();
    assert_eq!(made_layers, 3, "engines count the lines that made a layer");
    assert!(history.iter().any(|line| line["created"] == "2023-11-14T22:13:20Z"), "{history:?}");
    let run = &config["config"];
    assert_eq!(run["Cmd"], json!([r"C:\app\server.exe"]));
    assert_eq!((&run["User"], &run["WorkingDir"]), (&json!("ContainerUser"), &json!(r"C:\app")));
    assert_eq!(run["Labels"]["team"], "platform");
    assert!(run["ExposedPorts"].get("8080/tcp").is_some());
    let variables = run["Env"].as_array().expect("variables");
    assert!(variables.contains(&json!("ASPNETCORE_URLS=http://+:8080")), "{variables:?}");
}

#[test]
fn the_ledger_is_attached_to_the_pushed_image() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    let source = registry.reference("base/servercore:ltsc2019");
    skopeo_copy(&base.reference, &format!("docker://{source}"), &["--all"]);
    let profile = sandbox.file("profile.toml", &profile(REMOVED, ""));
    let ledger = sandbox.path("ledger.json");
    let target = registry.reference("slim/servercore:ltsc2019");
    let arguments = ["build", &source, "-p", &profile, "-t", &target, "--ledger", ledger.to_str().expect("UTF-8")];
    sandbox.winslim(&arguments).done();

    let ledger = json_file(&ledger);
    let subject = ledger["result"]["manifest"].as_str().expect("a digest");
    // This registry has no referrers API, so clients look for the fallback tag.
    let tag = subject.replace(':', "-");
    let referrers = json_file(&registry.blob(&registry.tagged("slim/servercore", &tag)));
    let [entry] = &referrers["manifests"].as_array().expect("an index")[..] else { panic!("{referrers}") };
    assert_eq!(entry["artifactType"], "application/vnd.winslim.ledger.v1+json");
    let digest = entry["digest"].as_str().expect("a digest");
    let artifact = json_file(&registry.blob(digest));
    assert_eq!(artifact["subject"]["digest"], subject);
    let attached = registry.blob(artifact["layers"][0]["digest"].as_str().expect("a digest"));
    assert_eq!(json_file(&attached), ledger);
    let manifest = json_file(&registry.blob(subject));
    assert_eq!(manifest["annotations"]["org.opencontainers.image.base.name"], *source);
}

#[test]
fn no_ledger_is_attached_if_nobody_wants_it() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = base_of(&sandbox, &tiny_image(), &Default::default());
    let profile = sandbox.file("profile.toml", &profile(REMOVED, ""));
    let build = |target: &str, options: &[&str]| {
        let arguments = ["build", &base.reference, "-p", &profile, "-t", target, "--ledger", "ledger.json"];
        let result = sandbox.winslim(&[&arguments[..], options].concat()).done();
        result.trim().rsplit_once('@').expect("a digest").1.to_owned()
    };
    let with_ledger = build(&format!("{}:slim", sandbox.layout("with")), &[]);
    let layout = build(&format!("{}:slim", sandbox.layout("slim")), &["--no-attach"]);
    assert_eq!(layout, with_ledger, "the image is the same");
    let entries = json_file(&sandbox.path("slim/index.json"))["manifests"].as_array().map_or(0, Vec::len);
    assert_eq!(entries, 1, "only the image is listed");
    assert_eq!(json_file(&sandbox.path("ledger.json"))["schema"], 1, "the ledger is written all the same");

    let archive = build(&format!("oci-archive:{}:slim", sandbox.path("slim.tar").display()), &["--no-attach"]);
    let unpacked = sandbox.layout("unpacked");
    skopeo_copy(
        &format!("oci-archive:{}", sandbox.path("slim.tar").display()),
        &format!("{unpacked}:slim"),
        &["--all"],
    );
    assert_eq!(archive, layout);

    build(&registry.reference("slim/servercore:x"), &["--no-attach"]);
    let manifest = json_file(&sandbox.path("ledger.json"))["result"]["manifest"].clone();
    let tag = manifest.as_str().expect("a digest").replace(':', "-");
    assert!(!registry.has_tag("slim/servercore", &tag), "a list of referrers was pushed");
}
