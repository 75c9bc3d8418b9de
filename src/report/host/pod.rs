//! What brings the pods of an image to the nodes that run it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::windows::compatibility::Outcome;
use crate::windows::host::Edition;
use crate::windows::machines::{Judgement, Machine};
use crate::windows::nodes::Taint;

/// The label of a node that says its system.
const SYSTEM: &str = "kubernetes.io/os";
/// The label of a node that says its processor architecture.
const ARCHITECTURE: &str = "kubernetes.io/arch";
/// The label of a Windows node that says its build; kubelet sets it since Kubernetes 1.17.
const BUILD: &str = "node.kubernetes.io/windows-build";

/// The part of a pod specification that decides about nodes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    /// Values of the label `node.kubernetes.io/windows-build`, oldest first.
    windows_builds: Vec<String>,
    /// Values of the label `kubernetes.io/arch`, each with the builds of the nodes that have it.
    architectures: BTreeMap<String, Vec<String>>,
    /// The taints that pods have to tolerate there.
    tolerations: Vec<Taint>,
    /// Whether the taints of the nodes were not known, so that the toleration is only the usual one.
    #[serde(skip)]
    usual: bool,
    /// Builds of which some nodes run the image and some do not.
    #[serde(skip)]
    mixed: Vec<String>,
}

impl PodSpec {
    /// For the servers that run an image with process isolation; nothing if there are none.
    pub(super) fn new(judged: &[(&Machine, [Judgement; 2])]) -> Option<PodSpec> {
        let mut fits: BTreeMap<(u32, &str), (String, BTreeSet<bool>)> = BTreeMap::new();
        let mut taints: BTreeSet<Taint> = BTreeSet::new();
        let mut usual = false;
        for (machine, [containerd, docker]) in
            judged.iter().filter(|(machine, _)| machine.host.edition == Edition::Server)
        {
            let judgement = if docker.in_use { docker } else { containerd };
            let runs = judgement.verdict.process.outcome != Outcome::No;
            let version = machine.host.version;
            fits.entry((version.build(), machine.architecture.as_str()))
                .or_insert_with(|| (version.label(), BTreeSet::new()))
                .1
                .insert(runs);
            match &machine.taints {
                Some(known) if runs => taints.extend(known.iter().filter(|taint| matters(taint)).cloned()),
                None if runs => usual = true,
                _ => {}
            }
        }
        fits.retain(|_, (_, runs)| runs.contains(&true));
        if fits.is_empty() {
            return None;
        }
        if usual {
            let [key, value, effect] = ["os", "windows", "NoSchedule"].map(str::to_owned);
            taints.insert(Taint { key, value, effect });
        }
        let mut mixed: Vec<String> =
            fits.values().filter(|(_, runs)| runs.len() > 1).map(|(label, _)| label.clone()).collect();
        mixed.dedup();
        let mut architectures: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut windows_builds: Vec<String> = Vec::new();
        for ((_, architecture), (label, _)) in fits {
            architectures.entry(architecture.to_owned()).or_default().push(label.clone());
            windows_builds.push(label);
        }
        windows_builds.dedup();
        Some(PodSpec { windows_builds, architectures, tolerations: taints.into_iter().collect(), usual, mixed })
    }

    /// As lines of a pod specification.
    pub(super) fn yaml(&self) -> Vec<String> {
        let pairs: Vec<_> = self.architectures.iter().collect();
        let mut lines = match pairs[..] {
            [(architecture, builds)] if builds.len() == 1 => {
                vec![
                    "nodeSelector:".to_owned(),
                    format!("  {SYSTEM}: windows"),
                    format!("  {ARCHITECTURE}: {}", quoted(architecture)),
                    format!("  {BUILD}: {}", quoted(&builds[0])),
                ]
            }
            _ => {
                let mut lines: Vec<String> = [
                    "affinity:",
                    "  nodeAffinity:",
                    "    requiredDuringSchedulingIgnoredDuringExecution:",
                    "      nodeSelectorTerms:",
                ]
                .map(str::to_owned)
                .into();
                // Terms are alternatives; the expressions of one term must all hold.
                for (architecture, builds) in pairs {
                    let builds: Vec<String> = builds.iter().map(|build| quoted(build)).collect();
                    lines.push("      - matchExpressions:".to_owned());
                    for (key, values) in [
                        (SYSTEM, "windows".to_owned()),
                        (ARCHITECTURE, quoted(architecture)),
                        (BUILD, builds.join(", ")),
                    ] {
                        lines.push(format!("        - {{key: {key}, operator: In, values: [{values}]}}"));
                    }
                }
                lines
            }
        };
        if !self.tolerations.is_empty() {
            lines.push("tolerations:".to_owned());
        }
        for taint in &self.tolerations {
            let [key, value, effect] = [&taint.key, &taint.value, &taint.effect].map(|text| quoted(text));
            lines.push(format!("- {{key: {key}, operator: Equal, value: {value}, effect: {effect}}}"));
        }
        lines
    }

    /// What to know about it.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.usual {
            notes.push("The taints of the nodes are not known; this toleration is for the usual one.".to_owned());
        }
        for build in &self.mixed {
            notes.push(format!(
                "Some nodes of {build} do not run the image, and no label tells them apart: update them."
            ));
        }
        notes
    }
}

/// Whether a pod must tolerate a taint; those that Kubernetes itself sets come and go.
fn matters(taint: &Taint) -> bool {
    !taint.key.starts_with("node.kubernetes.io/") && ["NoSchedule", "NoExecute"].contains(&taint.effect.as_str())
}

/// A text as YAML writes it when it must not be taken for anything else.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Platform;
    use crate::windows::compatibility::Offer;
    use crate::windows::host::Host;

    fn machine(version: &str, taints: Option<&[(&str, &str, &str)]>) -> Machine {
        let taint = |(key, value, effect): &(&str, &str, &str)| {
            let [key, value, effect] = [key, value, effect].map(|text| (*text).to_owned());
            Taint { key, value, effect }
        };
        let taints = taints.map(|taints| taints.iter().map(taint).collect());
        Machine { taints, ..Machine::of(Host::of(version.parse().unwrap())) }
    }

    fn pod(machines: &[Machine], images: &[&str]) -> Option<PodSpec> {
        let platform = |version: &&str| Platform {
            os: "windows".to_owned(),
            architecture: "amd64".to_owned(),
            os_version: Some((*version).to_owned()),
            ..Platform::default()
        };
        let offer = Offer::of_index(images.iter().map(platform).collect());
        PodSpec::new(&machines.iter().map(|machine| (machine, machine.judge(&offer))).collect::<Vec<_>>())
    }

    #[test]
    fn one_build_is_selected_and_the_taints_of_its_nodes_are_tolerated() {
        let taints = [
            ("os", "a\"b", "NoSchedule"),
            ("soft", "", "PreferNoSchedule"),
            ("node.kubernetes.io/not-ready", "", "NoExecute"),
        ];
        let machines = [
            machine("10.0.17763.8511", Some(&taints)),
            machine("10.0.17763.737", Some(&[("other", "x", "NoSchedule")])),
            machine("10.0.20348.1", Some(&[("other", "x", "NoSchedule")])),
        ];
        let pod = pod(&machines, &["10.0.17763.8511"]).unwrap();
        assert_eq!(
            pod.yaml(),
            [
                "nodeSelector:",
                "  kubernetes.io/os: windows",
                "  kubernetes.io/arch: \"amd64\"",
                "  node.kubernetes.io/windows-build: \"10.0.17763\"",
                "tolerations:",
                "- {key: \"os\", operator: Equal, value: \"a\\\"b\", effect: \"NoSchedule\"}",
            ]
        );
        assert_eq!(pod.notes().len(), 1, "two nodes of one build differ: {:?}", pod.notes());
    }

    #[test]
    fn of_several_builds_each_will_do() {
        let machines = [machine("10.0.26100.1", None), machine("10.0.20348.1", None), machine("10.0.22621.1", None)];
        let pod = pod(&machines, &["10.0.20348.1"]).unwrap();
        let yaml = pod.yaml().join("\n");
        assert!(yaml.contains("operator: In, values: [\"10.0.20348\", \"10.0.26100\"]}"), "{yaml}");
        assert!(
            yaml.ends_with("- {key: \"os\", operator: Equal, value: \"windows\", effect: \"NoSchedule\"}"),
            "{yaml}"
        );
        assert!(pod.notes()[0].contains("not known"), "{:?}", pod.notes());
    }

    #[test]
    fn nodes_of_each_architecture_are_selected_with_their_builds() {
        let arm = |version: &str| Machine { architecture: "arm64".to_owned(), ..machine(version, None) };
        let machines = [machine("10.0.20348.1", None), machine("10.0.26100.1", None), arm("10.0.26100.1")];
        let platform = |architecture: &str, version: &str| Platform {
            os: "windows".to_owned(),
            architecture: architecture.to_owned(),
            os_version: Some(version.to_owned()),
            ..Platform::default()
        };
        let spec = |platforms: Vec<Platform>| {
            let offer = Offer::of_index(platforms);
            PodSpec::new(&machines.iter().map(|machine| (machine, machine.judge(&offer))).collect::<Vec<_>>()).unwrap()
        };
        let only = spec(vec![platform("arm64", "10.0.26100.1")]).yaml();
        assert_eq!(
            only[1..4],
            [
                "  kubernetes.io/os: windows",
                "  kubernetes.io/arch: \"arm64\"",
                "  node.kubernetes.io/windows-build: \"10.0.26100\""
            ]
        );
        let both = spec(vec![platform("amd64", "10.0.20348.1"), platform("arm64", "10.0.26100.1")]).yaml().join("\n");
        assert_eq!(both.matches("- matchExpressions:").count(), 2, "{both}");
        assert!(both.contains("values: [\"arm64\"]}\n        - {key: node.kubernetes.io/windows-build, operator: In, values: [\"10.0.26100\"]}"), "{both}");
    }

    #[test]
    fn where_nothing_runs_there_is_nothing_to_select() {
        assert!(pod(&[machine("10.0.20348.1", None)], &["10.0.17763.1"]).is_none());
        assert!(pod(&[], &["10.0.17763.1"]).is_none());
    }
}
