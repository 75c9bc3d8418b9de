//! Which machines an image is for, and what `--platform` asks for.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::document::field;
use super::os_version::{OsVersion, build_of_name, numbers};

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

    /// The request that takes this platform and no other build of Windows, such as `windows/amd64:10.0.17763`; `None` if the
    /// platform has names that `--platform` does not take.
    pub fn request(&self) -> Option<PlatformRequest> {
        let version = self.os_version.as_deref().and_then(numbers).unwrap_or_default();
        let platform = Platform { os_version: None, ..self.clone() };
        let request: PlatformRequest = platform.to_string().parse().ok()?;
        Some(PlatformRequest { version: version.into_iter().take(3).collect(), ..request })
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

/// What a user asks for: `windows/amd64`, `windows/amd64:10.0.17763`, `windows/amd64:10.0.17763.8511`, or a version of Windows
/// alone: `10.0.17763`, `17763`, `ltsc2019`.
///
/// The default is any Windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformRequest {
    os: String,
    architecture: Option<String>,
    variant: Option<String>,
    /// Three or four numbers, or none.
    version: Vec<u32>,
}

/// A `--platform` that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a platform: {problem}; write it like `windows/amd64`, `windows/amd64:10.0.17763`, `10.0.17763` or `ltsc2019`"
)]
pub struct PlatformError {
    text: String,
    problem: &'static str,
}

impl PlatformRequest {
    /// Whether an image for this platform is what was asked for. Versions are compared by whole numbers.
    pub fn matches(&self, platform: &Platform) -> bool {
        let version = platform.os_version.as_deref().and_then(numbers).unwrap_or_default();
        self.may_match(platform) && version.starts_with(&self.version)
    }

    /// Whether an image may be what was asked for, as far as the platform says so: one without a version may have any.
    pub fn may_match(&self, platform: &Platform) -> bool {
        let version = platform.os_version.as_deref().map(|text| numbers(text).unwrap_or_default());
        self.os == platform.os
            && self.architecture.as_ref().is_none_or(|wanted| wanted == architecture(&platform.architecture))
            && self.variant.as_deref().is_none_or(|wanted| {
                variant(&platform.architecture, wanted)
                    == variant(&platform.architecture, platform.variant.as_deref().unwrap_or_default())
            })
            && version.is_none_or(|version| version.starts_with(&self.version))
    }

    /// Whether an architecture is asked for.
    pub fn has_architecture(&self) -> bool {
        self.architecture.is_some()
    }

    fn of_version(version: Vec<u32>) -> PlatformRequest {
        PlatformRequest { version, ..PlatformRequest::default() }
    }
}

impl Default for PlatformRequest {
    fn default() -> PlatformRequest {
        PlatformRequest { os: "windows".to_owned(), architecture: None, variant: None, version: Vec::new() }
    }
}

/// The architecture in Go's words; people also write what `uname -m` prints (containerd/platforms `database.go`).
fn architecture(text: &str) -> &str {
    match text {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A variant, without the one that an architecture has anyway: `arm64` means `arm64/v8` (containerd/platforms
/// `database.go`).
fn variant<'a>(of: &str, text: &'a str) -> &'a str {
    match (architecture(of), text) {
        ("arm64", "8" | "v8") | ("amd64", "v1") => "",
        (_, other) => other,
    }
}

impl FromStr for PlatformRequest {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<PlatformRequest, PlatformError> {
        let error = |problem| PlatformError { text: text.to_owned(), problem };
        if let Some(version) = version(text) {
            return Ok(PlatformRequest::of_version(version));
        }
        let (platform, rest) = match text.split_once([':', ',']) {
            None => (text, None),
            Some((platform, version)) if text[platform.len()..].starts_with(',') => {
                let version =
                    version.strip_prefix("osver=").ok_or_else(|| error("only `osver=` may follow a comma"))?;
                (platform, Some(version))
            }
            Some((platform, version)) => (platform, Some(version)),
        };
        let version = match rest {
            None => Vec::new(),
            Some(text) => version(text).ok_or_else(|| error("a version has three or four numbers"))?,
        };
        let mut words = platform.split('/');
        let (os, arch, variant) = (words.next().unwrap_or_default(), words.next(), words.next());
        if arch.is_none() && version.is_empty() {
            return Err(error("the architecture is missing"));
        }
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        if words.next().is_some() || ![Some(os), arch, variant].into_iter().flatten().all(is_word) {
            return Err(error("system, architecture and variant are one word each"));
        }
        Ok(PlatformRequest {
            os: os.to_owned(),
            architecture: arch.map(|arch| architecture(arch).to_owned()),
            variant: variant.map(str::to_owned),
            version,
        })
    }
}

/// A version of Windows as people write it: three or four numbers, a build, or the name of a release.
fn version(text: &str) -> Option<Vec<u32>> {
    let of_build = |build| vec![10, 0, build];
    match numbers(text) {
        Some(numbers) if [3, 4].contains(&numbers.len()) => Some(numbers),
        // Four digits are also the names of releases.
        Some(numbers) if numbers.len() == 1 && text.len() >= 5 => numbers.first().copied().map(of_build),
        _ => build_of_name(text).map(of_build),
    }
}

impl fmt::Display for PlatformRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if let Some(architecture) = &self.architecture {
            write!(f, "/{architecture}")?;
        }
        if let Some(variant) = &self.variant {
            write!(f, "/{variant}")?;
        }
        for (position, number) in self.version.iter().enumerate() {
            write!(f, "{}{number}", if position == 0 { ':' } else { '.' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn platform(os: &str, architecture: &str, variant: &str, version: &str) -> Platform {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            os_version: text(version),
            os_features: Vec::new(),
            variant: text(variant),
        }
    }

    #[test]
    fn a_version_of_windows_alone_is_a_platform() {
        for (text, printed) in [
            ("10.0.20348", "windows:10.0.20348"),
            ("10.0.20348.2402", "windows:10.0.20348.2402"),
            ("20348", "windows:10.0.20348"),
            ("ltsc2022", "windows:10.0.20348"),
            ("LTSC2019", "windows:10.0.17763"),
            ("1809", "windows:10.0.17763"),
            ("2004", "windows:10.0.19041"),
            ("20H2", "windows:10.0.19042"),
            ("windows:ltsc2025", "windows:10.0.26100"),
            ("windows/amd64:17763", "windows/amd64:10.0.17763"),
            ("windows/amd64,osver=ltsc2016", "windows/amd64:10.0.14393"),
        ] {
            let request: PlatformRequest = text.parse().unwrap();
            assert_eq!(request.to_string(), printed, "{text}");
            assert_eq!(printed.parse(), Ok(request), "{text}");
        }
    }

    #[test]
    fn architectures_and_variants_are_compared_as_containerd_does() {
        let arm = |variant: &str| platform("windows", "arm64", variant, "10.0.26100.1");
        for (text, platform, matches) in [
            ("windows/arm64/v8", arm("v8"), true),
            ("windows/arm64/v8:10.0.26100.1", arm("v8"), true),
            ("windows/arm64/v8", arm(""), true),
            ("windows/arm64", arm("v8"), true),
            ("windows/arm64/v9", arm("v8"), false),
            ("windows/arm64/v9", arm(""), false),
            ("windows/aarch64", arm(""), true),
            ("windows/x86_64", platform("windows", "amd64", "", ""), true),
            ("windows/amd64/v1", platform("windows", "amd64", "", ""), true),
            ("windows/amd64/v3", platform("windows", "amd64", "", ""), false),
            ("ltsc2025", arm("v8"), true),
            ("ltsc2022", arm("v8"), false),
        ] {
            let request: PlatformRequest = text.parse().unwrap();
            assert_eq!(request.matches(&platform), matches, "{text} {platform}");
        }
    }

    #[test]
    fn what_is_printed_of_a_platform_asks_for_it() {
        for (platform, printed) in [
            (platform("windows", "arm64", "v8", "10.0.26100.1"), Some("windows/arm64/v8:10.0.26100")),
            (platform("windows", "amd64", "", "10.0.17763.8511"), Some("windows/amd64:10.0.17763")),
            (platform("windows", "amd64", "", ""), Some("windows/amd64")),
            (platform("windows", "amd64", "", "ten"), Some("windows/amd64")),
            (platform("windows", "amd\u{1b}64", "", "10.0.17763.1"), None),
            (platform("windows", "", "", "10.0.17763.1"), None),
        ] {
            let request = platform.request();
            assert_eq!(request.as_ref().map(ToString::to_string).as_deref(), printed);
            // Whatever winslim prints as a platform can be pasted.
            if let Some(request) = request.filter(|_| platform.version().is_some()) {
                assert!(request.matches(&platform));
                assert!(platform.to_string().parse::<PlatformRequest>().unwrap().matches(&platform));
            }
        }
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
            "windows/arm/v7/x",
            "windows/amd64/",
            "ltsc2018",
            "10.0",
            "1234",
        ] {
            let error = text.parse::<PlatformRequest>().unwrap_err().to_string();
            assert!(error.contains("write it like `windows/amd64`"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn requests_read_back(
            text in "[a-z]{1,8}/[a-z0-9]{1,6}(/v[0-9])?(:[1-9][0-9]?\\.0\\.[1-9][0-9]{0,4}(\\.[1-9][0-9]{0,4})?)?"
        ) {
            prop_assert_eq!(text.parse::<PlatformRequest>().unwrap().to_string(), text);
        }
    }
}
