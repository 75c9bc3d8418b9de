//! What a build makes, on its way from the rewriter to the target and the ledger.

use std::sync::Arc;

use crate::image::{Config, Descriptor, Digest, Document, Manifest, media_type};
use crate::layer::{LayerIndex, LayerNumber};
use crate::plan::{LayerLimit, Plan};
use crate::transport::{Artifacts, LocalBlob};

/// A layer of the result.
#[derive(Clone)]
pub(super) struct ResultLayer {
    pub(super) index: Arc<LayerIndex>,
    pub(super) origin: Origin,
    /// The key under which caches keep it, if it was rewritten.
    pub(super) key: Option<Digest>,
    /// `true` if a rewritten one was thrown away because it was larger.
    pub(super) would_have_grown: bool,
}

/// Where the blob of a layer of the result is.
#[derive(Clone)]
pub(super) enum Origin {
    /// It is this layer of the base image, reused, and is where that came from.
    Base(LayerNumber),
    /// It is new, and in this file of the store.
    Store(LocalBlob),
    /// It is new, and in this cache repository.
    Cache(Arc<Artifacts>),
}

impl ResultLayer {
    /// Returns `true` if the base image does not have it.
    pub(super) fn is_new(&self) -> bool {
        !matches!(self.origin, Origin::Base(_))
    }

    /// How a manifest points to it if it is new.
    pub(super) fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: media_type::layer_media_type(self.index.compression).to_owned(),
            digest: self.index.digest,
            size: self.index.stored_size,
            urls: Vec::new(),
        }
    }
}

/// The layers of the result, and the plan that made them.
pub(super) struct Slimmed {
    pub(super) plan: Plan,
    pub(super) layers: Vec<ResultLayer>,
    /// How far the layers may change, and the key under which caches keep that; `None` if all may change freely.
    pub(super) limits: Option<(Digest, Vec<LayerLimit>)>,
}

/// The documents of the result.
pub(super) struct Documents {
    pub(super) config: Config,
    pub(super) manifest: Manifest,
    pub(super) index: Option<Document>,
    /// `true` if they are others than the base's.
    pub(super) changed: bool,
}

impl Documents {
    /// The document that the target's tag leads to.
    pub(super) fn root(&self) -> &Document {
        self.index.as_ref().unwrap_or(&self.manifest.document)
    }
}
