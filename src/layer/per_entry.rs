//! Lists that have something for each entry of an image.

use std::ops::{Index, IndexMut};

use super::{EntryId, EntryNumber, LayerIndex, LayerNumber, PerLayer};
use crate::numbered::NumberedVec;

/// Something for each entry of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerEntry<T>(PerLayer<NumberedVec<EntryNumber, T>>);

impl<T: Clone> PerEntry<T> {
    /// Returns a list that has this value for each entry of these layers.
    pub fn filled<'a>(layers: impl IntoIterator<Item = &'a LayerIndex>, value: T) -> PerEntry<T> {
        PerEntry(layers.into_iter().map(|layer| layer.entries.same_length(value.clone())).collect())
    }
}

impl<T> PerEntry<T> {
    /// Returns what belongs to an entry, or `None` if the image has no such entry.
    pub fn get(&self, id: EntryId) -> Option<&T> {
        self.0.get(id.layer)?.get(id.entry)
    }

    /// Returns what belongs to the entries of one layer.
    pub fn layer(&self, layer: LayerNumber) -> &NumberedVec<EntryNumber, T> {
        &self.0[layer]
    }

    /// Returns what belongs to the entries of each layer.
    pub fn layers(&self) -> &PerLayer<NumberedVec<EntryNumber, T>> {
        &self.0
    }

    /// Returns the same as lists for each layer.
    pub fn into_layers(self) -> PerLayer<NumberedVec<EntryNumber, T>> {
        self.0
    }
}

impl<T> From<PerLayer<NumberedVec<EntryNumber, T>>> for PerEntry<T> {
    fn from(layers: PerLayer<NumberedVec<EntryNumber, T>>) -> PerEntry<T> {
        PerEntry(layers)
    }
}

impl<T> Default for PerEntry<T> {
    fn default() -> PerEntry<T> {
        PerEntry(PerLayer::default())
    }
}

impl<T> Index<EntryId> for PerEntry<T> {
    type Output = T;

    fn index(&self, id: EntryId) -> &T {
        &self.0[id.layer][id.entry]
    }
}

impl<T> IndexMut<EntryId> for PerEntry<T> {
    fn index_mut(&mut self, id: EntryId) -> &mut T {
        &mut self.0[id.layer][id.entry]
    }
}
