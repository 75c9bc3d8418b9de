//! The ledger: the record of a build.
//!
//! It says what was built from what, pinned to which version of Windows, what each layer and each rule saved, and what a
//! node has to pull. It is written as JSON in the order of these types, attached to the pushed image, and shown to people.
//!
//! ```json
//! {
//!   "schema": 1,
//!   "tool": { "name": "winslim", "version": "0.1.0" },
//!   "base": { "reference": "mcr.microsoft.com/windows/servercore:ltsc2019", "manifest": "sha256:…",
//!             "osVersion": "10.0.17763.8511", "build": 17763, "revision": 8511 },
//!   "layers": [ { "role": "base", "outcome": "rewritten", "before": { "compressed": 1749538666 }, "after": { } } ],
//!   "rules": [ { "rule": "safe/logs", "unpacked": 1234, "compressed": 567 } ]
//! }
//! ```

use serde::Serialize;

use crate::image::Digest;
use crate::layer::LayerNumber;
use crate::numbered::NumberedVec;
use crate::plan::{self, KeepReason, OutputNumber, Plan, RuleOutcome};
use crate::profile::{RemoveRule, RuleSet};

/// The version of the ledger's form. Fields are only ever added to a version.
pub const SCHEMA: u32 = 1;

/// The media type of a ledger that is attached to an image.
pub const MEDIA_TYPE: &str = "application/vnd.winslim.ledger.v1+json";

/// The record of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What built it.
    pub tool: Tool,
    /// When, as RFC 3339 text, if `SOURCE_DATE_EPOCH` says; nothing else is asked for the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What it was built from.
    pub base: Base,
    /// What was built.
    pub result: Outcome,
    /// The profiles, in the order in which they counted.
    pub profiles: Vec<Profile>,
    /// Digest of all profiles together.
    pub profile_digest: Digest,
    /// The layers, from the base upward.
    pub layers: NumberedVec<OutputNumber, Layer>,
    /// What each rule saved.
    pub rules: Vec<Rule>,
    /// The keep rules, with what they name in vain.
    pub keeps: Vec<Keep>,
    /// What stays although a rule would remove it.
    pub kept: Vec<Kept>,
    /// All layers together.
    pub totals: Totals,
    /// What nodes have to pull.
    pub pull: Pull,
    /// What people should know.
    pub warnings: Vec<String>,
}

/// The program that built an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// `winslim`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// The image that another one was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    /// As it was asked for.
    pub reference: String,
    /// Digest of the index behind the reference, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// Digest of the manifest.
    pub manifest: Digest,
    /// The pinned version of Windows: `os.version` of the config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Its build, which hosts match with their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<u32>,
    /// Its revision, which each month's update raises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// `os.features` of the config.
    pub os_features: Vec<String>,
}

/// The image that was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Where it went.
    pub reference: String,
    /// Digest of its index, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Digest of its config.
    pub config: Digest,
}

/// A profile that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Digest of its text.
    pub digest: Digest,
    /// `low`, `medium` or `high`.
    pub risk: &'static str,
}

/// What became of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// What the layer is.
    pub role: Role,
    /// What happened to it.
    pub outcome: LayerOutcome,
    /// As it was; nothing for an added one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<LayerState>,
    /// As it is.
    pub after: LayerState,
    /// Names that took over the data of their link group.
    pub promoted: u64,
    /// Links that point to another name than before.
    pub retargeted: u64,
}

/// What a layer is in its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The lowest layer, with the whole of Windows.
    Base,
    /// The second layer of a Microsoft image: the monthly update.
    Servicing,
    /// A layer that somebody built on top.
    Upper,
    /// What the profiles add.
    Added,
}

impl Role {
    /// The role of a base image's layer, by its number and what the history says of it.
    pub fn of(layer: LayerNumber, created_by: Option<&str>) -> Role {
        match (u32::from(layer), created_by) {
            (0, _) => Role::Base,
            (1, Some(text)) if text.starts_with("Install update") => Role::Servicing,
            _ => Role::Upper,
        }
    }

    /// The role in a word.
    pub fn word(self) -> &'static str {
        match self {
            Role::Base => "base",
            Role::Servicing => "servicing",
            Role::Upper => "upper",
            Role::Added => "added",
        }
    }
}

/// What happened to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerOutcome {
    /// No rule touches it.
    Reused,
    /// It was rewritten.
    Rewritten,
    /// It is as it was, because it would have become larger.
    KeptSmaller,
    /// It is new.
    Added,
}

impl LayerOutcome {
    /// The outcome in words.
    pub fn words(self) -> &'static str {
        match self {
            LayerOutcome::Reused => "reused",
            LayerOutcome::Rewritten => "rewritten",
            LayerOutcome::KeptSmaller => "kept, it would have grown",
            LayerOutcome::Added => "added",
        }
    }
}

/// A layer before or after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerState {
    /// Digest of the blob.
    pub digest: Digest,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Media type in the manifest.
    pub media_type: String,
    /// Size of the blob in bytes.
    pub compressed: u64,
    /// Bytes of file data, each file counted once.
    pub unpacked: u64,
    /// Length of the uncompressed tar in bytes.
    pub tar: u64,
    /// Entries of the tar.
    pub entries: u64,
}

/// What a rule did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The rule as `profile/id`.
    pub rule: String,
    /// Why it removes what it removes.
    pub reason: String,
    /// What one loses by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// Entries that it removed.
    pub entries: u64,
    /// Names among them whose data stays under other names.
    pub kept_by_links: u64,
    /// Bytes of file data freed, each byte credited to one rule: that of a file's last name that goes. Less than nothing if
    /// more data had to be written than was freed.
    pub unpacked: i64,
    /// About how many compressed bytes these took.
    pub compressed: u64,
    /// Bytes of file data that would come back if this rule alone were missing.
    pub alone: i64,
    /// Its patterns that matched nothing.
    pub without_match: Vec<String>,
    /// Its exceptions that matched nothing.
    pub except_without_match: Vec<String>,
}

/// What a keep rule names in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Keep {
    /// The profile that has the rule.
    pub profile: String,
    /// Its patterns that matched nothing.
    pub without_match: Vec<String>,
}

/// Something that stays although a rule would remove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its name, as on Windows.
    pub path: String,
    /// The rule as `profile/id`.
    pub rule: String,
    /// Why it stays.
    pub reason: KeepReason,
}

/// All layers together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Sizes of all blobs before.
    pub compressed_before: u64,
    /// Sizes of all blobs after.
    pub compressed_after: u64,
    /// Bytes of file data before.
    pub unpacked_before: u64,
    /// Bytes of file data after.
    pub unpacked_after: u64,
    /// Entries before.
    pub entries_before: u64,
    /// Entries after.
    pub entries_after: u64,
}

/// Bytes that a node has to pull for the result.
///
/// A rewritten layer is not shared with the original image: a node that has that one saves only what was reused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pull {
    /// A node that has nothing.
    pub empty_node: u64,
    /// A node that has nothing, for the original image.
    pub empty_node_original: u64,
    /// A node that has the original image.
    pub node_with_base: u64,
}

impl Rule {
    /// What each rule does by a plan: those of the set in its order, and last what goes because it is shadowed.
    pub fn all(rules: &RuleSet, plan: &Plan) -> Vec<Rule> {
        // Last comes what no rule of the set removes.
        let removes = rules.removes.iter().map(Some).chain([None]);
        let record = |(outcome, rule): (&RuleOutcome, Option<&RemoveRule>)| Rule {
            rule: outcome.rule.clone(),
            reason: rule.map_or(SHADOWED_REASON, |rule| &rule.reason).to_owned(),
            price: rule.and_then(|rule| rule.price.clone()),
            entries: outcome.entries,
            kept_by_links: outcome.kept_by_links,
            unpacked: outcome.unpacked,
            compressed: outcome.compressed,
            alone: outcome.alone,
            without_match: outcome.without_match.clone(),
            except_without_match: outcome.except_without_match.clone(),
        };
        plan.rules.iter().zip(removes).map(record).collect()
    }
}

/// Why things go that no rule removes.
const SHADOWED_REASON: &str = "a layer above replaces or deletes it, so no container ever sees it";

impl Keep {
    /// The keep rules of a plan.
    pub fn all(plan: &Plan) -> Vec<Keep> {
        let record = |keep: &plan::KeepOutcome| Keep {
            profile: keep.profile.clone(),
            without_match: keep.without_match.clone(),
        };
        plan.keeps.iter().map(record).collect()
    }
}

impl Kept {
    /// What stays by a plan although a rule would remove it.
    pub fn all(rules: &RuleSet, plan: &Plan) -> Vec<Kept> {
        let record = |kept: &plan::Kept| Kept {
            path: kept.path.clone(),
            rule: rules.removes[kept.rule].full_id(),
            reason: kept.reason.clone(),
        };
        plan.kept.iter().map(record).collect()
    }
}

impl Totals {
    /// Adds the layers up.
    pub fn of(layers: &NumberedVec<OutputNumber, Layer>) -> Totals {
        let mut totals = Totals::default();
        for layer in layers {
            if let Some(before) = &layer.before {
                totals.compressed_before += before.compressed;
                totals.unpacked_before += before.unpacked;
                totals.entries_before += before.entries;
            }
            totals.compressed_after += layer.after.compressed;
            totals.unpacked_after += layer.after.unpacked;
            totals.entries_after += layer.after.entries;
        }
        totals
    }
}

impl Pull {
    /// What nodes pull for these layers.
    pub fn of(layers: &NumberedVec<OutputNumber, Layer>) -> Pull {
        let original: Vec<&LayerState> = layers.iter().filter_map(|layer| layer.before.as_ref()).collect();
        let is_shared = |layer: &&Layer| original.iter().any(|state| state.digest == layer.after.digest);
        Pull {
            empty_node: layers.iter().map(|layer| layer.after.compressed).sum(),
            empty_node_original: original.iter().map(|state| state.compressed).sum(),
            node_with_base: layers.iter().filter(|layer| !is_shared(layer)).map(|layer| layer.after.compressed).sum(),
        }
    }
}
