//! Carrying out a plan: a stored layer and its plan become a new blob with its digest and diff ID.
//!
//! A layer streams through once: it is decompressed on one thread, edited, hashed and indexed on another, compressed where
//! it changed on several, and put together with the blocks that did not change, hashed and written on one more, with
//! bounded queues between them. Memory does not grow with the layer.

pub mod additions;
pub mod cache;
pub mod edit;
mod error;
pub mod output;
pub mod spool;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::error::{IoContext, PathError};
use crate::gzip::Source;
use crate::image::Digest;
use crate::image::digest::Hasher;
use crate::image::media_type::Compression;
use crate::layer::read::{Unneeded, Wanted, for_each_piece};
use crate::layer::seek_points::SeekPoints;
use crate::layer::{EntryId, EntryNumber, LayerIndex, LayerNumber, LayerStack};
use crate::plan::OutputPlan;
use crate::position::{RawPosition, StoredPosition};

use crate::store::Temporary;
pub use error::RewriteError;
pub use output::{LayerWriter, Settings, WriteError};
pub use spool::Spool;

/// The blob of a layer that is read again.
#[derive(Debug, Clone, Copy)]
pub struct SourceBlob<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Whether this run has found out already that it has the digest of its index. Then only the checksums of gzip are looked
    /// at again, of which plain layers have none, and not even these where something is left out.
    pub checked: bool,
    /// The file of its seek points, if there is one. Without it, everything is decompressed.
    pub seek_points: Option<&'a Path>,
}

impl SourceBlob<'_> {
    /// What is wanted of the blob where these parts of the tar are not needed.
    fn wanted(self, index: &LayerIndex, parts: VecDeque<Range<RawPosition>>) -> Wanted {
        let opened = self.seek_points.map(|path| SeekPoints::new(File::open(path)?, index.digest));
        let seek_points = opened.transpose().unwrap_or_else(|error| {
            tracing::info!(%error, "seek points cannot be read");
            None
        });
        Wanted {
            // Where the blocks are is known; but the reader that notes them is the faster one, and can seek.
            blocks: true,
            known_digest: self.checked.then_some(index.digest),
            unneeded: seek_points.map(|seek_points| Unneeded { parts, seek_points }),
        }
    }

    /// Lets whoever writes data of this blob copy its blocks.
    fn offer_blocks(self, index: &LayerIndex, layer: LayerNumber, spool: &mut Spool) -> Result<(), PathError> {
        if index.compression == Compression::Gzip {
            spool.set_blob(layer, Arc::new(Source::open(self.path)?));
        }
        Ok(())
    }
}

/// A layer that a layer of the result is made of.
#[derive(Debug, Clone)]
pub struct OutputSource<'a> {
    /// Its blob.
    pub blob: SourceBlob<'a>,
    /// The entries that others take over (see [`crate::plan::set_aside`]).
    pub set_aside: Vec<EntryNumber>,
}

/// Writes a layer of the result from its sources, one for each number in [`OutputPlan::sources`].
///
/// `spool` takes up the data that other entries take over, and holds what lower layers have set aside before: layers are
/// written from the base upward. `advance` is told how many bytes of the blobs were read since the last call.
///
/// # Errors
/// If a blob cannot be read or is not what its index says, or the layer cannot be written.
pub fn rewrite(
    sources: &[OutputSource<'_>],
    stack: &LayerStack,
    output: &OutputPlan,
    spool: &mut Spool,
    mut writer: LayerWriter,
    mut advance: impl FnMut(u64),
) -> Result<(Temporary, LayerIndex), RewriteError> {
    let mut rest = sources.len();
    for (source, &layer) in sources.iter().zip(&output.sources) {
        rest -= 1;
        let editor = edit::Editor::new(stack, output, layer, &source.set_aside, rest == 0);
        rewrite_source(source.blob, &stack.layers()[layer], layer, editor, spool, &mut writer, &mut advance)?;
    }
    Ok(writer.finish()?)
}

/// Writes what comes from one source.
fn rewrite_source(
    blob: SourceBlob<'_>,
    index: &LayerIndex,
    layer: LayerNumber,
    mut editor: edit::Editor<'_>,
    spool: &mut Spool,
    writer: &mut LayerWriter,
    advance: &mut impl FnMut(u64),
) -> Result<(), RewriteError> {
    let file = File::open(blob.path).context_path("open", blob.path)?;
    blob.offer_blocks(index, layer, spool)?;
    let mut stored_before = StoredPosition::START;
    let wanted = blob.wanted(index, editor.unneeded());
    let end = for_each_piece(file, wanted, |piece| -> Result<(), RewriteError> {
        editor.skip_to(piece.raw);
        editor.feed(piece.bytes(), spool, writer)?;
        advance(piece.stored - stored_before);
        stored_before = piece.stored;
        Ok(())
    })?;
    unchanged(index, end.digest)?;
    editor.finish(spool, writer)
}

/// Sets entries of a layer aside for layers above, without rewriting it: `entries` are their numbers in the index.
///
/// Their alternate data streams come along. `advance` is told how many bytes of the blob were read since the last call.
pub fn set_aside(
    blob: SourceBlob<'_>,
    index: &LayerIndex,
    layer: LayerNumber,
    entries: &[EntryNumber],
    spool: &mut Spool,
    mut advance: impl FnMut(u64),
) -> Result<(), RewriteError> {
    let file = File::open(blob.path).context_path("open", blob.path)?;
    blob.offer_blocks(index, layer, spool)?;
    let wanted = edit::with_streams(index, entries);
    let unneeded = edit::parts(index, |number| !wanted[number]).collect();
    let mut entries = index.entries.numbered().peekable();
    let (mut position, mut stored_before) = (RawPosition::START, StoredPosition::START);
    let end = for_each_piece(file, blob.wanted(index, unneeded), |piece| -> Result<(), RewriteError> {
        let mut bytes = piece.bytes();
        while entries.next_if(|(_, entry)| entry.end() <= piece.raw).is_some() {}
        position = piece.raw;
        while let (false, Some(&(number, entry))) = (bytes.is_empty(), entries.peek()) {
            if position == entry.start && wanted[number] {
                spool.begin(EntryId::new(layer, number), entry.data - entry.start, entry.end() - entry.data);
            }
            let left = entry.end() - position;
            let (part, rest) = bytes.split_at(usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len())));
            if wanted[number] {
                spool.append(part)?;
            }
            position += part.len() as u64;
            bytes = rest;
            if position == entry.end() {
                entries.next();
            }
        }
        advance(piece.stored - stored_before);
        stored_before = piece.stored;
        Ok(())
    })?;
    if wanted.last() == Some(&true) {
        spool.append(edit::missing_padding(index))?;
    }
    unchanged(index, end.digest)
}

fn unchanged(index: &LayerIndex, actual: Digest) -> Result<(), RewriteError> {
    if actual == index.digest { Ok(()) } else { Err(RewriteError::Changed { expected: index.digest, actual }) }
}

/// Reads a new layer back as any other program would, and compares what comes with what was written.
pub fn read_back(blob: &Path, written: &LayerIndex) -> Result<(), RewriteError> {
    let file = File::open(blob).context_path("open", blob)?;
    let mut hasher = Hasher::new();
    // Not with the reader of all other layers, but with flate2, as far as gzip goes.
    let wanted = Wanted::default();
    let end = for_each_piece(file, wanted, |piece| -> Result<(), RewriteError> {
        hasher.update(piece.bytes());
        Ok(())
    })?;
    for (expected, actual) in [(written.digest, end.digest), (written.diff_id, hasher.finish())] {
        if expected != actual {
            return Err(RewriteError::ReadBack { expected, actual });
        }
    }
    Ok(())
}
