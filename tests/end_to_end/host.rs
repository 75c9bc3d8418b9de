//! On which hosts an image runs.

use serde_json::Value;

use crate::generator::layout::{Format, write_layout};
use crate::generator::{Image, Version};
use crate::support::registry::DockerRegistry;
use crate::support::{Sandbox, skopeo_copy};
use crate::{base_of, tiny_image};

const WIDE: &str = "\
NAME           STATUS   ROLES    AGE   VERSION   INTERNAL-IP   EXTERNAL-IP   OS-IMAGE                         KERNEL-VERSION      CONTAINER-RUNTIME
linux-node     Ready    agent    5d    v1.17.0   10.0.0.5      <none>        Ubuntu 16.04.6 LTS               4.15.0-1063-azure   docker://19.3.5
windows-node   Ready    <none>   5d    v1.17.0   10.0.0.4      <none>        Windows Server 2019 Datacenter   10.0.17763.737      docker://19.3.5
";

/// An image of three versions of Windows behind one tag: 10.0.17763 twice, and 10.0.20348.
pub fn three_versions(sandbox: &Sandbox) -> String {
    let mut image = tiny_image();
    image.add_versions();
    base_of(sandbox, &image, &Format::default()).reference
}

/// What each host gets: its version, what containerd takes there, and whether process and Hyper-V isolation work.
fn under_containerd(report: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or("nothing").to_owned();
    let row = |host: &Value| {
        let answer = &host["answers"][0];
        assert_eq!(answer["engine"], "containerd");
        let taken = answer["takes"].as_u64().map(|position| report["images"][position as usize]["osVersion"].clone());
        let taken = text(&taken.unwrap_or_default());
        let works = [&answer["process"], &answer["hyperV"]].map(|answer| text(&answer["works"]));
        format!("{} takes {taken}: {}, {}", text(&host["version"]), works[0], works[1])
    };
    report["hosts"].as_array().expect("hosts").iter().map(row).collect()
}

#[test]
fn every_version_of_windows_takes_its_image_and_no_layer_is_read() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let source = three_versions(&sandbox);
    let tag = registry.reference("base/servercore:three");
    skopeo_copy(&source, &format!("docker://{tag}"), &["--all"]);
    let report = sandbox.winslim(&["host", &tag, "--all", "--format", "json"]).done();
    let rows = under_containerd(&report);
    for expected in [
        "10.0.14393 takes nothing: no, no",
        "10.0.17763 takes 10.0.17763.8511: yes, yes",
        "10.0.19045 takes nothing: no, depends",
        "10.0.20348 takes 10.0.20348.4529: yes, yes",
        "10.0.22631 takes 10.0.20348.4529: yes, yes",
        "10.0.25398 takes 10.0.20348.4529: yes, yes",
        "10.0.26100 takes 10.0.20348.4529: yes, yes",
        "10.0.26200 takes nothing: no, depends",
    ] {
        assert!(rows.iter().any(|row| row == expected), "`{expected}` is not in {rows:#?}");
    }
    assert!(sandbox.is_empty("cache/winslim/blobs"), "a layer was pulled");
}

/// Which image each host of the matrix takes, by the rules of containerd 2.2 and newer (containerd/platforms
/// `platform_windows_compat.go`) and of Docker (moby `pull_v2_windows.go`).
#[test]
fn each_image_is_taken_where_the_matrix_of_the_engines_says() {
    const IMAGES: [u32; 5] = [14393, 17763, 20348, 25398, 26100];
    const MATRIX: [(&str, &str, &str); 9] = [
        ("10.0.14393", "Y----", "Y----"),
        ("10.0.17763", "-Y---", "YY---"),
        ("10.0.19045", "-----", "YY---"),
        ("10.0.20348", "--Y--", "YYY--"),
        ("10.0.22621", "--Y--", "YYY--"),
        ("10.0.22631", "--Y--", "YYY--"),
        ("10.0.25398", "--YY-", "YYYY-"),
        ("10.0.26100", "--YYY", "YYYYY"),
        ("10.0.26200", "----Y", "YYYYY"),
    ];
    let sandbox = Sandbox::new();
    for (column, image) in IMAGES.into_iter().enumerate() {
        let (created, history) = ("2026-03-10T23:20:00Z".to_owned(), Vec::new());
        let version = Version { os_version: format!("10.0.{image}.1"), created, history };
        let format = Format { tag: image.to_string(), ..Format::default() };
        let image = Image { layers: Vec::new(), versions: vec![version] };
        write_layout(&image, &format, &sandbox.path("images")).expect("the sandbox can be written to");

        let reference = format!("{}:{}", sandbox.layout("images"), format.tag);
        let report = sandbox.winslim(&["host", &reference, "--all", "--format", "json"]).done();
        let report: Value = serde_json::from_str(&report).expect("JSON");
        for (host, containerd, docker) in MATRIX {
            let rows = report["hosts"].as_array().expect("hosts");
            let row = rows.iter().find(|row| row["version"] == host).expect("every version of Windows");
            let expected = [("containerd", containerd), ("Docker", docker)];
            for (answer, (engine, marks)) in row["answers"].as_array().expect("answers").iter().zip(expected) {
                assert_eq!(answer["engine"], engine);
                let taken = if answer["takes"].is_null() { b'-' } else { b'Y' };
                assert_eq!(taken, marks.as_bytes()[column], "{engine} on {host}: {reference}");
            }
        }
    }
}

#[test]
fn a_check_fails_where_a_host_does_not_run_the_image() {
    let sandbox = Sandbox::new();
    let image = three_versions(&sandbox);
    for (build, code) in
        [("10.0.17763.8511", 0), ("10.0.20348", 0), ("10.0.17763.737", 3), ("10.0.19045", 0), ("10.0.14393", 3)]
    {
        let outcome = sandbox.winslim(&["host", &image, "--build", build, "--check"]);
        assert_eq!(outcome.code, code, "{build}: {outcome:#?}");
        assert_eq!(outcome.stderr.contains("does not run on"), code == 3, "{outcome:#?}");
    }
    sandbox.winslim(&["host", &image, "--build", "10.0.14393"]).done();
}

#[test]
fn nodes_are_read_as_kubectl_prints_them() {
    let sandbox = Sandbox::new();
    let image = three_versions(&sandbox);
    let nodes = sandbox.file("nodes.txt", WIDE);
    let text = sandbox.winslim(&["host", &image, "--nodes", &nodes]).done();
    for words in [
        "docker 19.3.5 (in use)",
        "older than the update of February 2020",
        "linux-node: no Windows: Ubuntu 16.04.6 LTS",
    ] {
        assert!(text.contains(words), "`{words}` is not in {text}");
    }
    let text = sandbox.winslim(&["host", "--nodes", &nodes]).done();
    assert!(text.contains("ltsc2019"), "{text}");
    let empty = sandbox.file("empty.json", r#"{"kind": "List", "items": []}"#);
    let outcome = sandbox.winslim(&["host", &image, "--nodes", &empty, "--check"]);
    assert!(outcome.stderr.contains("there is no Windows host"), "{outcome:#?}");
    assert!(outcome.done().contains("There is no Windows host."));
}

#[test]
fn what_cannot_be_understood_is_a_mistake_of_usage() {
    let sandbox = Sandbox::new();
    let image = three_versions(&sandbox);
    let broken = sandbox.file("broken.json", r#"{"items": ["#);
    let linux = sandbox.file("nodes.json", r#"{"kind": "Pod"}"#);
    sandbox.winslim(&["host", &image, "--nodes", &broken]).fails(2, &["broken.json", "kubectl get nodes -o json"]);
    sandbox.winslim(&["host", &image, "--nodes", &linux]).fails(2, &["the JSON of a `Pod`"]);
    sandbox.winslim(&["host", &image, "--nodes", "missing"]).fails(1, &["cannot read `missing`"]);
    sandbox.winslim(&["host", &image, "--build", "2019"]).fails(2, &["10.0.BUILD"]);
    sandbox.winslim(&["host", &image]).fails(2, &["--build", "--nodes", "--all"]);
    sandbox.winslim(&["host", &image, "--all", "--build", "10.0.17763"]).fails(2, &["cannot be used with"]);
    sandbox.winslim(&["host", "--all", "--check"]).fails(2, &["cannot be used with"]);
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let sandbox = Sandbox::new();
    let script = sandbox.winslim(&["completions", "bash"]).done();
    let manual = sandbox.winslim(&["man"]).done();
    for command in ["build", "plan", "inspect", "verify", "copy", "host"] {
        assert!(script.contains(&format!("winslim__subcmd__{command}")), "{command}");
        assert!(manual.contains(&format!(".TH winslim-{command} 1")), "{command}");
    }
    sandbox.winslim(&["completions", "vms"]).fails(2, &["bash", "powershell"]);
}

#[test]
fn an_image_whose_utility_vm_was_removed_has_no_hyper_v_isolation() {
    let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
    let base = base_of(&sandbox, &tiny_image(), &Format::default()).reference;
    let slim = registry.reference("slim:x");
    let profile = sandbox.file("profile.toml", &crate::support::profile(&["UtilityVM:\\"], ""));
    sandbox.winslim(&["build", &base, "-p", &profile, "-t", &slim]).done();
    let hyper_v = |image: &str, cache: &str| {
        let more = ["--build", "10.0.17763.8511", "--format", "json", "--cache-dir", cache];
        let report = sandbox.winslim(&[&["host", image][..], &more].concat()).done();
        let report: Value = serde_json::from_str(&report).expect("JSON");
        report["hosts"][0]["answers"][0]["hyperV"]["works"].as_str().expect("a word").to_owned()
    };
    // The manifest says so, without the cache of the build.
    assert_eq!((hyper_v(&slim, "empty").as_str(), hyper_v(&base, "empty").as_str()), ("no", "yes"));
    // An image that was made of it says nothing, and has the same base layer: its index in the cache shows it.
    let layout = format!("{}:x", sandbox.layout("slim"));
    sandbox.winslim(&["copy", &slim, &layout]).done();
    let digest = crate::support::Manifest::of_layout(&sandbox.path("slim"));
    let mut value = digest.value;
    value.as_object_mut().expect("an object").remove("annotations");
    let bytes = value.to_string();
    let derived = winslim::image::Digest::of(bytes.as_bytes());
    sandbox.file(&format!("slim/blobs/sha256/{}", derived.hex()), &bytes);
    let derived = format!("{}@{derived}", sandbox.layout("slim"));
    assert_eq!(hyper_v(&derived, "empty"), "yes", "nothing says otherwise");
    sandbox.winslim(&["inspect", &derived, "--cache-dir", "empty"]).done();
    assert_eq!(hyper_v(&derived, "empty"), "no");
}
