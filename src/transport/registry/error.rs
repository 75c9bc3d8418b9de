//! What can go wrong with a registry, in the words that people see.

use crate::error::PathError;
use crate::image::Digest;
use crate::image::document::DocumentError;
use crate::store::StoreError;
use crate::transport::Repository;

/// A failure of a registry, or on the way to or from it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The repository is there, the tag is not.
    #[error("manifest unknown: {repository} has no tag {tag}; check its spelling in the registry's list of tags")]
    UnknownTag {
        /// `REGISTRY/REPOSITORY`.
        repository: String,
        /// The tag that was asked for.
        tag: String,
    },
    /// The repository has no manifest with this digest.
    #[error("manifest unknown: {repository} has no manifest {digest}; it may have been deleted since it was pinned")]
    UnknownManifest {
        /// `REGISTRY/REPOSITORY`.
        repository: String,
        /// The digest that was asked for.
        digest: Digest,
    },
    /// The registry has no such repository.
    #[error("repository unknown: {registry} has no repository {repository}; check its spelling")]
    UnknownRepository {
        /// Host of the registry.
        registry: String,
        /// Path of the repository.
        repository: Repository,
    },
    /// There is no such repository to push to, and the registry makes none.
    #[error("repository unknown: {registry} has no repository {repository} to push to; create it first")]
    NoRepository {
        /// Host of the registry.
        registry: String,
        /// Path of the repository.
        repository: Repository,
    },
    /// A manifest names a blob that its repository does not have.
    #[error("blob unknown: {repository} has no blob {digest}, though a manifest names it; the image is incomplete")]
    UnknownBlob {
        /// `REGISTRY/REPOSITORY`.
        repository: String,
        /// The digest of the blob.
        digest: Digest,
    },
    /// A foreign layer can be had neither from the registry nor from any of its URLs.
    #[error(
        "foreign layer {digest} cannot be had: {repository} does not have it, and neither have the URLs that its \
         manifest names ({attempts})"
    )]
    ForeignLayer {
        /// `REGISTRY/REPOSITORY`.
        repository: String,
        /// The digest of the layer.
        digest: Digest,
        /// What was tried, and why it failed.
        attempts: String,
    },
    /// No connection, or one that broke again and again.
    #[error("cannot {action}: {registry} cannot be reached: {reason}")]
    Unreachable {
        /// What was being done.
        action: String,
        /// Host of the registry.
        registry: String,
        /// Why, and what to do if that can be known.
        reason: String,
    },
    /// The registry or its token server wants other credentials.
    #[error("cannot {action}: {registry} refused access ({answer}). {credentials}")]
    Unauthorized {
        /// What was being done.
        action: String,
        /// Host of the registry.
        registry: String,
        /// The HTTP status and the registry's own words.
        answer: String,
        /// Which credentials were used, and what to do.
        credentials: String,
    },
    /// The registry answered with another error.
    #[error("cannot {action}: {registry} answered {answer}")]
    Refused {
        /// What was being done.
        action: String,
        /// Host of the registry.
        registry: String,
        /// The HTTP status and the registry's own words.
        answer: String,
    },
    /// Other writers replace a list of referrers again and again.
    #[error(
        "cannot add to the list `{list}`: others keep replacing it; try again when no other build pushes this image"
    )]
    ListIsReplaced {
        /// The list.
        list: String,
    },
    /// An answer names a host that winslim does not go to.
    #[error("cannot {action}: {registry} leads to {host}, {reason}")]
    Misled {
        /// What was being done.
        action: String,
        /// Host of the registry.
        registry: String,
        /// The host that it names.
        host: String,
        /// Why winslim does not go there, and what to do.
        reason: String,
    },
    /// A document is not the one that was asked for.
    #[error("cannot {action}: its digest is wrong: expected {expected}, received {actual}")]
    WrongDigest {
        /// What was being done.
        action: String,
        /// The digest that was asked for or announced.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// A manifest, an index or a config is larger than any that exists.
    #[error("cannot {action}: it has more than {limit} bytes, which no manifest or config of an image has")]
    TooLarge {
        /// What was being done.
        action: String,
        /// The most bytes that are read.
        limit: u64,
    },
    /// What a tag leads to is not an image.
    #[error("{reference} is not an image: its media type is `{media_type}`")]
    NotAnImage {
        /// What was asked for.
        reference: String,
        /// The media type of what came.
        media_type: String,
    },
    /// A blob is not what its descriptor says, or it could not be stored.
    #[error("cannot {action}: {error}")]
    Content {
        /// What was being done.
        action: String,
        /// What is wrong with it.
        error: StoreError,
    },
    /// A file with credentials cannot be used.
    #[error("cannot read the credentials in `{path}`: {reason}")]
    Credentials {
        /// The file.
        path: String,
        /// What is wrong with it; never quotes its content.
        reason: String,
    },
    /// A document of the registry is not what it should be.
    #[error("{reference} is not an image: {error}")]
    Document {
        /// What was asked for.
        reference: String,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// A file to be pushed cannot be read.
    #[error(transparent)]
    File(#[from] PathError),
    /// The HTTP client cannot be set up, for example because the certificates of the system cannot be read.
    #[error("cannot set up connections to registries: {0}")]
    Setup(String),
}

impl RegistryError {
    /// Whether the registry answered, and would not do what it was asked. The opposite: it could not be reached, or something
    /// on this machine failed.
    pub fn is_refusal(&self) -> bool {
        match self {
            RegistryError::Unreachable { .. }
            | RegistryError::Misled { .. }
            | RegistryError::Content { .. }
            | RegistryError::Credentials { .. }
            | RegistryError::File(_)
            | RegistryError::Setup(_) => false,
            RegistryError::UnknownTag { .. }
            | RegistryError::UnknownManifest { .. }
            | RegistryError::UnknownRepository { .. }
            | RegistryError::NoRepository { .. }
            | RegistryError::ListIsReplaced { .. }
            | RegistryError::UnknownBlob { .. }
            | RegistryError::ForeignLayer { .. }
            | RegistryError::Unauthorized { .. }
            | RegistryError::Refused { .. }
            | RegistryError::WrongDigest { .. }
            | RegistryError::TooLarge { .. }
            | RegistryError::NotAnImage { .. }
            | RegistryError::Document { .. } => true,
        }
    }
}
