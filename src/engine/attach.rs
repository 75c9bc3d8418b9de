//! Attaching documents to an image, as its referrers.

use super::error::EngineError;
use super::event::Event;
use super::session::Session;
use crate::image::edit::{EMPTY_CONFIG, make_referrer};
use crate::image::{Descriptor, Digest, Document};
use crate::ledger::{Ledger, MEDIA_TYPE};
use crate::text::Shown;
use crate::transport::{LocalBlob, Target, TransportError};

/// A document that goes with an image.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// What it is to people, with its article: `the ledger`.
    pub name: &'static str,
    /// The media type of its content, and the type of the artifact that holds it.
    pub media_type: &'static str,
    /// Its content.
    pub content: Vec<u8>,
}

impl Attachment {
    /// A ledger, as JSON.
    pub fn ledger(ledger: &Ledger) -> Attachment {
        Attachment { name: "the ledger", media_type: MEDIA_TYPE, content: Shown::json(ledger).as_bytes().to_vec() }
    }
}

/// Attaches documents to the manifest of a pushed image, in their order. A registry that refuses one keeps the image all the same,
/// and that is an event.
pub(super) async fn attach(
    subject: &Document,
    attachments: &[Attachment],
    target: &Target,
    session: &Session,
) -> Result<(), EngineError> {
    for attachment in attachments {
        let name = attachment.name;
        match put(subject, attachment, target, session).await {
            Err(TransportError::Registry(error)) if error.is_refusal() => {
                session.tell(&Event::AttachmentRefused { name, error: &error });
            }
            attached => attached.map_err(|error| EngineError::Attach { name, error })?,
        }
    }
    Ok(())
}

async fn put(
    subject: &Document,
    attachment: &Attachment,
    target: &Target,
    session: &Session,
) -> Result<(), TransportError> {
    put_bytes(&attachment.content, target, session).await?;
    put_bytes(EMPTY_CONFIG, target, session).await?;
    let blob = Descriptor::of_content(attachment.media_type, &attachment.content);
    target.put_referrer(subject, &make_referrer(subject, attachment.media_type, &blob)).await
}

/// Puts small content at a target.
pub(super) async fn put_bytes(bytes: &[u8], target: &Target, session: &Session) -> Result<Digest, TransportError> {
    let (digest, path) = session.store.lend(bytes)?;
    let blob = LocalBlob::in_store(path, true);
    target.put_blob(&digest, bytes.len() as u64, &blob, None, &*session.progress).await?;
    Ok(digest)
}
