//! The choice of one image from those that a tag leads to.

use std::collections::BTreeSet;

use super::os_version::OsVersion;
use super::{Digest, Platform, PlatformRequest};

/// An image that may be chosen.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The digest of its manifest.
    pub digest: Digest,
    /// What machines it is for, as far as that is known.
    pub platform: Option<Platform>,
    /// Whether its config has been asked, so that more will not be known.
    pub asked: bool,
}

/// What the choice comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The image at this position.
    Chosen(usize),
    /// The configs of these images decide, and have to be read first.
    Ask(Vec<usize>),
}

/// An image that a user can choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The digest of its manifest.
    pub digest: Digest,
    /// What machines it is for, as `--platform` takes it.
    pub platform: String,
    /// The request that takes this image and none of the others; `None` if only its digest does.
    pub request: Option<PlatformRequest>,
}

/// Why no image could be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Nothing is for the platform that was asked for.
    #[error("there is no image for {wanted}; there is: {}", list(.available))]
    NoMatch {
        /// What was asked for.
        wanted: Box<PlatformRequest>,
        /// The platforms that there are.
        available: Vec<String>,
    },
    /// Several images are for the platform that was asked for.
    #[error("there are images for several platforms: {}; choose one with --platform", platforms(.offered))]
    Ambiguous {
        /// The images that match.
        offered: Vec<Offered>,
    },
}

fn list(platforms: &[String]) -> String {
    if platforms.is_empty() { "nothing".to_owned() } else { platforms.join(", ") }
}

fn platforms(offered: &[Offered]) -> String {
    let name = |offered: &Offered| match &offered.request {
        Some(_) => offered.platform.clone(),
        None => format!("{} ({})", offered.platform, offered.digest),
    };
    list(&offered.iter().map(name).collect::<Vec<_>>())
}

/// Chooses an image for a platform, by its position; without a request, the one for Windows.
///
/// Of several revisions of one build the highest is taken, of several architectures `amd64` unless one is asked for.
/// Several builds are an error: which one is meant is not winslim's to guess. Where an index does not say the version, the
/// configs decide. A single image that may fit is taken as it is; the caller holds its config against the request.
pub fn select(candidates: &[Candidate], request: Option<&PlatformRequest>) -> Result<Choice, SelectError> {
    let wanted = request.cloned().unwrap_or_default();
    let fits = |candidate: &Candidate| match &candidate.platform {
        Some(platform) if candidate.asked => wanted.matches(platform),
        Some(platform) => wanted.may_match(platform),
        None => !candidate.asked,
    };
    let mut matching: Vec<usize> = (0..candidates.len()).filter(|&position| fits(&candidates[position])).collect();
    if let [only] = matching[..] {
        return Ok(Choice::Chosen(only));
    }
    let undecided = |position: &&usize| {
        let candidate = &candidates[**position];
        !candidate.asked && candidate.platform.as_ref().is_none_or(|platform| platform.os_version.is_none())
    };
    let ask: Vec<usize> = matching.iter().filter(undecided).copied().collect();
    if !ask.is_empty() {
        return Ok(Choice::Ask(ask));
    }
    let known = |position: usize| candidates[position].platform.as_ref();
    let is_amd64 = |&position: &usize| known(position).is_some_and(|platform| platform.architecture == "amd64");
    if !wanted.has_architecture() && matching.iter().any(is_amd64) {
        matching.retain(is_amd64);
    }
    let release = |&position: &usize| release(&candidates[position]);
    if matching.iter().map(release).collect::<BTreeSet<_>>().len() > 1 {
        return Err(SelectError::Ambiguous { offered: offered(candidates, &matching) });
    }
    // `rev`, because of equal versions `max_by_key` takes the last, and the first is what other tools take.
    let best = matching.iter().rev().max_by_key(|&&position| known(position).and_then(Platform::version));
    match best {
        Some(&position) => Ok(Choice::Chosen(position)),
        None => {
            let available = candidates.iter().filter_map(|candidate| candidate.platform.as_ref());
            Err(SelectError::NoMatch {
                wanted: Box::new(wanted),
                available: available.map(Platform::to_string).collect(),
            })
        }
    }
}

/// What must be equal for two images to be revisions of the same one. Without a version only the digest is left.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Release<'a> {
    architecture: Option<&'a str>,
    variant: Option<&'a str>,
    build: Option<[u32; 3]>,
    /// A version without four numbers.
    text: Option<&'a str>,
    digest: Option<Digest>,
}

fn release(candidate: &Candidate) -> Release<'_> {
    let platform = candidate.platform.as_ref();
    let build = platform.and_then(Platform::version).map(|OsVersion([major, minor, build, _])| [major, minor, build]);
    let text = platform.and_then(|platform| platform.os_version.as_deref()).filter(|_| build.is_none());
    Release {
        architecture: platform.map(|platform| platform.architecture.as_str()),
        variant: platform.and_then(|platform| platform.variant.as_deref()),
        build,
        text,
        digest: (build.is_none() && text.is_none()).then_some(candidate.digest),
    }
}

fn offered(candidates: &[Candidate], matching: &[usize]) -> Vec<Offered> {
    let platforms = || matching.iter().filter_map(|&position| candidates[position].platform.as_ref());
    let offer = |&position: &usize| {
        let Candidate { digest, platform, .. } = &candidates[position];
        let request = platform.as_ref().and_then(|platform| {
            let request = platform.request()?;
            // Revisions of one build are one choice, of which the highest is taken.
            let others = platforms().filter(|other| request.matches(other));
            let version = platform.version().map(|version| version.build());
            let unique = others.into_iter().all(|other| {
                other.version().map(|version| version.build()) == version && other.variant == platform.variant
            });
            (unique && version.is_some()).then_some(request)
        });
        Offered { digest: *digest, platform: platform.as_ref().map(Platform::to_string).unwrap_or_default(), request }
    };
    matching.iter().map(offer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images for platforms as `--platform` takes them; `-` is one without a platform.
    fn candidates(platforms: &[&str]) -> Vec<Candidate> {
        let candidate = |(number, text): (usize, &&str)| {
            let (pair, version) = text.split_once(':').unwrap_or((text, ""));
            let platform = pair.split_once('/').map(|(os, architecture)| Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                os_version: Some(version.to_owned()).filter(|version| !version.is_empty()),
                ..Platform::default()
            });
            Candidate { digest: Digest::of(format!("{number}{text}").as_bytes()), platform, asked: false }
        };
        platforms.iter().enumerate().map(candidate).collect()
    }

    fn asked(platforms: &[&str]) -> Vec<Candidate> {
        candidates(platforms).into_iter().map(|candidate| Candidate { asked: true, ..candidate }).collect()
    }

    #[test]
    fn images_are_chosen() {
        let three = ["linux/amd64", "windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1"];
        let revisions =
            ["windows/amd64:10.0.17763.999", "windows/amd64:10.0.17763.8511", "windows/amd64:10.0.17763.8511"];
        let architectures = ["windows/arm64:10.0.26100.1", "windows/amd64:10.0.26100.1"];
        for (platforms, request, chosen) in [
            (&["linux/amd64", "windows/amd64:10.0.17763.1"][..], None, 1),
            (&three, Some("windows/amd64:10.0.17763"), 1),
            (&three, Some("17763"), 1),
            (&three, Some("ltsc2022"), 2),
            (&three, Some("windows/amd64,osver=10.0.20348.1"), 2),
            (&three, Some("linux/amd64"), 0),
            (&revisions, None, 1),
            (&revisions, Some("windows/amd64:10.0.17763.999"), 0),
            (&architectures, None, 1),
            (&architectures, Some("windows/arm64"), 0),
            (&["-"], None, 0),
            (&["linux/amd64", "-"], Some("windows/amd64:10.0.17763"), 1),
            (&["windows/amd64"], None, 0),
            (&["windows/amd64"], Some("windows/amd64:10.0.17763"), 0),
        ] {
            let request: Option<PlatformRequest> = request.map(|request| request.parse().unwrap());
            let chosen = Ok(Choice::Chosen(chosen));
            assert_eq!(select(&candidates(platforms), request.as_ref()), chosen, "{platforms:?} {request:?}");
        }
    }

    #[test]
    fn configs_decide_where_an_index_does_not_say_the_version() {
        let request: PlatformRequest = "windows/amd64:10.0.20348".parse().unwrap();
        for (platforms, ask) in [
            (&["windows/amd64", "windows/amd64"][..], &[0, 1][..]),
            (&["windows/amd64", "linux/amd64", "-"], &[0, 2]),
            (&["windows/amd64:10.0.20348.1", "windows/amd64"], &[1]),
        ] {
            assert_eq!(select(&candidates(platforms), Some(&request)), Ok(Choice::Ask(ask.to_vec())), "{platforms:?}");
        }
        let two = asked(&["windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1"]);
        assert_eq!(select(&two, Some(&request)), Ok(Choice::Chosen(1)));
        assert!(matches!(select(&two, None), Err(SelectError::Ambiguous { .. })));
        // What is no image after all cannot be chosen.
        assert_eq!(select(&asked(&["-", "windows/amd64:10.0.20348.1", "-"]), None), Ok(Choice::Chosen(1)));
        // Where not even the configs tell two images apart, only a digest does.
        let error = select(&asked(&["windows/amd64", "windows/amd64"]), None).unwrap_err();
        assert!(error.to_string().contains("windows/amd64 (sha256:"), "{error}");
    }

    #[test]
    fn a_choice_that_is_not_clear_is_refused_with_what_there_is() {
        let two = candidates(&["windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1", "linux/amd64"]);
        let error = select(&two, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there are images for several platforms: windows/amd64:10.0.17763.1, windows/amd64:10.0.20348.1; \
             choose one with --platform"
        );
        let SelectError::Ambiguous { offered } = error else { panic!() };
        for (position, offered) in offered.iter().enumerate() {
            assert_eq!(select(&two, offered.request.as_ref()), Ok(Choice::Chosen(position)));
        }
        // Whole numbers are compared: 1776 is not the beginning of 17763.
        for request in ["windows/amd64:10.0.1776", "windows/amd64:10.0.17763.11", "windows/arm64"] {
            let error = select(&two, Some(&request.parse().unwrap())).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("there is no image for {request}; there is: windows/amd64:10.0.17763.1"))
            );
            assert!(error.ends_with("linux/amd64"), "{error}");
        }
        assert!(select(&[], None).unwrap_err().to_string().ends_with("there is: nothing"));
        assert!(select(&asked(&["windows/amd64:10.0.17763.1", "windows/amd64"]), None).is_err());
    }
}
