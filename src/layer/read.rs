//! The uncompressed bytes of a layer blob, and where in the blob they came from.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc;
use std::thread;

use flate2::bufread::MultiGzDecoder;

use crate::gzip::BlockMap;
use crate::gzip::blocks::Recorder;
use crate::gzip::inflate::BlockReader;
use crate::image::Digest;
use crate::image::digest::Hasher;
use crate::image::media_type::Compression;

/// How many uncompressed bytes go through the pipeline at once.
pub const PIECE: usize = 256 << 10;

/// How many pieces may wait between two threads.
const WAITING: usize = 8;

/// What a reader finds out on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whether it notes where the deflate blocks of a gzip blob are.
    pub blocks: bool,
    /// The digest of the blob if that is known; otherwise the reader finds it out.
    pub known_digest: Option<Digest>,
}

/// A piece of a layer.
#[derive(Debug)]
pub struct Piece {
    buffer: Vec<u8>,
    length: usize,
    /// The position in the blob where the reader stood behind these bytes.
    pub stored: u64,
}

impl Piece {
    /// The uncompressed bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// What the reading side knows at the end of a blob.
#[derive(Debug, Clone)]
pub struct BlobEnd {
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub stored_size: u64,
    /// How the blob is compressed.
    pub compression: Compression,
    /// Where compressed bytes lie; the blocks too, if they were to be noted.
    pub blocks: BlockMap,
}

/// Decompresses a blob on a thread of its own and hands the pieces to `consume` on this one.
///
/// The order of the pieces is that of the tar. Buffers are used again, so memory stays the same for a layer of any size.
/// A failure of `consume` ends the reading.
pub fn for_each_piece<E: From<io::Error>>(
    blob: impl Read + Send,
    wanted: Wanted,
    mut consume: impl FnMut(&Piece) -> Result<(), E>,
) -> Result<BlobEnd, E> {
    thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel::<Piece>(WAITING);
        let (give_back, used) = mpsc::channel::<Vec<u8>>();
        let reader = scope.spawn(move || -> io::Result<BlobEnd> {
            let mut blob = Decoder::open(blob, wanted)?;
            let mut places = Recorder::default();
            let mut raw = 0;
            loop {
                let mut buffer = used.try_recv().unwrap_or_default();
                let length = blob.fill(&mut buffer)?;
                if length == 0 {
                    return blob.finish(raw, places);
                }
                let stored = blob.position();
                raw += length as u64;
                places.passed(raw, stored);
                if send.send(Piece { buffer, length, stored }).is_err() {
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

/// Reads a blob, whatever its compression, and knows its position in it.
enum Decoder<R: Read> {
    Plain(Input<R>),
    Gzip(Box<MultiGzDecoder<Input<R>>>),
    GzipBlocks(Box<BlockReader<Input<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, Input<R>>),
}

/// A blob that is counted, and hashed unless its digest is known, as it is read.
struct Input<R> {
    buffer: BufReader<Blob<R>>,
    position: u64,
}

struct Blob<R> {
    inner: R,
    length: u64,
    digest: KnownOrHashed,
}

enum KnownOrHashed {
    Known(Digest),
    Hashed(Hasher),
}

impl<R: Read> Read for Blob<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.length += read as u64;
        if let KnownOrHashed::Hashed(hasher) = &mut self.digest {
            hasher.update(&bytes[..read]);
        }
        Ok(read)
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.buffer.read(bytes)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.buffer.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount as u64;
        self.buffer.consume(amount);
    }
}

impl<R: Read> Decoder<R> {
    /// Tells the compression by the first bytes, as Windows hosts do.
    fn open(blob: R, wanted: Wanted) -> io::Result<Decoder<R>> {
        let digest = wanted.known_digest.map_or_else(|| KnownOrHashed::Hashed(Hasher::new()), KnownOrHashed::Known);
        let blob = Blob { inner: blob, length: 0, digest };
        let mut input = Input { buffer: BufReader::with_capacity(256 << 10, blob), position: 0 };
        Ok(match (sniff(input.fill_buf()?), wanted.blocks) {
            (Compression::None, _) => Decoder::Plain(input),
            (Compression::Gzip, true) => Decoder::GzipBlocks(Box::new(BlockReader::new(input)?)),
            (Compression::Gzip, false) => Decoder::Gzip(Box::new(MultiGzDecoder::new(input))),
            (Compression::Zstd, _) => Decoder::Zstd(zstd::stream::read::Decoder::with_buffer(input)?),
        })
    }

    fn position(&self) -> u64 {
        match self {
            Decoder::Plain(input) => input.position,
            Decoder::Gzip(decoder) => decoder.get_ref().position,
            Decoder::GzipBlocks(decoder) => decoder.get_ref().position,
            Decoder::Zstd(decoder) => decoder.get_ref().position,
        }
    }

    /// Reads the next piece into a buffer, and returns its length; it is empty at the end only.
    fn fill(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Decoder::Plain(input) => fill(input, buffer),
            Decoder::Gzip(decoder) => fill(decoder, buffer),
            Decoder::GzipBlocks(decoder) => fill(decoder, buffer),
            Decoder::Zstd(decoder) => fill(decoder, buffer),
        }
    }

    /// The end of a blob of which all `raw` bytes were read.
    fn finish(self, raw: u64, places: Recorder) -> io::Result<BlobEnd> {
        let (compression, mut input, blocks) = match self {
            Decoder::Plain(input) => (Compression::None, input, None),
            Decoder::Gzip(decoder) => (Compression::Gzip, decoder.into_inner(), None),
            Decoder::GzipBlocks(decoder) => {
                let (input, blocks) = decoder.finish();
                (Compression::Gzip, input, Some(blocks))
            }
            Decoder::Zstd(decoder) => (Compression::Zstd, decoder.finish(), None),
        };
        if !input.fill_buf()?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "something follows the end of the compressed data"));
        }
        let Blob { length: stored_size, digest, .. } = input.buffer.into_inner();
        let digest = match digest {
            KnownOrHashed::Known(digest) => digest,
            KnownOrHashed::Hashed(hasher) => hasher.finish(),
        };
        let blocks = blocks.unwrap_or_else(|| places.finish(raw, stored_size));
        Ok(BlobEnd { stored_size, digest, compression, blocks })
    }
}

fn fill(reader: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.resize(PIECE, 0);
    let mut filled = 0;
    while filled < PIECE {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The compression that the first bytes of a blob tell: gzip, a Zstandard frame or skippable frame, or none.
pub fn sniff(beginning: &[u8]) -> Compression {
    match beginning {
        [0x1f, 0x8b, 0x08, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}
