//! What a plan frees: by rule, and by layer.
//!
//! A file with several names takes its bytes once, so removing one of them frees nothing. The bytes of a link group are freed
//! by the rule that removes its last name: superseded names count as gone before any rule, and then the rules come in their
//! order. Every byte is credited to one rule, so that all of them together are the difference between before and after.

use super::alone;
use super::counted::{Counted, PerCause, data, signed, weight};
use super::matcher::Silent;
use super::{Action, Cause};
use crate::layer::links::{Group, GroupNumber};
use crate::layer::{EntryId, EntryKind, EntryNumber, LayerNumber, LayerStack};
use crate::numbered::{NumberRange, NumberedVec};
use crate::profile::{KeepNumber, RuleSet, Shadowed};

/// What one rule does to an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleOutcome {
    /// The rule as `profile/id`.
    pub rule: String,
    /// How many entries it removes, in all layers: names, streams and whiteouts.
    pub entries: u64,
    /// How many of these are names of files whose data stays, because other names of the file do.
    pub kept_by_links: u64,
    /// The bytes of file data that are freed, each file counted once. Less than nothing if more data has to be written than
    /// the rule frees, because no host would find it under the names that stay.
    pub unpacked: i64,
    /// About how many bytes of the compressed layers they take, by where they lie in these.
    pub compressed: u64,
    /// The bytes of file data that would come back if this rule alone were missing. Bytes that several rules remove come
    /// back by none of them, and those of a file with several names by each rule that removes one.
    pub alone: i64,
    /// Its patterns that match nothing in the image.
    pub without_match: Vec<String>,
    /// Its exceptions that match nothing in the image.
    pub except_without_match: Vec<String>,
}

/// What one keep rule does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeepOutcome {
    /// The profile that has the rule.
    pub profile: String,
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

/// The name under which superseded entries are counted.
pub const SHADOWED: &str = "layers/shadowed";

/// What becomes of the data of a link group.
#[derive(Debug, Clone, Copy)]
struct GroupFate {
    /// Who removes the last of the names that go.
    last: Option<Cause>,
    /// How often the data is there afterwards.
    copies: i64,
}

impl Counted<'_> {
    /// What each rule does, in their order, and last what goes because it is superseded, if that was asked for.
    pub(super) fn outcomes(&self, silent: &Silent) -> Vec<RuleOutcome> {
        let rules = self
            .rules
            .removes
            .iter()
            .zip(&silent.removes)
            .map(|(rule, silent)| RuleOutcome {
                rule: rule.full_id(),
                without_match: silent.paths.clone(),
                except_without_match: silent.except.clone(),
                ..RuleOutcome::default()
            })
            .collect();
        let superseded = RuleOutcome { rule: SHADOWED.to_owned(), ..RuleOutcome::default() };
        let mut outcomes = PerCause { rules, superseded };
        self.count(&mut outcomes);
        let alone = alone::count(self);
        for (number, outcome) in self.rules.removes.numbers().zip(&mut outcomes.rules) {
            outcome.alone = alone.rules[number];
        }
        outcomes.superseded.alone = alone.superseded;
        let superseded = (self.rules.shadowed == Shadowed::Drop).then_some(outcomes.superseded);
        outcomes.rules.into_iter().chain(superseded).collect()
    }

    fn count(&self, outcomes: &mut PerCause<RuleOutcome>) {
        let groups = self.stack.links().groups();
        let fates: NumberedVec<GroupNumber, GroupFate> = groups.iter().map(|group| self.fate(group)).collect();
        for (group, fate) in groups.iter().zip(&fates) {
            if let Some(last) = fate.last {
                let outcome = &mut outcomes[last];
                let freed = signed(weight(self.stack, group.holder)).saturating_mul(1 - fate.copies);
                outcome.unpacked = outcome.unpacked.saturating_add(freed);
            }
        }
        for (number, layer) in self.stack.layers().numbered() {
            // The link group whose data the file that came last holds, and the streams that move with it.
            let mut held = (None, NumberRange::empty());
            for (at, entry) in layer.entries.numbered() {
                let id = EntryId::new(number, at);
                if entry.kind != EntryKind::Stream {
                    let group = self.stack.links().group_number(id).filter(|&group| groups[group].holder == id);
                    held = (group, group.map_or(NumberRange::empty(), |_| layer.streams_of(at)));
                }
                let Action::Remove(cause) = self.action(id) else { continue };
                outcomes[cause].entries += 1;
                let group = match entry.kind {
                    EntryKind::Stream => held.0.filter(|_| held.1.contains(at)),
                    _ => self.stack.links().group_number(id),
                };
                match group.map(|group| fates[group]) {
                    None => {
                        let outcome = &mut outcomes[cause];
                        outcome.unpacked = outcome.unpacked.saturating_add(signed(data(entry)));
                        outcome.compressed += layer.stored_share(entry.start..entry.end());
                    }
                    Some(GroupFate { last: Some(last), copies: 0 }) => {
                        outcomes[last].compressed += layer.stored_share(entry.start..entry.end());
                    }
                    Some(_) => {
                        let outcome = &mut outcomes[cause];
                        // Streams move with their file, headers and all.
                        if entry.kind != EntryKind::Stream {
                            outcome.kept_by_links += 1;
                            outcome.compressed += layer.stored_share(entry.start..entry.data);
                        }
                    }
                }
            }
        }
    }

    /// What becomes of a link group.
    fn fate(&self, group: &Group) -> GroupFate {
        let mut fate = GroupFate { last: None, copies: 0 };
        for &member in &group.members {
            match self.action(member) {
                Action::Remove(cause) => {
                    fate.last = fate.last.into_iter().chain([cause]).max_by_key(|&cause| order(cause))
                }
                Action::Promote(_) => fate.copies += 1,
                Action::Keep if member == group.holder => fate.copies += 1,
                Action::Keep | Action::Retarget(_) => {}
            }
        }
        fate
    }
}

/// In which order names count as gone: superseded ones first, and then the rules in their order.
fn order(cause: Cause) -> (bool, Cause) {
    (matches!(cause, Cause::Rule(_)), cause)
}

/// What the keep rules name in vain.
pub(super) fn keep_outcomes(rules: &RuleSet, silent: Silent) -> NumberedVec<KeepNumber, KeepOutcome> {
    let outcome = |(rule, silent): (&crate::profile::KeepRule, super::matcher::SilentRule)| KeepOutcome {
        profile: rule.profile.clone(),
        without_match: silent.paths,
    };
    rules.keeps.iter().zip(silent.keeps).map(outcome).collect()
}

/// Counts what becomes of a layer.
pub(super) fn summarize(
    stack: &LayerStack,
    number: LayerNumber,
    actions: &NumberedVec<EntryNumber, Action>,
) -> LayerSummary {
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
                let source = &stack.layers()[from.layer];
                let holder = stack.entry(*from);
                summary.entries_after += 1;
                summary.promoted += 1;
                summary.unpacked_after += holder.size;
                moved_in += source.stored_share(holder.data..holder.end());
                for stream in source.entries.slice(source.streams_of(from.entry)) {
                    summary.entries_after += 1;
                    summary.unpacked_after += stream.size;
                    moved_in += source.stored_share(stream.start..stream.end());
                }
            }
        }
    }
    summary.compressed_after = (summary.compressed_before + moved_in).saturating_sub(freed);
    summary
}
