//! What a build file may say: the TOML format, as types.

use serde::Deserialize;
use toml::Spanned;

use crate::profile::model::Layers;

/// A build file as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Model {
    /// Where the results go; may have placeholders.
    pub target: Option<Spanned<String>>,
    /// Profiles of every base that has none of its own.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Conditions under which nothing is pushed.
    #[serde(default)]
    pub fail_if: Vec<Spanned<String>>,
    /// The file for the ledger; may have placeholders.
    pub ledger: Option<Spanned<String>>,
    /// The file for the summary as Markdown; may have placeholders.
    pub summary: Option<Spanned<String>>,
    /// The file for the page for a browser; may have placeholders.
    pub report: Option<Spanned<String>>,
    /// The format of new layers.
    pub compression: Option<Format>,
    /// The level of what is compressed anew.
    pub level: Option<u32>,
    /// Whether rewritten layers are compressed as a whole.
    #[serde(default)]
    pub recompress: bool,
    /// How new layers are checked.
    pub verify: Option<Extent>,
    /// What happens to the layers as such, whatever the profiles say.
    #[serde(default)]
    pub layers: Layers,
    /// The base images.
    #[serde(default)]
    pub base: Vec<BaseModel>,
}

/// One `[[base]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BaseModel {
    /// The image.
    pub image: Spanned<String>,
    /// Which image to take when the tag has several.
    pub platform: Option<Spanned<String>>,
    /// Profiles in place of the general ones.
    pub profiles: Option<Vec<String>>,
}

/// Formats for new layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Read by every container engine.
    Gzip,
    /// Smaller and faster, but old engines cannot read it.
    Zstd,
}

/// How new layers are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// As they are written.
    Quick,
    /// Read back and decompressed with another decoder, too.
    Full,
}
