//! Whether the blobs of an image are what their digests say, where the image is.

use super::base::BaseImage;
use super::damage::damaged;
use super::error::EngineError;
use crate::image::Descriptor;
use crate::transport::TransportError;

/// How the blobs of layers were checked.
#[derive(Debug, Default, Clone, Copy)]
pub struct CheckedBlobs {
    /// Those that were read where the image is, and have their digests.
    pub read: usize,
    /// Those that were not pulled: the store knows what is in them.
    pub known: usize,
}

/// Reads the blobs of layers that this run has not read yet, as they are stored. What is in a registry is not pulled for that: what
/// the store knows of it is counted.
///
/// # Errors
/// If a blob is missing, cannot be read, or has another digest.
pub async fn check_blobs(base: &BaseImage<'_>) -> Result<CheckedBlobs, EngineError> {
    let mut blobs = CheckedBlobs::default();
    for (layer, descriptor) in base.descriptors.numbered() {
        let is_read = base.has_read(layer)
            || is_sound(descriptor, base).await.map_err(|error| EngineError::Check {
                layer,
                reference: base.image.reference.to_string(),
                error,
            })?;
        if is_read {
            blobs.read += 1;
        } else {
            blobs.known += 1;
        }
    }
    Ok(blobs)
}

/// Reads a blob to its end; `false` if it is in a registry or elsewhere. One that has another digest is an error.
async fn is_sound(descriptor: &Descriptor, base: &BaseImage<'_>) -> Result<bool, TransportError> {
    let found = match base.source.digest_of(descriptor, base.progress()).await {
        // Foreign layers need not be where the image is.
        Err(TransportError::MissingBlob { .. }) if !descriptor.urls.is_empty() => None,
        found => found?,
    };
    let Some((place, actual)) = found else { return Ok(false) };
    if actual != descriptor.digest {
        return Err(damaged(&place, &descriptor.digest, &actual));
    }
    Ok(true)
}
