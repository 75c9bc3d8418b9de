//! Link groups: all names of one file, across the layers of an image.
//!
//! A hard link names its target by path. Where a Windows host looks for it differs by layer
//! (hcsshim `internal/wclayer/baselayerwriter.go` and `legacy.go`): in a base layer it opens the path among what came
//! earlier, without regard to case; in an upper layer it first looks for exactly that spelling among the names that came
//! earlier, and then in the layers below, topmost first, without regard to case.

use std::sync::Arc;

use super::path::NameMap;
use super::{EntryId, EntryKind, EntryNumber, FoldedPath, LayerIndex, LayerNumber, NameId, Names, PerEntry, PerLayer};
use crate::numbered::{NumberedVec, number};

number! {
    /// The number of a link group in [`LinkGroups::groups`].
    GroupNumber
}

/// All names of one file that has more than one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The entry that carries the data.
    pub holder: EntryId,
    /// The holder and all links to it, in the order of layers and entries.
    pub members: Vec<EntryId>,
}

/// The link groups of an image.
#[derive(Debug, Clone, Default)]
pub struct LinkGroups {
    groups: NumberedVec<GroupNumber, Group>,
    /// The group of each entry, or [`NONE`].
    group_of: PerEntry<GroupNumber>,
    /// For each layer: entry number of a link, and what its target resolves to, in order.
    targets: PerLayer<Vec<(EntryNumber, EntryId)>>,
    /// For each layer: entry number of each hard link, and the name that it names as its target, if there is such a name.
    named: PerLayer<Vec<(EntryNumber, Option<NameId>)>>,
    crowds: Crowds,
}

/// No group. An image has fewer groups than entries, and fewer entries than this.
const NONE: GroupNumber = GroupNumber(u32::MAX);

impl LinkGroups {
    /// Finds the groups of an image, given its layers from the base upward.
    pub fn find(layers: &PerLayer<Arc<LayerIndex>>, names: &Names) -> LinkGroups {
        let mut found = LinkGroups {
            group_of: PerEntry::filled(layers.iter().map(Arc::as_ref), NONE),
            targets: layers.same_length(Vec::new()),
            named: layers.same_length(Vec::new()),
            crowds: Crowds::find(layers, names),
            ..LinkGroups::default()
        };
        let mut folded = String::new();
        for (layer, index) in layers.numbered() {
            for (number, entry) in index.entries.numbered() {
                if entry.kind != EntryKind::HardLink {
                    continue;
                }
                let link = EntryId::new(layer, number);
                let target = entry.link.as_deref().unwrap_or_default();
                FoldedPath::fold_into(target, &mut folded);
                let name = names.find(&folded);
                found.named[layer].push((link.entry, name));
                // A link that leads nowhere is in no group; `verify` tells of it.
                if let Some(name) = name
                    && let Some(target) = found.crowds.resolve(layers, names, link, target, name)
                    && found.join(layers, link, target)
                {
                    found.targets[layer].push((link.entry, target));
                }
            }
        }
        found
    }

    /// Puts a link into the group of its target; false if the target is no file.
    fn join(&mut self, layers: &PerLayer<Arc<LayerIndex>>, link: EntryId, target: EntryId) -> bool {
        let group = match self.group_of[target] {
            NONE => {
                let is_file = layers[target.layer].entries[target.entry].kind == EntryKind::File;
                if !is_file {
                    return false;
                }
                let Ok(group) = GroupNumber::try_from(self.groups.len()) else { return false };
                self.groups.push(Group { holder: target, members: vec![target] });
                self.group_of[target] = group;
                group
            }
            group => group,
        };
        self.groups[group].members.push(link);
        self.group_of[link] = group;
        true
    }

    /// All groups, in the order in which their first link comes.
    pub fn groups(&self) -> &NumberedVec<GroupNumber, Group> {
        &self.groups
    }

    /// The number in [`LinkGroups::groups`] of the group that an entry belongs to.
    pub fn group_number(&self, entry: EntryId) -> Option<GroupNumber> {
        let group = *self.group_of.get(entry)?;
        (group != NONE).then_some(group)
    }

    /// The entry that a Windows host finds for a link at this place which is to lead to that entry, under its own name.
    pub(super) fn resolve_to(
        &self,
        layers: &PerLayer<Arc<LayerIndex>>,
        names: &Names,
        link: EntryId,
        target: EntryId,
    ) -> Option<EntryId> {
        let text = layers[target.layer].entries[target.entry].path.as_str();
        self.crowds.resolve(layers, names, link, text, names.of(target))
    }

    /// The group that an entry belongs to, or nothing for a file with one name and for what is no file.
    pub fn group_of(&self, entry: EntryId) -> Option<&Group> {
        self.groups.get(*self.group_of.get(entry)?)
    }

    /// The hard links of a layer by their numbers, in order, and the names that they name as targets; nothing for a name that
    /// the image does not have.
    pub fn named_targets(&self, layer: LayerNumber) -> &[(EntryNumber, Option<NameId>)] {
        self.named.get(layer).map_or(&[], Vec::as_slice)
    }

    /// The entry that a hard link names: the holder, or another link to it.
    pub fn target(&self, link: EntryId) -> Option<EntryId> {
        let targets = self.targets.get(link.layer)?;
        let at = targets.binary_search_by_key(&link.entry, |(entry, _)| *entry).ok()?;
        Some(targets[at].1)
    }
}

/// Names that one layer has many times over, each time spelled in some way. No image of Windows has them; without their own
/// lists, looking for the right one would take as long as there are of them, for each link.
#[derive(Debug, Clone, Default)]
struct Crowds(NameMap<(NameId, LayerNumber), NameMap<Box<str>, Vec<EntryNumber>>>);

/// How many entries of one name are looked through one by one.
const FEW: usize = 8;

impl Crowds {
    fn find(layers: &PerLayer<Arc<LayerIndex>>, names: &Names) -> Crowds {
        let mut crowds = Crowds::default();
        for name in names.all() {
            let entries = names.entries(name);
            if entries.len() <= FEW {
                continue;
            }
            for same_layer in entries.chunk_by(|one, other| one.layer == other.layer) {
                // In the base layer no spelling counts.
                if same_layer.len() <= FEW || same_layer[0].layer == LayerNumber::BASE {
                    continue;
                }
                let spellings = crowds.0.entry((name, same_layer[0].layer)).or_default();
                for id in same_layer {
                    let path = layers[id.layer].entries[id.entry].path.as_str();
                    spellings.entry(path.into()).or_default().push(id.entry);
                }
            }
        }
        crowds
    }

    /// The entry that a Windows host finds for a link with this target, which folds to this name.
    ///
    /// A target in the same layer whose spelling differs only in case is taken as the last resort: the host would not find
    /// it in an upper layer, which [`crate::verify`] says, but it is the file that is meant.
    fn resolve(
        &self,
        layers: &PerLayer<Arc<LayerIndex>>,
        names: &Names,
        link: EntryId,
        target: &str,
        name: NameId,
    ) -> Option<EntryId> {
        let candidates = names.entries(name);
        let below = &candidates[..candidates.partition_point(|id| id.layer < link.layer)];
        let earlier = &candidates[below.len()..candidates.partition_point(|id| *id < link)];
        let exact = match self.0.get(&(name, link.layer)) {
            Some(spellings) => spellings.get(target).and_then(|entries| {
                let before = entries.partition_point(|&entry| entry < link.entry);
                Some(EntryId { layer: link.layer, entry: *entries[..before].last()? })
            }),
            None => {
                let spelled_same = |id: &&EntryId| {
                    link.layer == LayerNumber::BASE || layers[id.layer].entries[id.entry].path.as_str() == target
                };
                earlier.iter().rev().find(spelled_same).copied()
            }
        };
        exact.or_else(|| below.last().or_else(|| earlier.last()).copied())
    }
}
