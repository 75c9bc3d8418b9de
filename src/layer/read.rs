//! The uncompressed bytes of a layer blob, and where in the blob they came from.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::sync::mpsc;
use std::thread;

use super::decoder::Decoder;
pub use super::decoder::{BlobEnd, PIECE};
use super::seek_points::{SeekPoint, SeekPoints};
use crate::gzip::blocks::Recorder;
use crate::image::Digest;
use crate::position::{RawPosition, StoredPosition};

/// How many pieces may wait between two threads.
const WAITING: usize = 8;

/// What a reader finds out on the way, and what it may leave out.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Whether it notes where the deflate blocks of a gzip blob are.
    pub blocks: bool,
    /// The digest of the blob if that is known; otherwise the reader finds it out.
    pub known_digest: Option<Digest>,
    /// What nobody needs, if anything.
    pub unneeded: Option<Unneeded>,
}

/// Parts of the data that need not be handed over, and how to get behind them.
#[derive(Debug)]
pub struct Unneeded {
    /// The parts, in order.
    pub parts: VecDeque<Range<RawPosition>>,
    /// Places at which decompressing can go on.
    pub seek_points: SeekPoints<File>,
}

impl Unneeded {
    /// A place behind this one at which reading can go on without missing anything that is needed.
    fn place_behind(&mut self, raw: RawPosition) -> Option<SeekPoint> {
        while self.parts.front().is_some_and(|part| part.end <= raw) {
            self.parts.pop_front();
        }
        let part = self.parts.pop_front_if(|part| part.start <= raw)?;
        match self.seek_points.last_before(part.end) {
            Ok(point) => point.filter(|point| point.raw > raw),
            Err(error) => {
                tracing::info!(%error, "seek points cannot be read");
                None
            }
        }
    }
}

/// A piece of a layer.
#[derive(Debug)]
pub struct Piece {
    buffer: Vec<u8>,
    length: usize,
    /// The position of these bytes in the data. It is not the end of the piece before where something was left out.
    pub raw: RawPosition,
    /// The position in the blob where the reader stood behind these bytes.
    pub stored: StoredPosition,
    /// A place in or just before these bytes at which decompressing can begin, if one was found.
    pub seek_point: Option<SeekPoint>,
}

impl Piece {
    /// The uncompressed bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// Decompresses a blob on a thread of its own and hands the pieces to `consume` on this one.
///
/// The order of the pieces is that of the tar. Buffers are used again, so memory stays the same for a layer of any size.
/// A failure of `consume` ends the reading.
pub fn for_each_piece<E: From<io::Error>>(
    blob: impl Read + Seek + Send,
    wanted: Wanted,
    mut consume: impl FnMut(&Piece) -> Result<(), E>,
) -> Result<BlobEnd, E> {
    thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel::<Piece>(WAITING);
        let (give_back, used) = mpsc::channel::<Vec<u8>>();
        let reader = scope.spawn(move || -> io::Result<BlobEnd> {
            let mut unneeded = wanted.unneeded;
            let mut blob = Decoder::open(blob, wanted.blocks, wanted.known_digest)?;
            let mut places = Recorder::default();
            let mut raw = RawPosition::START;
            loop {
                if let Some(point) = unneeded.as_mut().and_then(|unneeded| unneeded.place_behind(raw))
                    && blob.seek(&point)?
                {
                    raw = point.raw;
                }
                let mut buffer = used.try_recv().unwrap_or_default();
                let length = blob.fill(&mut buffer)?;
                if length == 0 {
                    return blob.finish(raw, places);
                }
                let (stored, seek_point) = (blob.position(), blob.take_seek_point());
                let piece = Piece { buffer, length, raw, stored, seek_point };
                raw += length as u64;
                places.passed(raw, stored);
                if send.send(piece).is_err() {
                    // The other side gave up and says why itself.
                    return Err(io::Error::from(io::ErrorKind::Interrupted));
                }
            }
        });
        let mut failed = None;
        for piece in &receive {
            if let Err(error) = consume(&piece) {
                failed = Some(error);
                break;
            }
            // The reader is gone when it has reached the end; then nobody needs the buffer.
            let _ = give_back.send(piece.buffer);
        }
        drop(receive);
        let end = match reader.join() {
            Ok(end) => end,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match failed {
            Some(error) => Err(error),
            None => Ok(end?),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::Compression as Level;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::layer::seek_points::encode;

    /// The data, a gzip blob of it, its digest, and a file with its seek points.
    fn blob() -> (Vec<u8>, Vec<u8>, Digest, tempfile::NamedTempFile) {
        let mut random = 1_u32;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random as u8 & 0x3f
        };
        let data: Vec<u8> = (0..24 << 20).map(|_| next()).collect();
        let mut encoder = GzEncoder::new(Vec::new(), Level::new(6));
        encoder.write_all(&data).unwrap();
        let blob = encoder.finish().unwrap();
        let digest = Digest::of(&blob);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let wanted = Wanted { blocks: true, ..Wanted::default() };
        for_each_piece(Cursor::new(&blob), wanted, |piece| match &piece.seek_point {
            Some(point) => file.write_all(&encode(point, &digest)),
            None => Ok(()),
        })
        .unwrap();
        (data, blob, digest, file)
    }

    fn everything(data: &[u8]) -> VecDeque<Range<RawPosition>> {
        parts([(0, data.len() as u64)])
    }

    fn parts<const N: usize>(ends: [(u64, u64); N]) -> VecDeque<Range<RawPosition>> {
        ends.map(|(start, end)| RawPosition::range(start..end)).into()
    }

    #[test]
    fn what_nobody_needs_is_left_out_as_far_as_seek_points_allow() {
        const M: u64 = 1 << 20;
        let (data, blob, digest, file) = blob();
        let all = data.len() as u64;
        for (parts, left_out) in [
            (VecDeque::new(), 0..=0),
            // Nothing shorter than the distance of two seek points is sure to be left out.
            (parts([(M, 2 * M), (9 * M, 9 * M + 5)]), 0..=M),
            (parts([(0, 13 * M)]), 8 * M..=13 * M),
            (parts([(2 * M, 8 * M), (11 * M, all)]), 8 * M..=all - 9 * M),
            (everything(&data), all - 5 * M..=all),
        ] {
            for known_digest in [None, Some(digest)] {
                let seek_points = SeekPoints::new(file.reopen().unwrap(), digest).unwrap();
                let unneeded = Unneeded { parts: parts.clone(), seek_points };
                let wanted = Wanted { blocks: true, known_digest, unneeded: Some(unneeded) };
                let (mut position, mut skipped) = (RawPosition::START, 0);
                let end = for_each_piece(Cursor::new(&blob), wanted, |piece| {
                    let gap = position..piece.raw;
                    let is_unneeded = parts.iter().any(|part| part.start <= gap.start && gap.end <= part.end);
                    assert!(gap.is_empty() || is_unneeded, "{gap:?} of {parts:?}");
                    skipped += gap.end - gap.start;
                    let from = usize::try_from(u64::from(piece.raw)).unwrap();
                    assert!(piece.bytes() == &data[from..from + piece.bytes().len()], "{from}");
                    position = piece.raw + piece.bytes().len() as u64;
                    io::Result::Ok(())
                })
                .unwrap();
                assert_eq!((position, end.digest, end.stored_size), (all.into(), digest, blob.len() as u64));
                assert!(left_out.contains(&skipped), "{skipped} bytes left out of {parts:?}");
            }
        }
    }

    #[test]
    fn seek_points_of_another_blob_do_nothing() {
        let (data, blob, digest, file) = blob();
        let seek_points = SeekPoints::new(file.reopen().unwrap(), Digest::of(b"another")).unwrap();
        let unneeded = Unneeded { parts: everything(&data), seek_points };
        let wanted = Wanted { blocks: true, known_digest: Some(digest), unneeded: Some(unneeded) };
        let mut length = 0;
        for_each_piece(Cursor::new(&blob), wanted, |piece| {
            length += piece.bytes().len();
            io::Result::Ok(())
        })
        .unwrap();
        assert_eq!(length, data.len());
    }

    #[test]
    fn a_blob_that_changed_is_noticed_where_it_is_left_out() {
        let (data, mut blob, digest, file) = blob();
        let middle = blob.len() / 2;
        blob[middle] ^= 1;
        let seek_points = SeekPoints::new(file.reopen().unwrap(), digest).unwrap();
        let unneeded = Unneeded { parts: everything(&data), seek_points };
        let wanted = Wanted { blocks: true, known_digest: None, unneeded: Some(unneeded) };
        let end = for_each_piece(Cursor::new(&blob), wanted, |_| io::Result::Ok(())).unwrap();
        assert_ne!(end.digest, digest);
    }
}
