//! Choosing images of a reference: by platform, or all of them.

use futures_util::future::try_join_all;

use super::TransportError;
use super::listing::{Listing, list};
use super::root::Root;
use super::source::{Image, Source};
use crate::image::document::DocumentError;
use crate::image::listing::Listed;
use crate::image::select::{Candidate, Choice, SelectError, select};
use crate::image::{Digest, Manifest, Platform, PlatformRequest};

/// How many documents are asked for at once.
const AT_ONCE: usize = 4;
/// The most configs that are read to find out what the images of a tag are for.
const MAX_CONFIGS: usize = 100;

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

impl Source {
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

    fn no_choice(&self, error: SelectError) -> TransportError {
        TransportError::Select { reference: self.reference.to_string(), error }
    }
}
