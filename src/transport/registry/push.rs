//! Pushing: blobs from files, documents from memory.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};

use super::auth::Scope;
use super::client::Host;
use super::error::RegistryError;
use super::problem::Problem;
use super::pull::{ACCEPTED, announced_digest};
use super::quirks::other_mode_may_help;
use super::session::Session;
use super::upload::Blob;
use super::{Registry, pull_scope, push_scope};
use crate::error::PathError;
use crate::image::{Digest, Document};
use crate::progress::Task;
use crate::store::StoreError;
use crate::transport::{Delivered, RegistryReference};

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
        if let Some(delivered) = self.take_blob(target, digest, mount_from).await? {
            task.reset_to(size);
            return Ok(delivered);
        }
        self.upload(target, &Blob { digest, size, path }, task).await.map_err(refused)?;
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
        let refused = |problem: Problem| {
            problem.into_error(&format!("push the blob {digest} to {}", target.name()), &target.registry)
        };
        if self.has_blob(push_scope(target), digest).await.map_err(refused)? {
            return Ok(Some(Delivered::Existed));
        }
        let source =
            mount_from.filter(|source| source.registry == target.registry && source.repository != target.repository);
        match source {
            Some(source) if self.mount(target, &source.repository, digest).await => Ok(Some(Delivered::Mounted)),
            _ => Ok(None),
        }
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
        tag: Option<&str>,
    ) -> Result<(), RegistryError> {
        self.put_document(target, document, tag).await.map(drop)
    }

    /// Like [`Registry::push_document`]; returns the headers of the registry's answer.
    pub(super) async fn put_document(
        &self,
        target: &RegistryReference,
        document: &Document,
        tag: Option<&str>,
    ) -> Result<HeaderMap, RegistryError> {
        let name = tag.map_or_else(|| document.digest().to_string(), str::to_owned);
        let action = match tag {
            Some(tag) => format!("push the manifest {}:{tag}", target.name()),
            None => format!("push the manifest {}@{name}", target.name()),
        };
        let url = |host: &Host| host.url(&target.repository, &format!("manifests/{name}"));
        let refused = |problem: Problem| problem.into_error(&action, &target.registry);
        let put = |host: &Host| {
            let request = host.http.put(url(host)).header(CONTENT_TYPE, document.media_type());
            request.body(Bytes::clone(document.bytes()))
        };
        let head = |host: &Host| host.http.head(url(host)).header(ACCEPT, ACCEPTED);
        let (answered, _) = self.fetch(push_scope(target), put).await.map_err(refused)?;
        let (present, _) = self.fetch(push_scope(target), head).await.map_err(refused)?;
        match announced_digest(&present) {
            Some(actual) if actual == document.digest() => {}
            Some(actual) => return Err(RegistryError::WrongDigest { action, expected: document.digest(), actual }),
            None => {
                // The header is optional: then the document itself tells.
                let reference = match tag {
                    Some(tag) => RegistryReference { tag: Some(tag.to_owned()), digest: None, ..target.clone() },
                    None => target.at_digest(document.digest()),
                };
                let actual = self.document(&reference).await?.digest();
                if actual != document.digest() {
                    return Err(RegistryError::WrongDigest { action, expected: document.digest(), actual });
                }
            }
        }
        Ok(answered)
    }

    async fn has_blob(&self, scope: Scope, digest: &Digest) -> Result<bool, Problem> {
        let repository = scope.repository.clone();
        let url = |host: &Host| host.url(&repository, &format!("blobs/{digest}"));
        match self.fetch(scope, |host| host.http.head(url(host))).await {
            Ok(_) => Ok(true),
            // A registry that does not answer the question may still take the blob.
            Err(problem) if matches!(problem.status(), Some(404 | 405)) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// Sends a blob, in the other mode of uploading too if that may help.
    async fn upload(&self, target: &RegistryReference, blob: &Blob<'_>, task: &dyn Task) -> Result<(), Problem> {
        let mut session = Session::new(self, push_scope(target)).await?;
        let uploads = &Arc::clone(session.host()).uploads;
        let mut mode = uploads.mode();
        let mut switched = false;
        loop {
            let access = session.access().await?;
            match uploads.send(mode, &access, &target.repository, blob, task).await {
                Ok(()) => {
                    uploads.prefer(mode);
                    return Ok(());
                }
                Err(problem) if other_mode_may_help(&problem) && !switched => {
                    switched = true;
                    mode = mode.other();
                    tracing::debug!(reason = problem.describe(), ?mode, "trying the other mode of uploading");
                }
                Err(problem) => session.failed(problem).await?,
            }
        }
    }

    /// Whether the registry took the blob over. Every failure means that it has to be uploaded: registries need not be
    /// able to do this, nor to allow it.
    async fn mount(&self, target: &RegistryReference, source: &str, digest: &Digest) -> bool {
        let scope = Scope { mount_from: Some(source.to_owned()), ..push_scope(target) };
        let mounted = async {
            let host = self.host(&target.registry).await?;
            let access = self.access(&host, &scope).await?;
            host.uploads.mount(&access, &target.repository, source, digest).await
        };
        match mounted.await {
            Ok(()) => true,
            Err(problem) => {
                tracing::debug!(source, reason = problem.describe(), "not mounted");
                false
            }
        }
    }
}
