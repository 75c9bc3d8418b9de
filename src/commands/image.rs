//! The image that a command looks at.

use anyhow::Result;

use super::choice::{self, Where};
use super::surroundings::Surroundings;
use crate::cli;
use crate::engine::{self, BaseImage, FoundImage};
use crate::image::PlatformRequest;
use crate::transport::Reference;

/// Finds the image and makes sure that every layer has an index.
pub(super) async fn open<'a>(arguments: &cli::Image, surroundings: &'a Surroundings) -> Result<BaseImage<'a>> {
    let platform = arguments.platform.as_deref().map(str::parse).transpose()?;
    let reference = arguments.reference.parse()?;
    let found = find(&reference, platform.as_ref(), Where::Option("--platform"), surroundings).await?;
    Ok(found.index(None).await?)
}

/// Finds the image; `place` is where a user chooses one of several.
pub(super) async fn find<'a>(
    reference: &Reference,
    platform: Option<&PlatformRequest>,
    place: Where,
    surroundings: &'a Surroundings,
) -> Result<FoundImage<'a>> {
    let found = engine::find(reference, platform, &surroundings.session).await;
    found.map_err(|error| choice::explain(error, place))
}
