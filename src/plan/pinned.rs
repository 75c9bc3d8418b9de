//! Names that have to stay so that layers which may not change need not.

use std::collections::HashSet;

use super::LayerLimit;
use crate::layer::path::NameMap;
use crate::layer::{EntryId, LayerNumber, LayerStack, NameId, PerLayer, Tree};

/// Names that have to stay for the sake of a layer, with the number of that layer.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    names: NameMap<NameId, LayerNumber>,
    /// Layers that stay as they are.
    untouched: HashSet<LayerNumber>,
}

impl Pinned {
    /// What has to stay so that the layers that may not change need not.
    pub(super) fn by_limits(stack: &LayerStack, limits: &PerLayer<LayerLimit>) -> Pinned {
        let mut pinned = Pinned::default();
        for (number, layer) in stack.layers().numbered() {
            if limits[number] != LayerLimit::Untouched {
                continue;
            }
            pinned.untouched.insert(number);
            for (at, entry) in layer.entries.numbered() {
                let id = EntryId::new(number, at);
                // What a whiteout deletes may go without it, but the utility VM's fail the import when it is not there.
                if entry.whiteout_target().is_none() || entry.path.tree() == Tree::UtilityVm {
                    pinned.pin(stack.names().of(id), number);
                }
                if let Some(target) = stack.links().target(id) {
                    pinned.pin(stack.names().of(target), number);
                }
            }
        }
        pinned
    }

    pub(super) fn pin(&mut self, name: NameId, layer: LayerNumber) {
        self.names.entry(name).or_insert(layer);
    }

    pub(super) fn layer_for(&self, name: NameId) -> Option<LayerNumber> {
        self.names.get(&name).copied()
    }

    pub(super) fn is_untouched(&self, layer: LayerNumber) -> bool {
        self.untouched.contains(&layer)
    }
}
