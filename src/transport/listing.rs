//! All that a reference leads to: an image, or an index with the indexes and images in it.

use std::collections::BTreeMap;

use super::TransportError;
use super::root::Root;
use super::source::Source;
use crate::image::document::DocumentError;
use crate::image::listing::{Kind, Listed};
use crate::image::select::Candidate;
use crate::image::{Digest, Document, Index, IndexEntry, media_type};

/// The most entries that all indexes of a tag may have together. Tags of Microsoft's and of Docker's official images have
/// fewer than 50.
const MAX_ENTRIES: usize = 1000;
/// The most indexes that are read for one tag: each is a request.
const MAX_INDEXES: usize = 50;
/// How deep indexes may be nested. One index within another is what tools write.
const MAX_DEPTH: usize = 4;

/// What a reference leads to, before any choice.
pub(super) struct Listing {
    /// What the reference itself leads to.
    pub(super) root: Root,
    /// The entries of the index; none if the root is a manifest.
    pub(super) entries: Vec<Listed>,
    /// The images.
    pub(super) images: Vec<ListedImage>,
    /// Every index below the root.
    pub(super) indexes: BTreeMap<Digest, Document>,
}

/// An image that a reference leads to.
pub(super) struct ListedImage {
    pub(super) digest: Digest,
    /// What the index says about it, if there is one.
    pub(super) entry: Option<IndexEntry>,
}

impl ListedImage {
    /// The image as it can be chosen, as far as the index says what it is.
    pub(super) fn candidate(&self) -> Candidate {
        let platform = self.entry.as_ref().and_then(|entry| entry.platform.clone());
        Candidate { digest: self.digest, platform, asked: false }
    }
}

/// Reads all indexes that a root leads to.
pub(super) async fn list(source: &Source, root: Root) -> Result<Listing, TransportError> {
    let mut listing = Listing { root, entries: Vec::new(), images: Vec::new(), indexes: BTreeMap::new() };
    let index = match &listing.root {
        Root::Manifest(manifest) => {
            listing.images.push(ListedImage { digest: manifest.digest(), entry: None });
            return Ok(listing);
        }
        Root::Index(index) | Root::Layout(index) => index.clone(),
    };
    let mut count = 0;
    listing.entries = Box::pin(walk(source, &index, 1, &mut count, &mut listing)).await?;
    Ok(listing)
}

async fn walk(
    source: &Source,
    index: &Index,
    depth: usize,
    count: &mut usize,
    listing: &mut Listing,
) -> Result<Vec<Listed>, TransportError> {
    let refuse = |problem: String| {
        source.wrong(DocumentError::Field { what: "index", digest: index.document.digest(), problem })
    };
    *count += index.entries.len();
    if *count > MAX_ENTRIES {
        return Err(refuse(format!("lists more than {MAX_ENTRIES} entries, which no image needs")));
    }
    let mut listed = Vec::new();
    for entry in &index.entries {
        let is_artifact = entry.artifact_type.as_deref().is_some_and(|kind| !media_type::is_config(kind));
        let kind = if media_type::is_index(&entry.descriptor.media_type) && !is_artifact {
            if depth == MAX_DEPTH {
                return Err(refuse(format!("is an index within {MAX_DEPTH} others, which no image needs")));
            }
            match nested(source, entry, listing).await? {
                Some(inner) => Kind::Index(Box::pin(walk(source, &inner, depth + 1, count, listing)).await?),
                None => Kind::Other,
            }
        } else if entry.is_image() {
            let digest = entry.descriptor.digest;
            listing.images.push(ListedImage { digest, entry: Some(entry.clone()) });
            Kind::Image(listing.images.len() - 1)
        } else {
            Kind::Other
        };
        listed.push(Listed { platform: entry.platform.clone(), kind });
    }
    Ok(listed)
}

/// The index that an entry leads to; `None` if a layout or archive lacks it, as those of single platforms do.
async fn nested(source: &Source, entry: &IndexEntry, listing: &mut Listing) -> Result<Option<Index>, TransportError> {
    let digest = entry.descriptor.digest;
    let document = match listing.indexes.get(&digest) {
        Some(document) => document.clone(),
        None if listing.indexes.len() == MAX_INDEXES => {
            let problem = format!("leads to more than {MAX_INDEXES} indexes, which no image needs");
            return Err(source.wrong(DocumentError::Field { what: "index", digest, problem }));
        }
        None => match source.manifest(&entry.descriptor).await {
            Ok(document) => document,
            Err(TransportError::MissingBlob { .. }) => return Ok(None),
            Err(error) => return Err(error),
        },
    };
    listing.indexes.insert(digest, document.clone());
    Index::parse(document).map(Some).map_err(|error| source.wrong(error))
}
