//! Whether a host would choose an image at all from the index that its tag leads to.

use super::Finding;
use crate::image::Platform;
use crate::image::listing::{Kind, Listed};
use crate::windows::compatibility::Engine;
use crate::windows::host::{Host, Version};

/// The name of the rule.
const RULE: &str = "index-choice";

/// Finds out whether containerd takes an image on hosts of its own build, where the index leaves that to the order of its
/// entries: without a platform only the first entry is looked at (containerd `core/images/image.go`, `Manifest`), and without
/// `os.version` the first fits every host (containerd/platforms `platform_windows_compat.go`).
///
/// `platforms` are those of all images in the index, as their configs say, and `number` is the number of this one.
pub fn is_taken(entries: &[Listed], platforms: &[Platform], number: usize) -> Option<Finding> {
    let platform = platforms.get(number)?;
    let version: Version = platform.os_version.as_deref()?.parse().ok()?;
    let missing = match entry(entries, number)? {
        None => "platform",
        Some(listed) if listed.os_version.is_none() => "version of Windows",
        Some(_) => return None,
    };
    let host = Host::of(Version { revision: None, ..version });
    let taken = Engine::Containerd.take(&host, &platform.architecture, entries, platforms);
    let other = taken.and_then(|taken| platforms.get(taken));
    if other.is_some_and(|other| other.version().map(|other| other.build()) == Some(version.build())) {
        return None;
    }
    let instead = match other {
        Some(other) => format!("takes {other} from the tag"),
        None => "finds no image in the tag".to_owned(),
    };
    let message = format!(
        "the index does not say the {missing} of {platform}, and on hosts of build {} containerd {instead}; push an index that \
         says `platform` with `os.version`",
        version.build()
    );
    Some(Finding { rule: RULE, ..Finding::warning(message) })
}

/// What the index says of the image with a number: the platform of its entry.
fn entry(entries: &[Listed], number: usize) -> Option<Option<&Platform>> {
    entries.iter().find_map(|listed| match &listed.kind {
        Kind::Image(other) => (*other == number).then_some(listed.platform.as_ref()),
        Kind::Index(entries) => entry(entries, number),
        Kind::Other => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(version: &str) -> Platform {
        Platform {
            os: "windows".to_owned(),
            architecture: "amd64".to_owned(),
            os_version: Some(version.to_owned()),
            ..Platform::default()
        }
    }

    #[test]
    fn an_image_that_containerd_never_takes_is_found() {
        let platforms = ["10.0.17763.1", "10.0.20348.1"].map(platform);
        let image = |number: usize, listed: Option<Platform>| Listed { platform: listed, kind: Kind::Image(number) };
        let without_version = |number: usize| Platform { os_version: None, ..platforms[number].clone() };
        let known = |number: usize| image(number, Some(platforms[number].clone()));
        for (entries, found) in [
            (vec![known(0), known(1)], [None, None]),
            // Of entries without a platform, containerd looks at the first.
            (vec![image(0, None), image(1, None)], [None, Some("finds no image")]),
            (vec![known(0), image(1, None)], [None, None]),
            (vec![Listed { platform: None, kind: Kind::Other }, image(1, None)], [None, Some("finds no image")]),
            // Without a version the first fits everywhere.
            (
                vec![image(0, Some(without_version(0))), image(1, Some(without_version(1)))],
                [None, Some("takes windows/amd64:10.0.17763.1")],
            ),
            (vec![Listed { platform: None, kind: Kind::Index(vec![image(0, None)]) }], [None, None]),
        ] {
            for (number, expected) in found.into_iter().enumerate() {
                let finding = is_taken(&entries, &platforms, number);
                assert_eq!(finding.is_some(), expected.is_some(), "{number} {entries:?} {finding:?}");
                if let (Some(finding), Some(words)) = (finding, expected) {
                    assert!(finding.message.contains(words), "{finding:?}");
                }
            }
        }
    }
}
