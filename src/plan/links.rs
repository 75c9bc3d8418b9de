//! Link groups that lose their holder, and links that lose their target.

use super::{Action, LayerLimit};
use crate::layer::links::{Group, resolve};
use crate::layer::{EntryId, LayerStack};

/// Moves the data of every group that loses its holder to its first surviving name, and points links that lose their target
/// to a name that is there.
///
/// Returns the targets of links that would have to take data into a layer that may not take it, with the number of that
/// layer: the links can stay as they are when their targets do. The actions are of no use then.
pub(super) fn promote(stack: &LayerStack, actions: &mut [Vec<Action>], limits: &[LayerLimit]) -> Vec<(EntryId, usize)> {
    let mut refused = Vec::new();
    for group in stack.links().groups() {
        if !group.members.iter().any(|&member| goes(actions, member)) {
            continue;
        }
        for (entry, action) in settle(stack, group, actions) {
            if let Action::Promote(from) = action
                && from.layer != entry.layer
                && limits[entry.layer as usize] != LayerLimit::Free
            {
                refused.extend(stack.links().target(entry).map(|target| (target, entry.layer as usize)));
            }
            actions[entry.layer as usize][entry.entry as usize] = action;
        }
    }
    refused
}

/// What becomes of the surviving names of a group that loses one.
fn settle(stack: &LayerStack, group: &Group, actions: &[Vec<Action>]) -> Vec<(EntryId, Action)> {
    let layers = stack.indexes();
    let mut changes = Vec::new();
    let mut survivors: Vec<EntryId> = Vec::new();
    for &member in group.members.iter().filter(|&&member| !goes(actions, member)) {
        let target_stays = stack.links().target(member).is_none_or(|target| !goes(actions, target));
        if !target_stays {
            // A name can serve as target only if the host, looking for it from here, finds the entry that is meant, and not
            // one of the same name in a layer between.
            let found = survivors.iter().find(|&&survivor| {
                let name = stack.entry(survivor).path.as_str();
                resolve(&layers, stack.names(), member, name) == Some(survivor)
            });
            changes.push((member, found.map_or(Action::Promote(group.holder), |&survivor| Action::Retarget(survivor))));
        }
        survivors.push(member);
    }
    changes
}

fn goes(actions: &[Vec<Action>], id: EntryId) -> bool {
    matches!(actions[id.layer as usize][id.entry as usize], Action::Remove(_))
}
