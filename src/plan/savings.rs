//! What a plan frees: by rule, and by layer.
//!
//! A file with several names takes its bytes once, so removing one of them frees nothing. The bytes of a link group are freed
//! by the rule, in the order of the rules, that removes its last name.

use super::select::Selection;
use super::{Action, Cause};
use crate::layer::links::Group;
use crate::layer::{Entry, EntryId, EntryKind, LayerStack};
use crate::profile::{RuleSet, Shadowed};

/// What one rule does to an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleOutcome {
    /// The rule as `profile/id`.
    pub rule: String,
    /// How many entries it removes, in all layers: names, streams and whiteouts.
    pub entries: u64,
    /// How many of these are names of files whose data stays, because other names of the file do.
    pub kept_by_links: u64,
    /// The bytes of file data that are freed, each file counted once.
    pub unpacked: u64,
    /// About how many bytes of the compressed layers they take, by where they lie in these.
    pub compressed: u64,
    /// Its patterns that match nothing in the image.
    pub without_match: Vec<String>,
}

/// What a plan makes of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerSummary {
    /// Entries before.
    pub entries_before: u64,
    /// Entries after.
    pub entries_after: u64,
    /// Bytes of file data before.
    pub unpacked_before: u64,
    /// Bytes of file data after, with what moves in from other layers.
    pub unpacked_after: u64,
    /// Size of the blob before.
    pub compressed_before: u64,
    /// About how large the blob will be.
    pub compressed_after: u64,
    /// Names that take over the data of their link group.
    pub promoted: u64,
    /// Links that point to another name than before.
    pub retargeted: u64,
}

/// The name under which shadowed entries are counted.
pub const SHADOWED: &str = "layers/shadowed";

/// Counts what each rule does.
pub(super) fn count(
    stack: &LayerStack,
    rules: &RuleSet,
    selection: &Selection,
    actions: &[Vec<Action>],
) -> Vec<RuleOutcome> {
    let mut outcomes: Vec<RuleOutcome> = rules
        .removes
        .iter()
        .zip(&selection.without_match)
        .map(|(rule, without_match)| RuleOutcome {
            rule: rule.full_id(),
            without_match: without_match.clone(),
            ..RuleOutcome::default()
        })
        .collect();
    outcomes.push(RuleOutcome { rule: SHADOWED.to_owned(), ..RuleOutcome::default() });
    let place = |cause: Cause| match cause {
        Cause::Rule(rule) => usize::from(rule),
        // A whiteout loses its meaning when what it deletes is dropped as shadowed.
        Cause::Shadowed | Cause::Whiteout => rules.removes.len(),
    };
    for (number, layer) in stack.layers().iter().enumerate() {
        for (at, entry) in layer.entries.iter().enumerate() {
            let id = EntryId::new(number, at);
            let Action::Remove(cause) = actions[number][at] else { continue };
            outcomes[place(cause)].entries += 1;
            let group = stack.links().group_of(id);
            match group.map_or(Some(cause), |group| last_cause(group, actions)) {
                Some(last) => {
                    outcomes[place(last)].unpacked += entry.size;
                    outcomes[place(last)].compressed += layer.stored_share(entry.start..entry.end());
                }
                None => {
                    outcomes[place(cause)].kept_by_links += 1;
                    outcomes[place(cause)].compressed += layer.stored_share(entry.start..entry.data);
                }
            }
        }
    }
    if rules.shadowed == Shadowed::Keep {
        outcomes.pop();
    }
    outcomes
}

/// Why the last name of a group goes, or nothing if one stays.
fn last_cause(group: &Group, actions: &[Vec<Action>]) -> Option<Cause> {
    let mut last = None;
    for id in &group.members {
        match actions[id.layer as usize][id.entry as usize] {
            Action::Remove(cause) => last = last.max(Some(cause)),
            _ => return None,
        }
    }
    last
}

/// Counts what becomes of a layer.
pub(super) fn summarize(stack: &LayerStack, number: usize, actions: &[Action]) -> LayerSummary {
    let layer = &stack.layers()[number];
    let mut summary = LayerSummary { compressed_before: layer.stored_size, ..LayerSummary::default() };
    let mut freed = 0;
    let mut moved_in = 0;
    for (entry, action) in layer.entries.iter().zip(actions) {
        summary.entries_before += 1;
        summary.unpacked_before += data(entry);
        match action {
            Action::Remove(_) => freed += layer.stored_share(entry.start..entry.end()),
            Action::Keep => {
                summary.entries_after += 1;
                summary.unpacked_after += data(entry);
            }
            Action::Retarget(_) => {
                summary.entries_after += 1;
                summary.retargeted += 1;
            }
            Action::Promote(from) => {
                let holder = stack.entry(*from);
                summary.entries_after += 1;
                summary.promoted += 1;
                summary.unpacked_after += holder.size;
                moved_in += stack.layers()[from.layer as usize].stored_share(holder.data..holder.end());
            }
        }
    }
    summary.compressed_after = (summary.compressed_before + moved_in).saturating_sub(freed);
    summary
}

fn data(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::File | EntryKind::Stream => entry.size,
        _ => 0,
    }
}
