//! Versions of Windows, as `os.version` of configs and index entries tells them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A version of Windows: major, minor, build and revision, such as `10.0.17763.8511`.
///
/// The build names the release (17763 is Windows Server 2019), the revision the monthly update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OsVersion(pub [u32; 4]);

/// Text that is not a version of Windows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a Windows version: four numbers are expected, as in `10.0.17763.8511`")]
pub struct OsVersionError(String);

impl OsVersion {
    /// The build: which release of Windows it is.
    pub fn build(&self) -> u32 {
        self.0[2]
    }

    /// The revision: which update of the build it is. Also known as UBR.
    pub fn revision(&self) -> u32 {
        self.0[3]
    }
}

impl fmt::Display for OsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build, revision] = self.0;
        write!(f, "{major}.{minor}.{build}.{revision}")
    }
}

impl FromStr for OsVersion {
    type Err = OsVersionError;

    fn from_str(text: &str) -> Result<OsVersion, OsVersionError> {
        numbers(text)
            .and_then(|numbers| numbers.try_into().ok())
            .map(OsVersion)
            .ok_or_else(|| OsVersionError(text.to_owned()))
    }
}

/// The numbers of a dotted version; nothing if a part is not a plain decimal number.
pub(super) fn numbers(text: &str) -> Option<Vec<u32>> {
    let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
        true => part.parse().ok(),
        false => None,
    };
    text.split('.').map(number).collect()
}

/// The names of releases that Microsoft publishes base images of, and their builds: tags of MCR and release names. Names that a
/// client and a server of different builds share, such as `23H2`, are not here.
const RELEASES: [(&str, u32); 13] = [
    ("ltsc2016", 14393),
    ("1607", 14393),
    ("1709", 16299),
    ("1803", 17134),
    ("ltsc2019", 17763),
    ("1809", 17763),
    ("1903", 18362),
    ("1909", 18363),
    ("2004", 19041),
    ("20H2", 19042),
    ("ltsc2022", 20348),
    ("ltsc2025", 26100),
    ("24H2", 26100),
];

/// The build of a release, by a name of it: `ltsc2022` is 20348.
pub(super) fn build_of_name(name: &str) -> Option<u32> {
    RELEASES.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, build)| *build)
}

/// The names of releases that are understood, with their builds, oldest first.
pub fn release_names() -> impl Iterator<Item = (&'static str, u32)> {
    RELEASES.into_iter()
}

impl Serialize for OsVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OsVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OsVersion, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_have_names_and_an_order() {
        let version: OsVersion = "10.0.17763.8511".parse().unwrap();
        assert_eq!((version.build(), version.revision()), (17763, 8511));
        assert!("10.0.17763.999".parse::<OsVersion>().unwrap() < version);
        assert!("10.0.20348.1".parse::<OsVersion>().unwrap() > version);
        assert_eq!(serde_json::to_string(&version).unwrap(), r#""10.0.17763.8511""#);
        assert_eq!(serde_json::from_str::<OsVersion>(r#""10.0.17763.8511""#).unwrap(), version);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in
            ["", "10", "10.0.17763", "10.0.17763.1.2", "10.0..1", "10.0.17763.x", "+10.0.1.2", "10.0.1.4294967296"]
        {
            assert!(text.parse::<OsVersion>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn versions_read_back(parts in any::<[u32; 4]>()) {
            prop_assert_eq!(OsVersion(parts).to_string().parse::<OsVersion>().unwrap(), OsVersion(parts));
        }
    }
}
