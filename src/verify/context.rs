//! What several rules look up: names by folded path, what lower layers hold, and where hard links lead.

use crate::layer::path::NameMap;
use crate::layer::{Entry, EntryId, EntryKind, FoldedPath, LayerIndex, Tree};

use super::Subject;

/// The folded path of every entry of every layer.
pub(super) struct Folded(Vec<Vec<FoldedPath>>);

impl Folded {
    pub(super) fn of(subject: &Subject) -> Folded {
        let layer = |index: &&LayerIndex| index.entries.iter().map(|entry| entry.path.fold()).collect();
        Folded(subject.layers.iter().map(layer).collect())
    }
}

/// The image that is verified, with what rules look up in it.
pub(super) struct Context<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) layers: Vec<Layer<'a>>,
    /// The hard links of each layer, in the order of its entries: the entry's number, and where it leads.
    pub(super) links: Vec<Vec<(u32, Target)>>,
}

/// One layer, with its entries by name.
pub(super) struct Layer<'a> {
    /// Counted from the base layer, which is 0.
    pub(super) number: usize,
    pub(super) entries: &'a [Entry],
    pub(super) folded: &'a [FoldedPath],
    /// The first entry of each name that a container would see, and of each stream.
    names: NameMap<&'a str, u32>,
    /// Entries whose name an earlier entry has already: the later and the earlier one.
    pub(super) duplicates: Vec<(u32, u32)>,
    /// Whiteouts by the folded path that they delete.
    whiteouts: NameMap<FoldedPath, u32>,
}

/// Where a hard link leads on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// To an entry of its own layer.
    Same {
        /// The number of that entry.
        entry: u32,
        /// Whether the link spells the target as the entry is spelled.
        exact: bool,
    },
    /// To an entry of a layer below.
    Below {
        /// That entry.
        id: EntryId,
        /// An entry of the link's own layer that has the name too, but that the host does not see: it comes later, is
        /// spelled differently, or is the link itself.
        missed: Option<u32>,
    },
    /// To an entry of its own layer that the host does not see: it comes later, is spelled differently, or is the link
    /// itself.
    Missed(u32),
    /// To nothing.
    Nothing,
}

impl<'a> Context<'a> {
    pub(super) fn new(subject: &'a Subject<'a>, folded: &'a Folded) -> Context<'a> {
        let layers = subject.layers.iter().zip(&folded.0).enumerate();
        let layers = layers.map(|(number, (index, folded))| Layer::new(number, &index.entries, folded)).collect();
        let mut context = Context { subject, layers, links: Vec::new() };
        context.links = context.layers.iter().map(|layer| context.links_of(layer)).collect();
        context
    }

    /// Every entry of the image with its layer, base layer first.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Layer<'a>, usize, &'a Entry)> {
        self.layers.iter().flat_map(|layer| layer.entries.iter().enumerate().map(move |(n, entry)| (layer, n, entry)))
    }

    /// The base layer, if the image has any layer.
    pub(super) fn base(&self) -> Option<&Layer<'a>> {
        self.layers.first()
    }

    /// The layers on top of the base layer.
    pub(super) fn upper(&self) -> &[Layer<'a>] {
        self.layers.get(1..).unwrap_or_default()
    }

    /// The entry with a number that a lookup gave.
    pub(super) fn entry(&self, id: EntryId) -> &'a Entry {
        &self.layers[id.layer as usize].entries[id.entry as usize]
    }

    /// The topmost entry with a folded path in the layers below one.
    ///
    /// Whiteouts in between do not matter: hosts look into each parent layer's own directory.
    pub(super) fn below(&self, layer: usize, folded: &str) -> Option<EntryId> {
        self.layers[..layer]
            .iter()
            .rev()
            .find_map(|below| below.find(folded).map(|entry| EntryId { layer: below.number as u32, entry }))
    }

    /// Whether the utility VM that a layer inherits has a folded path.
    pub(super) fn utility_vm_below_has(&self, layer: usize, folded: &str) -> bool {
        for below in self.layers[..layer].iter().rev() {
            if below.find(folded).is_some() {
                return true;
            }
            if below.deletes(folded) || folded.match_indices('/').any(|(end, _)| below.deletes(&folded[..end])) {
                return false;
            }
        }
        false
    }

    fn links_of(&self, layer: &Layer<'a>) -> Vec<(u32, Target)> {
        let links = layer.entries.iter().enumerate().filter(|(_, entry)| entry.kind == EntryKind::HardLink);
        links.map(|(number, entry)| (number as u32, self.target(layer, number as u32, entry))).collect()
    }

    /// Where a host finds the target of a hard link.
    ///
    /// In the base layer it opens the file on NTFS. In others it looks for the very string among the names it has seen
    /// in this layer, then in the parent layers on NTFS; the tree of the utility VM is written in place, so that files of
    /// it are found there in any spelling (hcsshim `internal/wclayer/baselayerwriter.go`, `legacy.go`: `AddLink`).
    fn target(&self, layer: &Layer<'a>, link: u32, entry: &Entry) -> Target {
        let Some(text) = entry.link.as_deref() else { return Target::Nothing };
        let folded = FoldedPath::new(text);
        let same = layer.find(folded.as_str());
        if let Some(number) = same {
            let found = &layer.entries[number as usize];
            let exact = clean(text) == clean(found.path.as_str());
            let in_place = layer.number == 0
                || found.path.tree() == Tree::UtilityVm && matches!(found.kind, EntryKind::File | EntryKind::Symlink);
            if number < link && (exact || in_place) {
                return Target::Same { entry: number, exact };
            }
        }
        match (self.below(layer.number, folded.as_str()), same) {
            (Some(id), missed) => Target::Below { id, missed },
            (None, Some(number)) => Target::Missed(number),
            (None, None) => Target::Nothing,
        }
    }
}

impl<'a> Layer<'a> {
    fn new(number: usize, entries: &'a [Entry], folded: &'a [FoldedPath]) -> Layer<'a> {
        let mut names = NameMap::with_capacity_and_hasher(entries.len(), Default::default());
        let mut duplicates = Vec::new();
        let mut whiteouts = NameMap::default();
        for (entry_number, (entry, folded)) in entries.iter().zip(folded).enumerate() {
            let entry_number = entry_number as u32;
            if let Some(target) = entry.whiteout_target() {
                whiteouts.entry(FoldedPath::new(&target)).or_insert(entry_number);
            } else if entry.kind != EntryKind::OpaqueWhiteout {
                let first = *names.entry(folded.as_str()).or_insert(entry_number);
                if first != entry_number {
                    duplicates.push((entry_number, first));
                }
            }
        }
        Layer { number, entries, folded, names, duplicates, whiteouts }
    }

    /// The first entry with a folded path.
    pub(super) fn find(&self, folded: &str) -> Option<u32> {
        self.names.get(folded).copied()
    }

    /// The first entry with a folded path.
    pub(super) fn get(&self, folded: &str) -> Option<&'a Entry> {
        self.find(folded).map(|number| &self.entries[number as usize])
    }

    /// Whether the layer has a whiteout for a folded path.
    pub(super) fn deletes(&self, folded: &str) -> bool {
        self.whiteouts.contains_key(folded)
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
