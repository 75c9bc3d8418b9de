//! What the headers of an answer say.

use reqwest::header::HeaderMap;

use crate::image::Digest;

/// The digest that the registry says an answer has.
pub(super) fn announced_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}
