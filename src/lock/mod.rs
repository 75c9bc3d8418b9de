//! The lock: what exactly the names in a build file meant when it was built, in a `winslim.lock` beside it.
//!
//! A [`Lock`] pins tags to digests and tells profiles and added files by their digests, so that the same build file and the
//! same lock give the same images on every machine. [`drift`] says what is different now.

pub mod drift;
mod file;
mod source;

use serde::{Deserialize, Serialize};

use crate::image::{Config, Digest, Manifest, OsVersion};
use crate::profile::RuleSet;
use crate::text::escape;

pub use drift::Drift;
pub use file::{LockError, read};
pub use source::digest as source_digest;

/// The version of the lock's form.
pub const VERSION: u32 = 1;

/// The version of winslim, as it stands in locks.
pub const TOOL: &str = env!("CARGO_PKG_VERSION");

/// What a build file means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// [`VERSION`].
    pub version: u32,
    /// The version of winslim that it is for.
    pub winslim: String,
    /// The bases, in the order of the build file.
    #[serde(rename = "base", default)]
    pub bases: Vec<LockedBase>,
}

/// A base image and all that it is built with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedBase {
    /// What the build file asks for.
    #[serde(flatten)]
    pub inputs: Inputs,
    /// What its tag led to.
    #[serde(flatten)]
    pub pin: Pin,
}

/// What a build file asks for with a base, as far as it is on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The image, as the build file names it.
    pub image: String,
    /// The platform, as the build file asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The profiles with all that they include, in the order in which they count.
    #[serde(rename = "profile", default)]
    pub profiles: Vec<Named>,
    /// The files and directories that the profiles add.
    #[serde(rename = "source", default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Named>,
}

/// Something with a name that is told by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The name of a profile, or the path of a source from the build file.
    pub name: String,
    /// The digest of what it holds.
    pub digest: Digest,
}

/// What a tag led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pin {
    /// The digest of the index behind the tag, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// The digest of the manifest.
    pub manifest: Digest,
    /// The version of Windows in the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The layers, from the base upward.
    #[serde(rename = "layer", default)]
    pub layers: Vec<Layer>,
}

/// A layer of a pinned image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of the blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Lock {
    /// A lock of this winslim.
    pub fn new(bases: Vec<LockedBase>) -> Lock {
        Lock { version: VERSION, winslim: TOOL.to_owned(), bases }
    }

    /// What is locked of a base.
    pub fn base(&self, inputs: &Inputs) -> Option<&LockedBase> {
        self.bases.iter().find(|base| base.inputs.is_same_base(inputs))
    }

    /// The lock as the text of its file.
    pub fn to_toml(&self) -> String {
        #[expect(
            clippy::unwrap_used,
            reason = "only keys that are no strings and numbers beyond i64 fail; sizes are below it"
        )]
        let text = toml::to_string(self).unwrap();
        format!(
            "# Written by winslim: what the names in the build file beside it meant. Keep both under version control.\n\
             # `winslim lock --check` says what moved since, and `winslim lock --update` follows.\n\n{text}"
        )
    }
}

impl Inputs {
    /// What a base is asked for with. The digests of its sources have to be found by reading them.
    pub fn new(image: String, platform: Option<String>, rules: &RuleSet, sources: Vec<Named>) -> Inputs {
        let profile =
            |profile: &crate::profile::ProfileInfo| Named { name: profile.name.clone(), digest: profile.digest };
        Inputs { image, platform, profiles: rules.profiles.iter().map(profile).collect(), sources }
    }

    /// Whether both mean one base of a build file, whatever is done with it.
    pub fn is_same_base(&self, other: &Inputs) -> bool {
        (&self.image, &self.platform) == (&other.image, &other.platform)
    }
}

impl Pin {
    /// The pin of an image that was found.
    pub fn of(index: Option<Digest>, manifest: &Manifest, config: &Config) -> Pin {
        // TOML has no greater number, and the world no such layer.
        let size = |size: u64| size.min(i64::MAX as u64);
        let layer = |layer: &crate::image::Descriptor| Layer { digest: layer.digest, size: size(layer.size) };
        Pin {
            index,
            manifest: manifest.document.digest(),
            os_version: config.os_version.as_deref().map(|version| escape(version).into_owned()),
            layers: manifest.layers.iter().map(layer).collect(),
        }
    }

    /// The digest that the tag led to.
    pub fn root(&self) -> Digest {
        self.index.unwrap_or(self.manifest)
    }

    /// The version of Windows, if it has four numbers.
    pub fn version(&self) -> Option<OsVersion> {
        self.os_version.as_deref()?.parse().ok()
    }
}

#[cfg(test)]
mod tests;
