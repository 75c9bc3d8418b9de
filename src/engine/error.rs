//! Why the engine could not do its work.

use std::error::Error;
use std::fmt;

use crate::error::PathError;
use crate::image::Digest;
use crate::image::document::DocumentError;
use crate::layer::LayerNumber;
use crate::layer::index::IndexError;
use crate::plan::PlanError;
use crate::rewrite::additions::AdditionError;
use crate::rewrite::{RewriteError, WriteError};
use crate::store::StoreError;
use crate::text::escape;
use crate::transport::TransportError;
use crate::verify::Finding;

/// Why an image could not be looked at, slimmed or delivered.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Something failed between winslim and the place of an image.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// There is no plan for these rules and this image.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Something cannot be added.
    #[error(transparent)]
    Addition(#[from] AdditionError),
    /// A new layer cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A new layer, read back, is not what it should be.
    #[error(transparent)]
    ReadBack(#[from] RewriteError),
    /// The targets of several images contradict each other.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A Windows host would not import an image.
    #[error(transparent)]
    WouldNotImport(#[from] WouldNotImport),
    /// A cache repository does not have what it promised. Build again without it.
    #[error(transparent)]
    UnusableCache(#[from] UnusableCache),
    /// The image is for another system.
    #[error("`{reference}` is an image for {os}, and winslim works on Windows images only")]
    NotWindows {
        /// The image.
        reference: String,
        /// The system that its config names.
        os: String,
    },
    /// A layer could not be fetched.
    #[error("cannot get layer {layer} of `{reference}`")]
    Fetch {
        /// The number of the layer.
        layer: LayerNumber,
        /// The image.
        reference: String,
        /// Why.
        #[source]
        error: TransportError,
    },
    /// A layer where the image is could not be read.
    #[error("cannot read layer {layer} of `{reference}`")]
    Check {
        /// The number of the layer.
        layer: LayerNumber,
        /// The image.
        reference: String,
        /// Why.
        #[source]
        error: TransportError,
    },
    /// A layer could not be indexed.
    #[error("layer {layer} ({digest})")]
    Index {
        /// The number of the layer.
        layer: LayerNumber,
        /// The digest of its blob.
        digest: Digest,
        /// Why.
        #[source]
        error: LayerError,
    },
    /// A layer unpacks to other content than the config names.
    #[error(
        "layer {layer} ({digest}) is not the one that the config means: it unpacks to {actual}, and the config says {expected}"
    )]
    OtherContent {
        /// The number of the layer.
        layer: LayerNumber,
        /// The digest of its blob.
        digest: Digest,
        /// The digest of what it unpacks to.
        actual: Digest,
        /// The diff ID in the config.
        expected: Digest,
    },
    /// The layers have more entries together than an image of that size needs.
    #[error(
        "the layers of `{reference}` have more than {most} entries together, which no Windows image of its size needs"
    )]
    TooManyEntries {
        /// The image.
        reference: String,
        /// How many they may have.
        most: u64,
    },
    /// A layer could not be rewritten.
    #[error("cannot rewrite layer {layer} ({digest})")]
    Rewrite {
        /// The number of the layer.
        layer: LayerNumber,
        /// The digest of its blob.
        digest: Digest,
        /// Why.
        #[source]
        error: LayerError,
    },
    /// What a layer above takes over from a layer could not be read.
    #[error("cannot read layer {layer} ({digest})")]
    SetAside {
        /// The number of the layer that could not be read.
        layer: LayerNumber,
        /// The digest of its blob.
        digest: Digest,
        /// Why.
        #[source]
        error: LayerError,
    },
    /// A new document is not one that winslim reads.
    #[error("the new {what} cannot be read back")]
    NewDocument {
        /// `config` or `manifest`.
        what: &'static str,
        /// Why.
        #[source]
        error: DocumentError,
    },
    /// The time of a build is beyond the calendar.
    #[error("SOURCE_DATE_EPOCH is not a valid timestamp: {0} seconds since 1970 are beyond the year 9999")]
    Time(u64),
    /// A layer could not be put at the target.
    #[error("cannot push layer {layer}")]
    Push {
        /// The number of the layer in the result.
        layer: usize,
        /// Why.
        #[source]
        error: TransportError,
    },
    /// The config could not be put at the target.
    #[error("cannot push the config")]
    PushConfig(#[source] TransportError),
    /// Something could not be attached to the image, for another reason than a refusal.
    #[error("cannot attach {name} to the image")]
    Attach {
        /// What it is, with its article.
        name: &'static str,
        /// Why.
        #[source]
        error: TransportError,
    },
    /// The results cannot join the index at the target.
    #[error("cannot add to what `{target}` leads to")]
    Append {
        /// The target.
        target: String,
        /// Why.
        #[source]
        error: TransportError,
    },
    /// Another part of the same build failed; that failure is the one to show.
    #[error("something else in this build failed")]
    Stopped,
    /// A layer grew although nothing in it was to change.
    #[error("layer {0} was rewritten although it is to stay as it is; this is a mistake in winslim, please report it")]
    GrewUntouched(LayerNumber),
}

/// Why the content of a layer could not be read or rewritten.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It is not a layer that winslim reads.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// It could not be rewritten.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// Its blob is damaged.
    #[error(transparent)]
    Damaged(#[from] TransportError),
    /// A file cannot be read or written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A cache repository does not have what it promised.
#[derive(Debug, thiserror::Error)]
#[error("the cache `{cache}` cannot be read, so this build begins anew without --cache-from: {error}")]
pub struct UnusableCache {
    /// The repository.
    pub cache: String,
    /// Why.
    pub error: TransportError,
}

/// Why images cannot go where they were to go.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// Several targets would be in one archive.
    #[error(
        "an archive is written as a whole, so `{0}` cannot have several targets in it; put the placeholder into the name of \
         the file, or write `oci:DIRECTORY`"
    )]
    SeveralInArchive(String),
    /// A result is to join what is in an archive.
    #[error("an archive is written as a whole, so nothing can be added to `{0}`")]
    AppendToArchive(String),
    /// Only images of known versions of Windows can share a target.
    #[error("`{base}` does not say its version of Windows, so it cannot share the target `{target}`")]
    NoVersion {
        /// The base image.
        base: String,
        /// The target.
        target: String,
    },
    /// Hosts would take either of two images of one build.
    #[error(
        "`{one}` and `{other}` are both of Windows build {build}, and no index should have two of one build: hosts would take \
         either; put `{{tag}}` or `{{os.version}}` into the target"
    )]
    SameBuild {
        /// A base image.
        one: String,
        /// Another one.
        other: String,
        /// Their build of Windows.
        build: u32,
    },
}

/// A Windows host would not import an image.
#[derive(Debug)]
pub struct WouldNotImport {
    /// Which image, as the beginning of a sentence.
    pub what: String,
    /// Why.
    pub findings: Vec<Finding>,
}

impl fmt::Display for WouldNotImport {
    /// Writes a line for each finding, escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a Windows host would not import {}:", self.what)?;
        for finding in &self.findings {
            write!(f, "\n{}", escape(&finding.to_string()))?;
        }
        Ok(())
    }
}

impl std::error::Error for WouldNotImport {}

impl EngineError {
    /// The error of another room that this one passes on, if that is all it does.
    pub fn inner(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            EngineError::Transport(error) => Some(error),
            EngineError::Store(error) => Some(error),
            EngineError::Path(error) => Some(error),
            EngineError::Plan(error) => Some(error),
            EngineError::Addition(error) => Some(error),
            EngineError::Write(error) => Some(error),
            EngineError::ReadBack(error) => Some(error),
            EngineError::Target(error) => Some(error),
            EngineError::WouldNotImport(error) => Some(error),
            EngineError::UnusableCache(error) => Some(error),
            _ => None,
        }
    }
}

impl LayerError {
    /// The error of another room that this one passes on.
    pub fn inner(&self) -> &(dyn Error + 'static) {
        match self {
            LayerError::Index(error) => error,
            LayerError::Rewrite(error) => error,
            LayerError::Damaged(error) => error,
            LayerError::Path(error) => error,
            LayerError::Store(error) => error,
        }
    }
}
