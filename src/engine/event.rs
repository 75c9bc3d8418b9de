//! What people may want to know while the engine works.

use std::fmt;

use crate::plan::OutputNumber;
use crate::transport::TransportError;
use crate::transport::registry::RegistryError;
use crate::verify::{Finding, REGISTRY_VERSION};

/// Receives events. An implementation may be called from several threads at once.
pub trait Events: Send + Sync {
    /// Something happened. [`Event`] displays as one sentence; parts of it may come from an image or a registry, so escape it.
    fn tell(&self, event: &Event<'_>);
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Importance {
    /// For those who look for the cause of something.
    Detail,
    /// For everybody who watches.
    Note,
    /// Something is probably not as it was meant to be.
    Warning,
}

/// Something that happened, none of which ends the work.
#[derive(Debug)]
pub enum Event<'a> {
    /// A host may not like the base image; hosts import it all the same.
    BaseFinding(&'a Finding),
    /// A layer was rewritten by an earlier build.
    RewrittenBefore {
        /// The number of the layer in the result.
        layer: OutputNumber,
        /// The cache repository that has it; `None` if the store has it.
        cache: Option<String>,
    },
    /// A cache repository failed, and is not asked again.
    CacheUnreadable {
        /// The repository.
        cache: String,
        /// Why.
        error: &'a TransportError,
    },
    /// What a build made could not be put into a cache repository.
    CacheUnwritable {
        /// The repository.
        cache: String,
        /// Why.
        error: &'a TransportError,
    },
    /// A registry refused something that goes with the image. The image is there all the same.
    AttachmentRefused {
        /// What it refused, with its article.
        name: &'static str,
        /// Why.
        error: &'a RegistryError,
    },
    /// The tag of a target led to images that it does not lead to any more.
    Replaced {
        /// The target.
        target: String,
        /// What machines those images are for.
        platforms: Vec<String>,
    },
}

impl Event<'_> {
    /// How much it matters.
    pub fn importance(&self) -> Importance {
        match self {
            Event::BaseFinding(finding) if finding.rule != REGISTRY_VERSION => Importance::Detail,
            Event::RewrittenBefore { .. } => Importance::Note,
            _ => Importance::Warning,
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::BaseFinding(finding) if finding.rule == REGISTRY_VERSION => write!(f, "{finding}"),
            Event::BaseFinding(finding) => write!(f, "verify: {finding}"),
            Event::RewrittenBefore { layer, cache: Some(cache) } => {
                write!(f, "layer {layer} was rewritten before, and is in `{cache}`")
            }
            Event::RewrittenBefore { layer, cache: None } => {
                write!(f, "layer {layer} was rewritten before, and is in the cache directory")
            }
            Event::CacheUnreadable { cache, error } => {
                write!(f, "the cache `{cache}` cannot be read, so this build does without it: {error}")
            }
            Event::CacheUnwritable { cache, error } => {
                write!(f, "the image is pushed, but the cache `{cache}` cannot be written: {error}")
            }
            Event::AttachmentRefused { name, error } => write!(
                f,
                "{name} is not attached to the image: {error}; --no-attach does without, and --ledger FILE writes it"
            ),
            Event::Replaced { target, platforms } => write!(
                f,
                "`{target}` does not lead to the images for {} any more; with --append they would stay",
                platforms.join(", ")
            ),
        }
    }
}

/// Takes no notice.
pub(super) struct Ignored;

impl Events for Ignored {
    fn tell(&self, _: &Event<'_>) {}
}
