//! An image that is looked at: found, its layers fetched as far as needed, and indexed.

use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinError;

use super::cache::Cache;
use super::error::EngineError;
use super::read::index_blob;
use super::session::Session;
use crate::image::listing::Listed;
use crate::image::{Config, Descriptor, Digest, Document, Platform, PlatformRequest};
use crate::layer::index::VERSION;
use crate::layer::scan::most_entries;
use crate::layer::{LayerIndex, LayerNumber, LayerStack, PerLayer, seek_points};
use crate::numbered::Number;
use crate::progress::Progress;
use crate::transport::{Image, LocalBlob, Reference, Source};

/// How many layers are fetched at once.
const AT_ONCE: usize = 4;

/// An image at its source: documents only, no layer is here yet.
pub struct FoundImage<'a> {
    /// Its documents.
    pub image: Image,
    source: Arc<Source>,
    session: &'a Session,
}

/// An image at its source, with the indexes of its layers.
pub struct BaseImage<'a> {
    /// Its documents.
    pub image: Image,
    /// The indexes of its layers. They are kept until the process ends: to free a hundred thousand names one by one takes
    /// longer than many commands.
    pub stack: ManuallyDrop<LayerStack>,
    pub(super) source: Arc<Source>,
    session: &'a Session,
    cache: Option<&'a Cache<'a>>,
    /// The descriptors of the layers in the manifest.
    pub(super) descriptors: PerLayer<Descriptor>,
    /// The blobs that are here already.
    blobs: PerLayer<OnceCell<LocalBlob>>,
    /// The layers whose blobs this run has read as a whole, so that their digests are known.
    read: Mutex<BTreeSet<LayerNumber>>,
    /// How many entries the layers have that are indexed by now.
    entries: AtomicU64,
}

/// Finds an image for Windows. `platform` chooses one if the reference leads to several.
///
/// # Errors
/// If the image cannot be found or read, is for another system, or there are several and none is chosen
/// ([`crate::image::select::SelectError::Ambiguous`]).
pub async fn find<'a>(
    reference: &Reference,
    platform: Option<&PlatformRequest>,
    session: &'a Session,
) -> Result<FoundImage<'a>, EngineError> {
    let source = Source::open(reference, &session.registry, &session.store).await?;
    let image = source.resolve(platform).await?;
    FoundImage::new(image, source, session)
}

/// Every image for Windows that a reference leads to, or the one for a platform.
pub struct FoundImages<'a> {
    /// Each with its number among all images of the reference.
    pub images: Vec<(usize, FoundImage<'a>)>,
    /// The entries of the index, if there is one.
    pub index: Option<Vec<Listed>>,
    /// What machines all images of the reference are for, by their numbers.
    pub platforms: Vec<Platform>,
}

/// Finds every image for Windows or, if a platform is asked for, the one for that.
///
/// # Errors
/// As for [`find`].
pub async fn find_all<'a>(
    reference: &Reference,
    platform: Option<&PlatformRequest>,
    session: &'a Session,
) -> Result<FoundImages<'a>, EngineError> {
    let source = Arc::new(Source::open(reference, &session.registry, &session.store).await?);
    let resolved = source.resolve_all(platform).await?;
    let found = |(number, image)| Ok((number, FoundImage::new(image, Arc::clone(&source), session)?));
    let images = resolved.images.into_iter().map(found).collect::<Result<_, EngineError>>()?;
    Ok(FoundImages { images, index: resolved.index, platforms: resolved.platforms })
}

impl<'a> FoundImage<'a> {
    fn new(image: Image, source: impl Into<Arc<Source>>, session: &'a Session) -> Result<FoundImage<'a>, EngineError> {
        if image.config.os != "windows" {
            let (reference, os) = (image.reference.to_string(), image.config.os);
            return Err(EngineError::NotWindows { reference, os });
        }
        Ok(FoundImage { image, source: source.into(), session })
    }

    /// Makes sure that every layer has an index. Only layers without one, in the store or the cache, are fetched.
    ///
    /// # Errors
    /// If a layer cannot be fetched or read, or is not the one that the config names.
    pub async fn index(self, cache: Option<&'a Cache<'a>>) -> Result<BaseImage<'a>, EngineError> {
        let descriptors: PerLayer<Descriptor> = self.image.manifest.layers.clone().into();
        let blobs = descriptors.iter().map(|_| OnceCell::new()).collect();
        let mut base = BaseImage {
            image: self.image,
            stack: ManuallyDrop::new(LayerStack::new(Vec::new())),
            source: self.source,
            session: self.session,
            cache,
            descriptors,
            blobs,
            read: Mutex::default(),
            entries: AtomicU64::new(0),
        };
        let permits = Semaphore::new(AT_ONCE);
        let layers = base.descriptors.numbers().map(|layer| base.index(layer, &permits));
        base.stack = ManuallyDrop::new(LayerStack::new(try_join_all(layers).await?));
        Ok(base)
    }
}

impl BaseImage<'_> {
    /// Returns where a layer's blob is on this machine, after fetching it if necessary.
    pub(super) async fn blob(&self, layer: LayerNumber) -> Result<LocalBlob, EngineError> {
        let descriptor = &self.descriptors[layer];
        let blob = self.blobs[layer]
            .get_or_try_init(|| self.source.fetch(descriptor, &self.session.store, self.progress()))
            .await
            .map_err(|error| EngineError::Fetch { layer, reference: self.image.reference.to_string(), error })?;
        Ok(LocalBlob { verified: blob.verified || self.read().contains(&layer), ..blob.clone() })
    }

    /// The platform that the index of a layout gives for a result.
    pub(super) fn platform_of(&self, root: &Document, config: &Config) -> Option<Value> {
        self.source.platform_of(root, config)
    }

    /// Whether this run has read the blob of a layer where the image is.
    pub(super) fn has_read(&self, layer: LayerNumber) -> bool {
        self.blobs[layer].get().is_some_and(|blob| blob.verified || (!blob.is_stored && self.read().contains(&layer)))
    }

    /// Frees the memory of the indexes, for callers that look at one image after another.
    pub fn release(mut self) {
        drop(ManuallyDrop::into_inner(std::mem::replace(
            &mut self.stack,
            ManuallyDrop::new(LayerStack::new(Vec::new())),
        )));
    }

    fn read(&self) -> MutexGuard<'_, BTreeSet<LayerNumber>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who watches the work on this image.
    pub(super) fn progress(&self) -> &dyn Progress {
        &*self.session.progress
    }

    /// The index of a layer, from the store, a cache, or by reading the layer.
    async fn index(&self, layer: LayerNumber, permits: &Semaphore) -> Result<Arc<LayerIndex>, EngineError> {
        let descriptor = &self.descriptors[layer];
        let expected = self.image.config.diff_ids[layer.place()];
        let store = &self.session.store;
        let stored = store.read_index(VERSION, &descriptor.digest)?;
        let mut known = decode(stored, descriptor.digest).await;
        if let (None, Some(cache)) = (&known, self.cache) {
            known = cache.index(descriptor, &expected).await;
        }
        let index = match known {
            Some(index) => index,
            None => {
                // Nobody closes the semaphore.
                let _permit = permits.acquire().await.ok();
                let blob = self.blob(layer).await?;
                let (path, wanted, progress) =
                    (blob.path.clone(), descriptor.clone(), Arc::clone(&self.session.progress));
                let (hive, seek_points) = (store.temporary()?, store.temporary()?);
                // On a thread of its own, so that the downloads of other layers go on: registries cut slow readers off.
                let most = self.session.max_unpacked;
                let indexed = tokio::task::spawn_blocking(move || {
                    index_blob(&path, &wanted, most, hive, seek_points, &*progress)
                });
                let (index, seek_points) = indexed.await.unwrap_or_else(end).map_err(|error| EngineError::Index {
                    layer,
                    digest: descriptor.digest,
                    error,
                })?;
                self.read().insert(layer);
                if let Some(file) = seek_points {
                    store.publish_seek_points(file, seek_points::VERSION, &descriptor.digest)?;
                }
                store.write_index(VERSION, &descriptor.digest, &index.encode())?;
                index
            }
        };
        if index.diff_id != expected {
            let (digest, actual) = (descriptor.digest, index.diff_id);
            return Err(EngineError::OtherContent { layer, digest, actual, expected });
        }
        self.count_entries(index.entries.len() as u64)?;
        Ok(Arc::new(index))
    }

    /// Refuses an image whose layers have too many entries together; each of them is small enough alone.
    fn count_entries(&self, entries: u64) -> Result<(), EngineError> {
        let all = self.entries.fetch_add(entries, Ordering::Relaxed) + entries;
        let stored = self.descriptors.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        let most = most_entries(stored);
        if all > most {
            return Err(EngineError::TooManyEntries { reference: self.image.reference.to_string(), most });
        }
        Ok(())
    }
}

/// Decodes a stored index on a thread of its own, so that those of several layers are decoded side by side.
async fn decode(stored: Option<Vec<u8>>, digest: Digest) -> Option<LayerIndex> {
    let bytes = stored?;
    tokio::task::spawn_blocking(move || LayerIndex::decode(&bytes, &digest)).await.unwrap_or_else(end)
}

/// A thread that did not come to its end has panicked, and so does this one.
fn end<T>(error: JoinError) -> T {
    std::panic::resume_unwind(match error.try_into_panic() {
        Ok(panic) => panic,
        Err(_) => Box::new("the runtime has ended"),
    })
}
