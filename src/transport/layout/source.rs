//! Reading the images of a layout.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;

use super::{Found, INDEX, MARKER, blob_name, find, name_of};
use crate::error::{IoContext, PathError};
use crate::image::document::{MAX_DOCUMENT_SIZE, field};
use crate::image::{Descriptor, Digest, Document, Index, media_type};
use crate::progress::Task;
use crate::store::Store;
use crate::transport::archive::tar_file::TarFile;
use crate::transport::local::{digest_of, read_small};
use crate::transport::reference::LocalReference;
use crate::transport::referrers::Referrers;
use crate::transport::{LocalBlob, TransportError};

/// The most entries of a layout that are read to find out what they refer to.
const MOST_REFERRERS: usize = 1000;

/// A layout with images in it.
#[derive(Debug)]
pub struct LayoutSource {
    files: Files,
    reference: LocalReference,
    index: Index,
}

/// Where the files of the layout are.
#[derive(Debug)]
enum Files {
    Directory(PathBuf),
    Tar(TarFile),
}

impl LayoutSource {
    /// Opens the layout in a directory.
    pub fn open(reference: &LocalReference) -> Result<LayoutSource, TransportError> {
        let metadata = fs::metadata(&reference.path).context_path("open", &reference.path)?;
        if !metadata.is_dir() {
            let problem = "it is a file; write `oci-archive:` or `docker-archive:` in front of an archive";
            return Err(wrong(reference, problem.to_owned()));
        }
        LayoutSource::new(Files::Directory(reference.path.clone()), reference)
    }

    /// Opens the layout in a tar.
    pub fn open_archive(reference: &LocalReference, store: &Store) -> Result<LayoutSource, TransportError> {
        LayoutSource::new(Files::Tar(TarFile::open(&reference.path, store)?), reference)
    }

    fn new(files: Files, reference: &LocalReference) -> Result<LayoutSource, TransportError> {
        let wrong = |problem: String| wrong(reference, problem);
        files.read(MARKER)?.ok_or_else(|| wrong(format!("there is no `{MARKER}` in it")))?;
        let index = files.read(INDEX)?.ok_or_else(|| wrong(format!("there is no `{INDEX}` in it")))?;
        let index = Document::parse("index", media_type::OCI_INDEX, index).and_then(Index::parse);
        let index = index.map_err(|error| wrong(error.to_string()))?;
        Ok(LayoutSource { files, reference: reference.clone(), index })
    }

    /// The index or manifest that the reference means, and whether it is an index that only the layout itself lists;
    /// `reference` names it in errors.
    pub fn root(&self, reference: &str) -> Result<(Document, bool), TransportError> {
        match find(&self.index, &self.reference) {
            Ok(Found::Entry(entry)) => Ok((self.document(reference, &entry.descriptor)?, false)),
            Ok(Found::Entries(index)) => Ok((index, true)),
            Err(available) => {
                // Not listed, but there: a manifest inside of an index.
                let digest = self.reference.digest.filter(|digest| self.files.has(&blob_name(digest)));
                let Some(digest) = digest else {
                    return Err(TransportError::NoSuchImage { reference: reference.to_owned(), available });
                };
                Ok((self.parse(reference, "manifest", "", &digest)?, false))
            }
        }
    }

    /// What refers to the documents of the layout: entries of `index.json` with a `subject`, and lists under tags like
    /// `sha256-…`, as regclient keeps them. What is listed and missing is left out.
    pub fn referrers(&self, reference: &str) -> Result<Referrers, TransportError> {
        let mut found = Referrers::new();
        let mut count = 0;
        for entry in &self.index.entries {
            let tag = name_of(entry);
            let list_of =
                tag.and_then(|tag| tag.strip_prefix("sha256-").and_then(|hex| format!("sha256:{hex}").parse().ok()));
            if tag.is_some() && list_of.is_none() && entry.is_image() {
                continue;
            }
            count += 1;
            if count > MOST_REFERRERS {
                tracing::warn!("only {MOST_REFERRERS} entries of the layout were asked what they refer to");
                break;
            }
            let document = match self.document(reference, &entry.descriptor) {
                Err(TransportError::MissingBlob { .. }) => continue,
                document => document?,
            };
            match list_of {
                Some(subject) if Index::is_index(&document) => {
                    let Ok(index) = Index::parse(document) else { continue };
                    let listed = index.entries.into_iter().map(|entry| entry.descriptor);
                    found.entry(subject).or_default().extend(listed);
                }
                _ => {
                    let subject = field(document.value(), "subject").and_then(|subject| field(subject, "digest"));
                    if let Some(Ok(subject)) = subject.and_then(Value::as_str).map(str::parse) {
                        found.entry(subject).or_default().push(entry.descriptor.clone());
                    }
                }
            }
        }
        Ok(found)
    }

    /// The index or manifest with a descriptor, checked.
    pub fn document(&self, reference: &str, descriptor: &Descriptor) -> Result<Document, TransportError> {
        let what = if media_type::is_index(&descriptor.media_type) { "index" } else { "manifest" };
        self.parse(reference, what, &descriptor.media_type, &descriptor.digest)
    }

    /// The content of a small blob, such as a config, checked.
    pub fn small_blob(&self, digest: &Digest) -> Result<Bytes, TransportError> {
        let place = || self.reference.path.clone();
        let bytes = self.files.read(&blob_name(digest))?;
        let bytes = bytes.ok_or_else(|| TransportError::MissingBlob { place: place(), digest: *digest })?;
        let actual = Digest::of(&bytes);
        if actual != *digest {
            let problem = format!("has the content of {actual}");
            return Err(TransportError::DamagedBlob { place: place(), digest: *digest, problem });
        }
        Ok(bytes)
    }

    /// What `index.json` says of the machines that an index or manifest is for, as it is written.
    pub fn listed_platform(&self, digest: &Digest) -> Option<&Value> {
        let entries = self.index.entries.iter().filter(|entry| entry.descriptor.digest == *digest);
        entries.filter_map(|entry| field(&entry.value, "platform")).find(|platform| platform.is_object())
    }

    /// Where a blob is, and the digest that its content has.
    pub async fn digest_of(
        &self,
        descriptor: &Descriptor,
        task: &dyn Task,
    ) -> Result<(PathBuf, Digest), TransportError> {
        let (digest, advance) = (descriptor.digest, |bytes| task.advance(bytes));
        let missing = || TransportError::MissingBlob { place: self.reference.path.clone(), digest };
        match &self.files {
            Files::Directory(directory) => {
                let path = directory.join(blob_name(&digest));
                if !path.is_file() {
                    return Err(missing());
                }
                let actual = digest_of(&path, advance).await?;
                Ok((path, actual))
            }
            Files::Tar(tar) => {
                let member = tar.member(&blob_name(&digest))?.ok_or_else(missing)?;
                Ok((tar.path().to_owned(), tar.digest(member, advance).await?))
            }
        }
    }

    /// A blob as a local file: in a directory the one that is there, whose digest is not checked yet.
    pub async fn fetch(
        &self,
        descriptor: &Descriptor,
        store: &Store,
        task: &dyn Task,
    ) -> Result<LocalBlob, TransportError> {
        let place = || self.reference.path.clone();
        let digest = descriptor.digest;
        let missing = || TransportError::MissingBlob { place: place(), digest };
        let damaged = |size| TransportError::DamagedBlob {
            place: place(),
            digest,
            problem: format!("has {size} bytes instead of {}", descriptor.size),
        };
        match &self.files {
            Files::Directory(directory) => {
                let path = directory.join(blob_name(&digest));
                let size = match fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => metadata.len(),
                    _ => return Err(missing()),
                };
                if size != descriptor.size {
                    return Err(damaged(size));
                }
                Ok(LocalBlob::of_others(path))
            }
            Files::Tar(tar) => {
                let member = tar.member(&blob_name(&digest))?.ok_or_else(missing)?;
                if member.size != descriptor.size {
                    return Err(damaged(member.size));
                }
                tar.extract(member, &digest, store, task).await
            }
        }
    }

    fn parse(
        &self,
        reference: &str,
        what: &'static str,
        media_type: &str,
        digest: &Digest,
    ) -> Result<Document, TransportError> {
        let bytes = self.small_blob(digest)?;
        Document::parse(what, media_type, bytes)
            .map_err(|error| TransportError::Document { reference: reference.to_owned(), error })
    }
}

fn wrong(reference: &LocalReference, problem: String) -> TransportError {
    TransportError::Kind { path: reference.path.clone(), expected: "an OCI image layout", problem }
}

impl Files {
    /// The content of a small file, if it is there.
    fn read(&self, name: &str) -> Result<Option<Bytes>, TransportError> {
        match self {
            Files::Directory(directory) => {
                let path = directory.join(name);
                match fs::File::open(&path) {
                    Ok(file) => Ok(Some(read_small(file, &path, MAX_DOCUMENT_SIZE)?)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(PathError::new("read", path, error).into()),
                }
            }
            Files::Tar(tar) => match tar.member(name)? {
                Some(member) => Ok(Some(tar.read(member)?)),
                None => Ok(None),
            },
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Files::Directory(directory) => directory.join(name).is_file(),
            Files::Tar(tar) => matches!(tar.member(name), Ok(Some(_))),
        }
    }
}
