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
use crate::image::media_type::Compression;
use crate::layer::{EntryNumber, LayerIndex, LayerNumber, seek_points};
use crate::plan::{OutputNumber, OutputPlan, PerOutput, Plan, set_aside as set_aside_for};
use crate::progress::{Stage, Task};
use crate::rewrite::cache::key;
use crate::rewrite::{LayerWriter, OutputSource, Settings, SourceBlob, Spool, read_back, rewrite, set_aside};
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
    encoding: Encoding,
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
            encoding,
            made: BTreeMap::new(),
            spool: Spool::create(directory.path().join("set-aside"))?,
            _directory: directory,
        })
    }

    /// The settings for a layer of the result: it keeps the format of its first source, unless another one is asked for.
    pub(super) fn settings(&self, output: &OutputPlan) -> Settings {
        let first = output.sources.first().and_then(|&source| self.base.stack.layers().get(source));
        self.encoding.for_source(first.map_or(Compression::None, |layer| layer.compression))
    }

    /// Makes the layers of a plan, those that stay included, from the base upward.
    /// `outputs` are those of the plan.
    pub(super) async fn layers(
        &mut self,
        plan: &Plan,
        outputs: &PerOutput<OutputPlan>,
    ) -> Result<Rewritten, EngineError> {
        let mut layers = Vec::new();
        for (number, output) in outputs.numbered() {
            if let Some(layer) = output.is_layer(&self.base.stack) {
                let index = Arc::clone(&self.base.stack.layers()[layer]);
                layers.push(ResultLayer { index, origin: Origin::Base(layer), key: None, would_have_grown: false });
                continue;
            }
            self.outbox.check()?;
            match self.layer(outputs, number).await? {
                Ok(layer) => layers.push(layer),
                Err(grown) => return Ok(Rewritten::Grown(grown)),
            }
            // A layer above that grows changes the plan for those below it. Where that is not to be expected they need not wait;
            // if it happens all the same, a blob was sent in vain.
            let may_grow = |source: &LayerNumber| plan.layers[*source].may_grow();
            if !outputs.after(number).iter().flat_map(|output| &output.sources).any(may_grow) {
                self.outbox.take(&layers);
            }
        }
        Ok(Rewritten::Layers(layers))
    }

    /// A layer of the result, or the first of its sources if it becomes larger than they are.
    async fn layer(
        &mut self,
        outputs: &PerOutput<OutputPlan>,
        number: OutputNumber,
    ) -> Result<Result<ResultLayer, LayerNumber>, EngineError> {
        let output = &outputs[number];
        let settings = self.settings(output);
        let key = key::of_output(&self.base.stack, output, settings);
        if let Some(made) = self.made.get(&key) {
            return Ok(Ok(made.clone()));
        }
        let result = match self.cache.layer(&key, settings.compression).await? {
            Some(found) => {
                let cache = match &found.origin {
                    Origin::Cache(cache) => Some(cache.name().to_string()),
                    _ => None,
                };
                self.session.tell(&Event::RewrittenBefore { layer: number, cache });
                let index = Arc::new(found.index);
                Ok(ResultLayer { index, origin: found.origin, key: Some(key), would_have_grown: false })
            }
            None => self.rewrite(outputs, number, settings, key).await?,
        };
        if let Ok(layer) = &result {
            self.made.insert(key, layer.clone());
        }
        Ok(result)
    }

    async fn rewrite(
        &mut self,
        outputs: &PerOutput<OutputPlan>,
        number: OutputNumber,
        settings: Settings,
        key: Digest,
    ) -> Result<Result<ResultLayer, LayerNumber>, EngineError> {
        let (base, output) = (self.base, &outputs[number]);
        self.set_aside_below(output).await?;
        let mut blobs = Vec::new();
        for &source in &output.sources {
            blobs.push((source, base.blob(source).await?, self.seek_points(source)));
        }
        let writer = LayerWriter::new(self.session.store.temporary()?, settings)?;
        let sources: Vec<OutputSource<'_>> = blobs
            .iter()
            .map(|(layer, blob, seek_points)| OutputSource {
                blob: source(blob, seek_points.as_deref()),
                set_aside: set_aside_for(outputs, *layer),
            })
            .collect();
        let size: u64 = output.sources.iter().map(|&source| base.stack.layers()[source].stored_size).sum();
        let first = output.sources.first().copied().unwrap_or(LayerNumber::BASE);
        let task = base.progress().start(Stage::Rewrite, &base.stack.layers()[first].digest.short(), size);
        tokio::task::block_in_place(|| {
            let advance = |bytes| task.advance(bytes);
            let (file, index) = rewrite(&sources, &base.stack, output, &mut self.spool, writer, advance)
                .map_err(|error| failure(error.into(), &blobs, base))?;
            task.finish();
            if index.stored_size > size {
                return Ok(Err(first));
            }
            let result = publish(file, index, settings, Some(key), self.session)?;
            self.cache.keep_layer(&key, &result.index)?;
            Ok(Ok(result))
        })
    }

    /// Sets aside what a layer takes over from lower ones that were not rewritten in this run, or under another plan.
    async fn set_aside_below(&mut self, output: &OutputPlan) -> Result<(), EngineError> {
        let mut missing: BTreeMap<LayerNumber, Vec<EntryNumber>> = BTreeMap::new();
        for from in output.takes_over() {
            if !output.sources.contains(&from.layer) && !self.spool.has(from) {
                missing.entry(from.layer).or_default().push(from.entry);
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

/// Why a layer could not be rewritten from these blobs: the first damaged one, if there is one.
fn failure(
    mut error: LayerError,
    blobs: &[(LayerNumber, LocalBlob, Option<PathBuf>)],
    base: &BaseImage<'_>,
) -> EngineError {
    let digest = |layer: LayerNumber| base.stack.layers()[layer].digest;
    let mut failed = blobs.first().map_or(LayerNumber::BASE, |(layer, ..)| *layer);
    for (layer, blob, _) in blobs {
        error = damage::explain(error, &blob.path, &digest(*layer));
        if let LayerError::Damaged(_) = error {
            failed = *layer;
            break;
        }
    }
    EngineError::Rewrite { layer: failed, digest: digest(failed), error }
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
