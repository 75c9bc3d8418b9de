//! The end that images come from.

use std::path::PathBuf;

use serde_json::Value;

use super::archive::docker::DockerArchive;
use super::layout::source::LayoutSource;
use super::registry::{Registry, RegistryOptions};
use super::{LocalBlob, Reference, RegistryReference, TransportError};
use crate::image::document::DocumentError;
use crate::image::edit;
use crate::image::platform::{SelectError, is_image, select};
use crate::image::{Config, Descriptor, Digest, Document, Index, IndexEntry, Manifest, Platform, PlatformRequest};
use crate::progress::{Progress, Stage};
use crate::store::Store;

/// An image found at its source: documents only; layers are fetched later.
#[derive(Debug, Clone)]
pub struct Image {
    /// What the image was called.
    pub reference: Reference,
    /// The index that the image was chosen from, and its position in there.
    pub index: Option<(Index, usize)>,
    /// The manifest.
    pub manifest: Manifest,
    /// The config; it has as many diff IDs as the manifest has layers.
    pub config: Config,
}

impl Image {
    /// What the index says about the image, if it came from one.
    pub fn index_entry(&self) -> Option<&IndexEntry> {
        let (index, chosen) = self.index.as_ref()?;
        index.entries.get(*chosen)
    }
}

/// All images that a reference leads to, none of them chosen.
#[derive(Debug, Clone)]
pub struct Images {
    /// Whether there is an index; without one there is one image.
    pub indexed: bool,
    /// The manifests in the order of the index, and what machines they are for.
    pub images: Vec<(Digest, Platform)>,
}

/// A place with an image in it.
pub struct Source {
    reference: Reference,
    place: Place,
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
        Ok(Source { reference: reference.clone(), place })
    }

    /// Finds all images that the reference leads to. Only of those whose index does not say what they are for, the config is
    /// read, as engines do.
    pub async fn images(&self) -> Result<Images, TransportError> {
        let root = self.root(None).await?;
        if !Index::is_index(&root) {
            let digest = root.digest();
            let platform = self.platform(root).await?;
            return Ok(Images { indexed: false, images: vec![(digest, platform)] });
        }
        let index = Index::parse(root).map_err(|error| self.wrong(error))?;
        let mut images = Vec::new();
        for entry in index.entries.iter().filter(|entry| is_image(entry)) {
            let platform = match &entry.platform {
                Some(platform) => platform.clone(),
                None => self.platform(self.manifest(&entry.descriptor).await?).await?,
            };
            images.push((entry.descriptor.digest, platform));
        }
        Ok(Images { indexed: true, images })
    }

    /// Finds the image for a platform; without a request, the only one for Windows.
    pub async fn resolve(&self, platform: Option<&PlatformRequest>) -> Result<Image, TransportError> {
        let root = self.root(platform).await?;
        let (index, manifest) = if Index::is_index(&root) {
            let index = Index::parse(root).map_err(|error| self.wrong(error))?;
            let chosen = select(&index.entries, platform).map_err(|error| self.no_choice(error))?;
            let manifest = self.manifest(&index.entries[chosen].descriptor).await?;
            (Some((index, chosen)), manifest)
        } else {
            (None, root)
        };
        let manifest = Manifest::parse(manifest).map_err(|error| self.wrong(error))?;
        let config = self.config(&manifest.config).await?;
        config.check_layers(manifest.layers.len()).map_err(|error| self.wrong(error))?;
        // An index without platforms, or no index at all, has promised nothing yet.
        let wanted = platform.cloned().unwrap_or_default();
        if !wanted.matches(&config.platform()) {
            let available = vec![config.platform().to_string()];
            return Err(self.no_choice(SelectError::NoMatch { wanted, available }));
        }
        Ok(Image { reference: self.reference.clone(), index, manifest, config })
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
            Place::Layout(layout) => layout.fetch(descriptor, store, &*task).await,
            Place::DockerArchive(archive) => archive.fetch(descriptor, store, &*task).await,
        };
        task.finish();
        fetched
    }

    /// What the reference itself leads to: an index or a manifest.
    async fn root(&self, platform: Option<&PlatformRequest>) -> Result<Document, TransportError> {
        match &self.place {
            Place::Registry(registry, name) => Ok(registry.document(name).await?),
            Place::Layout(layout) => layout.root(&self.reference.to_string(), platform),
            Place::DockerArchive(archive) => Ok(archive.manifest().clone()),
        }
    }

    /// What machines the image of a manifest is for, as its config says.
    async fn platform(&self, manifest: Document) -> Result<Platform, TransportError> {
        let manifest = Manifest::parse(manifest).map_err(|error| self.wrong(error))?;
        Ok(self.config(&manifest.config).await?.platform())
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Document, TransportError> {
        match &self.place {
            Place::Registry(registry, name) => Ok(registry.document(&name.at_digest(descriptor.digest)).await?),
            Place::Layout(layout) => layout.document(&self.reference.to_string(), descriptor),
            Place::DockerArchive(archive) => Ok(archive.manifest().clone()),
        }
    }

    async fn config(&self, descriptor: &Descriptor) -> Result<Config, TransportError> {
        let bytes = match &self.place {
            Place::Registry(registry, name) => registry.pull_small(name, descriptor).await?,
            Place::Layout(layout) => layout.small_blob(&descriptor.digest)?,
            Place::DockerArchive(archive) => archive.config().clone(),
        };
        let document = Document::parse("config", &*descriptor.media_type, bytes);
        document.and_then(Config::parse).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, error: DocumentError) -> TransportError {
        TransportError::Document { reference: self.reference.to_string(), error }
    }

    fn no_choice(&self, error: SelectError) -> TransportError {
        TransportError::Select { reference: self.reference.to_string(), error }
    }
}
