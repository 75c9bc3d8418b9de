//! What an error consists of.

use std::error::Error;

use crate::engine::{EngineError, LayerError};

/// The causes of an error, the error itself first. An error of the engine that only passes on another one counts as that one.
pub(super) fn causes(error: &anyhow::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    error.chain().map(|cause| {
        let of_engine = cause.downcast_ref().and_then(EngineError::inner);
        of_engine.or_else(|| cause.downcast_ref().map(LayerError::inner)).unwrap_or(cause)
    })
}
