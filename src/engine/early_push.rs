//! Sending new layers to a registry while the next ones are still being rewritten.
//!
//! Only blobs go so early. Nothing leads to them before the build is done; if it fails, the registry collects them one day.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::error::EngineError;
use super::push::put_layer;
use super::result::{Origin, ResultLayer};
use super::session::Session;
use crate::image::Digest;
use crate::transport::Target;

/// Takes the finished layers of one base image.
pub(super) struct Outbox {
    /// `None` if they have to wait until everything is rewritten and judged.
    sender: Option<UnboundedSender<(usize, ResultLayer)>>,
    taken: BTreeSet<Digest>,
}

/// The way of the layers of one base image to its target.
pub(super) struct Lane<'a>(Option<(&'a Target, UnboundedReceiver<(usize, ResultLayer)>)>);

/// The two ends of a way to a target. Without a target nothing is sent early.
pub(super) fn lane(target: Option<&Target>) -> (Outbox, Lane<'_>) {
    let (sender, way) = match target {
        Some(target) => {
            let (sender, receiver) = unbounded_channel();
            (Some(sender), Some((target, receiver)))
        }
        None => (None, None),
    };
    (Outbox { sender, taken: BTreeSet::new() }, Lane(way))
}

impl Outbox {
    /// Takes the new layers among these, counted from the base, that it has not taken yet.
    pub(super) fn take(&mut self, layers: &[ResultLayer]) {
        let Some(sender) = &self.sender else { return };
        for (number, layer) in layers.iter().enumerate() {
            if matches!(layer.origin, Origin::Store(_)) && self.taken.insert(layer.index.digest) {
                // When nobody sends any more, the next check tells.
                let _ = sender.send((number, layer.clone()));
            }
        }
    }

    /// Fails when the layers are not sent any more, so that nobody rewrites what leads to nothing.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        match &self.sender {
            Some(sender) if sender.is_closed() => Err(EngineError::Stopped),
            _ => Ok(()),
        }
    }
}

/// Sends what the outboxes take, until all of them are gone; what was sent is told for each lane. The layers of one lane go
/// one after the other, those of several lanes side by side. The first failure ends everything; so does `failed`, which is
/// for failures of others.
pub(super) async fn send(
    lanes: Vec<Lane<'_>>,
    failed: &Notify,
    session: &Session,
) -> Result<Vec<BTreeSet<Digest>>, EngineError> {
    tokio::select! {
        sent = try_join_all(lanes.into_iter().map(|lane| lane.send(session))) => sent,
        () = failed.notified() => Ok(Vec::new()),
    }
}

impl Lane<'_> {
    async fn send(self, session: &Session) -> Result<BTreeSet<Digest>, EngineError> {
        let mut sent = BTreeSet::new();
        let Lane(Some((target, mut receiver))) = self else { return Ok(sent) };
        while let Some((number, layer)) = receiver.recv().await {
            if let Origin::Store(blob) = &layer.origin {
                put_layer(number, &layer, blob, target, session).await?;
                sent.insert(layer.index.digest);
            }
        }
        Ok(sent)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gzip::BlockMap;
    use crate::image::media_type::Compression;
    use crate::layer::{LayerIndex, LayerNumber};
    use crate::transport::LocalBlob;

    fn layer(name: &str, origin: Origin) -> ResultLayer {
        let index = LayerIndex {
            digest: Digest::of(name.as_bytes()),
            stored_size: 0,
            compression: Compression::Gzip,
            diff_id: Digest::of(name.as_bytes()),
            unpacked_size: 0,
            entries_end: 0.into(),
            ends_in_zeros: true,
            remarks: Vec::new(),
            entries: Vec::new().into(),
            security: Vec::new(),
            blocks: BlockMap::opaque(0, 0),
            registry: None,
        };
        ResultLayer { index: Arc::new(index), origin, key: None, would_have_grown: false }
    }

    fn stored() -> Origin {
        Origin::Store(LocalBlob::in_store("blob".into(), true))
    }

    #[test]
    fn each_new_layer_is_taken_once() {
        let (sender, mut receiver) = unbounded_channel();
        let mut outbox = Outbox { sender: Some(sender), taken: BTreeSet::new() };
        let layers = [layer("reused", Origin::Base(LayerNumber::BASE)), layer("one", stored()), layer("two", stored())];
        outbox.take(&layers[..2]);
        outbox.take(&layers);
        drop(outbox);
        let taken: Vec<usize> = std::iter::from_fn(|| receiver.blocking_recv()).map(|(number, _)| number).collect();
        assert_eq!(taken, [1, 2]);
    }

    #[test]
    fn nobody_goes_on_rewriting_when_nothing_is_sent_any_more() {
        let (sender, receiver) = unbounded_channel();
        let mut outbox = Outbox { sender: Some(sender), taken: BTreeSet::new() };
        assert!(outbox.check().is_ok());
        drop(receiver);
        outbox.take(&[layer("one", stored())]);
        assert!(outbox.check().is_err());
        // Where nothing is to be sent early, that is no failure.
        let (outbox, lane) = lane(None);
        drop(lane);
        assert!(outbox.check().is_ok());
    }
}
