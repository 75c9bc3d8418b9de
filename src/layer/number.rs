//! Numbers of layers and entries.

use crate::numbered::{NumberedVec, number};

number! {
    /// The number of a layer of an image, from the base upward; that of the base layer is 0.
    ///
    /// A build reads one image and makes another. Layers of the one that it makes have numbers of another type.
    LayerNumber
}

number! {
    /// The number of an entry in the index of its layer.
    EntryNumber
}

impl LayerNumber {
    /// The base layer.
    pub const BASE: LayerNumber = LayerNumber(0);
}

/// Something for each layer of an image.
pub type PerLayer<T> = NumberedVec<LayerNumber, T>;
