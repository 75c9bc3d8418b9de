//! Finding what refers to a manifest: through the registry's referrers API, or else through a tag (OCI distribution
//! specification, "Listing Referrers" and "Referrers Tag Schema").

use reqwest::header::ACCEPT;

use super::client::Host;
use super::error::RegistryError;
use super::{Registry, pull_scope};
use crate::image::media_type::OCI_INDEX;
use crate::image::{Descriptor, Digest, Document, Index};
use crate::transport::{RegistryReference, Tag};

impl Registry {
    /// What refers to the manifest or index with a digest in the repository of `reference`. Mirrors are not asked.
    pub async fn referrers(
        &self,
        reference: &RegistryReference,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let action = format!("ask what refers to {}", reference.at_digest(*subject));
        let url = |host: &Host| host.url(&reference.repository, &format!("referrers/{subject}"));
        let asked = self.fetch(pull_scope(reference), |host| host.http.get(url(host)).header(ACCEPT, OCI_INDEX)).await;
        let wrong = |error| RegistryError::Document { reference: reference.at_digest(*subject).to_string(), error };
        let index = match asked {
            Ok((_, bytes)) => Document::parse("index", OCI_INDEX, bytes).and_then(Index::parse).map_err(wrong)?,
            // Registries that do not know the question answer it in many ways; the tag is for all of them.
            Err(problem) if matches!(problem.status(), Some(400 | 404 | 405 | 501)) => {
                let tag = Some(Tag::of_referrers(subject));
                let list = RegistryReference { tag, digest: None, ..reference.clone() };
                match self.document_at(&list).await {
                    Ok(document) if Index::is_index(&document) => Index::parse(document).map_err(wrong)?,
                    // Something else that happens to have this tag.
                    Ok(_) => return Ok(Vec::new()),
                    Err(
                        RegistryError::UnknownTag { .. }
                        | RegistryError::UnknownRepository { .. }
                        | RegistryError::NotAnImage { .. },
                    ) => return Ok(Vec::new()),
                    Err(error) => return Err(error),
                }
            }
            Err(problem) => return Err(problem.into_error(&action, &reference.registry)),
        };
        Ok(index.entries.into_iter().map(|entry| entry.descriptor).collect())
    }
}
