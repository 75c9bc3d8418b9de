//! What an import rule consists of.

use super::context::Context;
use super::finding::Findings;

/// One import rule.
pub struct Rule {
    /// Its name in kebab case, as findings quote it.
    pub name: &'static str,
    /// What it asks for, in one sentence.
    pub summary: &'static str,
    /// The public source that it was read from.
    pub source: &'static str,
    pub(super) check: fn(&Context, &mut Findings),
}
