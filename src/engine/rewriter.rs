//! Carrying out plans, layer by layer, without doing anything twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::base::BaseImage;
use super::cache::Cache;
use super::damage;
use super::early_push::Outbox;
use super::encoding::Encoding;
use super::error::{EngineError, LayerError};
use super::event::Event;
use super::result::{Origin, ResultLayer};
use super::session::Session;
use crate::image::Digest;
use crate::layer::{EntryId, EntryNumber, LayerIndex, LayerNumber, PerLayer, seek_points};
use crate::plan::{Action, LayerPlan, Plan};
use crate::progress::{Stage, Task};
use crate::rewrite::cache::key;
use crate::rewrite::{LayerWriter, Settings, SourceBlob, Spool, read_back, rewrite_layer, set_aside};
use crate::store::Temporary;
use crate::temporary::TemporaryDirectory;
use crate::transport::LocalBlob;

/// Makes the layers that plans for one image want.
pub(super) struct Rewriter<'a> {
    base: &'a BaseImage<'a>,
    cache: &'a Cache<'a>,
    session: &'a Session,
    /// Where finished layers go.
    pub(super) outbox: Outbox,
    /// How each layer is encoded when it is rewritten.
    pub(super) settings: PerLayer<Settings>,
    /// What was made by now, by its key: the plan changes while a build finds out which layers grow, and much of it stays.
    made: BTreeMap<Digest, ResultLayer>,
    spool: Spool,
    /// Where the spool lies.
    _directory: TemporaryDirectory,
}

/// The outcome of carrying out a plan.
pub(super) enum Rewritten {
    /// All layers.
    Layers(Vec<ResultLayer>),
    /// The lowest layer that becomes larger than it was.
    Grown(LayerNumber),
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(
        base: &'a BaseImage<'a>,
        outbox: Outbox,
        encoding: Encoding,
        cache: &'a Cache<'a>,
        session: &'a Session,
    ) -> Result<Rewriter<'a>, EngineError> {
        let directory = session.store.temporary_directory()?;
        Ok(Rewriter {
            base,
            cache,
            session,
            outbox,
            settings: base.stack.layers().iter().map(|layer| encoding.for_source(layer.compression)).collect(),
            made: BTreeMap::new(),
            spool: Spool::create(directory.path().join("set-aside"))?,
            _directory: directory,
        })
    }

    /// Makes the layers of a plan, those that stay included, from the base upward.
    pub(super) async fn layers(&mut self, plan: &Plan) -> Result<Rewritten, EngineError> {
        let mut layers = Vec::new();
        for (number, before) in self.base.stack.layers().numbered() {
            if plan.layers[number].is_untouched() {
                let index = Arc::clone(before);
                layers.push(ResultLayer { index, origin: Origin::Base(number), key: None, would_have_grown: false });
                continue;
            }
            self.outbox.check()?;
            match self.layer(plan, number).await? {
                Some(layer) => layers.push(layer),
                None => return Ok(Rewritten::Grown(number)),
            }
            // A layer above that grows changes the plan for those below it. Where that is not to be expected they need not wait;
            // if it happens all the same, a blob was sent in vain.
            if !plan.layers.after(number).iter().any(LayerPlan::may_grow) {
                self.outbox.take(&layers);
            }
        }
        Ok(Rewritten::Layers(layers))
    }

    /// A layer as the plan wants it; `None` if it becomes larger than it was.
    async fn layer(&mut self, plan: &Plan, layer: LayerNumber) -> Result<Option<ResultLayer>, EngineError> {
        let settings = self.settings[layer];
        let key = key::of_layer(&self.base.stack, plan, layer, settings);
        if let Some(made) = self.made.get(&key) {
            return Ok(Some(made.clone()));
        }
        let result = match self.cache.layer(&key, settings.compression).await? {
            Some(found) => {
                let cache = match &found.origin {
                    Origin::Cache(cache) => Some(cache.name().to_string()),
                    _ => None,
                };
                self.session.tell(&Event::RewrittenBefore { layer, cache });
                let index = Arc::new(found.index);
                Some(ResultLayer { index, origin: found.origin, key: Some(key), would_have_grown: false })
            }
            None => self.rewrite(plan, layer, key).await?,
        };
        if let Some(layer) = &result {
            self.made.insert(key, layer.clone());
        }
        Ok(result)
    }

    async fn rewrite(
        &mut self,
        plan: &Plan,
        layer: LayerNumber,
        key: Digest,
    ) -> Result<Option<ResultLayer>, EngineError> {
        self.set_aside_below(plan, layer).await?;
        let (base, settings) = (self.base, self.settings[layer]);
        let blob = base.blob(layer).await?;
        let writer = LayerWriter::new(self.session.store.temporary()?, settings)?;
        let task = self.start(layer);
        let seek_points = self.seek_points(layer);
        let source = source(&blob, seek_points.as_deref());
        tokio::task::block_in_place(|| {
            let advance = |bytes| task.advance(bytes);
            let digest = base.stack.layers()[layer].digest;
            let failed = |error: LayerError| EngineError::Rewrite {
                layer,
                digest,
                error: damage::explain(error, &blob.path, &digest),
            };
            let (file, index) = rewrite_layer(source, &base.stack, plan, layer, &mut self.spool, writer, advance)
                .map_err(|error| failed(error.into()))?;
            task.finish();
            if index.stored_size > base.stack.layers()[layer].stored_size {
                return Ok(None);
            }
            let result = publish(file, index, settings, Some(key), self.session)?;
            self.cache.keep_layer(&key, &result.index)?;
            Ok(Some(result))
        })
    }

    /// Sets aside what a layer takes over from lower ones that were not rewritten in this run, or under another plan.
    async fn set_aside_below(&mut self, plan: &Plan, layer: LayerNumber) -> Result<(), EngineError> {
        let mut missing: BTreeMap<LayerNumber, Vec<EntryNumber>> = BTreeMap::new();
        for action in &plan.layers[layer].actions {
            if let Action::Promote(from @ EntryId { layer: below, entry }) = *action
                && below < layer
                && !self.spool.has(from)
            {
                missing.entry(below).or_default().push(entry);
            }
        }
        for (below, entries) in missing {
            let base = self.base;
            let blob = base.blob(below).await?;
            let index = &base.stack.layers()[below];
            let task = self.start(below);
            let seek_points = self.seek_points(below);
            let source = source(&blob, seek_points.as_deref());
            tokio::task::block_in_place(|| {
                set_aside(source, index, below, &entries, &mut self.spool, |bytes| task.advance(bytes))
            })
            .map_err(|error| EngineError::SetAside {
                layer: below,
                digest: index.digest,
                error: damage::explain(error.into(), &blob.path, &index.digest),
            })?;
            task.finish();
        }
        Ok(())
    }

    fn seek_points(&self, layer: LayerNumber) -> Option<PathBuf> {
        self.session.store.seek_points(seek_points::VERSION, &self.base.stack.layers()[layer].digest)
    }

    fn start(&self, layer: LayerNumber) -> Box<dyn Task> {
        let before = &self.base.stack.layers()[layer];
        self.base.progress().start(Stage::Rewrite, &before.digest.short(), before.stored_size)
    }
}

fn source<'a>(blob: &'a LocalBlob, seek_points: Option<&'a Path>) -> SourceBlob<'a> {
    SourceBlob { path: &blob.path, checked: blob.verified, seek_points }
}

/// Stores a new layer; if that is asked for, it is read back first.
///
/// Its index is not stored as that of its blob: it knows less of the blob than one that reading it gives.
pub(super) fn publish(
    file: Temporary,
    index: LayerIndex,
    settings: Settings,
    key: Option<Digest>,
    session: &Session,
) -> Result<ResultLayer, EngineError> {
    if settings.read_back {
        read_back(file.path(), &index)?;
    }
    let path = session.store.publish(file, &index.digest)?;
    Ok(ResultLayer {
        index: Arc::new(index),
        origin: Origin::Store(LocalBlob::in_store(path, true)),
        key,
        would_have_grown: false,
    })
}
