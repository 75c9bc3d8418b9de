//! Tells a damaged blob from one that was made like that.

use std::path::Path;

use super::error::LayerError;
use crate::image::Digest;
use crate::rewrite::RewriteError;
use crate::store::actual_digest;
use crate::transport::TransportError;

/// Returns why a blob could not be read. A damaged one can fail in many ways, none of which shows that it is damaged, so its
/// digest is finished first: only a blob with the right digest was made wrong.
pub(super) fn explain(error: LayerError, blob: &Path, digest: &Digest) -> LayerError {
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

fn is_about_content(error: &LayerError) -> bool {
    matches!(
        error,
        LayerError::Index(_)
            | LayerError::Rewrite(RewriteError::Read(_) | RewriteError::Header { .. } | RewriteError::Changed { .. })
    )
}
