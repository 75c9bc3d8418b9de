//! Artifacts that are found by tags of a repository: small manifests, with blobs that the registry keeps for their sake.

use std::path::{Path, PathBuf};

use super::registry::{Registry, RegistryError, RegistryOptions};
use super::{Delivered, RegistryReference, Tag, TransportError};
use crate::image::edit::EMPTY_CONFIG;
use crate::image::{Descriptor, Digest, Document, Manifest};
use crate::progress::{Progress, Stage};
use crate::store::Store;

/// A repository of a registry with artifacts in it.
#[derive(Debug)]
pub struct Artifacts {
    registry: Registry,
    name: RegistryReference,
}

impl Artifacts {
    /// Opens a repository. Nothing is sent yet.
    pub fn open(name: RegistryReference, options: &RegistryOptions) -> Result<Artifacts, TransportError> {
        Ok(Artifacts { registry: Registry::new(options)?, name })
    }

    /// The repository.
    pub fn name(&self) -> &RegistryReference {
        &self.name
    }

    /// The manifest under a tag; nothing if there is none.
    pub async fn find(&self, tag: &Tag) -> Result<Option<Manifest>, TransportError> {
        let reference = RegistryReference { tag: Some(tag.clone()), ..self.name.clone() };
        let document = match self.registry.document(&reference).await {
            Ok(document) => document,
            Err(RegistryError::UnknownTag { .. } | RegistryError::UnknownRepository { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let wrong = |error| TransportError::Document { reference: reference.to_string(), error };
        Manifest::parse(document).map(Some).map_err(wrong)
    }

    /// Whether the repository has a blob.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, TransportError> {
        Ok(self.registry.holds_blob(&self.name, digest).await?)
    }

    /// Brings a blob into the store. Its size and its digest are those of the descriptor.
    pub async fn fetch(
        &self,
        descriptor: &Descriptor,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<PathBuf, TransportError> {
        let task = progress.start(Stage::Pull, &descriptor.digest.short(), descriptor.size);
        // A blob of an artifact is in its repository and nowhere else.
        let descriptor = Descriptor { urls: Vec::new(), ..descriptor.clone() };
        let fetched = self.registry.pull_blob(&self.name, &descriptor, store, &*task).await;
        task.finish();
        Ok(fetched?)
    }

    /// Puts a blob from a file; a registry mounts it from `mount_from`, if that is one of its repositories.
    pub async fn put_blob(
        &self,
        descriptor: &Descriptor,
        path: &Path,
        mount_from: Option<&RegistryReference>,
        progress: &dyn Progress,
    ) -> Result<Delivered, TransportError> {
        let Descriptor { digest, size, .. } = descriptor;
        let task = progress.start(Stage::Push, &digest.short(), *size);
        let delivered = self.registry.push_blob(&self.name, digest, *size, path, mount_from, &*task).await;
        task.finish();
        Ok(delivered?)
    }

    /// Lets the repository have a blob without sending it, if it has it or can mount it; see [`super::Target::take_blob`].
    pub async fn take_blob(
        &self,
        digest: &Digest,
        mount_from: Option<&RegistryReference>,
    ) -> Result<Option<Delivered>, TransportError> {
        Ok(self.registry.take_blob(&self.name, digest, mount_from).await?)
    }

    /// Puts a manifest under a tag, after its blobs; the empty config that artifacts have is put here.
    pub async fn put(
        &self,
        tag: &Tag,
        manifest: &Document,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<(), TransportError> {
        let config = Descriptor::of_content("", EMPTY_CONFIG);
        let path = store.blob_path(&store.put(EMPTY_CONFIG)?);
        self.put_blob(&config, &path, None, progress).await?;
        Ok(self.registry.push_document(&self.name, manifest, Some(tag)).await?)
    }
}
