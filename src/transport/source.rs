//! The end that images come from.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::future::try_join_all;
use serde_json::Value;

use super::archive::docker::DockerArchive;
use super::contents::Referrers;
use super::layout::source::LayoutSource;
use super::listing::{Listing, Root, list};
use super::registry::{Registry, RegistryError, RegistryOptions};
use super::{LocalBlob, Reference, RegistryReference, TransportError};
use crate::image::document::DocumentError;
use crate::image::edit;
use crate::image::listing::Listed;
use crate::image::select::{Candidate, Choice, SelectError, select};
use crate::image::{Config, Descriptor, Digest, Document, Index, IndexEntry, Manifest, Platform, PlatformRequest};
use crate::progress::{Progress, Stage};
use crate::store::Store;

/// How many documents are asked for at once.
const AT_ONCE: usize = 4;
/// The most configs that are read to find out what the images of a tag are for.
const MAX_CONFIGS: usize = 100;

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

/// All images that a reference leads to, none of them chosen.
#[derive(Debug, Clone)]
pub struct Images {
    /// The entries of the index; `None` if the reference leads to the manifest of one image.
    pub index: Option<Vec<Listed>>,
    /// The images, by the numbers that the index has for them.
    pub images: Vec<(Digest, Platform)>,
}

/// Images of a reference, with what they were chosen from.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The images, each with its number among all images that the reference leads to.
    pub images: Vec<(usize, Image)>,
    /// The entries of the index; `None` if the reference leads to the manifest of one image.
    pub index: Option<Vec<Listed>>,
    /// What machines all images are for, by their numbers.
    pub platforms: Vec<Platform>,
}

/// A place with an image in it.
pub struct Source {
    reference: Reference,
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

    /// Finds all images that the reference leads to, and what machines they are for. Where the index does not say the version of
    /// Windows, the config does.
    pub async fn images(&self) -> Result<Images, TransportError> {
        let listing = self.list().await?;
        let mut candidates: Vec<Candidate> = listing.images.iter().map(|image| image.candidate()).collect();
        let unclear = |candidate: &Candidate| match &candidate.platform {
            Some(platform) => platform.os == "windows" && platform.os_version.is_none(),
            None => true,
        };
        let ask: Vec<usize> = (0..candidates.len()).filter(|&position| unclear(&candidates[position])).collect();
        self.ask(&listing, &mut candidates, &ask).await?;
        let images = candidates.into_iter().map(|candidate| (candidate.digest, candidate.platform.unwrap_or_default()));
        let index = !matches!(listing.root, Root::Manifest(_));
        Ok(Images { index: index.then_some(listing.entries), images: images.collect() })
    }

    /// Finds the image for a platform; without a request, the only one for Windows.
    pub async fn resolve(&self, platform: Option<&PlatformRequest>) -> Result<Image, TransportError> {
        let listing = self.list().await?;
        let mut candidates: Vec<Candidate> = listing.images.iter().map(|image| image.candidate()).collect();
        let chosen = self.choose(&listing, &mut candidates, platform).await?;
        self.image(&listing, chosen, platform).await
    }

    /// Finds every image for Windows, or the one for a platform, and what it was chosen from.
    pub async fn resolve_all(&self, platform: Option<&PlatformRequest>) -> Result<Resolved, TransportError> {
        let listing = self.list().await?;
        let mut candidates: Vec<Candidate> = listing.images.iter().map(|image| image.candidate()).collect();
        let unclear = |position: &usize| candidates[*position].platform.is_none();
        let ask: Vec<usize> = (0..candidates.len()).filter(unclear).collect();
        self.ask(&listing, &mut candidates, &ask).await?;
        let is_windows =
            |position: &usize| candidates[*position].platform.as_ref().is_some_and(|platform| platform.os == "windows");
        let mut wanted: Vec<usize> = (0..candidates.len()).filter(is_windows).collect();
        if platform.is_some() || wanted.is_empty() {
            wanted = vec![self.choose(&listing, &mut candidates, platform).await?];
        }
        let mut images = Vec::new();
        for some in wanted.chunks(AT_ONCE) {
            images
                .extend(try_join_all(some.iter().copied().map(|chosen| self.image(&listing, chosen, platform))).await?);
        }
        let mut platforms: Vec<Platform> =
            candidates.into_iter().map(|candidate| candidate.platform.unwrap_or_default()).collect();
        for (number, image) in wanted.iter().zip(&images) {
            platforms[*number] = image.config.platform();
        }
        let index = (!matches!(listing.root, Root::Manifest(_))).then_some(listing.entries);
        Ok(Resolved { images: wanted.into_iter().zip(images).collect(), index, platforms })
    }

    /// The position of the image for a platform.
    async fn choose(
        &self,
        listing: &Listing,
        candidates: &mut [Candidate],
        platform: Option<&PlatformRequest>,
    ) -> Result<usize, TransportError> {
        loop {
            match select(candidates, platform).map_err(|error| self.no_choice(error))? {
                Choice::Chosen(chosen) => return Ok(chosen),
                Choice::Ask(ask) => self.ask(listing, candidates, &ask).await?,
            }
        }
    }

    /// Everything that the reference leads to, without any choice.
    async fn list(&self) -> Result<Listing, TransportError> {
        list(self, self.root().await?).await
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

    /// Lets the configs of images say what machines these are for.
    async fn ask(
        &self,
        listing: &Listing,
        candidates: &mut [Candidate],
        positions: &[usize],
    ) -> Result<(), TransportError> {
        if positions.len() > MAX_CONFIGS {
            let digest = match &listing.root {
                Root::Manifest(document) => document.digest(),
                Root::Index(index) | Root::Layout(index) => index.document.digest(),
            };
            let problem = format!(
                "does not say what its {} images are for, and no more than {MAX_CONFIGS} configs are read to find out; name an \
                 image by its digest",
                positions.len()
            );
            return Err(self.wrong(DocumentError::Field { what: "index", digest, problem }));
        }
        let mut answers = Vec::new();
        for some in positions.chunks(AT_ONCE) {
            let platforms = some.iter().copied().map(|position| self.platform(listing, position));
            answers.extend(some.iter().copied().zip(try_join_all(platforms).await?));
        }
        for (position, platform) in answers {
            candidates[position].platform = platform;
            candidates[position].asked = true;
        }
        Ok(())
    }

    /// What machines an image of a listing is for, as its config says; `None` if it is no image.
    async fn platform(&self, listing: &Listing, position: usize) -> Result<Option<Platform>, TransportError> {
        match self.listed_manifest(listing, position).await? {
            Some(manifest) if !manifest.is_artifact() => Ok(Some(self.config(&manifest.config).await?.platform())),
            _ => Ok(None),
        }
    }

    /// The manifest of an image of a listing; `None` if a layout or archive lacks it, as those of single platforms do.
    async fn listed_manifest(&self, listing: &Listing, position: usize) -> Result<Option<Manifest>, TransportError> {
        let document = match (&listing.root, &listing.images[position].entry) {
            (Root::Manifest(document), _) => document.clone(),
            (_, Some(entry)) => match self.manifest(&entry.descriptor).await {
                Err(TransportError::MissingBlob { .. }) => return Ok(None),
                document => document?,
            },
            (_, None) => return Ok(None),
        };
        Manifest::parse(document).map(Some).map_err(|error| self.wrong(error))
    }

    /// The image at a position of a listing, held against what was asked for.
    async fn image(
        &self,
        listing: &Listing,
        chosen: usize,
        platform: Option<&PlatformRequest>,
    ) -> Result<Image, TransportError> {
        let entry = listing.images[chosen].entry.clone();
        let document = match (&listing.root, &entry) {
            (Root::Manifest(document), _) => document.clone(),
            (_, Some(entry)) => self.manifest(&entry.descriptor).await?,
            (Root::Index(index) | Root::Layout(index), None) => index.document.clone(),
        };
        let manifest = Manifest::parse(document).map_err(|error| self.wrong(error))?;
        manifest.check_layers().map_err(|error| self.wrong(error))?;
        let config = self.config(&manifest.config).await?;
        config.check_layers(manifest.layers.len()).map_err(|error| self.wrong(error))?;
        // An index without platforms, or no index at all, has promised nothing yet.
        let wanted = platform.cloned().unwrap_or_default();
        if !wanted.matches(&config.platform()) {
            let available = vec![config.platform().to_string()];
            return Err(self.no_choice(SelectError::NoMatch { wanted: Box::new(wanted), available }));
        }
        let index = match &listing.root {
            Root::Index(index) => Some(index.clone()),
            Root::Manifest(_) | Root::Layout(_) => None,
        };
        Ok(Image { reference: self.reference.clone(), index, entry, manifest, config })
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

    async fn config(&self, descriptor: &Descriptor) -> Result<Config, TransportError> {
        let bytes = self.small_blob(descriptor).await?;
        let document = Document::parse("config", &*descriptor.media_type, bytes);
        document.and_then(Config::parse).map_err(|error| self.wrong(error))
    }

    /// The error that a document of the image is wrong.
    pub(super) fn wrong(&self, error: DocumentError) -> TransportError {
        TransportError::Document { reference: self.reference.to_string(), error }
    }

    fn no_choice(&self, error: SelectError) -> TransportError {
        TransportError::Select { reference: self.reference.to_string(), error }
    }
}
