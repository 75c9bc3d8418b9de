//! Pulling from wherever something can be had: the mirrors of a registry first, then the registry itself.
//!
//! Pushes know nothing of mirrors. Each mirror gets its own credentials and never those of the registry it mirrors.

use std::path::PathBuf;

use bytes::Bytes;

use super::Registry;
use super::error::RegistryError;
use crate::image::{Descriptor, Document};
use crate::progress::Task;
use crate::store::{Store, StoreError};
use crate::transport::RegistryReference;

impl Registry {
    /// Pulls the manifest or index that a reference leads to; a digest counts more than a tag.
    ///
    /// The document has the digest of the reference, or the one that the registry announced for the tag.
    ///
    /// # Errors
    /// For an unknown tag, digest or repository, and when what is there is not an image.
    pub async fn document(&self, reference: &RegistryReference) -> Result<Document, RegistryError> {
        for mirror in self.mirrors_of(reference).await {
            match self.document_at(&mirror).await {
                Ok(document) => return Ok(document),
                Err(error) => self.pass_over(&mirror, error).await?,
            }
        }
        self.document_at(reference).await
    }

    /// Pulls a small blob, such as a config, into memory. Its size and its digest are those of the descriptor.
    pub async fn pull_small(
        &self,
        reference: &RegistryReference,
        descriptor: &Descriptor,
    ) -> Result<Bytes, RegistryError> {
        for mirror in self.mirrors_of(reference).await {
            match self.pull_small_at(&mirror, descriptor).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => self.pass_over(&mirror, error).await?,
            }
        }
        self.pull_small_at(reference, descriptor).await
    }

    /// Pulls a blob into the store and returns its path there.
    ///
    /// A download that broke, now or in an earlier run, continues where it did, from whichever server. A foreign layer
    /// that the registry does not have is taken from one of its URLs. The caller finishes the task.
    ///
    /// # Errors
    /// When the blob cannot be had, is not what the descriptor says, or cannot be stored. What has come is kept for
    /// the next time, unless it is wrong.
    pub async fn pull_blob(
        &self,
        reference: &RegistryReference,
        descriptor: &Descriptor,
        store: &Store,
        task: &dyn Task,
    ) -> Result<PathBuf, RegistryError> {
        // Where a foreign layer comes from is the business of the registry itself.
        let at_mirror = Descriptor { urls: Vec::new(), ..descriptor.clone() };
        for mirror in self.mirrors_of(reference).await {
            match self.pull_blob_at(&mirror, &at_mirror, store, task).await {
                Ok(path) => return Ok(path),
                Err(error) => self.pass_over(&mirror, error).await?,
            }
        }
        self.pull_blob_at(reference, descriptor, store, task).await
    }

    /// What an image is called at the mirrors of its registry, but for those that could not be reached before.
    async fn mirrors_of(&self, reference: &RegistryReference) -> Vec<RegistryReference> {
        let Some(mirrors) = self.options.mirrors.get(&reference.registry) else { return Vec::new() };
        let lost = self.lost_mirrors.lock().await;
        let present = mirrors.iter().filter(|mirror| !lost.contains(&mirror.registry));
        present.map(|mirror| mirror.reference(reference)).collect()
    }

    /// Lets the next place be asked after a mirror failed, unless that would fail on this machine for the same reason.
    async fn pass_over(&self, mirror: &RegistryReference, error: RegistryError) -> Result<(), RegistryError> {
        match &error {
            RegistryError::Content { error: StoreError::Path(_), .. }
            | RegistryError::File(_)
            | RegistryError::Credentials { .. }
            | RegistryError::Setup(_) => return Err(error),
            RegistryError::Unreachable { .. } => {
                self.lost_mirrors.lock().await.insert(mirror.registry.clone());
            }
            _ => {}
        }
        tracing::warn!(mirror = mirror.registry, reason = %error, "the mirror failed; asking the next place");
        Ok(())
    }
}
