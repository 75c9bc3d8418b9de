//! Pushing: blobs from files, documents from memory.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};

use super::auth::Scope;
use super::client::Host;
use super::error::RegistryError;
use super::headers::announced_digest;
use super::options::PushMode;
use super::problem::Problem;
use super::pull::ACCEPTED;
use super::quirks::{UploadMode, other_mode_may_help};
use super::session::Session;
use super::upload::{Blob, Location, Mount, Upload, mount};
use super::{Registry, pull_scope, push_scope};
use crate::error::PathError;
use crate::image::{Digest, Document};
use crate::progress::Task;
use crate::store::StoreError;
use crate::transport::{Delivered, RegistryReference, Repository, Tag};

/// What came of offering a blob to a repository without its bytes.
enum Offered {
    /// It has the blob now.
    Taken(Delivered),
    /// It wants the bytes, perhaps in an upload that it has begun.
    Wanted(Option<Location>),
}
/// After so many broken connections, a blob that goes in one request is sent in pieces.
const BREAKS_OF_ONE_REQUEST: usize = 2;

impl Registry {
    /// Puts the blob in a file into the repository of `target`, unless it has it.
    ///
    /// When `mount_from` is another repository of the same registry, the registry is asked to take the blob over from
    /// there. The caller finishes the task.
    ///
    /// # Errors
    /// When the file cannot be read or has another size, and when the registry refuses it.
    pub async fn push_blob(
        &self,
        target: &RegistryReference,
        digest: &Digest,
        size: u64,
        path: &Path,
        mount_from: Option<&RegistryReference>,
        task: &dyn Task,
    ) -> Result<Delivered, RegistryError> {
        let action = format!("push the blob {digest} to {}", target.name());
        let actual = std::fs::metadata(path).map_err(|error| PathError::new("read", path, error))?.len();
        if actual != size {
            let error = StoreError::WrongSize { digest: *digest, expected: size, actual };
            return Err(RegistryError::Content { action, error });
        }
        let refused = |problem: Problem| problem.into_error(&action, &target.registry);
        let location = match self.offer(target, digest, mount_from).await.map_err(refused)? {
            Offered::Taken(delivered) => {
                task.reset_to(size);
                return Ok(delivered);
            }
            Offered::Wanted(location) => location,
        };
        self.upload(target, &Blob { digest, size, path }, location, task).await.map_err(refused)?;
        Ok(Delivered::Written)
    }

    /// Lets the repository of `target` have a blob without sending it: it has it already, or the registry takes it over from
    /// `mount_from`, another of its repositories. Nothing if neither is so.
    pub async fn take_blob(
        &self,
        target: &RegistryReference,
        digest: &Digest,
        mount_from: Option<&RegistryReference>,
    ) -> Result<Option<Delivered>, RegistryError> {
        let action = format!("push the blob {digest} to {}", target.name());
        let offered = self.offer(target, digest, mount_from).await;
        match offered.map_err(|problem| problem.into_error(&action, &target.registry))? {
            Offered::Taken(delivered) => Ok(Some(delivered)),
            Offered::Wanted(location) => {
                // An upload that began in place of a mount is for the bytes, which come now.
                if let Some(location) = location {
                    self.keep_begun(target, location).await;
                }
                Ok(None)
            }
        }
    }

    /// Asks whether a repository has a blob, or takes it over from another one.
    async fn offer(
        &self,
        target: &RegistryReference,
        digest: &Digest,
        mount_from: Option<&RegistryReference>,
    ) -> Result<Offered, Problem> {
        if self.has_blob(push_scope(target), digest).await? {
            return Ok(Offered::Taken(Delivered::Existed));
        }
        let source =
            mount_from.filter(|source| source.registry == target.registry && source.repository != target.repository);
        let Some(source) = source else { return Ok(Offered::Wanted(None)) };
        Ok(match self.mount(target, &source.repository, digest).await {
            Some(Mount::Done) => Offered::Taken(Delivered::Mounted),
            Some(Mount::Upload(location)) => Offered::Wanted(Some(location)),
            None => Offered::Wanted(None),
        })
    }

    /// Whether a repository has a blob, asked as a reader.
    pub async fn holds_blob(&self, reference: &RegistryReference, digest: &Digest) -> Result<bool, RegistryError> {
        let action = format!("ask for the blob {digest} of {}", reference.name());
        let held = self.has_blob(pull_scope(reference), digest).await;
        held.map_err(|problem| problem.into_error(&action, &reference.registry))
    }

    /// Puts a document into the repository of `target`: under a tag, or by its digest only, without a tag.
    ///
    /// Checks that the registry then has it under its digest.
    pub async fn push_document(
        &self,
        target: &RegistryReference,
        document: &Document,
        tag: Option<&Tag>,
    ) -> Result<(), RegistryError> {
        self.put_document(target, document, tag).await.map(drop)
    }

    /// Like [`Registry::push_document`]; returns the headers of the registry's answer.
    pub(super) async fn put_document(
        &self,
        target: &RegistryReference,
        document: &Document,
        tag: Option<&Tag>,
    ) -> Result<HeaderMap, RegistryError> {
        let name = tag.map_or_else(|| document.digest().to_string(), Tag::to_string);
        let action = match tag {
            Some(tag) => format!("push the manifest {}:{tag}", target.name()),
            None => format!("push the manifest {}@{name}", target.name()),
        };
        let expected = document.digest();
        let put = |host: &Host| {
            let url = host.url(&target.repository, &format!("manifests/{name}"));
            let request = host.http.put(url).header(CONTENT_TYPE, document.media_type());
            request.body(Bytes::clone(document.bytes()))
        };
        let answered = match self.fetch(push_scope(target), put).await {
            Ok((answered, _)) => answered,
            // Where tags cannot be moved, and where what is there cannot be pushed again, it may be there already.
            Err(problem @ Problem::Answer(_)) => {
                if self.digest_at(target, &name, expected).await.is_ok_and(|found| found == expected) {
                    tracing::info!(reason = problem.describe(), "refused, but it is there already");
                    return Ok(HeaderMap::new());
                }
                return Err(problem.into_error(&action, &target.registry));
            }
            Err(problem) => return Err(problem.into_error(&action, &target.registry)),
        };
        // The registry has taken it: from here on only other content is a failure.
        let announced = announced_digest(&answered);
        match (announced, self.digest_at(target, &name, expected).await) {
            (_, Ok(found)) if found == expected => Ok(answered),
            // If the tag leads elsewhere now, somebody else has moved it since.
            (Some(announced), _) if announced == expected => Ok(answered),
            (_, Ok(actual)) | (Some(actual), Err(_)) => Err(RegistryError::WrongDigest { action, expected, actual }),
            (None, Err(problem)) => {
                let reason = problem.describe();
                let registry = &target.registry;
                tracing::warn!(registry, reason, "the registry does not show the manifest that it took");
                Ok(answered)
            }
        }
    }

    /// The digest of what a tag or a digest leads to. A registry may not answer HEAD, or not with the digest; then the
    /// content decides.
    async fn digest_at(&self, target: &RegistryReference, name: &str, expected: Digest) -> Result<Digest, Problem> {
        let url = |host: &Host| host.url(&target.repository, &format!("manifests/{name}"));
        let head = |host: &Host| host.http.head(url(host)).header(ACCEPT, ACCEPTED);
        if let Ok((headers, _)) = self.fetch(push_scope(target), head).await
            && announced_digest(&headers) == Some(expected)
        {
            return Ok(expected);
        }
        let get = |host: &Host| host.http.get(url(host)).header(ACCEPT, ACCEPTED);
        Ok(Digest::of(&self.fetch(push_scope(target), get).await?.1))
    }

    /// Whether a repository has a manifest; `true` if the registry does not say.
    pub(super) async fn has_manifest(&self, target: &RegistryReference, digest: &str) -> bool {
        let Ok(expected) = digest.parse() else { return true };
        !matches!(self.digest_at(target, digest, expected).await, Err(problem) if problem.status() == Some(404))
    }

    async fn has_blob(&self, scope: Scope, digest: &Digest) -> Result<bool, Problem> {
        let repository = scope.repository.clone();
        let url = |host: &Host| host.url(&repository, &format!("blobs/{digest}"));
        match self.fetch(scope, |host| host.http.head(url(host))).await {
            Ok(_) => Ok(true),
            // A registry that does not answer the question may still take the blob. Some do not know HEAD, and where they keep
            // their blobs may refuse it.
            Err(problem) if problem.status().is_some_and(|status| status != 401) && !problem.is_transient() => {
                Ok(false)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Sends a blob, in the other mode of uploading too if that may help.
    async fn upload(
        &self,
        target: &RegistryReference,
        blob: &Blob<'_>,
        location: Option<Location>,
        task: &dyn Task,
    ) -> Result<(), Problem> {
        let mut session = Session::new(self, push_scope(target)).await?;
        let host = Arc::clone(session.host());
        let begun = if location.is_none() { self.take_begun(target).await } else { None };
        // Begun some time ago, so the registry may have forgotten it.
        let mut is_old = begun.is_some();
        let location = location.or(begun);
        let mut upload = Upload::new(&host, &target.repository, blob, location, task);
        let mut switched = false;
        loop {
            let access = session.access().await?;
            let Err(problem) = upload.send(&access, session.attempt()).await else {
                host.prefer(upload.mode());
                return Ok(());
            };
            let problem = access.explain(problem);
            if upload.has_progressed() {
                session.progressed();
            }
            // One request for a large blob may never get through a connection that pieces get through.
            let breaks = self.options.push_mode == PushMode::Auto
                && upload.mode() == UploadMode::Monolithic
                && matches!(problem, Problem::Network { .. })
                && session.attempt() >= BREAKS_OF_ONE_REQUEST;
            let may_be_forgotten = problem.status().is_some_and(|status| !matches!(status, 401 | 429) && status < 500);
            if std::mem::take(&mut is_old) && may_be_forgotten {
                upload.switch(upload.mode());
                continue;
            }
            if other_mode_may_help(&problem) && !switched {
                tracing::info!(reason = problem.describe(), mode = ?upload.mode(), "the registry refuses this mode");
                switched = true;
            } else {
                session.failed(problem).await?;
                if !breaks {
                    continue;
                }
            }
            let mode = upload.mode().other();
            tracing::info!(?mode, "trying the other mode of uploading");
            upload.switch(mode);
        }
    }

    /// What the registry says to taking the blob over. Every failure means that it has to be uploaded: registries need
    /// not be able to do this, nor to allow it.
    async fn mount(&self, target: &RegistryReference, source: &Repository, digest: &Digest) -> Option<Mount> {
        let scope = Scope { mount_from: Some(source.clone()), ..push_scope(target) };
        let asked = async {
            let host = self.host(&target.registry).await?;
            let access = self.access(&host, &scope).await?;
            let asked = mount(&host, &access, &target.repository, source, digest).await;
            asked.map_err(|problem| access.explain(problem))
        };
        match asked.await {
            Ok(answer) => Some(answer),
            Err(problem) => {
                tracing::info!(%source, reason = problem.describe(), "not mounted");
                None
            }
        }
    }
}
