//! What people write to name an image, and where it then comes from or goes to.
//!
//! The grammar is the one of other container tools: `REGISTRY/REPOSITORY[:TAG][@DIGEST]`, with an optional `docker://`
//! in front, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` and `docker-archive:FILE[:NAME]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use super::name::ReferenceError;
use super::name::{Repository, Tag};
use crate::image::Digest;

/// An image as it was named on the command line or in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// An image of a registry.
    Registry(RegistryReference),
    /// An image of an OCI image layout: a directory with `oci-layout`, `index.json` and `blobs`.
    Layout(LocalReference),
    /// An image of an OCI image layout that is packed into a tar.
    OciArchive(LocalReference),
    /// An image of a tar as `docker save` writes it.
    DockerArchive(LocalReference),
}

/// An image of a registry: `REGISTRY/REPOSITORY[:TAG][@DIGEST]`.
///
/// Short names mean Docker Hub as everywhere: `nginx` is `docker.io/library/nginx:latest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistryReference {
    /// Host of the registry, with its port if one was given.
    pub registry: String,
    /// Path of the repository in the registry.
    pub repository: Repository,
    /// The tag; `latest` when neither a tag nor a digest was given.
    pub tag: Option<Tag>,
    /// The digest, which counts more than the tag.
    pub digest: Option<Digest>,
}

/// An image in a local directory or file: `PATH[:TAG][@DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReference {
    /// The directory of a layout, or the file of an archive. Holds no colon but the one of a drive letter.
    pub path: PathBuf,
    /// Which image of it: `org.opencontainers.image.ref.name` in a layout, one of `RepoTags` in a `docker save` archive.
    pub tag: Option<String>,
    /// Which image of it, by the digest of its index or manifest; counts more than the tag.
    pub digest: Option<Digest>,
}

const EXAMPLES: &str = "write it like `mcr.microsoft.com/windows/servercore:ltsc2019`, `oci:DIRECTORY:TAG`, \
                        `oci-archive:FILE` or `docker-archive:FILE`";

/// Transports of other tools that winslim does not have, and what to do instead.
const UNKNOWN_TRANSPORTS: [(&str, &str); 3] = [
    ("docker-daemon:", "save the image with `docker save -o FILE` and use `docker-archive:FILE`"),
    (
        "containers-storage:",
        "save the image with `podman save --format oci-archive -o FILE` and use `oci-archive:FILE`",
    ),
    ("dir:", "use `oci:DIRECTORY`"),
];

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        let parsed = if let Some(rest) = text.strip_prefix("oci:") {
            LocalReference::parse(rest).map(Reference::Layout)
        } else if let Some(rest) = text.strip_prefix("oci-archive:") {
            LocalReference::parse(rest).map(Reference::OciArchive)
        } else if let Some(rest) = text.strip_prefix("docker-archive:") {
            LocalReference::parse(rest).map(Reference::DockerArchive)
        } else {
            let rest = text.strip_prefix("docker://").unwrap_or(text);
            RegistryReference::parse(rest).map(Reference::Registry)
        };
        parsed.map_err(|problem| ReferenceError::new(text, problem))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Registry(reference) => write!(f, "{reference}"),
            Reference::Layout(reference) => write!(f, "oci:{reference}"),
            Reference::OciArchive(reference) => write!(f, "oci-archive:{reference}"),
            Reference::DockerArchive(reference) => write!(f, "docker-archive:{reference}"),
        }
    }
}

impl Reference {
    /// The name that the image has in its registry, such as `servercore`; local places have none.
    pub fn short_name(&self) -> Option<&str> {
        match self {
            Reference::Registry(name) => Some(name.repository.short_name()),
            _ => None,
        }
    }

    /// The tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Reference::Registry(name) => name.tag.as_ref().map(Tag::as_str),
            Reference::Layout(local) | Reference::OciArchive(local) | Reference::DockerArchive(local) => {
                local.tag.as_deref()
            }
        }
    }

    /// The same place at a digest, which counts more than any tag. The images of a `docker save` archive have no digests; there
    /// it stays as it is.
    pub fn at_digest(&self, digest: Digest) -> Reference {
        let local = |local: &LocalReference| LocalReference { digest: Some(digest), ..local.clone() };
        match self {
            Reference::Registry(name) => Reference::Registry(name.at_digest(digest)),
            Reference::Layout(name) => Reference::Layout(local(name)),
            Reference::OciArchive(name) => Reference::OciArchive(local(name)),
            Reference::DockerArchive(_) => self.clone(),
        }
    }

    /// The same with a relative path of a local place taken as one that begins at a directory.
    pub fn in_directory(self, directory: &Path) -> Reference {
        let local = |local: LocalReference| LocalReference { path: directory.join(&local.path), ..local };
        match self {
            Reference::Registry(_) => self,
            Reference::Layout(name) => Reference::Layout(local(name)),
            Reference::OciArchive(name) => Reference::OciArchive(local(name)),
            Reference::DockerArchive(name) => Reference::DockerArchive(local(name)),
        }
    }
}

impl RegistryReference {
    /// `REGISTRY/REPOSITORY`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository at a digest, without a tag.
    pub fn at_digest(&self, digest: Digest) -> RegistryReference {
        RegistryReference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Reads the name of a repository, `REGISTRY/REPOSITORY`, without a tag or a digest.
    pub fn parse_repository(text: &str) -> Result<RegistryReference, ReferenceError> {
        let error = |problem: &str| ReferenceError::new(text, problem);
        let Reference::Registry(parsed) = text.parse()? else {
            return Err(error("a repository of a registry is wanted, such as `registry.example.com/base/cache`"));
        };
        let last = text.rsplit('/').next().unwrap_or(text);
        if last.contains([':', '@']) {
            return Err(error("a repository is wanted as a whole; leave out the tag and the digest"));
        }
        Ok(RegistryReference { tag: None, ..parsed })
    }

    /// Reads what follows `docker://`; the error is the end of a sentence about it.
    fn parse(text: &str) -> Result<RegistryReference, String> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err("leave out the `http://` or `https://`; `--plain-http HOST` chooses plain HTTP".to_owned());
        }
        if let Some((_, advice)) = UNKNOWN_TRANSPORTS.iter().find(|(prefix, _)| text.starts_with(prefix)) {
            return Err(format!("winslim does not read from there; {advice}"));
        }
        if text.starts_with(['/', '.', '\\', '~']) {
            return Err("it looks like a path; put `oci:` before a directory, `oci-archive:` or `docker-archive:` \
                        before a file"
                .to_owned());
        }
        if !text.is_ascii() {
            return Err("names and tags of registries are plain ASCII".to_owned());
        }
        let digest = match text.rsplit_once('@') {
            Some((_, digest)) => Some(digest.parse().map_err(|error| format!("{error}"))?),
            None => None,
        };
        let parsed: oci_distribution::Reference = text.parse().map_err(|_| {
            let name = text.split('@').next().unwrap_or(text);
            let repository = name.split_once('/').map_or(name, |(_, repository)| repository);
            if repository.split(':').next().is_some_and(|name| name.contains(char::is_uppercase)) {
                "the repository must be in lower case".to_owned()
            } else {
                EXAMPLES.to_owned()
            }
        })?;
        if parsed.repository().contains(|character: char| character.is_ascii_uppercase()) {
            // What has no dot and no port is taken for a registry's name, and then for a part of the repository's.
            return Err("the repository must be in lower case".to_owned());
        }
        Ok(RegistryReference {
            registry: parsed.registry().to_owned(),
            repository: parsed.repository().parse().map_err(|_| EXAMPLES.to_owned())?,
            tag: parsed.tag().map(str::parse).transpose().map_err(|_| EXAMPLES.to_owned())?,
            digest,
        })
    }
}

impl fmt::Display for RegistryReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        write_selector(f, self.tag.as_ref().map(Tag::as_str), self.digest.as_ref())
    }
}

impl LocalReference {
    /// Reads what follows `oci:` and the like; the error is the end of a sentence about it.
    ///
    /// As in other tools the path ends at its first colon, so that the tag may be a whole name with colons and slashes.
    fn parse(text: &str) -> Result<LocalReference, String> {
        let (rest, digest) = match text.rsplit_once("@sha256:") {
            Some((rest, digits)) => {
                (rest, Some(format!("sha256:{digits}").parse().map_err(|error| format!("{error}"))?))
            }
            None => (text, None),
        };
        let drive = if has_drive(rest) { 2 } else { 0 };
        let (path, tag) = match rest[drive..].find(':') {
            Some(colon) => (&rest[..drive + colon], Some(&rest[drive + colon + 1..])),
            None => (rest, None),
        };
        if path.is_empty() {
            return Err(format!("the path is missing; {EXAMPLES}"));
        }
        if let Some(tag) = tag.filter(|tag| !is_local_tag(tag)) {
            return Err(format!("`{tag}` cannot be a tag; {EXAMPLES}"));
        }
        Ok(LocalReference { path: PathBuf::from(path), tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for LocalReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        write_selector(f, self.tag.as_deref(), self.digest.as_ref())
    }
}

fn write_selector(f: &mut fmt::Formatter<'_>, tag: Option<&str>, digest: Option<&Digest>) -> fmt::Result {
    if let Some(tag) = tag {
        write!(f, ":{tag}")?;
    }
    if let Some(digest) = digest {
        write!(f, "@{digest}")?;
    }
    Ok(())
}

/// Whether a path begins like `C:\` or `C:/`.
fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic())
}

/// Whether the text can be a reference name of a layout (OCI image specification, `annotations.md`, `ref.name`).
fn is_local_tag(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@+/".contains(&byte);
    text.bytes().all(allowed)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_place_is_named_at_a_digest_and_from_a_directory() {
        let digest = Digest::of(b"x");
        for (text, tag, at_digest, in_directory) in [
            ("r.example/x:y", Some("y"), format!("r.example/x@{digest}"), "r.example/x:y"),
            ("oci:a:y", Some("y"), format!("oci:a:y@{digest}"), "oci:sub/a:y"),
            ("oci:/a", None, format!("oci:/a@{digest}"), "oci:/a"),
            ("oci-archive:a.tar:y", Some("y"), format!("oci-archive:a.tar:y@{digest}"), "oci-archive:sub/a.tar:y"),
            (
                "docker-archive:a.tar:y:z",
                Some("y:z"),
                "docker-archive:a.tar:y:z".to_owned(),
                "docker-archive:sub/a.tar:y:z",
            ),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.tag(), tag);
            assert_eq!(reference.at_digest(digest).to_string(), at_digest);
            assert_eq!(reference.clone().in_directory(Path::new("")), reference);
            assert_eq!(reference.in_directory(Path::new("sub")).to_string(), in_directory);
        }
    }

    #[test]
    fn each_form_is_read_and_printed() {
        for (text, printed) in [
            ("mcr.microsoft.com/windows/servercore:ltsc2019", "mcr.microsoft.com/windows/servercore:ltsc2019"),
            ("docker://localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("example.com/x", "example.com/x:latest"),
            ("nginx", "docker.io/library/nginx:latest"),
            ("oci:dir", "oci:dir"),
            ("oci:/a/b.c:1.0", "oci:/a/b.c:1.0"),
            (r"oci:C:\x y:tag", r"oci:C:\x y:tag"),
            ("oci:D:/x", "oci:D:/x"),
            ("oci-archive:a.tar:example.com/x:1", "oci-archive:a.tar:example.com/x:1"),
            (
                "docker-archive:saved.tar:windows/servercore:ltsc2019",
                "docker-archive:saved.tar:windows/servercore:ltsc2019",
            ),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn a_repository_has_neither_tag_nor_digest() {
        let parsed = RegistryReference::parse_repository("localhost:5000/a/b").unwrap();
        assert_eq!((parsed.to_string().as_str(), parsed.tag), ("localhost:5000/a/b", None));
        let pinned = format!("example.com/x@{DIGEST}");
        for text in ["example.com/x:latest", &pinned, "oci:dir", "oci-archive:x", "example.com/X", ""] {
            assert!(RegistryReference::parse_repository(text).is_err(), "{text}");
        }
    }

    #[test]
    fn digests_come_last() {
        for text in ["example.com/x@", "example.com/x:tag@", "oci:dir@", "oci:dir:tag@", "oci-archive:f:x/y:tag@"] {
            let text = format!("{text}{DIGEST}");
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        let Reference::Layout(layout) = format!("oci:dir:tag@{DIGEST}").parse().unwrap() else { panic!() };
        assert_eq!(layout.path, PathBuf::from("dir"));
        assert_eq!(layout.tag.as_deref(), Some("tag"));
        assert_eq!(layout.digest, Some(Digest::of(b"")));
    }

    #[test]
    fn what_names_no_image_is_refused_with_advice() {
        for (text, advice) in [
            ("", "write it like"),
            ("oci:", "path is missing"),
            ("oci::tag", "path is missing"),
            ("oci:dir:", "cannot be a tag"),
            ("oci:dir:-x", "cannot be a tag"),
            ("oci:dir@sha256:12", "64 lower-case"),
            ("example.com/x@sha256:12", "64 lower-case"),
            ("example.com/x@sha512:12", "not a SHA-256"),
            ("example.com/Upper:Tag", "lower case"),
            ("Windows/servercore:ltsc2019", "lower case"),
            ("https://example.com/x", "leave out"),
            ("./image", "looks like a path"),
            ("docker-daemon:x", "docker save"),
            ("a b", "write it like"),
            ("example.com/x:é", "ASCII"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(advice), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            scheme in "(oci|oci-archive|docker-archive):",
            path in r"([A-Z]:[/\\])?[a-z/.\\ ]{1,12}",
            tag in proptest::option::of("[a-z0-9]([a-z0-9/:.-]{0,8}[a-z0-9])?"),
        ) {
            let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
            let text = format!("{scheme}{path}{tag}");
            prop_assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }

        #[test]
        fn registry_references_read_back(text in "[a-z]{1,5}\\.[a-z]{2}(:[0-9]{2,4})?(/[a-z0-9]{1,6}){1,3}:[A-Za-z0-9_][A-Za-z0-9._]{0,8}") {
            prop_assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}", scheme in "(oci:|docker://|)") {
            let _ = format!("{scheme}{text}").parse::<Reference>();
        }
    }
}
