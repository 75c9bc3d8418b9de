//! Decoders for the compressions that layer blobs have, with the position in the blob and its digest.

use std::io::{self, BufRead, BufReader, Read, Seek};

use flate2::bufread::MultiGzDecoder;

use super::seek_points::SeekPoint;
use crate::gzip::BlockMap;
use crate::gzip::blocks::Recorder;
use crate::gzip::inflate::BlockReader;
use crate::image::Digest;
use crate::image::digest::Hasher;
use crate::image::media_type::Compression;
use crate::position::{RawPosition, StoredPosition};

/// How many uncompressed bytes go through the pipeline at once.
pub const PIECE: usize = 256 << 10;

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

/// Reads a blob, whatever its compression, and knows its position in it.
pub(super) enum Decoder<R: Read> {
    Plain(Input<R>),
    Gzip(Box<MultiGzDecoder<Input<R>>>),
    GzipBlocks(Box<BlockReader<Input<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, Input<R>>),
}

/// A blob that is counted, and hashed unless its digest is known, as it is read.
pub(super) struct Input<R> {
    buffer: BufReader<Blob<R>>,
    position: StoredPosition,
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

impl<R: Read + Seek> Input<R> {
    /// Moves forward by so many bytes, and does not even read them unless they have to be hashed.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let buffered = self.buffer.buffer().len().min(usize::try_from(count).unwrap_or(usize::MAX));
        self.consume(buffered);
        let left = count - buffered as u64;
        let blob = self.buffer.get_mut();
        match blob.digest {
            KnownOrHashed::Known(_) => {
                blob.inner.seek_relative(i64::try_from(left).unwrap_or(i64::MAX))?;
                blob.length += left;
                self.position += left;
            }
            KnownOrHashed::Hashed(_) => {
                let mut left = left;
                while left > 0 {
                    let length = self.fill_buf()?.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    if length == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                    }
                    self.consume(length);
                    left -= length as u64;
                }
            }
        }
        Ok(())
    }
}

impl<R: Read + Seek> Decoder<R> {
    /// Tells the compression by the first bytes, as Windows hosts do. Where the blocks of gzip are is noted if that is wanted,
    /// and the digest found out unless it is known.
    pub(super) fn open(blob: R, with_blocks: bool, known_digest: Option<Digest>) -> io::Result<Decoder<R>> {
        let digest = known_digest.map_or_else(|| KnownOrHashed::Hashed(Hasher::new()), KnownOrHashed::Known);
        let blob = Blob { inner: blob, length: 0, digest };
        let mut input = Input { buffer: BufReader::with_capacity(256 << 10, blob), position: StoredPosition::START };
        Ok(match (sniff(input.fill_buf()?), with_blocks) {
            (Compression::None, _) => Decoder::Plain(input),
            (Compression::Gzip, true) => Decoder::GzipBlocks(Box::new(BlockReader::new(input)?)),
            (Compression::Gzip, false) => Decoder::Gzip(Box::new(MultiGzDecoder::new(input))),
            (Compression::Zstd, _) => Decoder::Zstd(zstd::stream::read::Decoder::with_buffer(input)?),
        })
    }

    /// The position in the blob.
    pub(super) fn position(&self) -> StoredPosition {
        match self {
            Decoder::Plain(input) => input.position,
            Decoder::Gzip(decoder) => decoder.get_ref().position,
            Decoder::GzipBlocks(decoder) => decoder.get_ref().position,
            Decoder::Zstd(decoder) => decoder.get_ref().position,
        }
    }

    /// Goes on at a later place, if that can be done with this compression and the reader is not there yet.
    pub(super) fn seek(&mut self, point: &SeekPoint) -> io::Result<bool> {
        let Decoder::GzipBlocks(decoder) = self else { return Ok(false) };
        decoder.seek(point, Input::skip)
    }

    /// The last place that the reader came by at which decompressing can begin, unless it was taken before.
    pub(super) fn take_seek_point(&mut self) -> Option<SeekPoint> {
        let Decoder::GzipBlocks(decoder) = self else { return None };
        decoder.take_seek_point()
    }

    /// Reads the next piece into a buffer, and returns its length; it is empty at the end only.
    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Decoder::Plain(input) => fill(input, buffer),
            Decoder::Gzip(decoder) => fill(decoder, buffer),
            Decoder::GzipBlocks(decoder) => fill(decoder, buffer),
            Decoder::Zstd(decoder) => fill(decoder, buffer),
        }
    }

    /// The end of a blob of which all `raw` bytes were read.
    pub(super) fn finish(self, raw: RawPosition, places: Recorder) -> io::Result<BlobEnd> {
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
        let blocks = blocks.unwrap_or_else(|| places.finish(raw, stored_size.into()));
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
fn sniff(beginning: &[u8]) -> Compression {
    match beginning {
        [0x1f, 0x8b, 0x08, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}
