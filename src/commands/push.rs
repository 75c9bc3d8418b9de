//! Putting results at their targets: layers first, then the config, then the manifest. Nothing leads there yet.

use anyhow::{Context, Result};

use super::base::BaseImage;
use super::build::Built;
use super::build_cache::UnusableCache;
use super::slim::{Place, ResultLayer};
use super::{Surroundings, record};
use crate::transport::{Delivered, LocalBlob, Reference, Target};

/// Puts everything at the target that the image consists of, as far as it was not sent while other layers were rewritten.
pub(super) async fn push(built: &Built<'_>, target: &Target, surroundings: &Surroundings) -> Result<()> {
    for (number, layer) in built.slimmed.layers.iter().enumerate() {
        if !built.sent.contains(&layer.index.digest) {
            arrived(number, layer, push_layer(&built.base, number, layer, target, surroundings).await)?;
        }
    }
    record::push_config(&built.base, &built.documents, target, surroundings).await?;
    Ok(target.put_document(&built.documents.manifest.document).await?)
}

/// Puts a layer at the target. One that is not on this machine comes here only if the target cannot have it otherwise.
async fn push_layer(
    base: &BaseImage<'_>,
    number: usize,
    layer: &ResultLayer,
    target: &Target,
    surroundings: &Surroundings,
) -> Result<Delivered> {
    let (digest, size) = (&layer.index.digest, layer.index.stored_size);
    let mount_from = match (&layer.place, &base.image.reference) {
        (Place::Source, Reference::Registry(from)) => Some(from),
        (Place::Cache(cache), _) => Some(cache.name()),
        _ => None,
    };
    let blob = match &layer.place {
        Place::Store(blob) => blob.clone(),
        place => {
            if let Some(delivered) = target.take_blob(digest, size, mount_from).await? {
                return Ok(delivered);
            }
            match place {
                Place::Cache(cache) => {
                    let blob = record::descriptor(&layer.index);
                    let path = cache.fetch(&blob, &surroundings.store, base.progress()).await;
                    let path = path.map_err(|error| UnusableCache { cache: cache.name().to_string(), error })?;
                    LocalBlob::in_store(path, true)
                }
                _ => base.blob(number).await?,
            }
        }
    };
    put_layer(layer, &blob, target, surroundings).await
}

/// Puts a layer at the target whose blob is here.
pub(super) async fn put_layer(
    layer: &ResultLayer,
    blob: &LocalBlob,
    target: &Target,
    surroundings: &Surroundings,
) -> Result<Delivered> {
    let (digest, size) = (&layer.index.digest, layer.index.stored_size);
    Ok(target.put_blob(digest, size, blob, None, &*surroundings.progress).await?)
}

/// Says how a layer came to its target, or which one did not.
pub(super) fn arrived(number: usize, layer: &ResultLayer, delivered: Result<Delivered>) -> Result<()> {
    let delivered = delivered.with_context(|| format!("cannot push layer {number}"))?;
    tracing::info!(layer = number, digest = %layer.index.digest, ?delivered, "layer is at the target");
    Ok(())
}
