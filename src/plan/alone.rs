//! What would come back if one rule alone were missing, for every rule, without a plan for each.
//!
//! A name comes back when no other rule removes it and nothing above supersedes it. What depends on a name is looked at where
//! it does: the data of its link group, its alternate data streams, and the directories above it that have such streams.

use std::collections::{BTreeMap, BTreeSet};

use super::counted::{Counted, PerCause, credited, data, signed, weight};
use super::layer_set::LayerSet;
use super::links::Settler;
use super::{Action, Cause};
use crate::layer::links::Group;
use crate::layer::path::NameMap;
use crate::layer::{EntryId, EntryKind, LayerNumber, NameId};
use crate::numbered::NumberRange;

/// How many names of link groups are looked at again, all rules together, where a host does not find every name from every
/// other one. No image of Windows comes near; beyond it, the data of such a group counts as there once or not at all.
const MOST_STEPS: usize = 20_000_000;

/// How many entries of one name are looked through for a whiteout: more than an image may have layers.
const MOST_DELETED: usize = 128;

/// For each rule, and for superseded files, the bytes that would come back without it.
pub(super) fn count(counted: &Counted<'_>) -> PerCause<i64> {
    let mut alone = Alone { counted, bytes: PerCause::filled(counted.rules, 0), steps: 0 };
    alone.add_groups();
    alone.add_entries();
    alone.bytes
}

struct Alone<'a> {
    counted: &'a Counted<'a>,
    bytes: PerCause<i64>,
    steps: usize,
}

impl Alone<'_> {
    fn add(&mut self, cause: Cause, bytes: i64) {
        self.bytes[cause] = self.bytes[cause].saturating_add(bytes);
    }

    /// The rule, or superseding, without which a name would come back that goes.
    fn comes_back_without(&self, id: EntryId) -> Option<Cause> {
        let Action::Remove(cause) = self.counted.action(id) else { return None };
        let comes_back = match cause {
            Cause::Rule(_) => self.is_by_one_rule(id) && !self.is_superseded(id),
            Cause::Shadowed => true,
            Cause::Whiteout => false,
        };
        comes_back.then(|| credited(cause))
    }

    fn is_by_one_rule(&self, id: EntryId) -> bool {
        self.counted.selection.is_by_one_rule(self.counted.stack.names().of(id))
    }

    fn is_superseded(&self, id: EntryId) -> bool {
        self.counted.shadowed[id]
    }

    fn add_groups(&mut self) {
        let stack = self.counted.stack;
        let settler = Settler::new(stack);
        for group in stack.links().groups() {
            let causes: BTreeSet<Cause> =
                group.members.iter().filter_map(|&member| self.comes_back_without(member)).collect();
            if causes.is_empty() {
                continue;
            }
            let goes = |member| matches!(self.counted.action(member), Action::Remove(_));
            let is_exact = !self.finds_every_name(group) && self.steps < MOST_STEPS;
            let now = match is_exact {
                true => copies(&settler, group, goes),
                false => i64::from(!group.members.iter().all(|&member| goes(member))),
            };
            let bytes = signed(weight(stack, group.holder));
            for cause in causes {
                let without = match is_exact {
                    true => {
                        self.steps += group.members.len();
                        copies(&settler, group, |id| goes(id) && self.comes_back_without(id) != Some(cause))
                    }
                    false => 1,
                };
                self.add(cause, bytes.saturating_mul(without - now));
            }
        }
    }

    /// Whether a host finds each name of a group from each later one, so that its data is needed once.
    fn finds_every_name(&self, group: &Group) -> bool {
        let stack = self.counted.stack;
        let tree = |id: EntryId| stack.entry(id).path.tree();
        let one_place = group.members.iter().all(|&member| tree(member) == tree(group.holder))
            || group.members.iter().all(|member| member.layer == LayerNumber::BASE);
        one_place && group.members.iter().all(|&member| stack.names().entries(stack.names().of(member)).len() == 1)
    }

    /// Files with one name, and streams.
    fn add_entries(&mut self) {
        let stack = self.counted.stack;
        let mut directories = Vec::new();
        for (number, layer) in stack.layers().numbered() {
            let mut owner = None;
            let mut moves = NumberRange::empty();
            for (at, entry) in layer.entries.numbered() {
                let id = EntryId::new(number, at);
                if entry.kind != EntryKind::Stream {
                    owner = entry.is_name().then_some(id);
                    let holds = stack.links().group_of(id).is_some_and(|group| group.holder == id);
                    moves = if holds { layer.streams_of(at) } else { NumberRange::empty() };
                    if entry.kind == EntryKind::File
                        && stack.links().group_number(id).is_none()
                        && let Some(cause) = self.comes_back_without(id)
                    {
                        self.add(cause, signed(data(entry)));
                    }
                } else if let Some(owner) = owner
                    && !moves.contains(at)
                    && matches!(self.counted.action(id), Action::Remove(_))
                {
                    if stack.entry(owner).kind == EntryKind::Directory {
                        directories.push((owner, entry.size));
                    } else if let Some(cause) = self.comes_back_without(owner) {
                        self.add(cause, signed(entry.size));
                    }
                }
            }
        }
        if !directories.is_empty() {
            self.add_streams_of_directories(&directories);
        }
    }

    /// The rules without which an entry would come back. A whiteout does with what it deletes, if it deletes anything.
    fn stays_without(&self, id: EntryId) -> Vec<Cause> {
        let stack = self.counted.stack;
        if stack.entry(id).kind == EntryKind::Whiteout {
            let deleted = stack.names().entries(stack.names().of(id));
            let mut deleted = deleted.iter().take_while(|other| other.layer < id.layer).peekable();
            if deleted.peek().is_some() {
                return deleted.take(MOST_DELETED).filter_map(|&other| self.comes_back_without(other)).collect();
            }
        }
        self.comes_back_without(id).into_iter().collect()
    }

    /// A directory comes back with what lies in it.
    fn add_streams_of_directories(&mut self, streams: &[(EntryId, u64)]) {
        let stack = self.counted.stack;
        let names = stack.names();
        // For each directory and rule, the layers in which something below comes back without the rule.
        let mut below: NameMap<NameId, BTreeMap<Cause, LayerSet>> = NameMap::default();
        for (number, layer) in stack.layers().numbered() {
            for (at, entry) in layer.entries.numbered() {
                let id = EntryId::new(number, at);
                if entry.kind == EntryKind::Stream {
                    continue;
                }
                let name = names.of(id);
                for cause in self.stays_without(id) {
                    for directory in names.ancestors(name) {
                        if !below.entry(directory).or_default().entry(cause).or_default().insert(number) {
                            break;
                        }
                    }
                }
            }
        }
        let none = BTreeMap::new();
        for &(directory, size) in streams {
            let Action::Remove(cause) = self.counted.action(directory) else { continue };
            let own = credited(cause);
            let below = below.get(&names.of(directory)).unwrap_or(&none);
            let by_itself = self.comes_back_without(directory);
            let only_in_its_layer =
                |other| cause == Cause::Shadowed || (other == own && self.is_by_one_rule(directory));
            let causes: BTreeSet<Cause> = below
                .iter()
                .filter(|&(&other, &layers)| !only_in_its_layer(other) || layers.contains(directory.layer))
                .map(|(&other, _)| other)
                .chain(by_itself)
                .collect();
            for cause in causes {
                self.add(cause, signed(size));
            }
        }
    }
}

/// How often the data of a group has to be there when such names go.
fn copies(settler: &Settler<'_>, group: &Group, goes: impl Fn(EntryId) -> bool) -> i64 {
    let moved = settler.settle(group, &goes).iter().filter(|(_, action)| matches!(action, Action::Promote(_))).count();
    i64::from(!goes(group.holder)) + i64::try_from(moved).unwrap_or(i64::MAX)
}
