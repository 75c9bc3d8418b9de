//! On which hosts an image runs, or which base images fit a host, as text, Markdown and JSON.

mod pod;
mod show;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use self::pod::PodSpec;
use crate::image::listing::Listed;
use crate::image::{Digest, Platform};
use crate::windows::builds;
use crate::windows::compatibility::{Answer, Isolation, Offer, Outcome, base_tags};
use crate::windows::host::{Host, Version};
use crate::windows::machines::{Judgement, Machine, Skipped};

/// Hosts, and what runs on them.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostReport {
    /// The version of this form: 1. Fields are only ever added to a version.
    schema: u32,
    /// The image, as it was asked for; nothing if no image was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// The images that the reference leads to, in the order of its index.
    images: Vec<ImageRow>,
    /// The hosts; nodes that are alike are one.
    hosts: Vec<HostRow>,
    /// Nodes that were not looked at.
    skipped: Vec<SkippedRow>,
    /// What brings pods of the image to nodes that run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<PodSpec>,
}

/// An image that the reference leads to.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ImageRow {
    /// The digest of its manifest.
    digest: String,
    /// As `--platform` takes it.
    platform: String,
    /// The version of Windows in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    os_version: Option<String>,
    /// What the Windows in it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<&'static str>,
    /// The last day of support for base images of this build.
    #[serde(skip_serializing_if = "Option::is_none")]
    supported_until: Option<String>,
}

/// A host.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HostRow {
    /// What its Windows is called.
    windows: String,
    /// The version of its Windows, without the revision if that is not known.
    version: String,
    /// The nodes that are like this.
    nodes: Vec<String>,
    /// The container engine of these nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<String>,
    /// What the host uses unless told otherwise.
    default_isolation: Isolation,
    /// Whether the image runs with the default isolation, under the engine in use or, if that is not known, under any.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<bool>,
    /// By engine, or by base tag.
    answers: Vec<AnswerRow>,
}

/// What happens on a host.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AnswerRow {
    /// The tag of the base image, if no image was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'static str>,
    /// `containerd` or `Docker`.
    engine: &'static str,
    /// Whether it is the engine of the nodes.
    in_use: bool,
    /// The image that the engine takes, by its number in `images`.
    #[serde(skip_serializing_if = "Option::is_none")]
    takes: Option<usize>,
    /// Whether a container with process isolation runs.
    process: Answer,
    /// Whether a container with Hyper-V isolation runs.
    hyper_v: Answer,
    /// The last day of support for the base images of this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    supported_until: Option<String>,
}

/// A node that was not looked at.
#[derive(Debug, Serialize, JsonSchema)]
struct SkippedRow {
    /// What it is called.
    name: String,
    /// Why not.
    reason: String,
    /// Whether it has a Windows whose version is not known.
    #[serde(skip)]
    is_windows: bool,
}

impl SkippedRow {
    fn new(node: Skipped) -> SkippedRow {
        SkippedRow { name: node.name, reason: node.reason, is_windows: node.is_windows }
    }
}

impl HostReport {
    /// On which machines the images run that a reference leads to.
    pub fn of_image(
        reference: String,
        images: &[(Digest, Platform)],
        index: Option<Vec<Listed>>,
        without_utility_vm: BTreeSet<usize>,
        machines: &[Machine],
        skipped: Vec<Skipped>,
    ) -> HostReport {
        let platforms = images.iter().map(|(_, platform)| platform.clone()).collect();
        let offer = Offer { platforms, index, without_utility_vm };
        let judged: Vec<(&Machine, [Judgement; 2])> =
            machines.iter().map(|machine| (machine, machine.judge(&offer))).collect();
        let hosts = judged.iter().map(|(machine, judgements)| {
            let answers = judgements.iter().map(AnswerRow::of_engine).collect();
            HostRow { runs: Some(machine.runs(judgements)), ..HostRow::new(machine, answers) }
        });
        HostReport {
            schema: 1,
            reference: Some(reference),
            images: images.iter().map(|(digest, platform)| ImageRow::new(digest, platform)).collect(),
            hosts: hosts.collect(),
            skipped: skipped.into_iter().map(SkippedRow::new).collect(),
            kubernetes: PodSpec::new(&judged),
        }
    }

    /// Which of Microsoft's base images fit the machines.
    pub fn of_base_tags(machines: &[Machine], skipped: Vec<Skipped>) -> HostReport {
        let hosts = machines.iter().map(|machine| {
            let answers = base_tags().map(|(tag, build, offer)| {
                let [containerd, docker] = machine.judge(&offer);
                let judgement = if docker.in_use { docker } else { containerd };
                let supported_until = build.end_of_support.map(|date| date.to_string());
                AnswerRow { tag: Some(tag), supported_until, takes: None, ..AnswerRow::of_engine(&judgement) }
            });
            HostRow::new(machine, answers.collect())
        });
        HostReport {
            schema: 1,
            reference: None,
            images: Vec::new(),
            hosts: hosts.collect(),
            skipped: skipped.into_iter().map(SkippedRow::new).collect(),
            kubernetes: None,
        }
    }

    /// The hosts that do not run the image, and the Windows nodes of which nobody can tell.
    pub fn failing(&self) -> impl Iterator<Item = String> {
        let unknown = self.skipped.iter().filter(|node| node.is_windows);
        let unknown = unknown.map(|node| format!("{} ({})", node.name, node.reason));
        self.hosts.iter().filter(|host| host.runs == Some(false)).map(HostRow::name).chain(unknown)
    }

    /// Whether there was no Windows host to ask about.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

impl ImageRow {
    fn new(digest: &Digest, platform: &Platform) -> ImageRow {
        let version = platform.os_version.as_deref().and_then(|text| text.parse::<Version>().ok());
        let build = version.and_then(|version| builds::find(version.build()));
        ImageRow {
            digest: digest.to_string(),
            platform: platform.to_string(),
            os_version: platform.os_version.clone(),
            windows: build.map(|build| build.product),
            supported_until: build.and_then(|build| build.end_of_support).map(|date| date.to_string()),
        }
    }
}

impl HostRow {
    fn new(machine: &Machine, answers: Vec<AnswerRow>) -> HostRow {
        let host: &Host = &machine.host;
        HostRow {
            windows: host.product.clone(),
            version: host.version.to_string(),
            nodes: machine.nodes.clone(),
            runtime: machine.runtime.clone(),
            default_isolation: Isolation::default_of(host),
            runs: None,
            answers,
        }
    }
}

impl AnswerRow {
    fn of_engine(judgement: &Judgement) -> AnswerRow {
        AnswerRow {
            tag: None,
            engine: judgement.engine.name(),
            in_use: judgement.in_use,
            takes: judgement.verdict.taken,
            process: judgement.verdict.process.clone(),
            hyper_v: judgement.verdict.hyper_v.clone(),
            supported_until: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::windows::nodes::parse;

    fn image(version: &str) -> (Digest, Platform) {
        let platform = Platform {
            os: "windows".to_owned(),
            architecture: "amd64".to_owned(),
            os_version: Some(version.to_owned()),
            ..Platform::default()
        };
        (Digest::of(version.as_bytes()), platform)
    }

    fn index(images: &[(Digest, Platform)]) -> Option<Vec<Listed>> {
        Some(Listed::of_images(&images.iter().map(|(_, platform)| platform.clone()).collect::<Vec<_>>()))
    }

    fn text(report: &HostReport) -> String {
        anstream::adapter::strip_str(&report.to_text()).to_string()
    }

    const NODES: &str = "NAME  OS-IMAGE  KERNEL-VERSION  CONTAINER-RUNTIME
a  Windows Server 2019 Datacenter  10.0.17763.737  docker://19.3.5
b  Ubuntu 16.04.6 LTS  4.15.0-1063-azure  docker://19.3.5
c  Windows Server 2022 Datacenter  10.0.20348.2402  containerd://1.7.20
d  Windows Server 2022 Datacenter  10.0.20348.2402  containerd://1.7.20
";

    #[test]
    fn an_image_is_held_against_nodes() {
        let (machines, skipped) = Machine::of_nodes(&parse(NODES).unwrap());
        let images = [image("10.0.20348.4529"), image("10.0.17763.8511")];
        let report =
            HostReport::of_image("image:tag".to_owned(), &images, index(&images), BTreeSet::new(), &machines, skipped);
        assert_eq!(report.failing().collect::<Vec<_>>(), ["a: Windows Server 2019 Datacenter (10.0.17763.737)"]);
        insta::assert_snapshot!(text(&report), @r#"
        image:tag

          image                          Windows              supported until
          windows/amd64:10.0.20348.4529  Windows Server 2022  2031-10-14
          windows/amd64:10.0.17763.8511  Windows Server 2019  2029-01-09

          host             engine                      takes            process  Hyper-V
          10.0.17763.737   containerd                  10.0.17763.8511  no       yes
                           docker 19.3.5 (in use)      10.0.17763.8511  no       yes
          10.0.20348.2402  containerd 1.7.20 (in use)  10.0.20348.4529  yes      yes
                           Docker                      10.0.20348.4529  yes      yes

        a: Windows Server 2019 Datacenter (10.0.17763.737):
          process: no, the host is older than the update of February 2020 (revision 1039), the image is not
          Hyper-V: yes, the container has its own kernel, and the image is not newer than the host

        c, d: Windows Server 2022 Datacenter (10.0.20348.2402):
          process: yes, host and image have the same build
          Hyper-V: yes, the container has its own kernel, and the image is not newer than the host

        Skipped:
          b: no Windows: Ubuntu 16.04.6 LTS

        For pods, with process isolation:
          nodeSelector:
            kubernetes.io/os: windows
            kubernetes.io/arch: "amd64"
            node.kubernetes.io/windows-build: "10.0.20348"
          tolerations:
          - {key: "os", operator: Equal, value: "windows", effect: "NoSchedule"}
          The taints of the nodes are not known; this toleration is for the usual one.

        Hyper-V isolation needs a UtilityVM directory in the image, and in Kubernetes a runtime class for it.
        "#);
    }

    #[test]
    fn base_tags_are_held_against_nodes() {
        let (machines, skipped) = Machine::of_nodes(&parse(NODES).unwrap());
        let report = HostReport::of_base_tags(&machines, skipped);
        assert_eq!(report.failing().count(), 0);
        insta::assert_snapshot!(text(&report), @r#"
        Base images for hosts, under the engine of each node; where that is not known, containerd

        a: Windows Server 2019 Datacenter (10.0.17763.737):
          tag       process  Hyper-V  supported until
          ltsc2016  no       yes      2027-01-11
          ltsc2019  no       yes      2029-01-09
          ltsc2022  no       no       2031-10-14
          ltsc2025  no       no       2034-10-10
          ltsc2016 process: build 14393 does not start on a host of another build (error 0xc0370101)
          ltsc2019 process: the host is older than the update of February 2020 (revision 1039), the image is not
          ltsc2022 process, ltsc2022 Hyper-V, ltsc2025 process, ltsc2025 Hyper-V: Docker refuses images of newer builds than the host's

        c, d: Windows Server 2022 Datacenter (10.0.20348.2402):
          tag       process  Hyper-V  supported until
          ltsc2016  no       depends  2027-01-11
          ltsc2019  no       depends  2029-01-09
          ltsc2022  yes      yes      2031-10-14
          ltsc2025  no       no       2034-10-10
          ltsc2016 process, ltsc2019 process, ltsc2025 process, ltsc2025 Hyper-V: containerd finds no image that fits the host's build
          ltsc2016 Hyper-V: 10.0.14393 runs if `runtime_platforms` in containerd's configuration asks for it
          ltsc2019 Hyper-V: 10.0.17763 runs if `runtime_platforms` in containerd's configuration asks for it

        Skipped:
          b: no Windows: Ubuntu 16.04.6 LTS

        Hyper-V isolation needs a UtilityVM directory in the image, and in Kubernetes a runtime class for it.
        "#);
    }

    #[test]
    fn no_hosts_are_said_to_be_none() {
        let images = [image("10.0.17763.1")];
        let report =
            HostReport::of_image("image:tag".to_owned(), &images, index(&images), BTreeSet::new(), &[], Vec::new());
        assert!(report.is_empty() && text(&report).contains("There is no Windows host."), "{}", text(&report));
        assert!(!report.to_json().contains("kubernetes"));
    }
}
