//! Whether the blobs of an image are what their digests say, where the image is.

use anyhow::{Context, Result};

use super::base::BaseImage;
use super::damage::damaged;
use crate::image::Descriptor;
use crate::report::verify::Blobs;
use crate::transport::{Source, TransportError};

/// Reads the blobs of layers that this run has not read yet, as they are stored. What is in a registry is not pulled for that: what
/// the cache knows of it is counted.
pub(super) async fn check(base: &BaseImage<'_>, source: &Source) -> Result<Blobs> {
    let mut blobs = Blobs::default();
    for (layer, descriptor) in base.image.manifest.layers.iter().enumerate() {
        let is_read = base.has_read(layer)
            || is_sound(source, descriptor, base)
                .await
                .with_context(|| format!("cannot read layer {layer} of `{}`", base.image.reference))?;
        if is_read {
            blobs.read += 1;
        } else {
            blobs.cached += 1;
        }
    }
    Ok(blobs)
}

/// Reads a blob to its end; `false` if it is in a registry or elsewhere. One that has another digest is an error.
async fn is_sound(source: &Source, descriptor: &Descriptor, base: &BaseImage<'_>) -> Result<bool> {
    let found = match source.digest_of(descriptor, base.progress()).await {
        // Foreign layers need not be where the image is.
        Err(TransportError::MissingBlob { .. }) if !descriptor.urls.is_empty() => None,
        found => found?,
    };
    let Some((place, actual)) = found else { return Ok(false) };
    if actual != descriptor.digest {
        return Err(damaged(&place, &descriptor.digest, &actual).into());
    }
    Ok(true)
}
