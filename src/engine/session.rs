//! What all work on images shares.

use std::sync::Arc;

use super::event::{Event, Events, Ignored};
use crate::progress::{Progress, Silent};
use crate::store::Store;
use crate::transport::RegistryOptions;

/// Where blobs and indexes are kept, how registries are reached, and who is told how the work goes.
pub struct Session {
    /// Keeps blobs, indexes and rewritten layers.
    pub store: Store,
    /// How registries are reached.
    pub registry: RegistryOptions,
    /// Watches long steps.
    pub progress: Arc<dyn Progress>,
    /// Receives what people may want to know.
    pub events: Arc<dyn Events>,
    /// How many bytes a layer may unpack to even if that is far more than its size makes likely. `None`: 1,100 times its size
    /// and 1 GiB.
    pub max_unpacked: Option<u64>,
}

impl Session {
    /// A session with a store, plain access to registries, and nobody who is told anything.
    pub fn new(store: Store) -> Session {
        Session {
            store,
            registry: RegistryOptions::default(),
            progress: Arc::new(Silent),
            events: Arc::new(Ignored),
            max_unpacked: None,
        }
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        self.events.tell(event);
    }
}
