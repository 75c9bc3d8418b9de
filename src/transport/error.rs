//! What can go wrong between winslim and the place of an image.

use std::path::PathBuf;

use super::name::ReferenceError;
use super::registry::RegistryError;
use crate::error::PathError;
use crate::image::Digest;
use crate::image::document::DocumentError;
use crate::image::select::SelectError;
use crate::store::StoreError;

/// Why an image could not be found, fetched or put.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The disk refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A name in a registry would have a form that no registry takes.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// A blob could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document of the image is wrong.
    #[error("cannot read the image `{reference}`: {error}")]
    Document {
        /// The image.
        reference: String,
        /// What is wrong.
        error: DocumentError,
    },
    /// The image is there, but not for the platform that was asked for.
    #[error("cannot choose an image of `{reference}`: {error}")]
    Select {
        /// The image.
        reference: String,
        /// Why there is no choice.
        error: SelectError,
    },
    /// The directory or the file is there, but holds no images.
    #[error("`{path}` is not {expected}: {problem}")]
    Kind {
        /// The directory or the file.
        path: PathBuf,
        /// What it should be, with its article: `an OCI image layout`.
        expected: &'static str,
        /// What is missing or wrong.
        problem: String,
    },
    /// The place has images, but not this one.
    #[error("there is no image `{reference}`; {available}")]
    NoSuchImage {
        /// The image that was asked for.
        reference: String,
        /// What there is, or what to do, as a sentence.
        available: String,
    },
    /// Another run is writing to a layout that is to be cleaned.
    #[error("`{path}` is in use: another run of winslim is writing to it; try again when that is done")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A blob that the image needs is not there.
    #[error("`{place}` is incomplete: the blob {digest} is missing; copy the image again")]
    MissingBlob {
        /// The directory or the file.
        place: PathBuf,
        /// The blob.
        digest: Digest,
    },
    /// A blob is there, but is not what it should be.
    #[error("`{place}` is damaged: the blob {digest} {problem}; copy the image again")]
    DamagedBlob {
        /// The directory or the file.
        place: PathBuf,
        /// The blob.
        digest: Digest,
        /// What is wrong with it, as the end of the sentence.
        problem: String,
    },
    /// What was to be put is not what its digest says.
    #[error(
        "`{path}` is damaged, or changed while it was being copied: expected {expected}, read {actual}; get the image again"
    )]
    ChangedWhileCopied {
        /// The file that was read.
        path: PathBuf,
        /// The digest of what was to be put.
        expected: Digest,
        /// The digest of what was read.
        actual: Digest,
    },
    /// An image cannot be put there; a mistake of the command line.
    #[error("cannot put an image at `{reference}`: {problem}")]
    Target {
        /// The target that was asked for.
        reference: String,
        /// Why not, and what to do.
        problem: String,
    },
}
