//! Tags with several images: which one is meant, in whatever form the index says it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use winslim::image::Digest;

use crate::generator::layout::Format;
use crate::support::{Sandbox, json_file};
use crate::{Base, base_of, tiny_image};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const TAG: &str = "org.opencontainers.image.ref.name";

/// An image of 10.0.17763 and 10.0.20348 behind one tag.
pub fn two_builds(sandbox: &Sandbox) -> Base {
    let mut image = tiny_image();
    image.add_versions();
    image.versions.remove(1);
    base_of(sandbox, &image, &Format::default())
}

/// Puts a document into a layout; returns its descriptor.
fn put(directory: &Path, document: &Value) -> Value {
    let bytes = document.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    fs::write(directory.join("blobs/sha256").join(digest.hex()), &bytes).expect("the sandbox can be written to");
    json!({"mediaType": document["mediaType"], "digest": digest, "size": bytes.len()})
}

fn index(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
}

/// The entries of the index of a layout.
fn entries(base: &Base) -> Vec<Value> {
    let index = json_file(&base.directory.join("blobs").join(base.written.index.digest.replace(':', "/")));
    index["manifests"].as_array().expect("entries").clone()
}

/// Adds a tag to a layout, and gives the reference of it.
fn add_tag(base: &Base, tag: &str, mut descriptor: Value) -> String {
    let path = base.directory.join("index.json");
    let mut document = json_file(&path);
    descriptor["annotations"] = json!({TAG: tag});
    document["manifests"].as_array_mut().expect("entries").push(descriptor);
    fs::write(path, document.to_string()).expect("the sandbox can be written to");
    format!("oci:{}:{tag}", base.directory.display())
}

/// The version of the image that `inspect` takes.
fn inspected(sandbox: &Sandbox, reference: &str, more: &[&str]) -> String {
    let report = sandbox.winslim(&[&["inspect", reference, "--format", "json"], more].concat()).done();
    let report: Value = serde_json::from_str(&report).expect("JSON");
    report["osVersion"].as_str().unwrap_or_else(|| panic!("no version in {report}")).to_owned()
}

/// Checks that a command fails because there are several images, and that each command which it offers works.
#[track_caller]
fn offers(sandbox: &Sandbox, arguments: &[&str], versions: &[&str]) {
    let outcome = sandbox.winslim(arguments);
    outcome.fails(1, versions);
    let offered: Vec<&str> = outcome.stderr.lines().filter_map(|line| line.strip_prefix("  winslim ")).collect();
    assert_eq!(offered.len(), versions.len(), "{outcome:#?}");
    for command in offered {
        sandbox.winslim(&command.split(' ').collect::<Vec<_>>()).done();
    }
}

#[test]
fn an_image_is_found_in_an_index_within_an_index() {
    let sandbox = Sandbox::new();
    let base = two_builds(&sandbox);
    let entries = entries(&base);
    let inner = put(&base.directory, &index(&entries));
    let one = put(&base.directory, &index(&entries[..1]));
    let outer = add_tag(&base, "nested", put(&base.directory, &index(std::slice::from_ref(&inner))));
    let only = add_tag(&base, "one", put(&base.directory, &index(&[put(&base.directory, &index(&[one]))])));
    assert_eq!(inspected(&sandbox, &only, &[]), "10.0.17763.8511");
    assert_eq!(inspected(&sandbox, &outer, &["--platform", "ltsc2022"]), "10.0.20348.4529");
    offers(&sandbox, &["inspect", &outer], &["10.0.17763", "10.0.20348"]);
    for (build, taken) in [("10.0.17763.8511", "10.0.17763.8511"), ("10.0.20348.1", "10.0.20348.4529")] {
        let report = sandbox.winslim(&["host", &outer, "--build", build, "--format", "json"]).done();
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let takes = report["hosts"][0]["answers"][0]["takes"].as_u64().expect("an image") as usize;
        assert_eq!(report["images"][takes]["osVersion"], taken);
        // Docker reads no index within an index.
        assert!(report["hosts"][0]["answers"][1]["takes"].is_null(), "{report}");
    }
    // What is built of it has an index of its own.
    let profile = sandbox.file("profile.toml", &crate::support::profile(&[r"Windows\SysWOW64"], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &only, "-p", &profile, "-t", &target]).done();
    assert_eq!(inspected(&sandbox, &target, &[]), "10.0.17763.8511");
}

#[test]
fn indexes_that_no_image_needs_are_refused() {
    let sandbox = Sandbox::new();
    let base = two_builds(&sandbox);
    let entries = entries(&base);
    let mut deep = put(&base.directory, &index(&entries));
    for _ in 0..5 {
        deep = put(&base.directory, &index(&[deep]));
    }
    let deep = add_tag(&base, "deep", deep);
    let wide = put(&base.directory, &index(&vec![entries[0].clone(); 1001]));
    let wide = add_tag(&base, "wide", wide);
    // Three indexes that each name the next a hundred times lead to a million entries.
    let mut grown = put(&base.directory, &index(&entries));
    for _ in 0..3 {
        grown = put(&base.directory, &index(&vec![grown; 100]));
    }
    let grown = add_tag(&base, "grown", grown);
    for (image, problem) in
        [(&deep, "within 4 others"), (&wide, "more than 1000 entries"), (&grown, "more than 1000 entries")]
    {
        for command in ["inspect", "host", "verify"] {
            let more: &[&str] = if command == "host" { &["--all"] } else { &[] };
            sandbox.winslim(&[&[command, image.as_str()], more].concat()).fails(1, &[problem]);
        }
    }
    sandbox.winslim(&["copy", &deep, &sandbox.layout("copy")]).fails(1, &["within 4 others"]);
}

#[test]
fn an_entry_with_the_type_of_an_images_config_is_an_image() {
    let sandbox = Sandbox::new();
    let base = two_builds(&sandbox);
    for (number, kind) in ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"]
        .into_iter()
        .enumerate()
    {
        let mut entry = entries(&base)[1].clone();
        entry["artifactType"] = json!(kind);
        let image = add_tag(&base, &number.to_string(), put(&base.directory, &index(&[entry])));
        assert_eq!(inspected(&sandbox, &image, &[]), "10.0.20348.4529");
        assert!(sandbox.winslim(&["host", &image, "--all"]).done().contains("10.0.20348.4529"));
    }
    let mut entry = entries(&base)[1].clone();
    entry["artifactType"] = json!("application/vnd.example.sbom+json");
    let image = add_tag(&base, "sbom", put(&base.directory, &index(&[entry])));
    sandbox.winslim(&["inspect", &image]).fails(1, &["there is no image for windows; there is: nothing"]);
}

#[test]
fn configs_decide_where_the_index_says_no_version() {
    let sandbox = Sandbox::new();
    let base = two_builds(&sandbox);
    for (tag, remove) in [("no-version", "os.version"), ("no-platform", "platform")] {
        let mut entries = entries(&base);
        for entry in &mut entries {
            match remove {
                "platform" => entry.as_object_mut().expect("an object").remove("platform"),
                field => entry["platform"].as_object_mut().expect("an object").remove(field),
            };
        }
        let image = add_tag(&base, tag, put(&base.directory, &index(&entries)));
        offers(&sandbox, &["inspect", &image], &["10.0.17763.8511", "10.0.20348.4529"]);
        assert_eq!(inspected(&sandbox, &image, &["--platform", "windows/amd64:10.0.20348"]), "10.0.20348.4529");
        let profile = sandbox.file("profile.toml", &crate::support::profile(&[r"Windows\SysWOW64"], ""));
        let target = sandbox.layout("result");
        sandbox.winslim(&["build", &image, "-p", &profile, "-t", &target]).fails(1, &["10.0.17763", "--platform"]);

        // containerd takes the first, or looks at the first only, and the second is never run on its own build.
        let outcome = sandbox.winslim(&["host", &image, "--build", "10.0.20348.4529", "--check"]);
        assert_eq!(outcome.code, 3, "{outcome:#?}");
        sandbox.winslim(&["host", &image, "--build", "10.0.17763.8511", "--check"]).done();
        let verified = sandbox.winslim(&["verify", &image]).done();
        let warnings: Vec<&str> = verified.lines().filter(|line| line.contains("[index-choice]")).collect();
        assert_eq!(warnings.len(), 1, "{verified}");
        assert!(warnings[0].contains("on hosts of build 20348"), "{verified}");
    }
}

#[test]
fn a_layout_can_itself_be_the_index_of_an_image() {
    let sandbox = Sandbox::new();
    let base = two_builds(&sandbox);
    let whole = index(&entries(&base)).to_string();
    fs::write(base.directory.join("index.json"), &whole).expect("the sandbox can be written to");
    let image = sandbox.layout("base");
    offers(&sandbox, &["inspect", &image], &["10.0.17763.8511", "10.0.20348.4529"]);
    assert_eq!(inspected(&sandbox, &image, &["--platform", "17763"]), "10.0.17763.8511");
    let report = sandbox.winslim(&["host", &image, "--build", "10.0.20348", "--check"]).done();
    assert!(report.contains("10.0.20348.4529") && report.contains("10.0.17763.8511"), "{report}");
    let copied = sandbox.winslim(&["copy", &image, &format!("{}:all", sandbox.layout("copy"))]).done();
    assert!(copied.trim_end().ends_with(&Digest::of(whole.as_bytes()).to_string()), "{copied}");

    // One tag on two platforms, as podman and buildah write it.
    let mut two = entries(&base);
    for entry in &mut two {
        entry["annotations"] = json!({TAG: "both"});
    }
    fs::write(base.directory.join("index.json"), index(&two).to_string()).expect("the sandbox can be written to");
    let image = format!("{}:both", sandbox.layout("base"));
    offers(&sandbox, &["ls", &image], &["10.0.17763.8511", "10.0.20348.4529"]);
    assert_eq!(inspected(&sandbox, &image, &["--platform", "10.0.20348"]), "10.0.20348.4529");
}

#[test]
fn every_image_for_windows_of_a_tag_is_verified() {
    let sandbox = Sandbox::new();
    let base = two_builds(&sandbox);
    let text = sandbox.winslim(&["verify", &base.reference]).done();
    for version in ["10.0.17763.8511", "10.0.20348.4529"] {
        assert!(text.contains(&format!("(windows/amd64:{version}): a Windows host would import it")), "{text}");
    }
    let report = sandbox.winslim(&["verify", &base.reference, "--format", "json"]).done();
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((&report["imports"], report["images"].as_array().map(Vec::len)), (&json!(true), Some(2)));
    let one = sandbox.winslim(&["verify", &base.reference, "--platform", "ltsc2022", "--format", "json"]).done();
    assert_eq!(serde_json::from_str::<Value>(&one).expect("JSON")["osVersion"], "10.0.20348.4529");

    // One bad image of several is found, wherever it is.
    let mut entries = entries(&base);
    entries[1]["platform"]["architecture"] = json!("arm64");
    let image = add_tag(&base, "bad", put(&base.directory, &index(&entries)));
    sandbox
        .winslim(&["verify", &image])
        .code_is(5, &["10.0.17763.8511): a Windows host would import it", "[index-platform"]);
}

#[test]
fn commands_that_take_one_image_name_the_choices() {
    let sandbox = Sandbox::new();
    let base = two_builds(&sandbox);
    let versions = ["10.0.17763.8511", "10.0.20348.4529"];
    offers(&sandbox, &["plan", &base.reference, "-p", "safe"], &versions);
    let single = format!("{}@{}", sandbox.layout("base"), base.written.manifests[0].digest);
    offers(&sandbox, &["diff", &base.reference, &single], &versions);
    offers(&sandbox, &["diff", &single, &base.reference], &versions);
    let both = ["--platform-before", "ltsc2019", "--platform-after", "ltsc2022"];
    let text = sandbox.winslim(&[&["diff", &base.reference, &base.reference][..], &both].concat()).done();
    assert!(!text.is_empty());
    sandbox.file(
        "winslim.toml",
        &format!("target = \"oci:out:x\"\n[[base]]\nimage = \"{}\"\nprofiles = [\"safe\"]\n", base.reference),
    );
    sandbox.winslim(&["build"]).fails(1, &["  platform = \"windows/amd64:10.0.17763\""]);
}
