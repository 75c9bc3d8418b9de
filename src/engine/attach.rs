//! Attaching the ledger to an image.

use super::error::EngineError;
use super::event::Event;
use super::result::Documents;
use super::session::Session;
use crate::image::edit::{EMPTY_CONFIG, make_referrer};
use crate::image::{Descriptor, Digest};
use crate::ledger::{Ledger, MEDIA_TYPE};
use crate::text::Shown;
use crate::transport::{LocalBlob, Target, TransportError};

/// Attaches the ledger to the pushed image. A registry that refuses it gets the image all the same; what it says is a warning.
pub(super) async fn attach(
    ledger: &Ledger,
    documents: &Documents,
    target: &Target,
    session: &Session,
) -> Result<(), EngineError> {
    let text = Shown::json(ledger);
    let subject = &documents.manifest.document;
    let attached = async {
        let digest = put_bytes(text.as_bytes(), target, session).await?;
        put_bytes(EMPTY_CONFIG, target, session).await?;
        let blob = Descriptor { media_type: MEDIA_TYPE.to_owned(), digest, size: text.len() as u64, urls: Vec::new() };
        target.put_referrer(subject, &make_referrer(subject, MEDIA_TYPE, &blob)).await
    };
    match attached.await {
        Err(TransportError::Registry(refusal)) if refusal.is_refusal() => {
            session.tell(&Event::LedgerRefused(&refusal));
            Ok(())
        }
        attached => attached.map_err(EngineError::Attach),
    }
}

/// Puts small content at a target.
pub(super) async fn put_bytes(bytes: &[u8], target: &Target, session: &Session) -> Result<Digest, TransportError> {
    let (digest, path) = session.store.lend(bytes)?;
    let blob = LocalBlob::in_store(path, true);
    target.put_blob(&digest, bytes.len() as u64, &blob, None, &*session.progress).await?;
    Ok(digest)
}
