//! Which images Windows starts on a host: what Microsoft supports, apart from what an engine is willing to pull.
//!
//! Sources, all of MicrosoftDocs/Virtualization-Documentation, `deploy-containers`: `version-compatibility.md` for the tables and
//! for the rule of Windows Server 2016, `portability.md` for version 23H2, `update-containers.md` for February 2020.

use super::Answer;
use crate::windows::builds;
use crate::windows::host::{Edition, Host, Version};

/// What Microsoft supports on hosts of some builds.
struct Support {
    edition: Edition,
    hosts: &'static [u32],
    /// Builds of images with process isolation.
    process: &'static [u32],
    /// Builds of images with Hyper-V isolation.
    hyper_v: &'static [u32],
}

/// Builds that there are images of, oldest first.
const UP_TO_2016: &[u32] = &[14393];
const UP_TO_2019: &[u32] = &[14393, 16299, 17134, 17763];
const UP_TO_20H2: &[u32] = &[14393, 16299, 17134, 17763, 18362, 18363, 19041, 19042];
const UP_TO_2022: &[u32] = &[14393, 16299, 17134, 17763, 18362, 18363, 19041, 19042, 20348];
const UP_TO_2025: &[u32] = &[14393, 16299, 17134, 17763, 18362, 18363, 19041, 19042, 20348, 25398, 26100];

static SUPPORT: &[Support] = &[
    Support { edition: Edition::Server, hosts: &[14393], process: &[14393], hyper_v: UP_TO_2016 },
    Support { edition: Edition::Server, hosts: &[17763], process: &[17763], hyper_v: UP_TO_2019 },
    Support { edition: Edition::Server, hosts: &[18362], process: &[18362], hyper_v: &[14393, 17763, 18362] },
    Support { edition: Edition::Server, hosts: &[18363], process: &[18363], hyper_v: &[14393, 17763, 18362, 18363] },
    Support {
        edition: Edition::Server,
        hosts: &[19041],
        process: &[19041],
        hyper_v: &[14393, 17763, 18362, 18363, 19041],
    },
    Support { edition: Edition::Server, hosts: &[19042], process: &[19042], hyper_v: UP_TO_20H2 },
    Support { edition: Edition::Server, hosts: &[20348], process: &[20348], hyper_v: UP_TO_2022 },
    Support { edition: Edition::Server, hosts: &[25398], process: &[20348], hyper_v: &[20348] },
    Support { edition: Edition::Server, hosts: &[26100], process: &[20348, 26100], hyper_v: UP_TO_2025 },
    Support {
        edition: Edition::Windows10,
        hosts: &[17763, 18362, 18363, 19041, 19042, 19044, 19045],
        process: &[],
        hyper_v: &[14393, 17763],
    },
    Support { edition: Edition::Windows11, hosts: &[22000, 22621, 22631], process: &[20348], hyper_v: UP_TO_2022 },
    Support { edition: Edition::Windows11, hosts: &[26100, 26200], process: &[20348, 26100], hyper_v: UP_TO_2025 },
];

/// The update of 11 February 2020 ("2B") changed what the kernel expects of programs: for builds, the revision of hosts that
/// have it. That of 17763 is in Microsoft's document, which gives one more for its images; the others are inferred likewise.
const FEBRUARY_2020: [(u32, u32); 3] = [(17763, 1039), (18362, 657), (18363, 657)];

/// Pairs of host and image that should work, and what was reported of them.
const REPORTED: [(u32, u32, &str); 1] = [(
    26200,
    26100,
    "Microsoft supports it, but starting was reported to fail with 0xc0370112 (microsoft/hcsshim#2566)",
)];

/// The build whose hosts and images must have the same revision.
const SAME_REVISION: u32 = 14393;

/// The versions that there are hosts of, oldest first, without revisions.
pub(super) fn hosts() -> impl Iterator<Item = Host> {
    let known = |host: &Host| support(host).is_some();
    let version = |build: &builds::Build| Version { release: [10, 0, build.number], revision: None };
    builds::BUILDS.iter().map(move |build| Host::of(version(build))).filter(known)
}

/// A revision of a build that is as new as any image that is published today, as far as the rules here tell revisions apart.
pub(super) fn recent_revision(build: u32) -> Option<u32> {
    february_2020(build)
}

/// Whether a container with process isolation starts.
pub(super) fn process(host: &Host, image: Version) -> Answer {
    let (host_build, build) = (host.version.build(), image.build());
    let Some(support) = support(host) else {
        return match build == host_build {
            true => Answer::depends("host and image have the same build, but no table of Microsoft lists this host"),
            false => Answer::no(different_builds(image)),
        };
    };
    if support.process.is_empty() {
        return Answer::no("Microsoft supports no process isolation on Windows 10");
    }
    if !support.process.contains(&build) {
        return match build == host_build {
            true => Answer::no(format!("Microsoft supports no images of build {build} on {}", host.product)),
            false => Answer::no(different_builds(image)),
        };
    }
    if let Some((_, _, report)) = REPORTED.iter().find(|(on, of, _)| (*on, *of) == (host_build, build)) {
        return Answer::depends(*report);
    }
    if build != host_build {
        return Answer::yes("from Windows Server 2022 on, newer hosts run images of older releases");
    }
    if build == SAME_REVISION {
        return same_revision(host.version.revision, image.revision);
    }
    match february_2020(build) {
        Some(first) => february(first, host.version.revision, image.revision),
        None => Answer::yes("host and image have the same build"),
    }
}

/// Whether a container with Hyper-V isolation starts: it has its image's own kernel.
pub(super) fn hyper_v(host: &Host, image: Version) -> Answer {
    let (host_build, build) = (host.version.build(), image.build());
    match support(host) {
        _ if build > host_build => Answer::no("the image is of a newer build than the host"),
        Some(support) if support.hyper_v.contains(&build) => {
            Answer::yes("the container has its own kernel, and the image is not newer than the host")
        }
        Some(_) => Answer::no(format!("Microsoft does not support this image on {}", host.product)),
        None => Answer::depends("the image is not newer than the host, but no table of Microsoft lists this host"),
    }
}

fn support(host: &Host) -> Option<&'static Support> {
    let build = host.version.build();
    SUPPORT.iter().find(|support| support.edition == host.edition && support.hosts.contains(&build))
}

fn different_builds(image: Version) -> String {
    format!("build {} does not start on a host of another build (error 0xc0370101)", image.build())
}

fn same_revision(host: Option<u32>, image: Option<u32>) -> Answer {
    match (host, image) {
        (Some(host), Some(image)) if host == image => Answer::yes("host and image have the same revision"),
        (Some(host), Some(image)) => Answer::no(format!(
            "on Windows Server 2016 host and image need the same revision; these are {host} and {image}"
        )),
        _ => Answer::depends("on Windows Server 2016 host and image need the same revision"),
    }
}

fn february_2020(build: u32) -> Option<u32> {
    FEBRUARY_2020.iter().find(|(of, _)| *of == build).map(|(_, first)| *first)
}

/// Both sides must be older than the update of February 2020, or both must have it.
fn february(first: u32, host: Option<u32>, image: Option<u32>) -> Answer {
    let has_it = |revision: Option<u32>| revision.map(|revision| revision >= first);
    match (has_it(host), has_it(image)) {
        (Some(true), Some(false)) => Answer::no(format!(
            "the image is older than the update of February 2020 (revision {first}), the host is not"
        )),
        (Some(false), Some(true)) => Answer::no(format!(
            "the host is older than the update of February 2020 (revision {first}), the image is not"
        )),
        (Some(_), Some(_)) => Answer::yes("host and image have the same build"),
        (None, Some(true)) => Answer::yes("same build, provided that the host was updated since February 2020"),
        (None, Some(false)) => {
            Answer::depends("same build, but the image runs only on hosts not updated since January 2020")
        }
        (_, None) => Answer::depends(
            "same build, but host and image must both be older than the update of February 2020, or both have it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::compatibility::Outcome::{self, Depends, No, Yes};

    fn host(version: &str) -> Host {
        Host::of(version.parse().unwrap())
    }

    fn outcomes(host: &Host, image: &str) -> (Outcome, Outcome) {
        let image = image.parse().unwrap();
        (process(host, image).outcome, hyper_v(host, image).outcome)
    }

    #[test]
    fn microsofts_tables_hold() {
        let images = ["10.0.14393.9000", "10.0.17763.9000", "10.0.20348.9000", "10.0.26100.9000"];
        for (version, process, hyper_v) in [
            ("10.0.14393.9000", [Yes, No, No, No], [Yes, No, No, No]),
            ("10.0.17763.9000", [No, Yes, No, No], [Yes, Yes, No, No]),
            ("10.0.19042.9000", [No, No, No, No], [Yes, Yes, No, No]),
            ("10.0.19045.9000", [No, No, No, No], [Yes, Yes, No, No]),
            ("10.0.20348.9000", [No, No, Yes, No], [Yes, Yes, Yes, No]),
            ("10.0.22631.9000", [No, No, Yes, No], [Yes, Yes, Yes, No]),
            ("10.0.25398.9000", [No, No, Yes, No], [No, No, Yes, No]),
            ("10.0.26100.9000", [No, No, Yes, Yes], [Yes, Yes, Yes, Yes]),
            ("10.0.26200.9000", [No, No, Yes, Depends], [Yes, Yes, Yes, Yes]),
            ("10.0.27000.9000", [No, No, No, No], [Depends, Depends, Depends, Depends]),
        ] {
            for (number, image) in images.into_iter().enumerate() {
                let expected = (process[number], hyper_v[number]);
                assert_eq!(outcomes(&host(version), image), expected, "{image} on {version}");
            }
        }
        let windows_10 = Host::named("10.0.17763.9000".parse().unwrap(), "Windows 10 Enterprise LTSC");
        assert_eq!(outcomes(&windows_10, "10.0.17763.9000"), (No, Yes));
        let windows_11 = Host::named("10.0.26100.9000".parse().unwrap(), "Windows 11 Pro");
        assert_eq!(outcomes(&windows_11, "10.0.26100.1"), (Yes, Yes));
        assert_eq!(outcomes(&host("10.0.27000"), "10.0.27000.1"), (Depends, Depends));
    }

    #[test]
    fn revisions_matter_in_2016_and_around_february_2020() {
        for (host_version, image, expected) in [
            ("10.0.14393.3504", "10.0.14393.3504", Yes),
            ("10.0.14393.3504", "10.0.14393.3506", No),
            ("10.0.14393", "10.0.14393.3506", Depends),
            ("10.0.14393.3504", "10.0.14393", Depends),
            // The table of update-containers.md: 1B, 2B and 3B of 2020.
            ("10.0.17763.1098", "10.0.17763.1098", Yes),
            ("10.0.17763.1098", "10.0.17763.1040", Yes),
            ("10.0.17763.1098", "10.0.17763.973", No),
            ("10.0.17763.1039", "10.0.17763.1098", Yes),
            ("10.0.17763.1039", "10.0.17763.1040", Yes),
            ("10.0.17763.1039", "10.0.17763.973", No),
            ("10.0.17763.973", "10.0.17763.1098", No),
            ("10.0.17763.973", "10.0.17763.1040", No),
            ("10.0.17763.973", "10.0.17763.737", Yes),
            ("10.0.17763", "10.0.17763.8511", Yes),
            ("10.0.17763", "10.0.17763.973", Depends),
            ("10.0.17763.8511", "10.0.17763", Depends),
            ("10.0.18363.719", "10.0.18363.592", No),
            ("10.0.18363.719", "10.0.18363.658", Yes),
            ("10.0.20348.1", "10.0.20348.4529", Yes),
        ] {
            let image: Version = image.parse().unwrap();
            assert_eq!(process(&host(host_version), image).outcome, expected, "{image} on {host_version}");
            assert_eq!(hyper_v(&host(host_version), image).outcome, Yes, "it has its own kernel");
        }
    }

    #[test]
    fn there_is_a_host_of_every_build_in_the_tables() {
        let listed: Vec<u32> = hosts().map(|host| host.version.build()).collect();
        assert_eq!(listed.first(), Some(&14393));
        assert!(listed.is_sorted() && listed.contains(&17763) && listed.contains(&26200));
        for build in SUPPORT.iter().flat_map(|support| [support.hosts, support.process, support.hyper_v]).flatten() {
            assert!(builds::find(*build).is_some(), "{build} is not in the list of builds");
        }
    }
}
