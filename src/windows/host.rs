//! Windows machines that run containers, as far as what they run depends on it.

use std::fmt;
use std::str::FromStr;

use super::builds;

/// A version of Windows whose revision may be unknown: `10.0.17763` or `10.0.17763.737`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major, minor and build.
    pub release: [u32; 3],
    /// Which update of the build it is, where that is known.
    pub revision: Option<u32>,
}

/// Text that is not a version of Windows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version of Windows: write `10.0.BUILD` or `10.0.BUILD.REVISION`, as in `10.0.17763.737`")]
pub struct VersionError(String);

impl Version {
    /// The build: which release of Windows it is.
    pub fn build(&self) -> u32 {
        self.release[2]
    }

    /// The value of the node label `node.kubernetes.io/windows-build`: the version without its revision.
    pub fn label(&self) -> String {
        Version { revision: None, ..*self }.to_string()
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Version, VersionError> {
        let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse::<u32>().ok(),
            false => None,
        };
        let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
        match numbers.as_deref() {
            Some(&[major, minor, build]) => Ok(Version { release: [major, minor, build], revision: None }),
            Some(&[major, minor, build, revision]) => {
                Ok(Version { release: [major, minor, build], revision: Some(revision) })
            }
            _ => Err(VersionError(text.to_owned())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build] = self.release;
        write!(f, "{major}.{minor}.{build}")?;
        match self.revision {
            Some(revision) => write!(f, ".{revision}"),
            None => Ok(()),
        }
    }
}

/// What kind of Windows a host has. A server isolates containers by process unless told otherwise, a client by Hyper-V
/// (Microsoft, "Isolation modes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edition {
    /// Windows Server.
    Server,
    /// Windows 10.
    Windows10,
    /// Windows 11.
    Windows11,
}

/// A Windows machine that runs containers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    /// The version of Windows on it.
    pub version: Version,
    /// What kind of Windows it has.
    pub edition: Edition,
    /// What its Windows is called.
    pub product: String,
}

impl Host {
    /// The host of a version: where a server and a client share the build, the server.
    pub fn of(version: Version) -> Host {
        let product = match builds::find(version.build()) {
            Some(build) => build.product.to_owned(),
            None => "Windows".to_owned(),
        };
        Host { version, edition: edition(&product), product }
    }

    /// The host of a version whose Windows calls itself `product`, such as `Windows Server 2019 Datacenter`.
    pub fn named(version: Version, product: &str) -> Host {
        Host { version, edition: edition(product), product: product.to_owned() }
    }
}

fn edition(product: &str) -> Edition {
    let is = |name: &str| product.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    match (is("Windows 10"), is("Windows 11")) {
        (true, _) => Edition::Windows10,
        (_, true) => Edition::Windows11,
        _ => Edition::Server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for text in ["10.0.17763", "10.0.17763.737"] {
            let version: Version = text.parse().unwrap();
            assert_eq!((version.to_string().as_str(), version.label().as_str()), (text, "10.0.17763"));
        }
        for text in ["", "10.0", "10.0.17763.1.2", "10.0.x", "10..1", "+10.0.1", "10.0.4294967296", "4.15.0-1063-azure"]
        {
            let error = text.parse::<Version>().unwrap_err().to_string();
            assert!(error.contains("write `10.0.BUILD`"), "{error}");
        }
    }

    #[test]
    fn servers_and_clients_are_told_apart() {
        let host = |text: &str| Host::of(text.parse().unwrap());
        for (version, edition, product) in [
            ("10.0.17763.737", Edition::Server, "Windows Server 2019"),
            ("10.0.19045", Edition::Windows10, "Windows 10, version 22H2"),
            ("10.0.26200", Edition::Windows11, "Windows 11, version 25H2"),
            ("10.0.27000", Edition::Server, "Windows"),
        ] {
            assert_eq!((host(version).edition, host(version).product.as_str()), (edition, product));
        }
        let version = "10.0.17763.1".parse().unwrap();
        assert_eq!(Host::named(version, "Windows 10 Enterprise LTSC").edition, Edition::Windows10);
        assert_eq!(Host::named(version, "Windows Server 2019 Datacenter").edition, Edition::Server);
        assert_eq!(Host::named(version, "Wïndows").edition, Edition::Server);
    }
}
