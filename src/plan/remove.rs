//! Which entries go: names by rule and by shadow, then whiteouts that lost their meaning, then directories left empty.

use super::select::Selection;
use super::shadow::Droppable;
use super::{Action, Cause, LayerLimit};
use crate::layer::path::NameMap;
use crate::layer::{EntryId, EntryKind, FoldedPath, LayerStack};

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
        occupied: NameMap::default(),
    };
    let cause_of = |path: &FoldedPath, id: EntryId| match selection.removed.get(path) {
        Some(&rule) => Some(Cause::Rule(rule)),
        None if shadows[id.layer as usize][id.entry as usize] => Some(Cause::Shadowed),
        None => None,
    };
    for (path, entries) in stack.names().sorted() {
        for &id in entries {
            let is_directory = stack.entry(id).kind == EntryKind::Directory;
            match cause_of(path, id) {
                Some(cause) if !is_directory => removal.set(id, Action::Remove(cause)),
                // Whether a directory can go is known when all it may hold is settled.
                Some(_) => {}
                None => removal.occupy_above(path.as_str(), id.layer),
            }
        }
    }
    removal.settle_whiteouts(selection, &cause_of, limits);
    for (path, entries) in stack.names().sorted().rev() {
        for &id in entries {
            if stack.entry(id).kind != EntryKind::Directory {
                continue;
            }
            let layers = removal.occupied.get(path.as_str()).copied().unwrap_or(0);
            match cause_of(path, id) {
                Some(cause @ Cause::Rule(_)) if layers == 0 => removal.set(id, Action::Remove(cause)),
                Some(Cause::Shadowed) if layers & (1 << id.layer) == 0 => {
                    removal.set(id, Action::Remove(Cause::Shadowed))
                }
                Some(_) => removal.occupy_above(path.as_str(), id.layer),
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
    /// For each directory below which something stays: the layers in which it does, as bits.
    occupied: NameMap<Box<str>, u128>,
}

impl Removal<'_> {
    fn set(&mut self, id: EntryId, action: Action) {
        self.actions[id.layer as usize][id.entry as usize] = action;
    }

    fn goes(&self, id: EntryId) -> bool {
        matches!(self.actions[id.layer as usize][id.entry as usize], Action::Remove(_))
    }

    /// Notes that something at this path stays, for all directories above it.
    fn occupy_above(&mut self, path: &str, layer: u32) {
        let bit = 1_u128 << layer;
        let mut path = path;
        while let Some(end) = path.rfind('/') {
            path = &path[..end];
            match self.occupied.get_mut(path) {
                Some(layers) if *layers & bit != 0 => return,
                Some(layers) => *layers |= bit,
                None => drop(self.occupied.insert(path.into(), bit)),
            }
        }
    }

    /// A whiteout goes when the rules remove what it deletes, or when all that it deletes has gone; but never while
    /// something below is still there, for that would come back.
    fn settle_whiteouts(
        &mut self,
        selection: &Selection,
        cause_of: &dyn Fn(&FoldedPath, EntryId) -> Option<Cause>,
        limits: &[LayerLimit],
    ) {
        for (number, layer) in self.stack.layers().iter().enumerate() {
            for (at, entry) in layer.entries.iter().enumerate() {
                let Some(target) = entry.whiteout_target().map(|target| FoldedPath::new(&target)) else { continue };
                let below = self.stack.names().get(target.as_str()).iter().filter(|id| (id.layer as usize) < number);
                let mut had_any = false;
                let mut stays_below =
                    self.occupied.get(target.as_str()).is_some_and(|layers| layers & ((1 << number) - 1) != 0);
                for &id in below {
                    had_any = true;
                    stays_below |= match self.stack.entry(id).kind {
                        EntryKind::Directory => cause_of(&target, id).is_none(),
                        _ => !self.goes(id),
                    };
                }
                let rule = selection.removed.get(&target).copied();
                let cause = match rule {
                    _ if stays_below || limits[number] == LayerLimit::Untouched => None,
                    Some(rule) => Some(Cause::Rule(rule)),
                    None => had_any.then_some(Cause::Whiteout),
                };
                match cause {
                    Some(cause) => self.actions[number][at] = Action::Remove(cause),
                    None => self.occupy_above(entry.path.fold().as_str(), number as u32),
                }
            }
        }
    }

    /// An alternate data stream goes with the file it belongs to, which stands before it.
    fn settle_streams(&mut self) {
        for (number, layer) in self.stack.layers().iter().enumerate() {
            let mut owner = None;
            for (at, entry) in layer.entries.iter().enumerate() {
                let Some(name) = entry.stream_owner() else {
                    owner = Some(at);
                    continue;
                };
                if let Some(owner) = owner
                    && let action @ Action::Remove(_) = self.actions[number][owner]
                    && layer.entries[owner].path.fold() == FoldedPath::new(name)
                {
                    self.actions[number][at] = action;
                }
            }
        }
    }
}
