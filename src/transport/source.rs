//! The end that images come from.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;

use super::archive::docker::DockerArchive;
use super::layout::source::LayoutSource;
use super::referrers::Referrers;
use super::registry::{Registry, RegistryError, RegistryOptions};
use super::root::Root;
use super::{LocalBlob, Reference, RegistryReference, TransportError};
use crate::image::document::DocumentError;
use crate::image::edit;
use crate::image::{Config, Descriptor, Digest, Document, Index, IndexEntry, Manifest};
use crate::progress::{Progress, Stage};
use crate::store::Store;

/// An image found at its source: documents only; layers are fetched later.
#[derive(Debug, Clone)]
pub struct Image {
    /// What the image was called.
    pub reference: Reference,
    /// The index that the reference leads to; `None` if it leads to a manifest, or if a layout itself lists the images.
    pub index: Option<Index>,
    /// What the index says about the image; it may be in an index within the index.
    pub entry: Option<IndexEntry>,
    /// The manifest.
    pub manifest: Manifest,
    /// The config; it has as many diff IDs as the manifest has layers.
    pub config: Config,
}

impl Image {
    /// What the index says about the image, if it came from one.
    pub fn index_entry(&self) -> Option<&IndexEntry> {
        self.entry.as_ref()
    }

    /// The index that the image came from, if that lists this image and nothing else.
    pub fn own_index(&self) -> Option<&Index> {
        let index = self.index.as_ref()?;
        let [only] = &index.entries[..] else { return None };
        (only.descriptor.digest == self.manifest.document.digest()).then_some(index)
    }
}

/// A place with an image in it.
pub struct Source {
    pub(super) reference: Reference,
    place: Place,
    /// For foreign layers that a layout or an archive lacks.
    options: RegistryOptions,
}

enum Place {
    Registry(Box<Registry>, RegistryReference),
    Layout(LayoutSource),
    DockerArchive(DockerArchive),
}

impl Source {
    /// Opens the place that a reference names. The store takes what has to be unpacked.
    pub async fn open(
        reference: &Reference,
        registry: &RegistryOptions,
        store: &Store,
    ) -> Result<Source, TransportError> {
        let place = match reference {
            Reference::Registry(name) => Place::Registry(Box::new(Registry::new(registry)?), name.clone()),
            Reference::Layout(local) => Place::Layout(LayoutSource::open(local)?),
            Reference::OciArchive(local) => Place::Layout(LayoutSource::open_archive(local, store)?),
            Reference::DockerArchive(local) => Place::DockerArchive(DockerArchive::open(local, store).await?),
        };
        Ok(Source { reference: reference.clone(), place, options: registry.clone() })
    }

    /// What the reference itself leads to.
    pub(super) async fn root(&self) -> Result<Root, TransportError> {
        let (document, is_listed) = match &self.place {
            Place::Registry(registry, name) => (registry.document(name).await?, false),
            Place::Layout(layout) => layout.root(&self.reference.to_string())?,
            Place::DockerArchive(archive) => (archive.manifest().clone(), false),
        };
        if !Index::is_index(&document) {
            return Ok(Root::Manifest(document));
        }
        let index = Index::parse(document).map_err(|error| self.wrong(error))?;
        Ok(if is_listed { Root::Layout(index) } else { Root::Index(index) })
    }

    /// The document that the reference itself leads to: an index or a manifest.
    pub async fn root_document(&self) -> Result<Document, TransportError> {
        Ok(match self.root().await? {
            Root::Manifest(document) => document,
            Root::Index(index) | Root::Layout(index) => index.document,
        })
    }

    /// What a layout says of what refers to its documents; a registry is asked for each.
    pub(super) fn referrers_in_layout(&self) -> Result<Referrers, TransportError> {
        match &self.place {
            Place::Layout(layout) => layout.referrers(&self.reference.to_string()),
            Place::Registry(..) | Place::DockerArchive(_) => Ok(Referrers::new()),
        }
    }

    /// What refers to a document; `known` is what a layout said.
    pub(super) async fn referrers(
        &self,
        subject: &Digest,
        known: &Referrers,
    ) -> Result<Vec<Descriptor>, TransportError> {
        match &self.place {
            Place::Registry(registry, name) => Ok(registry.referrers(name, subject).await?),
            Place::Layout(_) | Place::DockerArchive(_) => Ok(known.get(subject).cloned().unwrap_or_default()),
        }
    }

    /// A manifest or index; `None` if it is not there any more.
    pub(super) async fn find_manifest(&self, descriptor: &Descriptor) -> Result<Option<Document>, TransportError> {
        match self.manifest(descriptor).await {
            Ok(document) => Ok(Some(document)),
            Err(
                TransportError::MissingBlob { .. }
                | TransportError::Registry(RegistryError::UnknownManifest { .. } | RegistryError::NotAnImage { .. }),
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The manifest of an image of the reference, by its digest; `None` if it is not there.
    pub async fn manifest_at(&self, digest: &Digest) -> Result<Option<Manifest>, TransportError> {
        let (media_type, urls) = (String::new(), Vec::new());
        let document = self.find_manifest(&Descriptor { media_type, digest: *digest, size: 0, urls }).await?;
        document.map(Manifest::parse).transpose().map_err(|error| self.wrong(error))
    }

    /// The content of a small blob, such as a config, checked.
    pub async fn small_blob(&self, descriptor: &Descriptor) -> Result<Bytes, TransportError> {
        Ok(match &self.place {
            Place::Registry(registry, name) => registry.pull_small(name, descriptor).await?,
            Place::Layout(layout) => layout.small_blob(&descriptor.digest)?,
            Place::DockerArchive(archive) => archive.config().clone(),
        })
    }

    /// What machines the document that a tag is to lead to is for, as the index of a layout says it: what the layout that it came
    /// from said, or else what the config of its image says. An index says that itself.
    pub fn platform_of(&self, document: &Document, config: &Config) -> Option<Value> {
        let listed = match &self.place {
            Place::Layout(layout) => layout.listed_platform(&document.digest()).cloned(),
            Place::Registry(..) | Place::DockerArchive(_) => None,
        };
        listed.or_else(|| (!Index::is_index(document)).then(|| edit::platform(config, None)))
    }

    /// Where a blob is, and the digest that its content has, as it is stored there; `None` for a registry, from which it would have
    /// to be pulled.
    pub async fn digest_of(
        &self,
        descriptor: &Descriptor,
        progress: &dyn Progress,
    ) -> Result<Option<(PathBuf, Digest)>, TransportError> {
        if let Place::Registry(..) = &self.place {
            return Ok(None);
        }
        let task = progress.start(Stage::Index, &descriptor.digest.short(), descriptor.size);
        let found = match &self.place {
            Place::Registry(..) => Ok(None),
            Place::Layout(layout) => layout.digest_of(descriptor, &*task).await.map(Some),
            Place::DockerArchive(archive) => {
                let digest = archive.digest_of(descriptor, &*task).await;
                digest.map(|digest| Some((archive.path().to_owned(), digest)))
            }
        };
        task.finish();
        found
    }

    /// The same of a document whose config was not read yet.
    pub async fn listed_platform(&self, document: &Document) -> Result<Option<Value>, TransportError> {
        if let Place::Layout(layout) = &self.place
            && let Some(listed) = layout.listed_platform(&document.digest())
        {
            return Ok(Some(listed.clone()));
        }
        if Index::is_index(document) {
            return Ok(None);
        }
        let manifest = Manifest::parse(document.clone()).map_err(|error| self.wrong(error))?;
        if manifest.is_artifact() {
            return Ok(None);
        }
        Ok(Some(edit::platform(&self.config(&manifest.config).await?, None)))
    }

    /// Brings a blob to a local file: into the store, or of a layout the very file that is there.
    pub async fn fetch(
        &self,
        descriptor: &Descriptor,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<LocalBlob, TransportError> {
        let task = progress.start(Stage::Pull, &descriptor.digest.short(), descriptor.size);
        let was_there = store.blob(&descriptor.digest).is_some();
        let fetched = match &self.place {
            Place::Registry(registry, name) => registry
                .pull_blob(name, descriptor, store, &*task)
                .await
                .map(|path| LocalBlob::in_store(path, !was_there))
                .map_err(TransportError::from),
            Place::Layout(layout) => match layout.fetch(descriptor, store, &*task).await {
                Err(TransportError::MissingBlob { .. }) if !descriptor.urls.is_empty() => {
                    let place = self.reference.to_string();
                    let pulled = Registry::new(&self.options)?.pull_foreign(&place, descriptor, store, &*task).await;
                    pulled.map(|path| LocalBlob::in_store(path, !was_there)).map_err(TransportError::from)
                }
                fetched => fetched,
            },
            Place::DockerArchive(archive) => archive.fetch(descriptor, store, &*task).await,
        };
        task.finish();
        fetched
    }

    /// The document of a descriptor in an index: a manifest, or an index again.
    pub(super) async fn manifest(&self, descriptor: &Descriptor) -> Result<Document, TransportError> {
        match &self.place {
            Place::Registry(registry, name) => Ok(registry.document(&name.at_digest(descriptor.digest)).await?),
            Place::Layout(layout) => layout.document(&self.reference.to_string(), descriptor),
            Place::DockerArchive(archive) => Ok(archive.manifest().clone()),
        }
    }

    pub(super) async fn config(&self, descriptor: &Descriptor) -> Result<Config, TransportError> {
        let bytes = self.small_blob(descriptor).await?;
        let document = Document::parse("config", &*descriptor.media_type, bytes);
        document.and_then(Config::parse).map_err(|error| self.wrong(error))
    }

    /// The error that a document of the image is wrong.
    pub(super) fn wrong(&self, error: DocumentError) -> TransportError {
        TransportError::Document { reference: self.reference.to_string(), error }
    }
}
