//! Link groups that lose their holder, and links that lose their target.

use super::{Action, LayerLimit};
use crate::layer::links::Group;
use crate::layer::{EntryId, EntryKind, LayerNumber, LayerStack, PerEntry, PerLayer, Tree};

/// Moves the data of every group that loses its holder to its first surviving name, and points links that lose their target
/// to a name that is there.
///
/// Returns the targets of links that would have to take data into a layer that may not take it, with the number of that
/// layer: the links can stay as they are when their targets do. The actions are of no use then.
pub(super) fn promote(
    stack: &LayerStack,
    actions: &mut PerEntry<Action>,
    limits: &PerLayer<LayerLimit>,
) -> Vec<(EntryId, LayerNumber)> {
    let mut refused = Vec::new();
    let settler = Settler::new(stack);
    for group in stack.links().groups() {
        if !group.members.iter().any(|&member| goes(actions, member)) {
            continue;
        }
        for (entry, action) in settler.settle(group, |member| goes(actions, member)) {
            if let Action::Promote(from) = action
                && from.layer != entry.layer
                && limits[entry.layer] != LayerLimit::Free
            {
                refused.extend(stack.links().target(entry).map(|target| (target, entry.layer)));
            }
            actions[entry] = action;
        }
    }
    refused
}

/// Finds out what becomes of the names of link groups when some of them go.
pub(super) struct Settler<'a> {
    stack: &'a LayerStack,
    /// For each layer, the entry at which a host makes the layer's UtilityVM ready: its directory.
    utility_vm: PerLayer<Option<EntryId>>,
}

impl<'a> Settler<'a> {
    pub(super) fn new(stack: &'a LayerStack) -> Settler<'a> {
        let mut utility_vm = stack.layers().same_length(None);
        for &id in stack.names().get("UTILITYVM").iter().rev() {
            let entry = stack.entry(id);
            if entry.kind == EntryKind::Directory && entry.path.tree() == Tree::UtilityVm {
                utility_vm[id.layer] = Some(id);
            }
        }
        Settler { stack, utility_vm }
    }

    /// What becomes of the surviving names of a group that loses one, in their order.
    ///
    /// A name can serve as target only if the host, looking for it from the link, finds the entry that is meant, and not one of
    /// the same name in a layer between. An entry that a host no longer finds is never found again by later links, so that
    /// each survivor is passed once.
    pub(super) fn settle(&self, group: &Group, goes: impl Fn(EntryId) -> bool) -> Vec<(EntryId, Action)> {
        let mut changes = Vec::new();
        let mut files = Survivors::default();
        let mut others = Survivors::default();
        for &member in group.members.iter().filter(|&&member| !goes(member)) {
            let target_stays = self.stack.links().target(member).is_none_or(|target| !goes(target));
            if !target_stays {
                let of_files = files.first_for(self.stack, member);
                let of_others =
                    if self.reaches_utility_vm(member) { others.first_for(self.stack, member) } else { None };
                let found = of_files.into_iter().chain(of_others).min();
                changes.push((member, found.map_or(Action::Promote(group.holder), Action::Retarget)));
            }
            let survivors = if self.tree(member) == Tree::Files { &mut files } else { &mut others };
            survivors.names.push(member);
        }
        changes
    }

    fn tree(&self, id: EntryId) -> Tree {
        self.stack.entry(id).path.tree()
    }

    /// Whether a host that makes this link has the UtilityVM already (hcsshim `internal/wclayer/legacy.go`: `AddLink` looks
    /// for a target in the UtilityVM in the layer's own, which is copied from the layer below when its directory comes).
    fn reaches_utility_vm(&self, link: EntryId) -> bool {
        link.layer == LayerNumber::BASE
            || self.tree(link) != Tree::Files
            || self.utility_vm[link.layer].is_some_and(|first| first < link)
    }
}

/// Surviving names in their order; those in front that no later link finds any more are passed.
#[derive(Default)]
struct Survivors {
    names: Vec<EntryId>,
    passed: usize,
}

impl Survivors {
    fn first_for(&mut self, stack: &LayerStack, link: EntryId) -> Option<EntryId> {
        while let Some(&survivor) = self.names.get(self.passed) {
            if stack.resolve_link(link, survivor) == Some(survivor) {
                return Some(survivor);
            }
            self.passed += 1;
        }
        None
    }
}

fn goes(actions: &PerEntry<Action>, id: EntryId) -> bool {
    matches!(actions[id], Action::Remove(_))
}
