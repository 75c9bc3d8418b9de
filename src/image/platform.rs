//! Which machines an image is for, and the choice of one image from an index.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::document::field;
use super::index::IndexEntry;
use super::os_version::{OsVersion, numbers};

/// What an index entry or a config says about the machines that an image is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Platform {
    /// The operating system: `windows`.
    pub os: String,
    /// The processor architecture in Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// The version of Windows in the image, as it is written there.
    pub os_version: Option<String>,
    /// What the image needs of the host; only `win32k` is defined.
    pub os_features: Vec<String>,
    /// The variant of the processor architecture; Windows images have none.
    pub variant: Option<String>,
}

impl Platform {
    /// Reads the platform fields of an index entry's `platform` or of a config; what is missing is empty.
    pub fn parse(value: &Value) -> Platform {
        let text = |name: &str| field(value, name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let features = field(value, "os.features").and_then(Value::as_array).into_iter().flatten();
        Platform {
            os: text("os").unwrap_or_default().to_owned(),
            architecture: text("architecture").unwrap_or_default().to_owned(),
            os_version: text("os.version").map(str::to_owned),
            os_features: features.filter_map(Value::as_str).map(str::to_owned).collect(),
            variant: text("variant").map(str::to_owned),
        }
    }

    /// The version of Windows, if there is one and it has four numbers.
    pub fn version(&self) -> Option<OsVersion> {
        self.os_version.as_deref()?.parse().ok()
    }
}

/// Written as `--platform` takes it: `windows/amd64:10.0.17763.8511`.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if let Some(variant) = &self.variant {
            write!(f, "/{variant}")?;
        }
        if let Some(version) = &self.os_version {
            write!(f, ":{version}")?;
        }
        Ok(())
    }
}

/// What a user asks for: `windows/amd64`, `windows/amd64:10.0.17763` or `windows/amd64:10.0.17763.8511`.
///
/// The default is any Windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformRequest {
    os: String,
    architecture: Option<String>,
    /// Three or four numbers, or none.
    version: Vec<u32>,
}

/// A `--platform` that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a platform: {problem}; write it like `windows/amd64` or `windows/amd64:10.0.17763`")]
pub struct PlatformError {
    text: String,
    problem: &'static str,
}

impl PlatformRequest {
    /// Whether an image for this platform is what was asked for. Versions are compared by whole numbers.
    pub fn matches(&self, platform: &Platform) -> bool {
        let version = platform.os_version.as_deref().and_then(numbers).unwrap_or_default();
        self.os == platform.os
            && self.architecture.as_ref().is_none_or(|architecture| *architecture == platform.architecture)
            && version.starts_with(&self.version)
    }
}

impl Default for PlatformRequest {
    fn default() -> PlatformRequest {
        PlatformRequest { os: "windows".to_owned(), architecture: None, version: Vec::new() }
    }
}

impl FromStr for PlatformRequest {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<PlatformRequest, PlatformError> {
        let error = |problem| PlatformError { text: text.to_owned(), problem };
        let (platform, version) = match text.split_once([':', ',']) {
            None => (text, None),
            Some((platform, version)) if text[platform.len()..].starts_with(',') => {
                let version =
                    version.strip_prefix("osver=").ok_or_else(|| error("only `osver=` may follow a comma"))?;
                (platform, Some(version))
            }
            Some((platform, version)) => (platform, Some(version)),
        };
        let (os, architecture) = platform.split_once('/').ok_or_else(|| error("the architecture is missing"))?;
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_word(os) || !is_word(architecture) {
            return Err(error("system and architecture are one word each"));
        }
        let version = match version {
            None => Vec::new(),
            Some(version) => numbers(version)
                .filter(|numbers| [3, 4].contains(&numbers.len()))
                .ok_or_else(|| error("a version has three or four numbers"))?,
        };
        Ok(PlatformRequest { os: os.to_owned(), architecture: Some(architecture.to_owned()), version })
    }
}

impl fmt::Display for PlatformRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if let Some(architecture) = &self.architecture {
            write!(f, "/{architecture}")?;
        }
        for (position, number) in self.version.iter().enumerate() {
            write!(f, "{}{number}", if position == 0 { ':' } else { '.' })?;
        }
        Ok(())
    }
}

/// Why no image could be chosen from an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Nothing is for the platform that was asked for.
    #[error("there is no image for {wanted}; there is: {}", list(.available))]
    NoMatch {
        /// What was asked for.
        wanted: PlatformRequest,
        /// The platforms that there are.
        available: Vec<String>,
    },
    /// Several images are for the platform that was asked for.
    #[error("there are images for several platforms: {}; choose one with --platform", list(.available))]
    Ambiguous {
        /// The platforms that match.
        available: Vec<String>,
    },
}

fn list(platforms: &[String]) -> String {
    if platforms.is_empty() { "nothing".to_owned() } else { platforms.join(", ") }
}

/// Chooses the entry of an index for a platform, by its position; without a request, the one for Windows.
///
/// Of several revisions of one build the highest is taken, of several architectures `amd64` unless one is asked for.
/// Several builds are an error: which one is meant is not winslim's to guess.
/// A single entry without a platform is taken as it is; the caller holds its config against the request.
pub fn select(entries: &[IndexEntry], request: Option<&PlatformRequest>) -> Result<usize, SelectError> {
    let images: Vec<usize> = (0..entries.len()).filter(|&position| is_image(&entries[position])).collect();
    if let [only] = images[..]
        && entries[only].platform.is_none()
    {
        return Ok(only);
    }
    let wanted = request.cloned().unwrap_or_default();
    let images: Vec<(usize, &Platform)> =
        images.into_iter().filter_map(|position| Some((position, entries[position].platform.as_ref()?))).collect();
    let mut matching: Vec<_> = images.iter().copied().filter(|(_, platform)| wanted.matches(platform)).collect();
    if matching.iter().any(|(_, platform)| platform.architecture == "amd64") && wanted.architecture.is_none() {
        matching.retain(|(_, platform)| platform.architecture == "amd64");
    }
    let releases: BTreeSet<_> = matching.iter().map(|(_, platform)| release(platform)).collect();
    if releases.len() > 1 {
        return Err(SelectError::Ambiguous { available: names(&matching) });
    }
    // `rev`, because of equal versions `max_by_key` takes the last, and the first is what other tools take.
    match matching.iter().rev().max_by_key(|(_, platform)| platform.version()) {
        Some(&(position, _)) => Ok(position),
        None => Err(SelectError::NoMatch { wanted, available: names(&images) }),
    }
}

/// Whether an entry can be an image: not a build attestation, not an artifact.
pub fn is_image(entry: &IndexEntry) -> bool {
    let attestation =
        entry.annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest");
    let unknown = entry.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
    !attestation && !unknown && entry.artifact_type.is_none()
}

/// What must be equal for two entries to be revisions of the same image.
fn release(platform: &Platform) -> (&str, Option<&str>, Option<[u32; 3]>, Option<&str>) {
    let build = platform.version().map(|OsVersion([major, minor, build, _])| [major, minor, build]);
    let other = if build.is_none() { platform.os_version.as_deref() } else { None };
    (&platform.architecture, platform.variant.as_deref(), build, other)
}

fn names(entries: &[(usize, &Platform)]) -> Vec<String> {
    entries.iter().map(|(_, platform)| platform.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::image::Digest;

    /// Entries for platforms as `--platform` takes them; `-` is an entry without a platform.
    fn entries(platforms: &[&str]) -> Vec<IndexEntry> {
        let entry = |text: &&str| {
            let (pair, version) = text.split_once(':').unwrap_or((text, ""));
            let platform = pair
                .split_once('/')
                .map(|(os, architecture)| json!({"os": os, "architecture": architecture, "os.version": version}));
            let mut value = json!({"digest": Digest::of(text.as_bytes()), "size": 1});
            if let Some(platform) = platform {
                value["platform"] = platform;
            }
            IndexEntry::parse(&value).unwrap()
        };
        platforms.iter().map(entry).collect()
    }

    #[test]
    fn entries_are_chosen() {
        let three = ["linux/amd64", "windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1"];
        let revisions =
            ["windows/amd64:10.0.17763.999", "windows/amd64:10.0.17763.8511", "windows/amd64:10.0.17763.8511"];
        let architectures = ["windows/arm64:10.0.26100.1", "windows/amd64:10.0.26100.1"];
        for (platforms, request, chosen) in [
            (&["linux/amd64", "windows/amd64:10.0.17763.1"][..], None, 1),
            (&three, Some("windows/amd64:10.0.17763"), 1),
            (&three, Some("windows/amd64,osver=10.0.20348.1"), 2),
            (&three, Some("linux/amd64"), 0),
            (&revisions, None, 1),
            (&revisions, Some("windows/amd64:10.0.17763.999"), 0),
            (&architectures, None, 1),
            (&architectures, Some("windows/arm64"), 0),
            (&["-"], None, 0),
            (&["unknown/unknown", "-"], Some("windows/amd64:10.0.17763"), 1),
            (&["windows/amd64"], None, 0),
        ] {
            let request: Option<PlatformRequest> = request.map(|request| request.parse().unwrap());
            assert_eq!(select(&entries(platforms), request.as_ref()), Ok(chosen), "{platforms:?} {request:?}");
        }
    }

    #[test]
    fn a_choice_that_is_not_clear_is_refused_with_what_there_is() {
        let two = entries(&["windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1", "linux/amd64"]);
        let error = select(&two, None).unwrap_err().to_string();
        assert_eq!(
            error,
            "there are images for several platforms: windows/amd64:10.0.17763.1, windows/amd64:10.0.20348.1; \
             choose one with --platform"
        );
        // Whole numbers are compared: 1776 is not the beginning of 17763.
        for request in ["windows/amd64:10.0.1776", "windows/amd64:10.0.17763.11", "windows/arm64"] {
            let error = select(&two, Some(&request.parse().unwrap())).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("there is no image for {request}; there is: windows/amd64:10.0.17763.1"))
            );
            assert!(error.ends_with("linux/amd64"), "{error}");
        }
        assert!(select(&[], None).unwrap_err().to_string().ends_with("there is: nothing"));
        assert!(select(&entries(&["windows/amd64:10.0.17763.1", "windows/amd64"]), None).is_err());
    }

    #[test]
    fn attestations_are_no_images() {
        let mut two = entries(&["windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1"]);
        two[0].annotations.insert("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned());
        assert_eq!(select(&two, None), Ok(1));
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for text in [
            "",
            "windows",
            "windows/",
            "/amd64",
            "windows/amd64:",
            "windows/amd64:10",
            "windows/amd64:10.0.x",
            "windows/amd64:1.2.3.4.5",
            "windows/amd64,10.0.17763",
            "windows/arm/v7",
        ] {
            let error = text.parse::<PlatformRequest>().unwrap_err().to_string();
            assert!(error.contains("write it like `windows/amd64`"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn requests_read_back(text in "[a-z]{1,8}/[a-z0-9]{1,6}(:[1-9][0-9]?\\.0\\.[1-9][0-9]{0,4}(\\.[1-9][0-9]{0,4})?)?") {
            prop_assert_eq!(text.parse::<PlatformRequest>().unwrap().to_string(), text);
        }
    }
}
