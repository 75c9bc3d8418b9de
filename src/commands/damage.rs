//! Whether a blob that cannot be read is damaged, or was made like that.

use std::path::Path;

use anyhow::Error;

use crate::image::Digest;
use crate::layer::index::IndexError;
use crate::rewrite::RewriteError;
use crate::store::actual_digest;
use crate::transport::TransportError;

/// The reason why a blob could not be read. A damaged one can fail in many ways, of which none tells that it is damaged, so its
/// digest is finished first; only a blob that has its digest was made wrong.
pub(super) fn explain(error: Error, blob: &Path, digest: &Digest) -> Error {
    if !is_about_content(&error) {
        return error;
    }
    match actual_digest(blob) {
        Ok(actual) if actual == *digest => error,
        Ok(actual) => damaged(blob, digest, &actual).into(),
        Err(error) => error.into(),
    }
}

/// The error that a blob has other content than its digest says.
pub(super) fn damaged(blob: &Path, digest: &Digest, actual: &Digest) -> TransportError {
    TransportError::DamagedBlob {
        place: blob.to_owned(),
        digest: *digest,
        problem: format!("has the content of {actual}"),
    }
}

fn is_about_content(error: &Error) -> bool {
    error.chain().any(|cause| {
        let of_rewriting = |error: &RewriteError| {
            matches!(error, RewriteError::Read(_) | RewriteError::Header { .. } | RewriteError::Changed { .. })
        };
        cause.is::<IndexError>() || cause.downcast_ref().is_some_and(of_rewriting)
    })
}
