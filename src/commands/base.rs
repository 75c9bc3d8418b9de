//! The image that a command looks at: found, brought here as far as needed, and indexed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};

use super::build_cache::Cache;
use super::choice::{self, Where};
use super::{Surroundings, blobs, damage};
use crate::cli;
use crate::error::{IoContext, PathError};
use crate::hive::{RegistryVersion, read_version};
use crate::image::listing::Listed;
use crate::image::{Config, Descriptor, Digest, Document, Platform, PlatformRequest};
use crate::layer::index::VERSION;
use crate::layer::seek_points::{self, SeekPoint};
use crate::layer::{LayerIndex, LayerStack};
use crate::progress::{Progress, Stage};
use crate::report::verify::Blobs;
use crate::store::Temporary;
use crate::transport::{Image, LocalBlob, Reference, Source};

/// How many layers are brought at once.
const AT_ONCE: usize = 4;

/// An image at its source: documents only, no layer is here yet.
pub(super) struct FoundImage<'a> {
    pub(super) image: Image,
    source: Arc<Source>,
    surroundings: &'a Surroundings,
}

/// An image at its source, with the indexes of its layers.
pub(super) struct BaseImage<'a> {
    pub(super) image: Image,
    /// Kept until the process ends: to take a hundred thousand names apart one by one takes longer than many a command.
    pub(super) stack: ManuallyDrop<LayerStack>,
    source: Arc<Source>,
    surroundings: &'a Surroundings,
    cache: Option<&'a Cache<'a>>,
    /// The blobs that are here already, by layer.
    blobs: Vec<OnceCell<LocalBlob>>,
    /// The layers whose blobs this run has read as a whole, so that their digests are known.
    read: Mutex<BTreeSet<usize>>,
}

/// Finds the image and makes sure that every layer has an index; only layers without one are brought here.
pub(super) async fn open<'a>(arguments: &cli::Image, surroundings: &'a Surroundings) -> Result<BaseImage<'a>> {
    let platform = arguments.platform.as_deref().map(str::parse).transpose()?;
    let reference = arguments.reference.parse()?;
    let place = Where::Option("--platform");
    find(&reference, platform.as_ref(), place, surroundings).await?.index(None).await
}

/// Finds the image, which has to be one for Windows; `place` is where a user chooses one of several.
pub(super) async fn find<'a>(
    reference: &Reference,
    platform: Option<&PlatformRequest>,
    place: Where,
    surroundings: &'a Surroundings,
) -> Result<FoundImage<'a>> {
    let source = Source::open(reference, &surroundings.registry, &surroundings.store).await?;
    let image = source.resolve(platform).await.map_err(|error| choice::explain(error, place))?;
    FoundImage::new(image, source, surroundings)
}

/// Every image for Windows that a reference leads to, or the one for a platform.
pub(super) struct FoundImages<'a> {
    /// Each with its number among all images of the reference.
    pub(super) images: Vec<(usize, FoundImage<'a>)>,
    /// The entries of the index, if there is one.
    pub(super) index: Option<Vec<Listed>>,
    /// What machines all images of the reference are for, by their numbers.
    pub(super) platforms: Vec<Platform>,
}

/// Finds every image for Windows or, if a platform is asked for, the one for that.
pub(super) async fn find_all<'a>(arguments: &cli::Image, surroundings: &'a Surroundings) -> Result<FoundImages<'a>> {
    let reference: Reference = arguments.reference.parse()?;
    let platform = arguments.platform.as_deref().map(str::parse).transpose()?;
    let source = Arc::new(Source::open(&reference, &surroundings.registry, &surroundings.store).await?);
    let resolved = source.resolve_all(platform.as_ref()).await;
    let resolved = resolved.map_err(|error| choice::explain(error, Where::Option("--platform")))?;
    let found = |(number, image)| Ok((number, FoundImage::new(image, Arc::clone(&source), surroundings)?));
    let images = resolved.images.into_iter().map(found).collect::<Result<_>>()?;
    Ok(FoundImages { images, index: resolved.index, platforms: resolved.platforms })
}

impl<'a> FoundImage<'a> {
    fn new(image: Image, source: impl Into<Arc<Source>>, surroundings: &'a Surroundings) -> Result<FoundImage<'a>> {
        if image.config.os != "windows" {
            let reference = &image.reference;
            bail!("`{reference}` is an image for {}, and winslim works on Windows images only", image.config.os);
        }
        Ok(FoundImage { image, source: source.into(), surroundings })
    }

    /// Makes sure that every layer has an index; only layers without one, in the store or the cache,
    /// are brought here.
    pub(super) async fn index(self, cache: Option<&'a Cache<'a>>) -> Result<BaseImage<'a>> {
        let blobs = self.image.manifest.layers.iter().map(|_| OnceCell::new()).collect();
        let mut base = BaseImage {
            image: self.image,
            stack: ManuallyDrop::new(LayerStack::new(Vec::new())),
            source: self.source,
            surroundings: self.surroundings,
            cache,
            blobs,
            read: Mutex::default(),
        };
        let permits = Semaphore::new(AT_ONCE);
        let layers = (0..base.image.manifest.layers.len()).map(|layer| base.index(layer, &permits));
        base.stack = ManuallyDrop::new(LayerStack::new(try_join_all(layers).await?));
        Ok(base)
    }
}

impl BaseImage<'_> {
    /// Where a layer's blob is on this machine; it is brought here if it is not yet.
    pub(super) async fn blob(&self, layer: usize) -> Result<LocalBlob> {
        let descriptor = &self.image.manifest.layers[layer];
        let blob = self.blobs[layer]
            .get_or_try_init(|| self.source.fetch(descriptor, &self.surroundings.store, self.progress()))
            .await
            .with_context(|| format!("cannot get layer {layer} of `{}`", self.image.reference))?;
        Ok(LocalBlob { verified: blob.verified || self.read().contains(&layer), ..blob.clone() })
    }

    /// What the index of a layout says of the machines that a result is for.
    pub(super) fn platform_of(&self, root: &Document, config: &Config) -> Option<Value> {
        self.source.platform_of(root, config)
    }

    /// Whether this run has read the blob of a layer where the image is.
    pub(super) fn has_read(&self, layer: usize) -> bool {
        self.blobs[layer].get().is_some_and(|blob| blob.verified || (!blob.is_stored && self.read().contains(&layer)))
    }

    /// Reads the blobs that this run has not read yet; one that is not what its digest says is an error.
    pub(super) async fn check_blobs(&self) -> Result<Blobs> {
        blobs::check(self, &self.source).await
    }

    /// Gives back the memory of the names, for whoever looks at one image after another.
    pub(super) fn release(mut self) {
        drop(ManuallyDrop::into_inner(std::mem::replace(
            &mut self.stack,
            ManuallyDrop::new(LayerStack::new(Vec::new())),
        )));
    }

    fn read(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who watches the work on this image.
    pub(super) fn progress(&self) -> &dyn Progress {
        &*self.surroundings.progress
    }

    /// The index of a layer, from the store, a cache, or by reading the layer.
    async fn index(&self, layer: usize, permits: &Semaphore) -> Result<Arc<LayerIndex>> {
        let descriptor = &self.image.manifest.layers[layer];
        let expected = self.image.config.diff_ids[layer];
        let store = &self.surroundings.store;
        let stored = store.read_index(VERSION, &descriptor.digest)?;
        let mut known = decode(stored, descriptor.digest).await?;
        if let (None, Some(cache)) = (&known, self.cache) {
            known = cache.index(descriptor, &expected).await;
        }
        let index = match known {
            Some(index) => index,
            None => {
                let _permit = permits.acquire().await?;
                let blob = self.blob(layer).await?;
                let (path, wanted, progress) =
                    (blob.path.clone(), descriptor.clone(), Arc::clone(&self.surroundings.progress));
                let (hive, seek_points) = (store.temporary()?, store.temporary()?);
                // On a thread of its own, so that the downloads of other layers go on: registries cut slow readers off.
                let most = self.surroundings.max_unpacked;
                let indexed = tokio::task::spawn_blocking(move || {
                    index_blob(&path, &wanted, most, hive, seek_points, &*progress)
                });
                let (index, seek_points) =
                    indexed.await?.with_context(|| format!("layer {layer} ({})", descriptor.digest))?;
                self.read().insert(layer);
                if let Some(file) = seek_points {
                    store.publish_seek_points(file, seek_points::VERSION, &descriptor.digest)?;
                }
                store.write_index(VERSION, &descriptor.digest, &index.encode())?;
                index
            }
        };
        if index.diff_id != expected {
            bail!(
                "layer {layer} ({}) is not the one that the config means: it unpacks to {}, and the config says {expected}",
                descriptor.digest,
                index.diff_id,
            );
        }
        Ok(Arc::new(index))
    }
}

/// Decodes a stored index on a thread of its own, so that those of several layers are decoded side by side.
async fn decode(stored: Option<Vec<u8>>, digest: Digest) -> Result<Option<LayerIndex>> {
    let Some(bytes) = stored else { return Ok(None) };
    Ok(tokio::task::spawn_blocking(move || LayerIndex::decode(&bytes, &digest)).await?)
}

/// Reads a blob once, and checks that it is the one of the descriptor. `most_unpacked` is for [`LayerIndex::read_with`]. `hive` takes up its SOFTWARE hive meanwhile, and the other
/// file its seek points; it is returned unless there are none.
fn index_blob(
    path: &Path,
    descriptor: &Descriptor,
    most_unpacked: Option<u64>,
    hive: Temporary,
    seek_points: Temporary,
    progress: &dyn Progress,
) -> Result<(LayerIndex, Option<Temporary>)> {
    let file = File::open(path).context_path("open", path)?;
    let task = progress.start(Stage::Index, &descriptor.digest.short(), descriptor.size);
    let mut hive = SpooledHive { file: BufWriter::new(hive), length: 0, failed: None };
    let mut seek_points = SeekPointFile { file: seek_points, blob: descriptor.digest, is_empty: true, result: Ok(()) };
    let index = LayerIndex::read_with(
        BufReader::new(file),
        most_unpacked,
        |bytes| task.advance(bytes),
        |bytes| hive.take(bytes),
        |point| seek_points.take(point),
    );
    task.finish();
    let mut index = index.map_err(|error| damage::explain(error.into(), path, &descriptor.digest))?;
    if index.digest != descriptor.digest {
        return Err(damage::damaged(path, &descriptor.digest, &index.digest).into());
    }
    index.registry = hive.read()?;
    Ok((index, seek_points.finish()?))
}

/// The seek points of a layer on their way into a file.
struct SeekPointFile {
    file: Temporary,
    blob: Digest,
    is_empty: bool,
    result: io::Result<()>,
}

impl SeekPointFile {
    fn take(&mut self, point: &SeekPoint) {
        self.is_empty = false;
        if self.result.is_ok() {
            self.result = self.file.write_all(&seek_points::encode(point, &self.blob));
        }
    }

    fn finish(self) -> Result<Option<Temporary>> {
        self.result.context_path("write to", self.file.path())?;
        Ok((!self.is_empty).then_some(self.file))
    }
}

/// The longest SOFTWARE hive that is looked into, in bytes. Those of Windows have about 100 million.
const LONGEST_HIVE: u64 = 1 << 30;

/// A SOFTWARE hive on its way into a file: what it says lies here and there in it.
struct SpooledHive {
    file: BufWriter<Temporary>,
    length: u64,
    failed: Option<io::Error>,
}

impl SpooledHive {
    fn take(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.failed.is_none() && self.length <= LONGEST_HIVE {
            self.failed = self.file.write_all(bytes).err();
        }
    }

    /// What the hive says, if there is one that can be read.
    fn read(self) -> Result<Option<RegistryVersion>> {
        let path = self.file.get_ref().path().to_owned();
        if let Some(error) = self.failed {
            return Err(PathError::new("write to", path, error).into());
        }
        if self.length == 0 || self.length > LONGEST_HIVE {
            return Ok(None);
        }
        // The file lives as long as this.
        let _written =
            self.file.into_inner().map_err(io::IntoInnerError::into_error).context_path("write to", &path)?;
        let file = File::open(&path).context_path("open", &path)?;
        let said = read_version(file);
        if let Err(error) = &said {
            tracing::info!(%error, "the SOFTWARE hive cannot be looked into");
        }
        Ok(said.ok())
    }
}
