//! Where an image runs: which image of a tag an engine takes on a host, and whether Windows starts a container of it.
//!
//! Two parties decide, and each reads something else. The [`Engine`] pulls by what the index says, and Windows starts, or
//! does not, by what is in the layers. That the layers are of the version that the documents tell is taken on trust here.

mod answer;
mod engine;
mod isolation;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

pub use answer::{Answer, Outcome};
pub use engine::Engine;

use super::builds::{BUILDS, Build};
use super::host::{Edition, Host, Version};
use crate::image::Platform;
use crate::image::listing::{Kind, Listed};

/// How a container is kept apart from its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// It shares the kernel of its host.
    Process,
    /// It has a kernel of its own, in a small virtual machine.
    HyperV,
}

impl Isolation {
    /// What a host uses unless told otherwise: servers process isolation, clients Hyper-V isolation.
    pub fn default_of(host: &Host) -> Isolation {
        match host.edition {
            Edition::Server => Isolation::Process,
            Edition::Windows10 | Edition::Windows11 => Isolation::HyperV,
        }
    }
}

/// What a tag leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The images and the machines that they are for, as their configs say.
    pub platforms: Vec<Platform>,
    /// The entries of the index; `None` if there is no index, and engines take the only image as it is.
    pub index: Option<Vec<Listed>>,
    /// The images that are known to have no UtilityVM, by their numbers.
    pub without_utility_vm: BTreeSet<usize>,
}

impl Offer {
    /// An index of images that says the same of them as their configs.
    pub fn of_index(platforms: Vec<Platform>) -> Offer {
        Offer { index: Some(Listed::of_images(&platforms)), platforms, without_utility_vm: BTreeSet::new() }
    }
}

/// How a host and an image get along under an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The image that the engine takes, by its position in the offer.
    pub taken: Option<usize>,
    /// Whether a container with process isolation runs.
    pub process: Answer,
    /// Whether a container with Hyper-V isolation runs.
    pub hyper_v: Answer,
}

impl Verdict {
    /// The answer for a kind of isolation.
    pub fn answer(&self, isolation: Isolation) -> &Answer {
        match isolation {
            Isolation::Process => &self.process,
            Isolation::HyperV => &self.hyper_v,
        }
    }
}

/// Finds out how a host gets along with what a tag leads to.
pub fn judge(host: &Host, architecture: &str, engine: Engine, offer: &Offer) -> Verdict {
    let taken = match (&offer.index, engine) {
        (Some(entries), _) => engine.take(host, architecture, entries, &offer.platforms),
        // containerd asks an image that comes without an index nothing (containerd `core/images/image.go`).
        (None, Engine::Containerd | Engine::ContainerdBefore22 | Engine::ContainerdBefore17) => Some(0),
        (None, Engine::Docker) => {
            let platform = offer.platforms.first();
            platform.filter(|platform| Engine::Docker.accepts(host, platform.os_version.as_deref())).map(|_| 0)
        }
    };
    if let Some((position, platform)) = taken.and_then(|position| Some((position, offer.platforms.get(position)?))) {
        let (process, hyper_v) = match platform.architecture.as_str() {
            other if !other.is_empty() && other != architecture => {
                let answer =
                    Answer::no(format!("the image is for {other}, and the host's processor is {architecture}"));
                (answer.clone(), answer)
            }
            _ if offer.without_utility_vm.contains(&position) => {
                let needs =
                    "the image has no UtilityVM, which Hyper-V isolation starts; a profile removed it, or its author";
                (started(host, platform).0, Answer::no(needs))
            }
            _ => started(host, platform),
        };
        return Verdict { taken: Some(position), process, hyper_v };
    }
    if !offer.platforms.is_empty() && offer.platforms.iter().all(|platform| platform.architecture != architecture) {
        let answer = Answer::no(format!("the tag has no image for {architecture}, the host's processor"));
        return Verdict { taken: None, process: answer.clone(), hyper_v: answer };
    }
    let process = Answer::no(match engine {
        Engine::Docker if docker_sees_none(architecture, offer) => {
            "Docker reads no index within an index, and no entry without a platform"
        }
        Engine::Docker => "Docker refuses images of newer builds than the host's",
        _ if offer.index.as_ref().is_some_and(|entries| entries.iter().any(|entry| entry.platform.is_none())) => {
            "containerd finds no image that fits the host's build; of entries without a platform it looks at the first only"
        }
        _ => "containerd finds no image that fits the host's build",
    });
    let hyper_v = match engine {
        Engine::Docker => process.clone(),
        _ => with_platform(host, architecture, offer).unwrap_or_else(|| process.clone()),
    };
    Verdict { taken: None, process, hyper_v }
}

/// Whether the index has nothing that Docker would look at on a host of this processor.
fn docker_sees_none(architecture: &str, offer: &Offer) -> bool {
    let is_seen = |entry: &Listed| {
        matches!(entry.kind, Kind::Image(_))
            && entry.platform.as_ref().is_some_and(|platform| platform.architecture == architecture)
    };
    offer.index.as_ref().is_some_and(|entries| !entries.iter().any(is_seen))
}

/// Whether Windows starts an image, with each kind of isolation.
fn started(host: &Host, platform: &Platform) -> (Answer, Answer) {
    let Some(text) = platform.os_version.as_deref() else {
        let answer = "the image names no version of Windows; host-process containers run anywhere, others if it fits";
        return (Answer::depends(answer), Answer::depends(answer));
    };
    match version(platform) {
        Some(version) => (isolation::process(host, version), isolation::hyper_v(host, version)),
        None => {
            let answer = format!("`{text}` is not a version of Windows");
            (Answer::depends(answer.clone()), Answer::depends(answer))
        }
    }
}

/// What containerd does with an image that it would take if it were told another platform than the host's (KEP-4216).
fn with_platform(host: &Host, architecture: &str, offer: &Offer) -> Option<Answer> {
    let images = offer.platforms.iter().enumerate().filter(|(number, _)| !offer.without_utility_vm.contains(number));
    let fitting = images.map(|(_, platform)| platform).filter(|platform| platform.architecture == architecture);
    let versions =
        fitting.filter_map(version).filter(|version| isolation::hyper_v(host, *version).outcome == Outcome::Yes);
    let newest = versions.max()?;
    Some(Answer::depends(format!(
        "{} runs if `runtime_platforms` in containerd's configuration asks for it",
        newest.label()
    )))
}

fn version(platform: &Platform) -> Option<Version> {
    platform.os_version.as_deref()?.parse().ok()
}

/// The versions of Windows that containers run on, oldest first, without revisions.
pub fn hosts() -> impl Iterator<Item = Host> {
    isolation::hosts()
}

/// The tags of Microsoft's base images that are kept for years, oldest first, each with what its index offers.
pub fn base_tags() -> impl Iterator<Item = (&'static str, &'static Build, Offer)> {
    BUILDS.iter().filter_map(|build| {
        let tag = build.names.iter().find(|name| name.starts_with("ltsc"))?;
        let version = Version { release: [10, 0, build.number], revision: isolation::recent_revision(build.number) };
        let platform = Platform {
            os: "windows".to_owned(),
            architecture: "amd64".to_owned(),
            os_version: Some(version.to_string()),
            ..Platform::default()
        };
        Some((*tag, build, Offer::of_index(vec![platform])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(versions: &[&str], indexed: bool) -> Offer {
        let platform = |version: &&str| Platform {
            os: "windows".to_owned(),
            architecture: "amd64".to_owned(),
            os_version: Some((*version).to_owned()).filter(|version| !version.is_empty()),
            ..Platform::default()
        };
        let platforms: Vec<Platform> = versions.iter().map(platform).collect();
        Offer { index: indexed.then(|| Listed::of_images(&platforms)), platforms, without_utility_vm: BTreeSet::new() }
    }

    fn verdict(host: &str, engine: Engine, offer: &Offer) -> (Option<usize>, Outcome, Outcome) {
        let verdict = judge(&Host::of(host.parse().unwrap()), "amd64", engine, offer);
        (verdict.taken, verdict.process.outcome, verdict.hyper_v.outcome)
    }

    #[test]
    fn engine_and_windows_decide_together() {
        use Outcome::{Depends, No, Yes};
        let one = offer(&["10.0.17763.8511"], true);
        let three = offer(&["10.0.17763.8511", "10.0.20348.4529", "10.0.26100.1742"], true);
        let plain = offer(&["10.0.17763.8511"], false);
        for (host, offer, containerd, docker) in [
            ("10.0.17763.8511", &one, (Some(0), Yes, Yes), (Some(0), Yes, Yes)),
            ("10.0.17763.737", &one, (Some(0), No, Yes), (Some(0), No, Yes)),
            ("10.0.20348.1", &one, (None, No, Depends), (Some(0), No, Yes)),
            ("10.0.14393.1", &one, (None, No, No), (None, No, No)),
            ("10.0.17763.8511", &three, (Some(0), Yes, Yes), (Some(0), Yes, Yes)),
            ("10.0.20348.1", &three, (Some(1), Yes, Yes), (Some(1), Yes, Yes)),
            ("10.0.26100.1", &three, (Some(2), Yes, Yes), (Some(2), Yes, Yes)),
            ("10.0.25398.1", &three, (Some(1), Yes, Yes), (Some(0), No, No)),
            ("10.0.19045.1", &three, (None, No, Depends), (Some(0), No, Yes)),
            ("10.0.20348.1", &plain, (Some(0), No, Yes), (Some(0), No, Yes)),
            ("10.0.14393.1", &plain, (Some(0), No, No), (None, No, No)),
            ("10.0.20348.1", &offer_without_version(), (Some(0), Depends, Depends), (Some(0), Depends, Depends)),
        ] {
            assert_eq!(verdict(host, Engine::Containerd, offer), containerd, "containerd {host} {offer:?}");
            assert_eq!(verdict(host, Engine::Docker, offer), docker, "Docker {host} {offer:?}");
        }
    }

    fn offer_without_version() -> Offer {
        offer(&[""], true)
    }

    #[test]
    fn nothing_to_take_is_no_reason_to_fail() {
        assert_eq!(verdict("10.0.17763.1", Engine::Containerd, &offer(&[], false)), (None, Outcome::No, Outcome::No));
        assert_eq!(verdict("10.0.17763.1", Engine::Docker, &offer(&["x"], true)).1, Outcome::Depends);
    }

    #[test]
    fn hyper_v_isolation_needs_a_utility_vm() {
        let mut offer = offer(&["10.0.17763.8511", "10.0.20348.1"], true);
        offer.without_utility_vm = BTreeSet::from([0]);
        for engine in [Engine::Containerd, Engine::Docker] {
            assert_eq!(verdict("10.0.17763.8511", engine, &offer), (Some(0), Outcome::Yes, Outcome::No));
            assert_eq!(verdict("10.0.20348.1", engine, &offer), (Some(1), Outcome::Yes, Outcome::Yes));
        }
        // No image is left that containerd could start if it were told to take it.
        assert_eq!(verdict("10.0.19045.1", Engine::Containerd, &offer), (None, Outcome::No, Outcome::No));
    }

    #[test]
    fn processors_must_be_the_same_both_ways() {
        let of = |architecture: &str, indexed: bool| {
            let mut offer = offer(&["10.0.26100.1"], indexed);
            offer.platforms[0].architecture = architecture.to_owned();
            offer.index = indexed.then(|| Listed::of_images(&offer.platforms));
            offer
        };
        let host = Host::of("10.0.26100.1".parse().unwrap());
        for (image, node, works) in
            [("amd64", "arm64", false), ("arm64", "amd64", false), ("arm64", "arm64", true), ("amd64", "amd64", true)]
        {
            for (engine, indexed) in [Engine::Containerd, Engine::ContainerdBefore17, Engine::Docker]
                .iter()
                .flat_map(|e| [(*e, true), (*e, false)])
            {
                let verdict = judge(&host, node, engine, &of(image, indexed));
                for answer in [&verdict.process, &verdict.hyper_v] {
                    assert_eq!(answer.outcome == Outcome::Yes, works, "{image} on {node}: {answer:?}");
                    assert!(works || answer.reason.contains("processor"), "{answer:?}");
                }
            }
        }
    }

    #[test]
    fn the_config_says_what_runs_where_the_index_says_no_version() {
        let platforms = offer(&["10.0.17763.8511", "10.0.20348.1"], true).platforms;
        let nameless = |platform: &Platform| Platform { os_version: None, ..platform.clone() };
        let index = Listed::of_images(&platforms.iter().map(nameless).collect::<Vec<_>>());
        let offer = Offer { platforms, index: Some(index), without_utility_vm: BTreeSet::new() };
        // Engines take the first image, and Windows does not start it on another build.
        for engine in [Engine::Containerd, Engine::Docker] {
            assert_eq!(verdict("10.0.17763.8511", engine, &offer), (Some(0), Outcome::Yes, Outcome::Yes));
            assert_eq!(verdict("10.0.20348.1", engine, &offer), (Some(0), Outcome::No, Outcome::Yes));
        }
    }

    #[test]
    fn base_tags_fit_their_hosts() {
        let fitting = |host: &str| -> Vec<&str> {
            let host = Host::of(host.parse().unwrap());
            base_tags()
                .filter(|(_, _, offer)| {
                    judge(&host, "amd64", Engine::Containerd, offer).process.outcome == Outcome::Yes
                })
                .map(|(tag, ..)| tag)
                .collect()
        };
        assert_eq!(fitting("10.0.17763.8511"), ["ltsc2019"]);
        assert_eq!(fitting("10.0.17763.737"), [""; 0], "ltsc2019 has the update of February 2020");
        assert_eq!(fitting("10.0.20348.1"), ["ltsc2022"]);
        assert_eq!(fitting("10.0.26100.1"), ["ltsc2022", "ltsc2025"]);
    }
}
