//! Sets of layers: an image has few enough for one bit each.

use crate::layer::LayerNumber;

/// Some layers of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LayerSet(u128);

impl LayerSet {
    /// Adds a layer. Returns `false` if the set had it before.
    pub(super) fn insert(&mut self, layer: LayerNumber) -> bool {
        let is_new = !self.contains(layer);
        self.0 |= bit(layer);
        is_new
    }

    pub(super) fn contains(self, layer: LayerNumber) -> bool {
        self.0 & bit(layer) != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns `true` if the set has a layer below this one.
    pub(super) fn has_below(self, layer: LayerNumber) -> bool {
        self.0 & bit(layer).wrapping_sub(1) != 0
    }
}

/// The bit of a layer. [`super::plan`] refuses images with more layers than bits.
fn bit(layer: LayerNumber) -> u128 {
    1_u128.checked_shl(layer.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_found_again() {
        let mut set = LayerSet::default();
        assert!(set.is_empty() && !set.has_below(126.into()));
        assert!(set.insert(3.into()) && !set.insert(3.into()));
        assert!(set.insert(126.into()));
        assert!(set.contains(3.into()) && set.contains(126.into()) && !set.contains(2.into()));
        assert!(set.has_below(4.into()) && !set.has_below(3.into()) && !set.has_below(0.into()));
    }
}
