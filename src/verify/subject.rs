//! What is verified.

use crate::image::{Config, Descriptor, Digest, IndexEntry, Manifest, Platform};
use crate::layer::LayerStack;
use crate::windows::program::Start;

/// What is verified: an image as its layers and documents describe it.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Its layers.
    pub stack: &'a LayerStack,
    /// What manifest, config and index say.
    pub image: ImageFacts,
}

/// What the documents of an image say about it.
#[derive(Debug, Clone)]
pub struct ImageFacts {
    /// The platform in the config.
    pub platform: Platform,
    /// `rootfs.diff_ids` of the config.
    pub diff_ids: Vec<Digest>,
    /// The layers in the manifest.
    pub layers: Vec<Descriptor>,
    /// How many entries of the config's history made a layer (`empty_layer` is not true); nothing without a history.
    pub history: Option<usize>,
    /// The platform that the index gives for the manifest; nothing if there is no index or no platform in it.
    pub index_platform: Option<Platform>,
    /// What a container starts.
    pub start: Start,
}

impl ImageFacts {
    /// What these documents say; the index entry is the one that leads to the manifest, if there is one.
    pub fn of(config: &Config, manifest: &Manifest, index_entry: Option<&IndexEntry>) -> ImageFacts {
        let made_layers = config.history.iter().filter(|step| !step.empty_layer).count();
        ImageFacts {
            platform: config.platform(),
            diff_ids: config.diff_ids.clone(),
            layers: manifest.layers.clone(),
            history: (!config.history.is_empty()).then_some(made_layers),
            index_platform: index_entry.and_then(|entry| entry.platform.clone()),
            start: Start::of(config),
        }
    }
}
