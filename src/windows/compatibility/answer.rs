//! Whether something works, and why.

use schemars::JsonSchema;
use serde::Serialize;

/// Whether something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It works.
    Yes,
    /// It works under a condition that documents and versions do not tell of.
    Depends,
    /// It does not work, or is not supported.
    No,
}

/// Whether something works, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Answer {
    /// Whether it works.
    #[serde(rename = "works")]
    pub outcome: Outcome,
    /// Why, or on what it depends, in a sentence without a full stop.
    pub reason: String,
}

impl Answer {
    pub(super) fn yes(reason: impl Into<String>) -> Answer {
        Answer { outcome: Outcome::Yes, reason: reason.into() }
    }

    pub(super) fn depends(reason: impl Into<String>) -> Answer {
        Answer { outcome: Outcome::Depends, reason: reason.into() }
    }

    pub(super) fn no(reason: impl Into<String>) -> Answer {
        Answer { outcome: Outcome::No, reason: reason.into() }
    }
}
