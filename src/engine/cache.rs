//! What earlier builds did, so that it need not be done again: kept in the store, and in repositories of registries for
//! machines whose store is empty.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::EngineError;
use super::event::Event;
use super::result::{Origin, Slimmed};
use super::session::Session;
use crate::error::{IoContext, PathError};
use crate::image::edit::make_artifact;
use crate::image::{Compression, Descriptor, Digest, Document, Manifest};
use crate::layer::{LayerIndex, LayerStack};
use crate::plan::LayerLimit;
use crate::rewrite::cache::{CacheEntry, LONGEST_PACKED, key, pack_layer, pack_limits};
use crate::transport::{Artifacts, LocalBlob, Reference, RegistryReference, Tag, TransportError};

/// The media type of a packed entry, and of the artifact that it is in.
const ENTRY: &str = "application/vnd.winslim.cache.v1+zstd";

/// The caches of a build.
///
/// A cache that fails costs time and nothing else, so that is an event and no error.
pub struct Cache<'a> {
    session: &'a Session,
    /// Whether anything is taken from a cache.
    reads: bool,
    from: Vec<Remote>,
    to: Option<Artifacts>,
}

/// A repository that entries are taken from.
struct Remote {
    artifacts: Arc<Artifacts>,
    /// Whether it failed; then it is not asked again.
    failed: AtomicBool,
}

/// A layer that was rewritten before.
pub(super) struct Rewritten {
    pub(super) index: LayerIndex,
    pub(super) origin: Origin,
}

impl<'a> Cache<'a> {
    /// The store, and these repositories. Unless it `reads`, a cache is only written to.
    ///
    /// # Errors
    /// If the settings for one of the registries cannot be used.
    pub fn open(
        from: &[RegistryReference],
        to: Option<&RegistryReference>,
        reads: bool,
        session: &'a Session,
    ) -> Result<Cache<'a>, TransportError> {
        let artifacts = |name: &RegistryReference| Artifacts::open(name.clone(), &session.registry);
        let remote = |name: &RegistryReference| -> Result<Remote, TransportError> {
            Ok(Remote { artifacts: Arc::new(artifacts(name)?), failed: AtomicBool::new(false) })
        };
        Ok(Cache {
            session,
            reads,
            from: from.iter().map(remote).collect::<Result<_, _>>()?,
            to: to.map(artifacts).transpose()?,
        })
    }

    /// The index of a layer that nobody rewrote, from a repository. It is used and not stored: the store keeps what this
    /// machine read itself.
    pub(super) async fn index(&self, layer: &Descriptor, diff_id: &Digest) -> Option<LayerIndex> {
        let (remote, entry, _) = self.remote_entry(&key::of_index(&layer.digest)).await?;
        match entry {
            CacheEntry::Layer(index)
                if (index.digest, index.stored_size, &index.diff_id) == (layer.digest, layer.size, diff_id) =>
            {
                tracing::info!(digest = %layer.digest, cache = %remote.name(), "layer index from the cache");
                Some(index)
            }
            _ => None,
        }
    }

    /// What a layer with this key became, if it was rewritten before.
    pub(super) async fn layer(&self, key: &Digest, compression: Compression) -> Result<Option<Rewritten>, EngineError> {
        if let Some(CacheEntry::Layer(index)) = self.local_entry(key)?
            && let Some(path) = self.stored_blob(&index)
        {
            tracing::info!(%key, digest = %index.digest, "layer was rewritten before");
            return Ok(Some(Rewritten { index, origin: Origin::Store(LocalBlob::in_store(path, false)) }));
        }
        let Some((remote, CacheEntry::Layer(index), manifest)) = self.remote_entry(key).await else {
            return Ok(None);
        };
        let is_held = manifest.layers.get(1).is_some_and(|layer| {
            (layer.digest, layer.size, index.compression) == (index.digest, index.stored_size, compression)
        });
        let is_there = is_held && self.is_there(&remote, &index.digest).await;
        tracing::info!(%key, digest = %index.digest, cache = %remote.name(), is_there, "layer was rewritten elsewhere");
        Ok(is_there.then_some(Rewritten { index, origin: Origin::Cache(remote) }))
    }

    /// The limits of `count` layers at which an earlier build with this key arrived.
    pub(super) async fn limits(&self, key: &Digest, count: usize) -> Result<Option<Vec<LayerLimit>>, EngineError> {
        let entry = match self.local_entry(key)? {
            Some(entry) => Some(entry),
            None => self.remote_entry(key).await.map(|(_, entry, _)| entry),
        };
        match entry {
            Some(CacheEntry::Limits(limits)) if limits.len() == count => Ok(Some(limits)),
            _ => Ok(None),
        }
    }

    /// Keeps a rewritten layer, whose blob is in the store, for later builds on this machine.
    pub(super) fn keep_layer(&self, key: &Digest, index: &LayerIndex) -> Result<(), PathError> {
        self.session.store.write_rewritten(key::VERSION, key, &pack_layer(index))
    }

    /// Keeps limits for later builds on this machine.
    pub(super) fn keep_limits(&self, key: &Digest, limits: &[LayerLimit]) -> Result<(), PathError> {
        self.session.store.write_rewritten(key::VERSION, key, &pack_limits(limits))
    }

    /// Puts what a build used and made into the repository for other machines, as far as it is not there. The image, which
    /// is at `target` by now, is done all the same when this fails.
    pub(super) async fn save(&self, base: &LayerStack, slimmed: &Slimmed, target: &Reference) {
        let Some(to) = &self.to else { return };
        if let Err(error) = self.save_all(to, base, slimmed, target).await {
            self.session.tell(&Event::CacheUnwritable { cache: to.name().to_string(), error: &error });
        }
    }

    async fn save_all(
        &self,
        to: &Artifacts,
        base: &LayerStack,
        slimmed: &Slimmed,
        target: &Reference,
    ) -> Result<(), TransportError> {
        for index in base.layers() {
            self.save_entry(to, &key::of_index(&index.digest), pack_layer(index), None).await?;
        }
        for layer in &slimmed.layers {
            let Some(key) = &layer.key else { continue };
            let mount_from = match (&layer.origin, target) {
                (Origin::Cache(from), _) => Some(from.name()),
                (_, Reference::Registry(name)) => Some(name),
                _ => None,
            };
            let blob = layer.descriptor();
            let path = match &layer.origin {
                Origin::Store(blob) => Some(&blob.path),
                _ => None,
            };
            self.save_entry(to, key, pack_layer(&layer.index), Some((blob, path, mount_from))).await?;
        }
        if let Some((key, limits)) = &slimmed.limits {
            self.save_entry(to, key, pack_limits(limits), None).await?;
        }
        Ok(())
    }

    /// Puts an entry, unless it is there; with it the blob of a layer. A blob that is in another registry's cache is not
    /// brought here for this alone: then there is no entry.
    async fn save_entry(
        &self,
        to: &Artifacts,
        key: &Digest,
        packed: Vec<u8>,
        layer: Option<(Descriptor, Option<&PathBuf>, Option<&RegistryReference>)>,
    ) -> Result<(), TransportError> {
        let entry = Descriptor::of_content(ENTRY, &packed);
        let blobs: Vec<Descriptor> =
            [Some(entry.clone()), layer.as_ref().map(|(blob, ..)| blob.clone())].into_iter().flatten().collect();
        let manifest: Document = make_artifact(ENTRY, &blobs);
        let present = to.find(&Tag::of_cache_entry(key)).await?;
        if entry.size > LONGEST_PACKED || present.is_some_and(|present| present.document.digest() == manifest.digest())
        {
            return Ok(());
        }
        let progress = &*self.session.progress;
        if let Some((blob, path, mount_from)) = layer {
            match path {
                Some(path) => drop(to.put_blob(&blob, path, mount_from, progress).await?),
                None if to.take_blob(&blob.digest, mount_from).await?.is_none() => return Ok(()),
                None => {}
            }
        }
        let store = &self.session.store;
        let path = store.blob_path(&store.put(&packed)?);
        to.put_blob(&entry, &path, None, progress).await?;
        to.put(&Tag::of_cache_entry(key), &manifest, store, progress).await?;
        tracing::info!(%key, cache = %to.name(), bytes = entry.size, "cache entry written");
        Ok(())
    }

    fn local_entry(&self, key: &Digest) -> Result<Option<CacheEntry>, PathError> {
        if !self.reads {
            return Ok(None);
        }
        let bytes = self.session.store.read_rewritten(key::VERSION, key)?;
        Ok(bytes.and_then(|bytes| CacheEntry::unpack(&bytes)))
    }

    /// Where the blob of a layer is in the store, if it is there as a whole.
    fn stored_blob(&self, index: &LayerIndex) -> Option<PathBuf> {
        let path = self.session.store.blob(&index.digest)?;
        path.metadata().is_ok_and(|metadata| metadata.len() == index.stored_size).then_some(path)
    }

    /// The first entry with this key of all repositories, and the manifest that it came with.
    async fn remote_entry(&self, key: &Digest) -> Option<(Arc<Artifacts>, CacheEntry, Manifest)> {
        if !self.reads {
            return None;
        }
        for remote in &self.from {
            let found = self.ask(remote, self.pull_entry(&remote.artifacts, key)).await.flatten();
            if let Some((entry, manifest)) = found {
                return Some((Arc::clone(&remote.artifacts), entry, manifest));
            }
        }
        None
    }

    async fn pull_entry(
        &self,
        artifacts: &Artifacts,
        key: &Digest,
    ) -> Result<Option<(CacheEntry, Manifest)>, TransportError> {
        let Some(manifest) = artifacts.find(&Tag::of_cache_entry(key)).await? else { return Ok(None) };
        let Some(entry) = manifest.layers.first().filter(|entry| is_entry(entry)) else { return Ok(None) };
        let path = artifacts.fetch(entry, &self.session.store, &*self.session.progress).await?;
        let packed = std::fs::read(&path).context_path("read", &path)?;
        let entry = tokio::task::block_in_place(|| CacheEntry::unpack(&packed));
        if entry.is_none() {
            tracing::info!(%key, cache = %artifacts.name(), "what is in the cache cannot be used");
        }
        Ok(entry.map(|entry| (entry, manifest)))
    }

    async fn is_there(&self, artifacts: &Arc<Artifacts>, digest: &Digest) -> bool {
        let remote = self.from.iter().find(|remote| Arc::ptr_eq(&remote.artifacts, artifacts));
        let Some(remote) = remote else { return false };
        self.ask(remote, artifacts.has_blob(digest)).await.unwrap_or_default()
    }

    /// Does something with a repository that may fail; from then on nothing is asked of it.
    async fn ask<T>(&self, remote: &Remote, what: impl Future<Output = Result<T, TransportError>>) -> Option<T> {
        if remote.failed.load(Ordering::Relaxed) {
            return None;
        }
        match what.await {
            Ok(answer) => Some(answer),
            Err(error) => {
                // Of several requests that fail side by side, one is enough.
                if !remote.failed.swap(true, Ordering::Relaxed) {
                    let cache = remote.artifacts.name().to_string();
                    self.session.tell(&Event::CacheUnreadable { cache, error: &error });
                }
                None
            }
        }
    }
}

fn is_entry(blob: &Descriptor) -> bool {
    blob.media_type == ENTRY && blob.size <= LONGEST_PACKED
}
