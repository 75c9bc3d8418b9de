//! What `kubectl` prints of clusters of several kinds: tables as the documentation of AKS, EKS and Minikube shows
//! them, and JSON in the form of AKS.

use std::fs;

use serde_json::Value;

use crate::host::three_versions;
use crate::support::{Outcome, Sandbox, testdata};

/// What each host gets under the engine that its nodes report, and which nodes were left out.
fn answers(report: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).expect("JSON");
    let array = |value: &Value| value.as_array().expect("an array").clone();
    let text = |value: &Value| value.as_str().unwrap_or("nothing").to_owned();
    let mut lines = Vec::new();
    for host in array(&report["hosts"]) {
        let names: Vec<String> = array(&host["nodes"]).iter().map(text).collect();
        let answers = array(&host["answers"]);
        let own = answers.iter().find(|answer| answer["inUse"] == true).expect("an engine that is in use");
        let taken = own["takes"].as_u64().map(|position| report["images"][position as usize]["osVersion"].clone());
        let works = text(&own["process"]["works"]);
        let version = text(&host["version"]);
        lines.push(format!("{} ({version}) takes {}: {works}", names.join("+"), text(&taken.unwrap_or_default())));
    }
    lines.extend(array(&report["skipped"]).iter().map(|node| format!("{}: skipped", text(&node["name"]))));
    lines
}

#[test]
fn clusters_of_several_kinds_are_understood() {
    let sandbox = Sandbox::new();
    let image = three_versions(&sandbox);
    for (file, expected) in [
        (
            "aks-2019.txt",
            &[
                "aksnpwin000000 (10.0.17763.737) takes 10.0.17763.8511: no",
                "aks-nodepool1-22764340-vmss000000: skipped",
            ][..],
        ),
        (
            "aks-2019-2022.txt",
            &[
                "akspoolws000000+akspoolws000001 (10.0.20348.825) takes 10.0.20348.4529: yes",
                "akswspool000000 (10.0.17763.3165) takes 10.0.17763.8511: yes",
                "aks-agentpool-18877473-vmss000000: skipped",
            ],
        ),
        (
            // Its last column is not where the header has it.
            "aks-2022-2025.txt",
            &[
                "akspoolws000000 (10.0.20348.825) takes 10.0.20348.4529: yes",
                "akswspool000000 (10.0.26100.32995) takes 10.0.20348.4529: yes",
                "aks-agentpool-18877473-vmss000000: skipped",
            ],
        ),
        (
            "eks.txt",
            &[
                "ip-10-10-2-235.ec2.internal (10.0.20348.1607) takes 10.0.20348.4529: yes",
                "ip-10-10-31-27.ec2.internal (10.0.17763.4131) takes 10.0.17763.8511: yes",
                "ip-10-10-7-54.ec2.internal: skipped",
            ],
        ),
        (
            "minikube.txt",
            &["minikube-m03 (10.0.20348.469) takes 10.0.20348.4529: yes", "minikube: skipped", "minikube-m02: skipped"],
        ),
        (
            "mixed.json",
            &[
                "aksw19000000 (10.0.17763.8511) takes 10.0.17763.8511: yes",
                "aksw22000000 (10.0.20348.4529) takes 10.0.20348.4529: yes",
                "aksw25000000 (10.0.26100.32995) takes 10.0.20348.4529: yes",
                "aks-system-12345678-vmss000000: skipped",
            ],
        ),
        ("empty.json", &[]),
    ] {
        let nodes = testdata("nodes").join(file).display().to_string();
        let report = sandbox.winslim(&["host", &image, "--nodes", &nodes, "--format", "json"]).done();
        assert_eq!(answers(&report), expected, "{file}");
    }
}

#[test]
fn base_tags_are_named_for_a_mixed_cluster() {
    let sandbox = Sandbox::new();
    let nodes = testdata("nodes").join("mixed.json").display().to_string();
    let report = sandbox.winslim(&["host", "--nodes", &nodes, "--format", "json"]).done();
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let fitting = |host: &Value| -> Vec<String> {
        let answers = host["answers"].as_array().expect("answers").iter();
        let fitting = answers.filter(|answer| answer["process"]["works"] == "yes");
        fitting.map(|answer| answer["tag"].as_str().expect("a tag").to_owned()).collect()
    };
    let hosts: Vec<Vec<String>> = report["hosts"].as_array().expect("hosts").iter().map(fitting).collect();
    assert_eq!(hosts, [vec!["ltsc2019"], vec!["ltsc2022"], vec!["ltsc2022", "ltsc2025"]]);
}

fn piped(sandbox: &Sandbox, image: &str, input: &[u8]) -> Outcome {
    let command = sandbox.command(&["host", image, "--nodes", "-"], &[]);
    let output = assert_cmd::Command::from_std(command).write_stdin(input).output().expect("winslim runs");
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_broken_pipe_from_kubectl_is_a_mistake_and_no_empty_cluster() {
    let sandbox = Sandbox::new();
    let image = three_versions(&sandbox);
    let whole = fs::read(testdata("nodes").join("mixed.json")).expect("the list of nodes");
    assert!(piped(&sandbox, &image, &whole).done().contains("aksw25000000"));
    for length in [1, 20, whole.len() / 2, whole.len() - 3] {
        piped(&sandbox, &image, &whole[..length]).fails(2, &["standard input", "kubectl get nodes -o json"]);
    }
    // What is in the pipe when kubectl found no cluster, or no nodes of a selector.
    piped(&sandbox, &image, b"").fails(2, &["there is nothing in it", "kubectl get nodes"]);
}

#[test]
fn a_check_fails_where_the_version_of_a_windows_node_is_not_known() {
    let sandbox = Sandbox::new();
    let image = crate::host::three_versions(&sandbox);
    let node = |kernel: &str, system: &str| {
        format!(
            r#"{{"metadata": {{"name": "n"}}, "status": {{"nodeInfo": {{"kernelVersion": "{kernel}", "operatingSystem": "{system}"}}}}}}"#
        )
    };
    for (kernel, system, code) in
        [("10.0.17763.8511", "windows", 0), ("5.15.0", "linux", 0), ("", "windows", 3), ("unknown", "windows", 3)]
    {
        let nodes = sandbox.file("nodes.json", &format!(r#"{{"items": [{}]}}"#, node(kernel, system)));
        let outcome = sandbox.winslim(&["host", &image, "--nodes", &nodes, "--check"]);
        assert_eq!(outcome.code, code, "{kernel} {system}: {outcome:#?}");
        assert_eq!(outcome.stderr.contains("version of Windows is not known"), code == 3, "{outcome:#?}");
    }
}

#[cfg(unix)]
#[test]
fn a_list_of_nodes_without_an_end_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.winslim(&["host", "--nodes", "/dev/zero"]).fails(2, &["more than 256 MiB", "kubectl"]);
    sandbox.winslim(&["host", "--nodes", "."]).fails(1, &["cannot read `.`"]);
}

#[test]
fn many_nodes_are_read_and_many_kinds_of_them_are_refused() {
    let sandbox = Sandbox::new();
    let table = |count: u32, kinds: u32| {
        let mut table = "NAME  OS-IMAGE  KERNEL-VERSION  CONTAINER-RUNTIME\n".to_owned();
        for number in 0..count {
            let revision = number % kinds;
            table += &format!("n{number}  Windows Server 2022  10.0.20348.{revision}  containerd://1.7.20\n");
        }
        sandbox.file("nodes.txt", &table)
    };
    let report = sandbox.winslim(&["host", "--nodes", &table(200_000, 50), "--format", "json"]).done();
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["hosts"].as_array().map(Vec::len), Some(50));
    sandbox.winslim(&["host", "--nodes", &table(200_000, 200_000)]).fails(2, &["of more than 10000 kinds"]);
}
