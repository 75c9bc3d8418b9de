//! What several rules look up: names by folded path, what lower layers hold, and where hard links lead.

use crate::layer::path::NameMap;
use crate::layer::{Entry, EntryId, EntryKind, EntryNumber, FoldedPath, LayerNumber, NameId, Names, PerLayer, Tree};
use crate::numbered::NumberedVec;

use crate::windows::names::is_device;

use super::Subject;
use super::plain::is_plain;

/// The image that is verified, with what rules look up in it.
pub(super) struct Context<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) layers: PerLayer<Layer<'a>>,
    /// The hard links of each layer, in the order of its entries: the entry's number, and where it leads.
    pub(super) links: PerLayer<Vec<(EntryNumber, Target)>>,
}

/// One layer, with its entries by name.
pub(super) struct Layer<'a> {
    /// Counted from the base layer, which is 0.
    pub(super) number: LayerNumber,
    pub(super) entries: &'a NumberedVec<EntryNumber, Entry>,
    names: &'a Names,
    /// The first entry of each stream, and of other names that no container sees.
    unseen: NameMap<NameId, EntryNumber>,
    /// Entries whose name an earlier entry has already: the later and the earlier one.
    pub(super) duplicates: Vec<(EntryNumber, EntryNumber)>,
    /// Whiteouts by the name that they delete.
    whiteouts: NameMap<NameId, EntryNumber>,
    /// Entries whose names are not plain, or that of a device.
    odd: Vec<EntryNumber>,
    /// The first entry that makes a host copy the utility VM below.
    utility_vm_made: Option<EntryNumber>,
}

/// Where a hard link leads on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// To an entry of its own layer.
    Same {
        /// The number of that entry.
        entry: EntryNumber,
        /// Whether the link spells the target as the entry is spelled.
        exact: bool,
    },
    /// To an entry of a layer below.
    Below {
        /// That entry.
        id: EntryId,
        /// An entry of the link's own layer that has the name too, but that the host does not see: it comes later, is
        /// spelled differently, or is the link itself.
        missed: Option<EntryNumber>,
    },
    /// To an entry of the utility VM of a layer below, which is not there when the host comes to the link: the layer has no entry
    /// `UtilityVM` before it, or deletes the target.
    NotThere(EntryId),
    /// To an entry of its own layer that the host does not see: it comes later, is spelled differently, or is the link
    /// itself.
    Missed(EntryNumber),
    /// To nothing.
    Nothing,
}

impl<'a> Context<'a> {
    pub(super) fn new(subject: &'a Subject<'a>) -> Context<'a> {
        let names = subject.stack.names();
        let layers = subject.stack.layers().numbered();
        let layers = layers.map(|(number, index)| Layer::new(number, &index.entries, names)).collect();
        let mut context = Context { subject, layers, links: PerLayer::new() };
        context.links = context.layers.iter().map(|layer| context.links_of(layer)).collect();
        context
    }

    /// The entries with names in which a rule about names might find something, base layer first.
    pub(super) fn odd_names(&self) -> impl Iterator<Item = (&Layer<'a>, &'a Entry)> {
        self.layers.iter().flat_map(|layer| layer.odd.iter().map(move |&at| (layer, &layer.entries[at])))
    }

    /// Every entry of the image with its layer, base layer first.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Layer<'a>, EntryNumber, &'a Entry)> {
        self.layers.iter().flat_map(|layer| layer.entries.numbered().map(move |(n, entry)| (layer, n, entry)))
    }

    /// The base layer, if the image has any layer.
    pub(super) fn base(&self) -> Option<&Layer<'a>> {
        self.layers.first()
    }

    /// The layers on top of the base layer.
    pub(super) fn upper(&self) -> &[Layer<'a>] {
        self.layers.after(LayerNumber::BASE)
    }

    /// The entry with a number that a lookup gave.
    pub(super) fn entry(&self, id: EntryId) -> &'a Entry {
        &self.layers[id.layer].entries[id.entry]
    }

    /// The topmost entry with a name in the layers below one.
    ///
    /// Whiteouts in between do not matter: hosts look into each parent layer's own directory.
    fn below(&self, layer: LayerNumber, name: NameId) -> Option<EntryId> {
        let mut below = self.layers.before(layer).iter().rev();
        below.find_map(|below| below.find(name).map(|entry| EntryId { layer: below.number, entry }))
    }

    /// Whether the utility VM that a layer inherits has a name.
    pub(super) fn utility_vm_below_has(&self, layer: LayerNumber, name: NameId) -> bool {
        let names = self.subject.stack.names();
        for below in self.layers.before(layer).iter().rev() {
            if below.find(name).is_some() {
                return true;
            }
            if below.deletes(name) || names.ancestors(name).any(|directory| below.deletes(directory)) {
                return false;
            }
        }
        false
    }

    fn links_of(&self, layer: &Layer<'a>) -> Vec<(EntryNumber, Target)> {
        let links = self.subject.stack.links().named_targets(layer.number).iter();
        links.map(|&(link, name)| (link, name.map_or(Target::Nothing, |name| self.target(layer, link, name)))).collect()
    }

    /// Where a host finds the target of a hard link.
    ///
    /// In the base layer it opens the file on NTFS. In others it looks for the very string among the names it has seen
    /// in this layer, then in the parent layers on NTFS; the tree of the utility VM is written in place, so that files of
    /// it are found there in any spelling (hcsshim `internal/wclayer/baselayerwriter.go`, `legacy.go`: `AddLink`).
    fn target(&self, layer: &Layer<'a>, link: EntryNumber, name: NameId) -> Target {
        let Some(text) = layer.entries[link].link.as_deref() else { return Target::Nothing };
        let same = layer.find(name);
        if let Some(number) = same {
            let found = &layer.entries[number];
            let exact = clean(text) == clean(found.path.as_str());
            let in_place = layer.number == LayerNumber::BASE
                || found.path.tree() == Tree::UtilityVm && matches!(found.kind, EntryKind::File | EntryKind::Symlink);
            if number < link && (exact || in_place) {
                return Target::Same { entry: number, exact };
            }
        }
        let below = self.below(layer.number, name);
        if layer.number > LayerNumber::BASE
            && self.subject.stack.names().text(name).starts_with("UTILITYVM/FILES/")
            && let Some(id) = below
        {
            return self.utility_vm_target(layer, link, name, id, same);
        }
        match (below, same) {
            (Some(id), missed) => Target::Below { id, missed },
            (None, Some(number)) => Target::Missed(number),
            (None, None) => Target::Nothing,
        }
    }
}

impl Context<'_> {
    /// Where an upper layer's link into the utility VM leads, whose target a layer below has.
    ///
    /// Hosts look for it in the layer's own utility VM: a copy of that below, made when they come to the entry `UtilityVM` or to
    /// the first whiteout in it. The link itself is made when the layer is complete (hcsshim `internal/wclayer/legacy.go`:
    /// `AddLink`, `initUtilityVM`, `Remove`; `importlayer.go`: `Close`).
    fn utility_vm_target(
        &self,
        layer: &Layer,
        link: EntryNumber,
        name: NameId,
        id: EntryId,
        same: Option<EntryNumber>,
    ) -> Target {
        if !self.utility_vm_below_has(layer.number, name) {
            return same.map_or(Target::Nothing, Target::Missed);
        }
        let mut directories = self.subject.stack.names().ancestors(name);
        let is_deleted = layer.deletes(name) || directories.any(|directory| layer.deletes(directory));
        let is_made = layer.utility_vm_made.is_some_and(|made| made < link);
        if is_made && !is_deleted { Target::Below { id, missed: same } } else { Target::NotThere(id) }
    }
}

impl<'a> Layer<'a> {
    fn new(number: LayerNumber, entries: &'a NumberedVec<EntryNumber, Entry>, names: &'a Names) -> Layer<'a> {
        let mut layer = Layer {
            number,
            entries,
            names,
            unseen: NameMap::default(),
            duplicates: Vec::new(),
            whiteouts: NameMap::default(),
            odd: Vec::new(),
            utility_vm_made: None,
        };
        for (at, entry) in entries.numbered() {
            let name = layer.name(at);
            if !is_plain(entry.path.as_str()) || is_device(names.last_component(name)) {
                layer.odd.push(at);
            }
            let path = entry.path.as_str();
            let makes_utility_vm = path == "UtilityVM"
                || matches!(entry.kind, EntryKind::Whiteout | EntryKind::OpaqueWhiteout)
                    && path.starts_with("UtilityVM/Files/");
            if makes_utility_vm && layer.utility_vm_made.is_none() {
                layer.utility_vm_made = Some(at);
            }
            match entry.kind {
                EntryKind::OpaqueWhiteout => {}
                EntryKind::Whiteout if entry.whiteout_target().is_some() => {
                    layer.whiteouts.entry(name).or_insert(at);
                }
                _ => {
                    if !entry.is_name() {
                        layer.unseen.entry(name).or_insert(at);
                    }
                    if let Some(first) = layer.find(name).filter(|&first| first < at) {
                        layer.duplicates.push((at, first));
                    }
                }
            }
        }
        layer
    }

    /// The name that an entry is about: its own, or what a whiteout deletes.
    pub(super) fn name(&self, entry: EntryNumber) -> NameId {
        self.names.of(EntryId { layer: self.number, entry })
    }

    /// The first entry with a name.
    pub(super) fn find(&self, name: NameId) -> Option<EntryNumber> {
        let number = self.number;
        let entries = self.names.entries(name);
        let seen = entries.get(entries.partition_point(|id| id.layer < number));
        let seen = seen.filter(|id| id.layer == number).map(|id| id.entry);
        match (seen, self.unseen.get(&name).copied()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// The first entry with a name that is still to be folded.
    pub(super) fn find_folded(&self, name: &str) -> Option<EntryNumber> {
        self.find(self.names.find(FoldedPath::new(name).as_str())?)
    }

    /// The entries with odd names, by their numbers.
    pub(super) fn odd(&self) -> impl Iterator<Item = (EntryNumber, &'a Entry)> {
        let entries = self.entries;
        self.odd.iter().filter_map(move |&at| Some((at, entries.get(at)?)))
    }

    /// The first entry with a folded name.
    pub(super) fn get(&self, folded: &str) -> Option<&'a Entry> {
        let entry = self.find(self.names.find(folded)?)?;
        Some(&self.entries[entry])
    }

    /// Whether the layer has a whiteout for a name.
    pub(super) fn deletes(&self, name: NameId) -> bool {
        self.whiteouts.contains_key(&name)
    }

    /// Whether a host makes a utility VM for this layer: an entry or a whiteout lies in its tree.
    pub(super) fn touches_utility_vm(&self) -> bool {
        self.entries.iter().any(|entry| entry.path.tree() == Tree::UtilityVm)
    }
}

/// A name without what Go's `filepath.Clean` takes away in front and at the end.
fn clean(name: &str) -> &str {
    let mut name = name.trim_end_matches('/');
    while let Some(rest) = name.strip_prefix("./") {
        name = rest;
    }
    name
}
