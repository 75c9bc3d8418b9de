//! Which entries go: names by rule and by shadow, then whiteouts that lost their meaning, then directories left empty.

use super::layer_set::LayerSet;
use super::select::Selection;
use super::shadow::Droppable;
use super::{Action, Cause, LayerLimit};
use crate::layer::entry::stream_owner;
use crate::layer::path::NameMap;
use crate::layer::{EntryId, EntryKind, LayerNumber, LayerStack, NameId, PerEntry, PerLayer};
use crate::numbered::NumberedVec;

/// Decides for every entry whether it goes.
///
/// A directory that a rule removes stays, in every layer that has it, when anything below it stays in any layer: what lies
/// in it needs it, and its security descriptor must not change. A directory that no rule names stays even when it is empty.
pub(super) fn decide(
    stack: &LayerStack,
    selection: &Selection,
    shadows: &Droppable,
    limits: &PerLayer<LayerLimit>,
) -> PerEntry<Action> {
    let mut removal = Removal {
        stack,
        actions: PerEntry::filled(stack.indexes(), Action::Keep),
        occupied: stack.names().each(LayerSet::default()),
    };
    let names = stack.names();
    let cause_of = |name: NameId, id: EntryId| match selection.rule_for(name) {
        Some(rule) => Some(Cause::Rule(rule)),
        None if shadows[id] => Some(Cause::Shadowed),
        None => None,
    };
    for name in names.all() {
        for &id in names.entries(name) {
            let is_directory = stack.entry(id).kind == EntryKind::Directory;
            match cause_of(name, id) {
                Some(cause) if !is_directory => removal.set(id, Action::Remove(cause)),
                // Whether a directory can go is known when all it may hold is settled.
                Some(_) => {}
                None => removal.occupy_above(name, id.layer),
            }
        }
    }
    removal.settle_whiteouts(selection, &cause_of, limits);
    for name in names.all().rev() {
        for &id in names.entries(name) {
            if stack.entry(id).kind != EntryKind::Directory {
                continue;
            }
            let layers = removal.occupied[name];
            match cause_of(name, id) {
                Some(cause @ Cause::Rule(_)) if layers.is_empty() => removal.set(id, Action::Remove(cause)),
                Some(Cause::Shadowed) if !layers.contains(id.layer) => removal.set(id, Action::Remove(Cause::Shadowed)),
                Some(_) => removal.occupy_above(name, id.layer),
                None => {}
            }
        }
    }
    removal.settle_streams();
    removal.actions
}

struct Removal<'a> {
    stack: &'a LayerStack,
    actions: PerEntry<Action>,
    /// For each name, the layers in which something below it stays.
    occupied: NumberedVec<NameId, LayerSet>,
}

impl Removal<'_> {
    fn set(&mut self, id: EntryId, action: Action) {
        self.actions[id] = action;
    }

    fn goes(&self, id: EntryId) -> bool {
        matches!(self.actions[id], Action::Remove(_))
    }

    /// Notes that something with this name stays, for all directories above it.
    fn occupy_above(&mut self, name: NameId, layer: LayerNumber) {
        for directory in self.stack.names().ancestors(name) {
            if !self.occupied[directory].insert(layer) {
                return;
            }
        }
    }

    /// A whiteout goes when the rules remove what it deletes, or when all that it deletes has gone; but never while
    /// something below is still there, for that would come back.
    fn settle_whiteouts(
        &mut self,
        selection: &Selection,
        cause_of: &dyn Fn(NameId, EntryId) -> Option<Cause>,
        limits: &PerLayer<LayerLimit>,
    ) {
        // A layer may delete a name many times over.
        let mut known: NameMap<(NameId, LayerNumber), (bool, bool)> = NameMap::default();
        for (number, layer) in self.stack.layers().numbered() {
            for (at, entry) in layer.entries.numbered() {
                if entry.kind != EntryKind::Whiteout || entry.whiteout_target().is_none() {
                    continue;
                }
                let id = EntryId::new(number, at);
                let target = self.stack.names().of(id);
                let (had_any, stays_below) = match known.get(&(target, number)) {
                    Some(&known) => known,
                    None => {
                        let below = self.below(target, number, cause_of);
                        known.insert((target, number), below);
                        below
                    }
                };
                let rule = selection.rule_for(target);
                let cause = match rule {
                    _ if stays_below || limits[number] == LayerLimit::Untouched => None,
                    Some(rule) => Some(Cause::Rule(rule)),
                    None => had_any.then_some(Cause::Whiteout),
                };
                match cause {
                    Some(cause) => self.set(id, Action::Remove(cause)),
                    // What it deletes lies in the directory that it lies in itself.
                    None => self.occupy_above(target, number),
                }
            }
        }
    }

    /// Whether the layers below one have a name, and whether it or anything in it stays there.
    fn below(
        &self,
        target: NameId,
        number: LayerNumber,
        cause_of: &dyn Fn(NameId, EntryId) -> Option<Cause>,
    ) -> (bool, bool) {
        let mut had_any = false;
        let mut stays = self.occupied[target].has_below(number);
        for &id in self.stack.names().entries(target).iter().take_while(|id| id.layer < number) {
            had_any = true;
            stays |= match self.stack.entry(id).kind {
                EntryKind::Directory => cause_of(target, id).is_none(),
                _ => !self.goes(id),
            };
        }
        (had_any, stays)
    }

    /// An alternate data stream goes with the file it belongs to, which stands before it.
    fn settle_streams(&mut self) {
        for (number, layer) in self.stack.layers().numbered() {
            let mut owner = None;
            for (at, entry) in layer.entries.numbered() {
                let id = EntryId::new(number, at);
                if entry.kind != EntryKind::Stream {
                    owner = entry.is_name().then_some(id);
                    continue;
                }
                let text = |id| self.stack.names().text(self.stack.names().of(id));
                if let Some(owner) = owner
                    && let action @ Action::Remove(_) = self.actions[owner]
                    && stream_owner(text(id)) == Some(text(owner))
                {
                    self.actions[id] = action;
                }
            }
        }
    }
}
