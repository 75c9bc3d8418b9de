//! Which entries go: names by rule and by shadow, then whiteouts that lost their meaning, then directories left empty.

use super::select::Selection;
use super::shadow::Droppable;
use super::{Action, Cause, LayerLimit};
use crate::layer::entry::stream_owner;
use crate::layer::path::NameMap;
use crate::layer::{EntryId, EntryKind, LayerStack, NameId};

/// Decides for every entry whether it goes.
///
/// A directory that a rule removes stays, in every layer that has it, when anything below it stays in any layer: what lies
/// in it needs it, and its security descriptor must not change. A directory that no rule names stays even when it is empty.
pub(super) fn decide(
    stack: &LayerStack,
    selection: &Selection,
    shadows: &Droppable,
    limits: &[LayerLimit],
) -> Vec<Vec<Action>> {
    let mut removal = Removal {
        stack,
        actions: stack.layers().iter().map(|layer| vec![Action::Keep; layer.entries.len()]).collect(),
        occupied: vec![0; stack.names().count()],
    };
    let names = stack.names();
    let cause_of = |name: NameId, id: EntryId| match selection.rule_for(name) {
        Some(rule) => Some(Cause::Rule(rule)),
        None if shadows[id.layer as usize][id.entry as usize] => Some(Cause::Shadowed),
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
            let layers = removal.occupied[name.place()];
            match cause_of(name, id) {
                Some(cause @ Cause::Rule(_)) if layers == 0 => removal.set(id, Action::Remove(cause)),
                Some(Cause::Shadowed) if layers & (1 << id.layer) == 0 => {
                    removal.set(id, Action::Remove(Cause::Shadowed))
                }
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
    actions: Vec<Vec<Action>>,
    /// For each name, the layers in which something below it stays, as bits.
    occupied: Vec<u128>,
}

impl Removal<'_> {
    fn set(&mut self, id: EntryId, action: Action) {
        self.actions[id.layer as usize][id.entry as usize] = action;
    }

    fn goes(&self, id: EntryId) -> bool {
        matches!(self.actions[id.layer as usize][id.entry as usize], Action::Remove(_))
    }

    /// Notes that something with this name stays, for all directories above it.
    fn occupy_above(&mut self, name: NameId, layer: u32) {
        let bit = 1_u128 << layer;
        for directory in self.stack.names().ancestors(name) {
            let layers = &mut self.occupied[directory.place()];
            if *layers & bit != 0 {
                return;
            }
            *layers |= bit;
        }
    }

    /// A whiteout goes when the rules remove what it deletes, or when all that it deletes has gone; but never while
    /// something below is still there, for that would come back.
    fn settle_whiteouts(
        &mut self,
        selection: &Selection,
        cause_of: &dyn Fn(NameId, EntryId) -> Option<Cause>,
        limits: &[LayerLimit],
    ) {
        // A layer may delete a name many times over.
        let mut known: NameMap<(NameId, usize), (bool, bool)> = NameMap::default();
        for (number, layer) in self.stack.layers().iter().enumerate() {
            for (at, entry) in layer.entries.iter().enumerate() {
                if entry.kind != EntryKind::Whiteout || entry.whiteout_target().is_none() {
                    continue;
                }
                let target = self.stack.names().of(EntryId::new(number, at));
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
                    Some(cause) => self.actions[number][at] = Action::Remove(cause),
                    // What it deletes lies in the directory that it lies in itself.
                    None => self.occupy_above(target, EntryId::new(number, at).layer),
                }
            }
        }
    }

    /// Whether the layers below one have a name, and whether it or anything in it stays there.
    fn below(
        &self,
        target: NameId,
        number: usize,
        cause_of: &dyn Fn(NameId, EntryId) -> Option<Cause>,
    ) -> (bool, bool) {
        let mut had_any = false;
        let mut stays = self.occupied[target.place()] & ((1 << number) - 1) != 0;
        for &id in self.stack.names().entries(target).iter().take_while(|id| (id.layer as usize) < number) {
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
        for (number, layer) in self.stack.layers().iter().enumerate() {
            let mut owner = None;
            for (at, entry) in layer.entries.iter().enumerate() {
                if entry.kind != EntryKind::Stream {
                    owner = entry.is_name().then_some(at);
                    continue;
                }
                let text = |at| self.stack.names().text(self.stack.names().of(EntryId::new(number, at)));
                if let Some(owner) = owner
                    && let action @ Action::Remove(_) = self.actions[number][owner]
                    && stream_owner(text(at)) == Some(text(owner))
                {
                    self.actions[number][at] = action;
                }
            }
        }
    }
}
