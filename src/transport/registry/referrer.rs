//! Attaching an artifact to an image, so that its readers find it: through the registry's referrers API, or else
//! through a tag (OCI distribution specification, "Referrers Tag Schema").

use std::collections::BTreeSet;

use super::Registry;
use super::error::RegistryError;
use crate::image::Document;
use crate::transport::referrers::{digests, lists, with_entry, without};
use crate::transport::{RegistryReference, Tag};

/// So many entries of a list are looked up at most.
const MAX_ASKED: usize = 1000;

/// How often a list is written if others write it at the same time.
const MAX_WRITES: u32 = 5;

impl Registry {
    /// Pushes an artifact's manifest, whose `subject` is the manifest or index `subject`, and makes it findable.
    ///
    /// A registry that knows about referrers says so in its answer; for the others the index under the tag
    /// `sha256-…` of the subject gets one more entry. Registries cannot replace a tag only if nobody else has done so, so the list
    /// is read again after it was written, and written again if another writer has replaced it.
    pub async fn push_referrer(
        &self,
        target: &RegistryReference,
        subject: &Document,
        artifact: &Document,
    ) -> Result<(), RegistryError> {
        let answered = self.put_document(target, artifact, None).await?;
        if answered.contains_key("oci-subject") {
            return Ok(());
        }
        let tag = Tag::of_referrers(&subject.digest());
        let list = RegistryReference { tag: Some(tag), digest: None, ..target.clone() };
        let mut present = self.list_at(&list).await?;
        for _ in 0..MAX_WRITES {
            self.push_list(&list, present.as_ref(), artifact).await?;
            present = self.list_at(&list).await?;
            if present.as_ref().is_some_and(|present| lists(present, artifact)) {
                return Ok(());
            }
            tracing::info!(%list, "another writer has replaced the list of referrers; adding to it again");
        }
        Err(RegistryError::ListIsReplaced { list: list.to_string() })
    }

    /// The list of referrers under a tag, if there is one.
    async fn list_at(&self, list: &RegistryReference) -> Result<Option<Document>, RegistryError> {
        match self.document_at(list).await {
            Ok(document) => Ok(Some(document)),
            Err(RegistryError::UnknownTag { .. } | RegistryError::UnknownRepository { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Pushes the list of referrers with one more entry.
    async fn push_list(
        &self,
        list: &RegistryReference,
        present: Option<&Document>,
        artifact: &Document,
    ) -> Result<(), RegistryError> {
        let wrong = |error| RegistryError::Document { reference: list.to_string(), error };
        let Some(index) = with_entry(present, artifact).map_err(wrong)? else { return Ok(()) };
        let Err(error) = self.push_document(list, &index, list.tag.as_ref()).await else { return Ok(()) };
        // Garbage collection may have deleted what the list names, and then some registries refuse the list.
        let (Some(present), RegistryError::Refused { .. }) = (present, &error) else { return Err(error) };
        let gone = self.gone(list, present).await;
        if gone.is_empty() {
            return Err(error);
        }
        tracing::info!(count = gone.len(), %list, "leaving out referrers that are not there any more");
        match with_entry(Some(&without(present, &gone)), artifact).map_err(wrong)? {
            Some(index) => self.push_document(list, &index, list.tag.as_ref()).await,
            None => Ok(()),
        }
    }

    /// The digests of a list that the registry does not have.
    async fn gone(&self, target: &RegistryReference, list: &Document) -> BTreeSet<String> {
        let mut gone = BTreeSet::new();
        for digest in digests(list).take(MAX_ASKED) {
            if !self.has_manifest(target, digest).await {
                gone.insert(digest.to_owned());
            }
        }
        gone
    }
}
