//! Everything that a tag consists of, for those who copy it as it is: documents, the blobs that they name, and what refers to
//! them.

use std::collections::BTreeSet;

use super::TransportError;
use super::source::{Image, Source};
use crate::image::document::DocumentError;
use crate::image::{Descriptor, Digest, Document, Index, Manifest, media_type};

/// The most documents of one tag, with all that refers to them.
const MAX_DOCUMENTS: usize = 2000;
/// The most bytes that these documents may have together. Those of an image with five platforms have some 20 kB.
const MAX_BYTES: u64 = 16 << 20;
/// How deep indexes may be nested.
const MAX_DEPTH: usize = 4;

/// What a tag consists of.
#[derive(Debug, Clone)]
pub struct Contents {
    /// What the tag leads to.
    pub root: Document,
    /// Everything below it, what is named before what names it.
    pub documents: Vec<Document>,
    /// All blobs, each once.
    pub parts: Vec<Part>,
    /// What refers to these documents, and to one another: the subject, and the document that names it.
    pub referrers: Vec<(Document, Document)>,
    seen: BTreeSet<Digest>,
    bytes: u64,
}

/// A blob of an image.
#[derive(Debug, Clone)]
pub struct Part {
    /// Where it is.
    pub descriptor: Descriptor,
    /// Its place in the image.
    pub role: PartRole,
}

/// What a blob is to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartRole {
    /// The config of a manifest.
    Config,
    /// The layer with this number.
    Layer(usize),
    /// Something that an index names, and that is no manifest.
    Other,
}

impl Contents {
    fn new(root: Document) -> Contents {
        let (documents, parts, referrers) = (Vec::new(), Vec::new(), Vec::new());
        Contents { root, documents, parts, referrers, seen: BTreeSet::new(), bytes: 0 }
    }

    fn add_part(&mut self, descriptor: &Descriptor, role: PartRole) {
        if self.seen.insert(descriptor.digest) {
            self.parts.push(Part { descriptor: descriptor.clone(), role });
        }
    }
}

impl Source {
    /// Everything that the reference leads to, whatever machines it is for.
    pub async fn contents(&self) -> Result<Contents, TransportError> {
        let root = self.root_document().await?;
        self.contents_of_root(root).await
    }

    /// One image: its manifest or, if its index lists nothing else, that index.
    pub async fn contents_of(&self, image: &Image) -> Result<Contents, TransportError> {
        let root = image.own_index().map_or(&image.manifest.document, |index| &index.document);
        self.contents_of_root(root.clone()).await
    }

    async fn contents_of_root(&self, root: Document) -> Result<Contents, TransportError> {
        let mut contents = Contents::new(root.clone());
        self.add(&root, 1, &mut contents).await?;
        Ok(contents)
    }

    /// Adds a document and all below it, children first; the root itself is not among [`Contents::documents`].
    async fn add(&self, document: &Document, depth: usize, contents: &mut Contents) -> Result<(), TransportError> {
        let refuse =
            |problem: String| self.wrong(DocumentError::Field { what: "index", digest: document.digest(), problem });
        contents.seen.insert(document.digest());
        contents.bytes += document.size();
        if contents.bytes > MAX_BYTES || contents.documents.len() >= MAX_DOCUMENTS {
            return Err(refuse(format!(
                "leads to more than {MAX_DOCUMENTS} documents, or to more than {} MiB of them, which no image needs",
                MAX_BYTES >> 20
            )));
        }
        if !Index::is_index(document) {
            let manifest = Manifest::parse(document.clone()).map_err(|error| self.wrong(error))?;
            contents.add_part(&manifest.config, PartRole::Config);
            for (number, layer) in manifest.layers.iter().enumerate() {
                contents.add_part(layer, PartRole::Layer(number));
            }
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(refuse(format!("is an index within {MAX_DEPTH} others, which no image needs")));
        }
        let index = Index::parse(document.clone()).map_err(|error| self.wrong(error))?;
        for entry in &index.entries {
            let media_type = entry.descriptor.media_type.as_str();
            if contents.seen.contains(&entry.descriptor.digest) {
                continue;
            }
            if !media_type.is_empty() && !media_type::is_index(media_type) && !media_type::is_manifest(media_type) {
                contents.add_part(&entry.descriptor, PartRole::Other);
                continue;
            }
            let child = self.manifest(&entry.descriptor).await?;
            Box::pin(self.add(&child, depth + 1, contents)).await?;
            contents.documents.push(child);
        }
        Ok(())
    }

    /// Adds what refers to the documents, such as ledgers and signatures, and what refers to that. What is listed and gone is
    /// left out.
    pub async fn add_referrers(&self, contents: &mut Contents) -> Result<(), TransportError> {
        let mut subjects: Vec<Document> = contents.documents.clone();
        subjects.push(contents.root.clone());
        let known = self.referrers_in_layout()?;
        while let Some(subject) = subjects.pop() {
            for descriptor in self.referrers(&subject.digest(), &known).await? {
                if contents.seen.contains(&descriptor.digest) {
                    continue;
                }
                let Some(document) = self.find_manifest(&descriptor).await? else { continue };
                self.add(&document, MAX_DEPTH, contents).await?;
                contents.referrers.push((subject.clone(), document.clone()));
                if contents.referrers.len() > MAX_DOCUMENTS {
                    return Err(self.wrong(DocumentError::Field {
                        what: "index",
                        digest: subject.digest(),
                        problem: format!("has more than {MAX_DOCUMENTS} documents that refer to it"),
                    }));
                }
                subjects.push(document);
            }
        }
        Ok(())
    }
}
