//! The end that images go to.

use serde_json::Value;

use super::archive::oci::OciArchiveTarget;
use super::delivered::Delivered;
use super::layout::target::LayoutTarget;
use super::registry::{Registry, RegistryOptions};
use super::{LocalBlob, Reference, RegistryReference, TransportError};
use crate::image::{Digest, Document};
use crate::progress::{Progress, Stage};

/// A place that an image is put into: blobs first, documents next, the tag last, then [`Target::finish`].
pub struct Target {
    reference: Reference,
    place: Place,
}

enum Place {
    Registry(Box<Registry>, RegistryReference),
    Layout(LayoutTarget),
    OciArchive(OciArchiveTarget),
}

impl Target {
    /// Opens the place that a reference names; what no image can be put into is refused here, before any work. A registry is
    /// asked whether it takes pushes.
    pub async fn open(reference: &Reference, registry: &RegistryOptions) -> Result<Target, TransportError> {
        let refuse = |problem: &str| {
            Err(TransportError::Target { reference: reference.to_string(), problem: problem.to_owned() })
        };
        let digest = match reference {
            Reference::Registry(name) => name.digest,
            Reference::Layout(local) | Reference::OciArchive(local) | Reference::DockerArchive(local) => local.digest,
        };
        if digest.is_some() {
            return refuse("a digest cannot be chosen, it follows from the content; name a tag");
        }
        let place = match reference {
            Reference::Registry(name) => {
                let registry = Registry::new(registry)?;
                registry.check_push(name).await?;
                Place::Registry(Box::new(registry), name.clone())
            }
            Reference::Layout(local) => Place::Layout(LayoutTarget::open(local)?),
            Reference::OciArchive(local) => Place::OciArchive(OciArchiveTarget::open(local)?),
            Reference::DockerArchive(_) => {
                return refuse("winslim only reads `docker save` archives; write `oci-archive:` instead");
            }
        };
        Ok(Target { reference: reference.clone(), place })
    }

    /// Puts a blob. A registry mounts it from `mount_from`, if that is one of its repositories.
    ///
    /// The file has to stay where it is until [`Target::finish`].
    pub async fn put_blob(
        &self,
        digest: &Digest,
        size: u64,
        blob: &LocalBlob,
        mount_from: Option<&RegistryReference>,
        progress: &dyn Progress,
    ) -> Result<Delivered, TransportError> {
        let start = || progress.start(Stage::Push, &digest.short(), size);
        match &self.place {
            Place::Registry(registry, name) => {
                let task = start();
                let delivered = registry.push_blob(name, digest, size, &blob.path, mount_from, &*task).await;
                task.finish();
                Ok(delivered?)
            }
            Place::Layout(layout) => {
                let task = start();
                let delivered = layout.put_blob(digest, size, blob, &*task).await;
                task.finish();
                delivered
            }
            // An archive shows its progress when it is written, at the end.
            Place::OciArchive(archive) => Ok(archive.put_blob(digest, size, &blob.path)),
        }
    }

    /// Lets the target have a blob without reading it: the target has it already, or its registry mounts it from
    /// `mount_from`. Nothing if it has to be put.
    pub async fn take_blob(
        &self,
        digest: &Digest,
        size: u64,
        mount_from: Option<&RegistryReference>,
    ) -> Result<Option<Delivered>, TransportError> {
        match &self.place {
            Place::Registry(registry, name) => Ok(registry.take_blob(name, digest, mount_from).await?),
            Place::Layout(layout) => Ok(layout.has_blob(digest, size).await.then_some(Delivered::Existed)),
            Place::OciArchive(_) => Ok(None),
        }
    }

    /// Puts a manifest under its digest, after its blobs and before the index that lists it.
    pub async fn put_document(&self, document: &Document) -> Result<(), TransportError> {
        match &self.place {
            Place::Registry(registry, name) => Ok(registry.push_document(name, document, None).await?),
            Place::Layout(layout) => layout.put_document(document),
            Place::OciArchive(archive) => {
                archive.put_document(document);
                Ok(())
            }
        }
    }

    /// Puts the manifest of an artifact that refers to `subject`, after the blobs of the artifact.
    pub async fn put_referrer(&self, subject: &Document, artifact: &Document) -> Result<(), TransportError> {
        match &self.place {
            Place::Registry(registry, name) => Ok(registry.push_referrer(name, subject, artifact).await?),
            Place::Layout(layout) => layout.put_referrer(artifact),
            Place::OciArchive(archive) => {
                archive.put_referrer(artifact);
                Ok(())
            }
        }
    }

    /// Puts an index or manifest and lets the tag lead to it, which makes the image visible. `platform` is what the index of a
    /// layout says of the machines that it is for; other places have no such index.
    ///
    /// Returns how to name exactly this image: `REPOSITORY@DIGEST`, or `oci:DIR:TAG@DIGEST`.
    pub async fn tag(&self, document: &Document, platform: Option<&Value>) -> Result<String, TransportError> {
        match &self.place {
            Place::Registry(registry, name) => {
                registry.push_document(name, document, name.tag.as_ref()).await?;
                return Ok(name.at_digest(document.digest()).to_string());
            }
            Place::Layout(layout) => layout.tag(document, platform)?,
            Place::OciArchive(archive) => archive.tag(document, platform),
        }
        Ok(format!("{}@{}", self.reference, document.digest()))
    }

    /// Lets another tag of a registry lead to a manifest that was put; other places need none to keep it.
    pub async fn tag_child(&self, document: &Document, tag: &str) -> Result<(), TransportError> {
        match &self.place {
            Place::Registry(registry, name) => Ok(registry.push_document(name, document, Some(&tag.parse()?)).await?),
            Place::Layout(_) | Place::OciArchive(_) => Ok(()),
        }
    }

    /// Ends the work: an archive is written only now.
    pub async fn finish(self, progress: &dyn Progress) -> Result<(), TransportError> {
        match self.place {
            Place::OciArchive(archive) => archive.finish(progress).await,
            Place::Registry(..) | Place::Layout(_) => Ok(()),
        }
    }
}
