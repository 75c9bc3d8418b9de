//! Names in a registry: paths of repositories, and tags.

use std::fmt;
use std::str::FromStr;

use crate::image::Digest;

/// Text that does not name an image, or a part of such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not name an image: {problem}")]
pub struct ReferenceError {
    text: String,
    problem: String,
}

impl ReferenceError {
    /// Returns the error for a text; `problem` is the end of a sentence about it.
    pub(super) fn new(text: &str, problem: impl Into<String>) -> ReferenceError {
        ReferenceError { text: text.to_owned(), problem: problem.into() }
    }
}

/// The path of a repository in its registry, such as `windows/servercore`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository(String);

/// The tag of an image in a registry, such as `ltsc2019`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// The longest tag (OCI distribution specification, "Pulling manifests").
const LONGEST_TAG: usize = 128;

impl Repository {
    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last component of the path, such as `servercore`.
    pub fn short_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the repository with this path below another path.
    pub fn below(&self, prefix: &Repository) -> Repository {
        Repository(format!("{prefix}/{self}"))
    }
}

impl Tag {
    /// Returns the tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tag under which registries without an API for referrers list what refers to a manifest
    /// (OCI distribution specification, "Referrers Tag Schema").
    pub fn of_referrers(subject: &Digest) -> Tag {
        Tag(format!("sha256-{}", subject.hex()))
    }

    /// Returns the tag of a cache entry.
    pub fn of_cache_entry(key: &Digest) -> Tag {
        Tag(format!("winslim-{}", key.hex()))
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Repository, ReferenceError> {
        if !text.split('/').all(is_component) {
            return Err(ReferenceError::new(
                text,
                "a repository consists of lower-case letters, digits, and `.`, `_`, `-` and `/` between them",
            ));
        }
        Ok(Repository(text.to_owned()))
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Tag, ReferenceError> {
        let is_tag = text.len() <= LONGEST_TAG
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            && !text.starts_with(['.', '-'])
            && !text.is_empty();
        if !is_tag {
            return Err(ReferenceError::new(
                text,
                "a tag has at most 128 letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`",
            ));
        }
        Ok(Tag(text.to_owned()))
    }
}

/// Returns `true` if the text can stand between two slashes of a repository's path: runs of letters and digits, with one dot, one
/// or two underscores, or any number of hyphens between two of them (OCI distribution specification, "Pulling manifests").
fn is_component(text: &str) -> bool {
    let is_letter = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let is_separator = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    let mut separators = text.split(is_letter).filter(|separator| !separator.is_empty());
    text.starts_with(is_letter) && text.ends_with(is_letter) && separators.all(is_separator)
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What names an image to other tools names one here.
        #[test]
        fn repositories_are_those_of_other_tools(text in "[a-c0./_-]{1,10}") {
            let other: Result<oci_distribution::Reference, _> = format!("registry.example/{text}").parse();
            let is_taken = other.is_ok_and(|other| other.repository() == text);
            prop_assert_eq!(text.parse::<Repository>().is_ok(), is_taken);
        }
    }

    #[test]
    fn only_paths_of_repositories_are_taken() {
        for text in ["a", "0", "windows/servercore", "a.b_c__d-e---f/g9"] {
            assert_eq!(text.parse::<Repository>().map(|name| name.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", "a:b", "a b", "é", "../a"]
        {
            assert!(text.parse::<Repository>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_tags_are_taken() {
        let longest = "x".repeat(128);
        for text in ["a", "_", "ltsc2019", "1.0-rc_1", "A", longest.as_str()] {
            assert_eq!(text.parse::<Tag>().map(|tag| tag.to_string()).as_deref(), Ok(text));
        }
        for text in ["", ".a", "-a", "a/b", "a:b", "a b", "é", "x".repeat(129).as_str()] {
            assert!(text.parse::<Tag>().is_err(), "{text}");
        }
    }

    #[test]
    fn tags_that_are_made_are_tags() {
        let digest = Digest::of(b"subject");
        for tag in [Tag::of_referrers(&digest), Tag::of_cache_entry(&digest)] {
            assert_eq!(tag.as_str().parse(), Ok(tag.clone()));
        }
        assert_eq!(Tag::of_referrers(&digest).as_str(), digest.to_string().replace(':', "-"));
    }
}
