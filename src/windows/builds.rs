//! The builds of Windows that container images are made of or run on.

use jiff::civil::{Date, date};

/// One build of Windows: the third number of its version, `10.0.BUILD.REVISION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// The build number.
    pub number: u32,
    /// What people call it: tags of Microsoft's images, and release names.
    pub names: &'static [&'static str],
    /// The product that has this build.
    pub product: &'static str,
    /// The last day of support for base images of this build; nothing if Microsoft never published any.
    pub end_of_support: Option<Date>,
}

/// The first build on which a base image needs real registry hives; builds before it take empty files
/// (`New-HostProcessBaseImage.ps1` of microsoft/windows-host-process-containers-base-image).
pub const FIRST_WITH_CHECKED_HIVES: u32 = 26100;

/// All builds known to winslim, oldest first.
///
/// Numbers: hcsshim `osversion/windowsbuilds.go`. Dates: Microsoft, "Base image servicing lifecycles"
/// (MicrosoftDocs/Virtualization-Documentation, `deploy-containers/base-image-lifecycle.md`); the extended date where
/// there is one.
pub static BUILDS: &[Build] = &[
    build(14393, &["ltsc2016", "1607"], "Windows Server 2016", Some(date(2027, 1, 11))),
    build(16299, &["1709"], "Windows Server, version 1709", Some(date(2019, 4, 9))),
    build(17134, &["1803"], "Windows Server, version 1803", Some(date(2019, 11, 12))),
    build(17763, &["ltsc2019", "1809"], "Windows Server 2019", Some(date(2029, 1, 9))),
    build(18362, &["1903"], "Windows Server, version 1903", Some(date(2020, 12, 8))),
    build(18363, &["1909"], "Windows Server, version 1909", Some(date(2021, 5, 11))),
    build(19041, &["2004"], "Windows Server, version 2004", Some(date(2021, 12, 14))),
    build(19042, &["20H2"], "Windows Server, version 20H2", Some(date(2022, 8, 9))),
    build(19044, &["21H2"], "Windows 10, version 21H2", None),
    build(19045, &["22H2"], "Windows 10, version 22H2", None),
    build(20348, &["ltsc2022"], "Windows Server 2022", Some(date(2031, 10, 14))),
    build(22000, &["21H2"], "Windows 11, version 21H2", None),
    build(22621, &["22H2"], "Windows 11, version 22H2", None),
    build(22631, &["23H2"], "Windows 11, version 23H2", None),
    build(25398, &["23H2"], "Windows Server, version 23H2", Some(date(2025, 10, 24))),
    build(26100, &["ltsc2025", "24H2"], "Windows Server 2025", Some(date(2034, 10, 10))),
    build(26200, &["25H2"], "Windows 11, version 25H2", None),
];

const fn build(
    number: u32,
    names: &'static [&'static str],
    product: &'static str,
    end_of_support: Option<Date>,
) -> Build {
    Build { number, names, product, end_of_support }
}

/// What is known of a build, by its number.
pub fn find(number: u32) -> Option<&'static Build> {
    BUILDS.iter().find(|build| build.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_listed_once_and_in_order() {
        assert!(BUILDS.windows(2).all(|pair| pair[0].number < pair[1].number));
    }

    #[test]
    fn the_names_of_releases_with_base_images_are_understood_as_platforms() {
        use crate::image::os_version::release_names;

        let expected = BUILDS.iter().filter(|build| build.end_of_support.is_some()).flat_map(|build| {
            let is_shared =
                |name: &str| BUILDS.iter().any(|other| other.number != build.number && other.names.contains(&name));
            build.names.iter().filter(move |name| !is_shared(name)).map(|name| (*name, build.number))
        });
        assert_eq!(release_names().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_build_is_found_by_its_number() {
        let build = find(17763).unwrap();
        assert_eq!((build.names[0], build.product), ("ltsc2019", "Windows Server 2019"));
        assert_eq!(build.end_of_support, Some(date(2029, 1, 9)));
        assert_eq!(find(17764), None);
    }
}
