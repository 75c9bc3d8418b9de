//! What a profile file may say: the TOML format, as types. Their descriptions are those of the JSON Schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// The version of the format that this winslim reads.
pub const SCHEMA_VERSION: i64 = 1;

/// A winslim profile: what to remove from a Windows container base image, what to keep, what to add, and how the image
/// is to be run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// The version of the format: 1.
    #[schemars(with = "i64", range(min = 1, max = 1))]
    pub schema: Spanned<i64>,
    /// The name that reports show in front of the ids of the rules: letters, digits, `-`, `_` and `.`.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// One sentence on what the profile does.
    pub summary: String,
    /// How likely it is that something which used to work stops working.
    pub risk: Risk,
    /// The image families that the profile is meant for, such as `servercore` or `nanoserver`. Empty: any.
    #[serde(default)]
    pub bases: Vec<String>,
    /// The Windows builds that the profile is meant for, such as 17763. Another one is a warning. Empty: any.
    #[serde(default)]
    pub builds: Vec<u32>,
    /// Profiles whose rules come first: names of built-in ones, or paths relative to this file.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub include: Vec<Spanned<String>>,
    /// Rules that remove files and directories.
    #[serde(default)]
    pub remove: Vec<Remove>,
    /// Rules that keep files and directories, whatever this or any other profile removes.
    #[serde(default)]
    pub keep: Vec<Keep>,
    /// Files and directories that are added.
    #[serde(default)]
    pub add: Vec<Add>,
    /// Settings of the image's config.
    #[serde(default)]
    pub image: Image,
    /// What happens to the layers as such.
    #[serde(default)]
    pub layers: Layers,
}

/// How likely it is that something which used to work stops working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Only what Windows makes again or what a container never uses.
    Low,
    /// A feature is lost that some containers use.
    Medium,
    /// Many programs stop working; meant for images with a known purpose.
    High,
}

impl Risk {
    /// The word that profiles use.
    pub fn as_str(self) -> &'static str {
        match self {
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        }
    }
}

/// A rule that removes files and directories.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Remove {
    /// The name of the rule, unique within the profile: letters, digits, `-`, `_` and `.`.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// Patterns of what is removed: Windows paths below `C:\`. A directory goes with all below it.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub paths: Spanned<Vec<Spanned<String>>>,
    /// Patterns of what this rule leaves in place. A directory stays with all below it.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub except: Vec<Spanned<String>>,
    /// Why it can go.
    pub reason: String,
    /// What no longer works without it.
    pub price: Option<String>,
    /// Whether the rule has to match something.
    #[serde(default, rename = "match")]
    pub matching: Match,
}

/// Whether a rule has to match something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// Matching nothing is reported.
    #[default]
    Optional,
    /// Matching nothing is an error.
    Required,
}

/// A rule that keeps files and directories. It beats every `remove`, of every profile.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Keep {
    /// Patterns of what is kept: Windows paths below `C:\`. A directory is kept with all below it.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub paths: Spanned<Vec<Spanned<String>>>,
    /// Why it must stay.
    pub reason: Option<String>,
    /// Whether the rule has to match something.
    #[serde(default, rename = "match")]
    pub matching: Match,
}

/// A file or a directory that is added to the image.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Add {
    /// The file or directory, as a path relative to the profile's file.
    #[schemars(with = "String")]
    pub source: Spanned<String>,
    /// What it becomes in the image: the Windows path of that file or directory, such as `C:\app`.
    #[schemars(with = "String")]
    pub target: Spanned<String>,
}

/// Settings of the image's config. What is not set stays as the base image has it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// Environment variables, added to those of the base image.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub env: BTreeMap<Spanned<String>, String>,
    /// The default command and its arguments; an empty list removes the base image's.
    pub cmd: Option<Vec<String>>,
    /// The program that the command is given to, with its arguments; an empty list removes the base image's. Without a
    /// `cmd` beside it, the base image's command goes as well.
    pub entrypoint: Option<Vec<String>>,
    /// The user that the container runs as, such as `ContainerUser`.
    pub user: Option<String>,
    /// The working directory, such as `C:\app`.
    pub workdir: Option<String>,
    /// Ports that the container listens on, such as `8080` or `53/udp`, added to those of the base image.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub exposed_ports: Vec<Spanned<String>>,
    /// The signal that stops the container.
    pub stop_signal: Option<String>,
    /// Labels, added to those of the base image.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What happens to the layers as such.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layers {
    /// What happens to files of a lower layer that a layer above replaces.
    pub shadowed: Option<Shadowed>,
}

/// What happens to files of a lower layer that a layer above replaces: no container ever sees them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shadowed {
    /// They stay where they are.
    #[default]
    Keep,
    /// They are left out, except where a hard link that is still seen needs their data.
    Drop,
}
