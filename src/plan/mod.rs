//! The plan: what a profile does to an image, decided without any I/O.
//!
//! A plan is a pure function of the layer indexes and the rules. It says for every entry whether it stays as it is, goes,
//! gets the data of its link group, or points to another name; why something stays that a rule would remove; and what each
//! rule frees. [`crate::rewrite`] carries out exactly that, and nothing decides anything afterwards.
//!
//! The steps: `select` finds the names that rules remove, `shadow` what upper layers replace, `remove` settles whiteouts
//! and directories, `links` moves the data of link groups to surviving names, and `savings` counts.

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

mod action;
mod alone;
mod counted;
mod error;
mod layer_set;
mod links;
mod matcher;
mod output;
mod pinned;
mod programs;
mod remove;
mod savings;
mod select;
mod shadow;
#[cfg(test)]
mod tests;

use self::counted::Counted;
use self::pinned::Pinned;
use crate::layer::{EntryNumber, LayerNumber, LayerStack, PerEntry, PerLayer};
use crate::numbered::NumberedVec;
use crate::profile::{KeepNumber, RuleSet, Shadowed};

pub use action::{Action, Cause, LayerLimit};
pub use error::PlanError;
pub use output::{OutputNumber, OutputPlan, PerOutput, Step, set_aside};
pub use programs::lost_programs;
pub use savings::{KeepOutcome, LayerSummary, RuleOutcome};
pub use select::{KeepReason, Kept};

/// A plan for an image.
#[derive(Debug, Clone)]
pub struct Plan {
    /// One plan for each layer, from the base upward.
    pub layers: PerLayer<LayerPlan>,
    /// What each rule of [`RuleSet::removes`] does, in its order, and last what goes because it is shadowed, if that was asked for.
    pub rules: Vec<RuleOutcome>,
    /// What each rule of [`RuleSet::keeps`] names in vain, in its order.
    pub keeps: NumberedVec<KeepNumber, KeepOutcome>,
    /// What stays although a rule would remove it, sorted by path.
    pub kept: Vec<Kept>,
    /// What people should know, as sentences.
    pub warnings: Vec<String>,
}

/// A plan for one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPlan {
    /// What happens to each entry, in the order of the index.
    pub actions: NumberedVec<EntryNumber, Action>,
    /// Sizes and counts.
    pub summary: LayerSummary,
}

impl LayerPlan {
    /// Whether every entry stays as it is, so that the layer need not be rewritten.
    pub fn is_untouched(&self) -> bool {
        self.actions.iter().all(|action| *action == Action::Keep)
    }

    /// Whether the layer may well be larger when it is rewritten, as far as one can tell before.
    pub fn may_grow(&self) -> bool {
        self.summary.compressed_after >= self.summary.compressed_before && !self.is_untouched()
    }
}

/// The most layers that a Windows container may have.
const MOST_LAYERS: usize = 127;

/// Decides what the rules do to the image. `limits` has one value for each layer, or none at all.
///
/// # Errors
/// When a required rule matches nothing, or the image has more layers than Windows accepts.
pub fn plan(stack: &LayerStack, rules: &RuleSet, limits: &[LayerLimit]) -> Result<Plan, PlanError> {
    let count = stack.layers().len();
    if count > MOST_LAYERS {
        return Err(PlanError::TooManyLayers(count));
    }
    let mut limits = limits.iter().copied();
    let limits: PerLayer<LayerLimit> = stack.layers().iter().map(|_| limits.next().unwrap_or_default()).collect();
    let matcher = matcher::Matcher::new(rules)?;
    let verdicts = matcher.verdicts(rules, stack.names());
    let silent = matcher.silent(rules, &verdicts);
    let missing = silent.required(rules);
    if !missing.is_empty() {
        return Err(PlanError::RequiredMatchedNothing(missing));
    }
    let mut pinned = Pinned::by_limits(stack, &limits);
    let mut round = 0;
    loop {
        let selection = select::select(stack, rules, &verdicts, &pinned);
        let shadowed = match rules.shadowed {
            Shadowed::Drop => shadow::find(stack, &pinned),
            Shadowed::Keep => shadow::nothing(stack),
        };
        let mut actions = remove::decide(stack, &selection, &shadowed, &limits);
        let refused = links::promote(stack, &mut actions, &limits);
        if refused.is_empty() {
            let counted = Counted { stack, rules, selection: &selection, shadowed: &shadowed, actions: &actions };
            let outcomes = counted.outcomes(&silent);
            return Ok(finish(stack, outcomes, savings::keep_outcomes(rules, silent), selection, actions));
        }
        // What a layer may not take over has to stay where it is; that may change anything else.
        for (target, layer) in refused {
            pinned.pin(stack.names().of(target), layer);
            // A chain of links shows one target more in each round; it is not worth a round for each of its links.
            if round >= FEW_ROUNDS
                && let Some(group) = stack.links().group_of(target)
            {
                group.members.iter().for_each(|&member| pinned.pin(stack.names().of(member), layer));
            }
        }
        round += 1;
    }
}

/// After so many rounds whole link groups stay where they are, and not only the names that a layer needs.
const FEW_ROUNDS: u32 = 16;

fn finish(
    stack: &LayerStack,
    rules: Vec<RuleOutcome>,
    keeps: NumberedVec<KeepNumber, KeepOutcome>,
    selection: select::Selection,
    actions: PerEntry<Action>,
) -> Plan {
    let layers = stack
        .layers()
        .numbers()
        .zip(actions.into_layers())
        .map(|(layer, actions)| LayerPlan { summary: savings::summarize(stack, layer, &actions), actions })
        .collect();
    Plan { layers, rules, keeps, kept: selection.kept, warnings: selection.warnings }
}

impl Plan {
    /// Whether data of lower layers moves into a layer.
    pub fn takes_from_below(&self, layer: LayerNumber) -> bool {
        let from_below = |action: &Action| matches!(action, Action::Promote(from) if from.layer < layer);
        self.layers.get(layer).is_some_and(|layer| layer.actions.iter().any(from_below))
    }
}
