//! The streams that layers come in.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// How the layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    /// gzip at its best, which any other level makes larger.
    GzipBest,
    /// gzip in several members, each of so many bytes of the tar.
    GzipMembers(u64),
    Zstd,
    None,
}

/// A writer that hashes and counts what goes through it.
pub struct Hashing<W> {
    out: W,
    hash: Sha256,
    length: u64,
}

impl<W: Write> Hashing<W> {
    pub fn new(out: W) -> Hashing<W> {
        Hashing { out, hash: Sha256::new(), length: 0 }
    }

    /// The writer below, the digest of what went through, and its length.
    pub fn finish(self) -> (W, String, u64) {
        (self.out, format!("sha256:{}", hex(&self.hash.finalize())), self.length)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A compressing writer.
pub enum Encoder<W: Write> {
    Gzip(GzEncoder<W>),
    /// The encoder of the current member, the size of members, and how much of this one is left.
    GzipMembers(Option<GzEncoder<W>>, u64, u64),
    Zstd(zstd::Encoder<'static, W>),
    None(W),
}

impl<W: Write> Encoder<W> {
    pub fn new(compression: Compression, out: W) -> io::Result<Encoder<W>> {
        Ok(match compression {
            Compression::Gzip => Encoder::Gzip(member(out, 6)),
            Compression::GzipBest => Encoder::Gzip(member(out, 9)),
            Compression::GzipMembers(size) => Encoder::GzipMembers(Some(member(out, 6)), size, size),
            Compression::Zstd => Encoder::Zstd(zstd::Encoder::new(out, 3)?),
            Compression::None => Encoder::None(out),
        })
    }

    pub fn finish(self) -> io::Result<W> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::GzipMembers(encoder, ..) => encoder.expect("there is always a member").finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
            Encoder::None(out) => Ok(out),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::GzipMembers(encoder, size, left) => {
                if *left == 0 {
                    let out = encoder.take().expect("there is always a member").finish()?;
                    *encoder = Some(member(out, 6));
                    *left = *size;
                }
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let length = encoder.as_mut().expect("there is always a member").write(&bytes[..most])?;
                *left -= length as u64;
                Ok(length)
            }
            Encoder::Zstd(encoder) => encoder.write(bytes),
            Encoder::None(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A gzip member without a name and without a time.
fn member<W: Write>(out: W, level: u32) -> GzEncoder<W> {
    GzEncoder::new(out, flate2::Compression::new(level))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
