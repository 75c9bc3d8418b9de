//! A deflate stream put together from pieces that end anywhere within a byte.
//!
//! A run of blocks is not shifted. Instead, empty blocks are put before it until it begins at the same bit of a byte as it
//! did in its source; then all its bytes but the first and the last are copied as they are, blocks with stored data, which
//! are aligned to bytes, among them.

use std::io::{self, Read, Write};
use std::ops::Range;

use crate::position::BitPosition;

/// How much is copied at once.
const CHUNK: usize = 128 << 10;

/// An empty block with fixed codes: 10 bits.
const EMPTY_FIXED: (u128, u32) = (0b00_0000_0010, 10);

/// An empty block with codes of its own, of an odd number of bits: 95. Every code in it is complete, because some decoders
/// take no others.
const EMPTY_DYNAMIC: (u128, u32) = empty_dynamic();

/// A deflate stream that is being written.
pub struct BitOutput<W> {
    output: W,
    /// The bits of the byte that is not complete yet, from the lowest.
    partial: u8,
    /// How many bits that are: 0 to 7.
    count: u32,
}

impl<W: Write> BitOutput<W> {
    /// A stream that begins at a byte of the output.
    pub fn new(output: W) -> BitOutput<W> {
        BitOutput { output, partial: 0, count: 0 }
    }

    /// Writes part of a stream that begins and ends at a byte.
    pub fn write_aligned(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.count != 0 {
            // An empty block of stored data: its kind in three bits, the rest of the byte, no length, and its complement.
            self.write_bits(0, 3)?;
            if self.count != 0 {
                self.write_bits(0, 8 - self.count)?;
            }
            self.output.write_all(&[0, 0, 0xff, 0xff])?;
        }
        self.output.write_all(bytes)
    }

    /// Copies bits of another stream that are whole blocks. The source begins with the byte in which they begin.
    pub fn copy_blocks(&mut self, source: &mut impl Read, bits: &Range<BitPosition>) -> io::Result<()> {
        self.fill_up_to(bits.start.bits_before())?;
        let mut left = bits.end.next_byte() - bits.start.byte();
        let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
        while left > 0 {
            let length = chunk.len().min(usize::try_from(left).unwrap_or(CHUNK));
            let bytes = &mut chunk[..length];
            source.read_exact(bytes)?;
            left -= length as u64;
            if let Some(first) = bytes.first_mut() {
                // The first byte of all is shared with what stands before, which has as many bits in it as in the source.
                *first = *first >> self.count << self.count | self.partial;
                (self.partial, self.count) = (0, 0);
            }
            let last_bits = bits.end.bits_before();
            match bytes {
                [whole @ .., last] if left == 0 && last_bits != 0 => {
                    self.output.write_all(whole)?;
                    (self.partial, self.count) = (*last & ((1 << last_bits) - 1), last_bits);
                }
                whole => self.output.write_all(whole)?,
            }
        }
        Ok(())
    }

    /// Writes an empty last block and fills the byte up; returns the output.
    pub fn finish(mut self) -> io::Result<W> {
        let (bits, count) = EMPTY_FIXED;
        self.write_bits(bits | 1, count)?;
        if self.count != 0 {
            self.write_bits(0, 8 - self.count)?;
        }
        Ok(self.output)
    }

    /// Writes empty blocks until the next bit is this one of a byte.
    fn fill_up_to(&mut self, bit: u32) -> io::Result<()> {
        if (bit + self.count) % 2 == 1 {
            self.write_bits(EMPTY_DYNAMIC.0, EMPTY_DYNAMIC.1)?;
        }
        while self.count != bit {
            self.write_bits(EMPTY_FIXED.0, EMPTY_FIXED.1)?;
        }
        Ok(())
    }

    /// Writes the lowest bits of a value, at most 120.
    fn write_bits(&mut self, value: u128, count: u32) -> io::Result<()> {
        let all = value << self.count | u128::from(self.partial);
        let count = self.count + count;
        let bytes = all.to_le_bytes();
        let (whole, rest) = bytes.split_at((count / 8) as usize);
        self.output.write_all(whole)?;
        self.partial = rest.first().copied().unwrap_or(0);
        self.count = count % 8;
        Ok(())
    }
}

/// See RFC 1951, section 3.2.7.
const fn empty_dynamic() -> (u128, u32) {
    let mut bits = 0_u128;
    let mut length = 0;
    // Not the last block; codes of its own; 257 literal and length codes, 2 distance codes, 19 code lengths.
    let fields: [(u128, u32); 5] = [(0, 1), (2, 2), (0, 5), (1, 5), (15, 4)];
    let mut at = 0;
    while at < fields.len() {
        bits |= fields[at].0 << length;
        length += fields[at].1;
        at += 1;
    }
    // Of the code lengths, in their order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1 15, only 18 and 1 are used, with one
    // bit each: 1 is coded as 0, 18 as 1.
    bits |= 1 << (length + 2 * 3);
    bits |= 1 << (length + 17 * 3);
    length += 19 * 3;
    // Literals 0 to 254 are not used: 138 zeros and 117 zeros, each as 18 and seven bits of the number less 11.
    bits |= (1 | (138 - 11) << 1) << length;
    length += 8;
    bits |= (1 | (117 - 11) << 1) << length;
    length += 8;
    // Literal 255 and the end have a bit each, and so have both distances: four times a code length of 1.
    length += 4;
    // The end: the second code of one bit.
    bits |= 1 << length;
    length += 1;
    (bits, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflate(bytes: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        flate2::bufread::DeflateDecoder::new(bytes).read_to_end(&mut data).unwrap();
        data
    }

    /// An empty block of fixed codes or not, shifted by some bits so that it begins anywhere in a byte.
    fn blocks_at(bit: u32, odd: bool) -> (Vec<u8>, Range<BitPosition>) {
        let mut output = BitOutput::new(Vec::new());
        output.write_bits(0x55, bit).unwrap();
        output.partial &= (1 << bit) - 1;
        let (bits, count) = if odd { EMPTY_DYNAMIC } else { EMPTY_FIXED };
        output.write_bits(bits, count).unwrap();
        let range = BitPosition::range(u64::from(bit)..u64::from(bit + count));
        let partial = output.partial | 0xaa_u8.wrapping_shl(output.count);
        output.output.push(partial);
        (output.output, range)
    }

    #[test]
    fn blocks_are_copied_from_any_bit_to_any_bit() {
        for from in 0..8 {
            for before in 0..8 {
                for odd in [false, true] {
                    let (source, range) = blocks_at(from, odd);
                    let mut output = BitOutput::new(Vec::new());
                    output.write_aligned(b"\0\x02\0\xfd\xffab").unwrap();
                    output.fill_up_to(before).unwrap();
                    output.copy_blocks(&mut source.as_slice(), &range).unwrap();
                    assert_eq!(output.count, range.end.bits_before());
                    output.write_aligned(b"\0\x01\0\xfe\xffc").unwrap();
                    assert_eq!(inflate(&output.finish().unwrap()), b"abc", "{from} {before} {odd}");
                }
            }
        }
    }

    #[test]
    fn many_bytes_are_copied_as_they_are() {
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::none());
        let data: Vec<u8> = (0..3 * CHUNK).map(|at| (at % 251) as u8).collect();
        deflate.write_all(&data).unwrap();
        deflate.flush().unwrap();
        let source = deflate.get_ref().clone();
        let mut output = BitOutput::new(Vec::new());
        output.copy_blocks(&mut source.as_slice(), &BitPosition::range(0..source.len() as u64 * 8)).unwrap();
        assert_eq!(inflate(&output.finish().unwrap()), data);
        let mut short = BitOutput::new(Vec::new());
        let error =
            short.copy_blocks(&mut source.as_slice(), &BitPosition::range(0..source.len() as u64 * 8 + 1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_empty_stream_is_one_empty_block() {
        assert_eq!(BitOutput::new(Vec::new()).finish().unwrap(), [3, 0]);
    }
}
