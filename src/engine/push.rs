//! Putting results at their targets: layers first, then the config, then the manifest. Nothing leads there yet.

use super::attach::put_bytes;
use super::base::BaseImage;
use super::built::Built;
use super::error::{EngineError, UnusableCache};
use super::result::{Origin, ResultLayer};
use super::session::Session;
use crate::transport::{Delivered, LocalBlob, Reference, Target};

/// Puts everything at the target that the image consists of, as far as it was not sent while other layers were rewritten.
pub(super) async fn push(built: &Built<'_>, target: &Target, session: &Session) -> Result<(), EngineError> {
    for (number, layer) in built.slimmed.layers.iter().enumerate() {
        if !built.sent.contains(&layer.index.digest) {
            push_layer(&built.base, number, layer, target, session).await?;
        }
    }
    let config = built.documents.config.document.bytes();
    put_bytes(config, target, session).await.map_err(EngineError::PushConfig)?;
    Ok(target.put_document(&built.documents.manifest.document).await?)
}

/// Puts a layer at the target. One that is not on this machine comes here only if the target cannot have it otherwise.
async fn push_layer(
    base: &BaseImage<'_>,
    number: usize,
    layer: &ResultLayer,
    target: &Target,
    session: &Session,
) -> Result<(), EngineError> {
    let (digest, size) = (&layer.index.digest, layer.index.stored_size);
    let failed = |error| EngineError::Push { layer: number, error };
    let mount_from = match (&layer.origin, &base.image.reference) {
        (Origin::Base(_), Reference::Registry(from)) => Some(from),
        (Origin::Cache(cache), _) => Some(cache.name()),
        _ => None,
    };
    if !matches!(layer.origin, Origin::Store(_))
        && let Some(delivered) = target.take_blob(digest, size, mount_from).await.map_err(failed)?
    {
        arrived(number, layer, &delivered);
        return Ok(());
    }
    let blob = match &layer.origin {
        Origin::Store(blob) => blob.clone(),
        Origin::Base(source) => base.blob(*source).await?,
        Origin::Cache(cache) => {
            let path = cache.fetch(&layer.descriptor(), &session.store, &*session.progress).await;
            let path = path.map_err(|error| UnusableCache { cache: cache.name().to_string(), error })?;
            LocalBlob::in_store(path, true)
        }
    };
    put_layer(number, layer, &blob, target, session).await
}

/// Puts a layer at the target whose blob is here.
pub(super) async fn put_layer(
    number: usize,
    layer: &ResultLayer,
    blob: &LocalBlob,
    target: &Target,
    session: &Session,
) -> Result<(), EngineError> {
    let (digest, size) = (&layer.index.digest, layer.index.stored_size);
    let put = target.put_blob(digest, size, blob, None, &*session.progress).await;
    arrived(number, layer, &put.map_err(|error| EngineError::Push { layer: number, error })?);
    Ok(())
}

/// Logs how a layer came to its target.
fn arrived(number: usize, layer: &ResultLayer, delivered: &Delivered) {
    tracing::info!(layer = number, digest = %layer.index.digest, ?delivered, "layer is at the target");
}
