//! What is counted to find out what a plan frees, and lists with a number for each cause.

use std::ops::{Index, IndexMut};

use super::action::{Action, Cause};
use super::select::Selection;
use super::shadow::Droppable;
use crate::layer::{Entry, EntryId, EntryKind, LayerStack, PerEntry};
use crate::numbered::NumberedVec;
use crate::profile::{RuleNumber, RuleSet};

/// What is counted: a plan before it is given away.
pub(super) struct Counted<'a> {
    pub(super) stack: &'a LayerStack,
    pub(super) rules: &'a RuleSet,
    pub(super) selection: &'a Selection,
    pub(super) shadowed: &'a Droppable,
    pub(super) actions: &'a PerEntry<Action>,
}

impl Counted<'_> {
    pub(super) fn action(&self, id: EntryId) -> Action {
        self.actions[id]
    }
}

/// Something for each rule that removes, and for what goes because it is superseded.
pub(super) struct PerCause<T> {
    pub(super) rules: NumberedVec<RuleNumber, T>,
    pub(super) superseded: T,
}

impl<T: Clone> PerCause<T> {
    pub(super) fn filled(rules: &RuleSet, value: T) -> PerCause<T> {
        PerCause { rules: rules.removes.same_length(value.clone()), superseded: value }
    }
}

impl<T> Index<Cause> for PerCause<T> {
    type Output = T;

    fn index(&self, cause: Cause) -> &T {
        match credited(cause) {
            Cause::Rule(rule) => &self.rules[rule],
            Cause::Shadowed | Cause::Whiteout => &self.superseded,
        }
    }
}

impl<T> IndexMut<Cause> for PerCause<T> {
    fn index_mut(&mut self, cause: Cause) -> &mut T {
        match credited(cause) {
            Cause::Rule(rule) => &mut self.rules[rule],
            Cause::Shadowed | Cause::Whiteout => &mut self.superseded,
        }
    }
}

/// What a cause counts as: a whiteout loses its meaning when what it deletes is dropped as superseded.
pub(super) fn credited(cause: Cause) -> Cause {
    match cause {
        Cause::Rule(_) => cause,
        Cause::Shadowed | Cause::Whiteout => Cause::Shadowed,
    }
}

/// The bytes of a file with its alternate data streams.
pub(super) fn weight(stack: &LayerStack, file: EntryId) -> u64 {
    let layer = &stack.layers()[file.layer];
    let streams = layer.entries.slice(layer.streams_of(file.entry)).iter().map(|stream| stream.size).sum::<u64>();
    data(stack.entry(file)) + streams
}

/// Bytes as a number that can also be less than nothing. The index refuses layers that do not fit.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn data(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::File | EntryKind::Stream => entry.size,
        _ => 0,
    }
}
