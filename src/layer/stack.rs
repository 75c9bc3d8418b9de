//! The layers of an image, seen together.

use std::sync::Arc;

use super::{Entry, EntryId, LayerIndex, LinkGroups, Names, PerLayer};

/// The indexes of an image's layers, from the base upward, with what can only be known of all of them.
#[derive(Debug, Clone)]
pub struct LayerStack {
    layers: PerLayer<Arc<LayerIndex>>,
    names: Names,
    links: LinkGroups,
}

impl LayerStack {
    /// Looks at the layers of an image together; they come from the base upward.
    pub fn new(layers: Vec<Arc<LayerIndex>>) -> LayerStack {
        let layers = PerLayer::from(layers);
        let names = Names::collect(layers.iter().map(Arc::as_ref));
        let links = LinkGroups::find(&layers, &names);
        LayerStack { layers, names, links }
    }

    /// The indexes, from the base upward.
    pub fn layers(&self) -> &PerLayer<Arc<LayerIndex>> {
        &self.layers
    }

    /// The indexes as plain references, from the base upward.
    pub fn indexes(&self) -> impl Iterator<Item = &LayerIndex> {
        self.layers.iter().map(Arc::as_ref)
    }

    /// The names of all layers.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The link groups.
    pub fn links(&self) -> &LinkGroups {
        &self.links
    }

    /// The entry that a Windows host finds for a link at this place which is to lead to that entry, under its own name.
    pub fn resolve_link(&self, link: EntryId, target: EntryId) -> Option<EntryId> {
        self.links.resolve_to(&self.layers, &self.names, link, target)
    }

    /// An entry. The number must come from this stack.
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.layers[id.layer].entries[id.entry]
    }
}
