//! Which image of an index a container engine takes on a host: the engines read nothing but the documents.

use crate::image::Platform;
use crate::image::listing::{Kind, Listed};
use crate::windows::host::Host;

/// A container engine, as far as its choice of an image differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// containerd 2.2 and newer, and Docker with containerd's image store (containerd/platforms 1.0.0-rc.2 and newer).
    Containerd,
    /// containerd 1.7.20 to 2.1, the releases that were looked at (containerd/platforms 0.2.1 to 1.0.0-rc.1).
    ContainerdBefore22,
    /// containerd 1.6 to 1.7.0; that releases up to 1.7.19 do the same is inferred.
    ContainerdBefore17,
    /// Docker with its own image store (moby `daemon/internal/distribution/pull_v2_windows.go`).
    Docker,
}

/// The releases from which on images of the one before run too, oldest first.
const STABLE: [u32; 2] = [FIRST_STABLE, 26100];
/// The first release with the interface that later hosts keep: Windows Server 2022.
const FIRST_STABLE: u32 = 20348;

impl Engine {
    /// The engine that a node reports: `containerd://1.7.20+unknown`, `docker://19.3.5`.
    pub fn of_runtime(text: &str) -> Option<Engine> {
        let (name, version) = text.split_once("://")?;
        match name {
            "docker" => Some(Engine::Docker),
            "containerd" => {
                let version = version.trim_start_matches('v');
                let version = version.split(['-', '+']).next().unwrap_or_default();
                let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
                let mut next = || numbers.next().unwrap_or(0);
                Some(match (next(), next(), next()) {
                    (0, ..) | (1, ..7, _) | (1, 7, ..20) => Engine::ContainerdBefore17,
                    (1, ..) | (2, ..2, _) => Engine::ContainerdBefore22,
                    _ => Engine::Containerd,
                })
            }
            _ => None,
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Containerd | Engine::ContainerdBefore22 | Engine::ContainerdBefore17 => "containerd",
            Engine::Docker => "Docker",
        }
    }

    /// Whether the engine takes an image with this `os.version` on a host. Revisions never matter to it.
    pub fn accepts(self, host: &Host, os_version: Option<&str>) -> bool {
        let Some(text) = os_version.filter(|text| !text.is_empty()) else {
            return true;
        };
        match self {
            Engine::Containerd => stable(host, text, |release, build| release < build),
            Engine::ContainerdBefore22 => stable(host, text, |release, _| release == FIRST_STABLE),
            Engine::ContainerdBefore17 => text.starts_with(&host.version.label()),
            Engine::Docker => third_number(text).is_none_or(|build| build <= i64::from(host.version.build())),
        }
    }

    /// The image that the engine takes from an index on a host of this processor architecture, by its number among `images`.
    ///
    /// containerd prefers entries with a platform that fits. Of those without a platform it looks at the first alone, whatever
    /// it leads to, and asks the config of an image; it goes into an index within the index (containerd
    /// `core/images/image.go`, `Manifest`). Docker takes entries with a platform alone, and no index within an index.
    pub fn take(self, host: &Host, architecture: &str, entries: &[Listed], images: &[Platform]) -> Option<usize> {
        let platforms: Vec<Option<&Platform>> = entries.iter().map(|entry| entry.platform.as_ref()).collect();
        let entry = match self.choose(host, architecture, &platforms) {
            Some(chosen) => entries.get(chosen)?,
            None if self == Engine::Docker => return None,
            None => entries.iter().find(|entry| entry.platform.is_none())?,
        };
        match &entry.kind {
            Kind::Image(image) if entry.platform.is_some() => Some(*image),
            Kind::Image(image) => self.choose(host, architecture, &[images.get(*image)]).map(|_| *image),
            Kind::Index(entries) if self != Engine::Docker => self.take(host, architecture, entries, images),
            Kind::Index(_) | Kind::Other => None,
        }
    }

    /// The platform that the engine chooses on a host of this processor architecture, by its position.
    pub fn choose(self, host: &Host, architecture: &str, platforms: &[Option<&Platform>]) -> Option<usize> {
        let known = platforms.iter().enumerate().filter_map(|(position, platform)| Some((position, (*platform)?)));
        let matching = known.filter(|(_, platform)| {
            platform.os == "windows"
                && platform.architecture == architecture
                && self.accepts(host, platform.os_version.as_deref())
                && (self != Engine::Containerd || platform.os_features.iter().all(|feature| feature == "win32k"))
        });
        let version = |platform: &Platform| platform.os_version.clone().unwrap_or_default();
        // Each of these sorts is stable in the engines: of equals, the first of the index wins.
        let chosen = match self {
            Engine::Containerd | Engine::ContainerdBefore22 => {
                // The text is compared and not its numbers: revision 999 comes before 8511.
                matching.reduce(|best, next| if version(next.1) > version(best.1) { next } else { best })
            }
            Engine::ContainerdBefore17 => {
                let revision = |platform: &Platform| platform.version().map(|version| version.revision());
                matching.reduce(|best, next| if revision(next.1) > revision(best.1) { next } else { best })
            }
            Engine::Docker => {
                let own = format!("{}.", host.version.label());
                let is_own = |platform: &Platform| version(platform).starts_with(&own);
                matching.reduce(|best, next| if is_own(next.1) && !is_own(best.1) { next } else { best })
            }
        };
        chosen.map(|(position, _)| position)
    }
}

/// The rule of containerd/platforms: from Windows Server 2022 on, a host takes images from the last stable release (of those
/// that `counts` lets pass) to its own build; before that, of its own build alone.
fn stable(host: &Host, text: &str, counts: impl Fn(u32, u32) -> bool) -> bool {
    let (release, build) = (host.version.release, host.version.build());
    let Some(image) = first_numbers(text) else { return false };
    if image[..2] != release[..2] {
        return false;
    }
    if build < FIRST_STABLE {
        return image[2] == build;
    }
    let oldest = STABLE.into_iter().rev().find(|&release| counts(release, build)).unwrap_or(FIRST_STABLE);
    (oldest..=build).contains(&image[2])
}

/// Major, minor and build as containerd reads them: in 8, 8 and 16 bits; what follows is not looked at.
fn first_numbers(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.splitn(4, '.');
    let major = parts.next()?.parse::<u8>().ok()?;
    let minor = parts.next()?.parse::<u8>().ok()?;
    let build = parts.next()?.parse::<u16>().ok()?;
    Some([major.into(), minor.into(), build.into()])
}

/// The build as Docker reads it, if there is one.
fn third_number(text: &str) -> Option<i64> {
    text.split('.').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(build: u32) -> Host {
        Host::of(format!("10.0.{build}.1").parse().unwrap())
    }

    fn platforms(versions: &[&str]) -> Vec<Platform> {
        let platform = |version: &&str| Platform {
            os: "windows".to_owned(),
            architecture: "amd64".to_owned(),
            os_version: Some((*version).to_owned()).filter(|version| !version.is_empty()),
            ..Platform::default()
        };
        versions.iter().map(platform).collect()
    }

    fn listed(platforms: &[Platform]) -> Vec<Option<&Platform>> {
        platforms.iter().map(Some).collect()
    }

    const IMAGES: [u32; 5] = [14393, 17763, 20348, 25398, 26100];

    /// For each host, whether each of [`IMAGES`] is taken.
    fn check(engine: Engine, rows: &[(u32, [bool; 5])]) {
        for (build, row) in rows {
            for (image, expected) in IMAGES.into_iter().zip(*row) {
                let text = format!("10.0.{image}.1");
                assert_eq!(engine.accepts(&host(*build), Some(&text)), expected, "{engine:?}: {image} on {build}");
            }
        }
    }

    const Y: bool = true;
    const N: bool = false;

    #[test]
    fn containerd_takes_what_its_matrix_says() {
        check(
            Engine::Containerd,
            &[
                (14393, [Y, N, N, N, N]),
                (17763, [N, Y, N, N, N]),
                (19045, [N, N, N, N, N]),
                (20348, [N, N, Y, N, N]),
                (22621, [N, N, Y, N, N]),
                (22631, [N, N, Y, N, N]),
                (25398, [N, N, Y, Y, N]),
                (26100, [N, N, Y, Y, Y]),
                (26200, [N, N, N, N, Y]),
            ],
        );
    }

    #[test]
    fn older_containerd_knew_one_stable_release() {
        check(
            Engine::ContainerdBefore22,
            &[
                (14393, [Y, N, N, N, N]),
                (17763, [N, Y, N, N, N]),
                (19045, [N, N, N, N, N]),
                (20348, [N, N, Y, N, N]),
                (22621, [N, N, Y, N, N]),
                (25398, [N, N, Y, Y, N]),
                (26100, [N, N, Y, Y, Y]),
                (26200, [N, N, Y, Y, Y]),
            ],
        );
    }

    #[test]
    fn the_oldest_containerd_wanted_the_same_build() {
        let rows = IMAGES.map(|build| (build, IMAGES.map(|image| image == build)));
        check(Engine::ContainerdBefore17, &rows);
        check(Engine::ContainerdBefore17, &[(26200, [N; 5])]);
    }

    #[test]
    fn docker_refuses_only_what_is_newer() {
        let rows = [14393, 17763, 19045, 20348, 22621, 25398, 26100, 26200];
        check(Engine::Docker, &rows.map(|build| (build, IMAGES.map(|image| image <= build))));
    }

    #[test]
    fn strange_versions_are_taken_as_the_engines_take_them() {
        for (text, containerd, docker) in [
            ("", Y, Y),
            ("10.0", N, Y),
            ("10.0.x", N, Y),
            ("10.0.17763", Y, Y),
            ("10.0.17763.x.y", Y, Y),
            ("6.3.17763.1", N, Y),
            ("10.0.83299.1", N, N), // 17763 in 16 bits
            ("300.0.17763.1", N, Y),
        ] {
            assert_eq!(Engine::Containerd.accepts(&host(17763), Some(text)), containerd, "{text}");
            assert_eq!(Engine::Docker.accepts(&host(17763), Some(text)), docker, "{text}");
        }
        assert!(Engine::Containerd.accepts(&host(17763), None));
    }

    #[test]
    fn one_image_of_an_index_is_taken() {
        let three = ["10.0.20348.4529", "10.0.17763.7919", "10.0.17763.8511"];
        let revisions = ["10.0.17763.8511", "10.0.17763.999"];
        for (engine, versions, build, chosen) in [
            (Engine::Containerd, &three[..], 17763, Some(2)),
            (Engine::Containerd, &three, 20348, Some(0)),
            (Engine::Containerd, &three, 26100, Some(0)),
            (Engine::Containerd, &three, 19045, None),
            (Engine::Docker, &three, 17763, Some(1)),
            (Engine::Docker, &three, 26100, Some(0)),
            (Engine::Docker, &three, 19045, Some(1)),
            (Engine::Docker, &three, 14393, None),
            (Engine::Containerd, &revisions, 17763, Some(1)),
            (Engine::ContainerdBefore22, &revisions, 17763, Some(1)),
            (Engine::ContainerdBefore17, &revisions, 17763, Some(0)),
            (Engine::Docker, &revisions, 17763, Some(0)),
            (Engine::Containerd, &["10.0.20348.1", "10.0.26100.1"], 26100, Some(1)),
            (Engine::Docker, &["10.0.20348.1", "10.0.26100.1"], 26100, Some(1)),
            (Engine::Docker, &["", "10.0.17763.1"], 17763, Some(1)),
        ] {
            let taken = engine.choose(&host(build), "amd64", &listed(&platforms(versions)));
            assert_eq!(taken, chosen, "{engine:?}: {versions:?} on {build}");
        }
    }

    #[test]
    fn system_architecture_and_features_must_fit() {
        let mut others = platforms(&["10.0.17763.1", "10.0.17763.2", "10.0.17763.3", "10.0.17763.4"]);
        others[3].os = "linux".to_owned();
        others[2].architecture = "arm64".to_owned();
        others[1].os_features = vec!["win32k".to_owned(), "other".to_owned()];
        others[0].os_features = vec!["win32k".to_owned()];
        assert_eq!(Engine::Containerd.choose(&host(17763), "amd64", &listed(&others)), Some(0));
        assert_eq!(Engine::ContainerdBefore22.choose(&host(17763), "amd64", &listed(&others)), Some(1));
        assert_eq!(Engine::Containerd.choose(&host(17763), "arm64", &listed(&others)), Some(2));
    }

    #[test]
    fn entries_without_a_platform_and_nested_indexes_are_taken_as_containerd_does() {
        let images = platforms(&["10.0.17763.1", "10.0.20348.1"]);
        let nameless = |kind: Kind| Listed { platform: None, kind };
        let named = |image: usize, kind: Kind| Listed { platform: Some(images[image].clone()), kind };
        let image = |number: usize| nameless(Kind::Image(number));
        let of_17763 = |entries: &[Listed], engine: Engine| engine.take(&host(17763), "amd64", entries, &images);
        for (entries, containerd, docker) in [
            (vec![image(0), image(1)], Some(0), None),
            // The first entry without a platform is looked at, and no other.
            (vec![image(1), image(0)], None, None),
            (vec![nameless(Kind::Other), image(0)], None, None),
            (vec![image(1), named(0, Kind::Image(0))], Some(0), Some(0)),
            (vec![nameless(Kind::Index(vec![named(1, Kind::Image(1)), named(0, Kind::Image(0))]))], Some(0), None),
            (vec![named(0, Kind::Index(vec![image(0)]))], Some(0), None),
            (vec![named(0, Kind::Index(vec![image(1)]))], None, None),
            // What fits comes before what may fit.
            (vec![nameless(Kind::Index(vec![image(0)])), named(0, Kind::Other)], None, None),
        ] {
            for engine in [Engine::Containerd, Engine::ContainerdBefore22, Engine::ContainerdBefore17] {
                assert_eq!(of_17763(&entries, engine), containerd, "{engine:?} {entries:?}");
            }
            assert_eq!(of_17763(&entries, Engine::Docker), docker, "{entries:?}");
        }
    }

    #[test]
    fn engines_are_known_by_what_nodes_report() {
        for (text, engine) in [
            ("docker://19.3.5", Some(Engine::Docker)),
            ("containerd://1.6.21+azure", Some(Engine::ContainerdBefore17)),
            ("containerd://1.7.0", Some(Engine::ContainerdBefore17)),
            ("containerd://1.7.20", Some(Engine::ContainerdBefore22)),
            ("containerd://v2.1.4-k3s1", Some(Engine::ContainerdBefore22)),
            ("containerd://2.2.0", Some(Engine::Containerd)),
            ("containerd://3.0.0", Some(Engine::Containerd)),
            ("cri-o://1.30.0", None),
            ("", None),
        ] {
            assert_eq!(Engine::of_runtime(text), engine, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_version_makes_an_engine_panic(text in "[0-9.x+ ]{0,30}", build in any::<u32>()) {
            let engines = [Engine::Containerd, Engine::ContainerdBefore22, Engine::ContainerdBefore17, Engine::Docker];
            for engine in engines {
                let chosen = engine.choose(&host(build), "amd64", &listed(&platforms(&[&text])));
                prop_assert_eq!(chosen.is_some(), engine.accepts(&host(build), Some(&text)));
            }
        }
    }
}
