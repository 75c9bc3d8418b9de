//! The layers of an image, seen together.

use std::sync::Arc;

use super::{Entry, EntryId, LayerIndex, LinkGroups, Names};

/// The indexes of an image's layers, from the base upward, with what can only be known of all of them.
#[derive(Debug, Clone)]
pub struct LayerStack {
    layers: Vec<Arc<LayerIndex>>,
    names: Names,
    links: LinkGroups,
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
