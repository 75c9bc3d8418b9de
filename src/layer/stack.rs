//! The layers of an image, seen together.

use std::sync::{Arc, OnceLock};

use super::path::NameMap;
use super::{Entry, EntryId, FoldedPath, LayerIndex, LinkGroups};

/// The indexes of an image's layers, from the base upward, with what can only be known of all of them.
#[derive(Debug, Clone)]
pub struct LayerStack {
    layers: Vec<Arc<LayerIndex>>,
    names: Names,
    links: LinkGroups,
}

/// Every name of an image, as Windows compares it, with the entries that have it.
///
/// Streams and whiteouts are no names.
#[derive(Debug, Clone, Default)]
pub struct Names {
    by_path: NameMap<FoldedPath, Vec<EntryId>>,
    /// The names in order, once somebody asks for that.
    sorted: OnceLock<Vec<FoldedPath>>,
}

impl Names {
    /// Collects the names of the layers, from the base upward.
    pub fn collect(layers: &[&LayerIndex]) -> Names {
        let most = layers.iter().map(|layer| layer.entries.len()).sum();
        let mut by_path: NameMap<FoldedPath, Vec<EntryId>> =
            NameMap::with_capacity_and_hasher(most, Default::default());
        for (layer, index) in layers.iter().enumerate() {
            for (number, entry) in index.entries.iter().enumerate() {
                if entry.is_name() {
                    // Almost every name has one entry.
                    let entries = by_path.entry(entry.path.fold()).or_insert_with(|| Vec::with_capacity(1));
                    entries.push(EntryId::new(layer, number));
                }
            }
        }
        Names { by_path, sorted: OnceLock::new() }
    }

    /// The entries with a folded path, in the order of layers and entries.
    pub fn get(&self, folded: &str) -> &[EntryId] {
        self.by_path.get(folded).map_or(&[], Vec::as_slice)
    }

    /// All names with their entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&FoldedPath, &[EntryId])> {
        self.by_path.iter().map(|(path, entries)| (path, entries.as_slice()))
    }

    /// All names, sorted, with their entries. A directory comes before what is in it.
    pub fn sorted(&self) -> impl DoubleEndedIterator<Item = (&FoldedPath, &[EntryId])> {
        let sorted = self.sorted.get_or_init(|| {
            let mut sorted: Vec<FoldedPath> = self.by_path.keys().cloned().collect();
            sorted.sort_unstable();
            sorted
        });
        sorted.iter().map(|path| (path, self.get(path.as_str())))
    }
}

impl LayerStack {
    /// Looks at the layers of an image together; they come from the base upward.
    pub fn new(layers: Vec<Arc<LayerIndex>>) -> LayerStack {
        let indexes: Vec<&LayerIndex> = layers.iter().map(Arc::as_ref).collect();
        let names = Names::collect(&indexes);
        let links = LinkGroups::find(&indexes, &names);
        LayerStack { layers, names, links }
    }

    /// The indexes, from the base upward.
    pub fn layers(&self) -> &[Arc<LayerIndex>] {
        &self.layers
    }

    /// The indexes as plain references.
    pub fn indexes(&self) -> Vec<&LayerIndex> {
        self.layers.iter().map(Arc::as_ref).collect()
    }

    /// The names of all layers.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The link groups.
    pub fn links(&self) -> &LinkGroups {
        &self.links
    }

    /// An entry. The number must come from this stack.
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.layers[id.layer as usize].entries[id.entry as usize]
    }
}
