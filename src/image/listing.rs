//! What a tag leads to, as engines see it: an index, the indexes in it, and the images in these.

use super::Platform;

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What machines it is for, as the index says it; `None` if it does not.
    pub platform: Option<Platform>,
    /// What it leads to.
    pub kind: Kind,
}

/// What an entry of an index leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An image, by its number among all images of the tag.
    Image(usize),
    /// Another index, with these entries.
    Index(Vec<Listed>),
    /// Nothing that a container can be made of: an attestation, an artifact.
    Other,
}

impl Listed {
    /// The entries of an index of images, each for the platform that the index says.
    pub fn of_images(platforms: &[Platform]) -> Vec<Listed> {
        let entry = |(number, platform): (usize, &Platform)| Listed {
            platform: Some(platform.clone()),
            kind: Kind::Image(number),
        };
        platforms.iter().enumerate().map(entry).collect()
    }

    /// The same with other numbers for the images; an image that has none is something else.
    pub fn renumbered(&self, number: &impl Fn(usize) -> Option<usize>) -> Listed {
        let kind = match &self.kind {
            Kind::Image(image) => number(*image).map_or(Kind::Other, Kind::Image),
            Kind::Index(entries) => Kind::Index(entries.iter().map(|entry| entry.renumbered(number)).collect()),
            Kind::Other => Kind::Other,
        };
        Listed { platform: self.platform.clone(), kind }
    }
}
