//! What a deflate stream is made of: literal bytes, and matches that repeat what came before (RFC 1951, section 3.2).

mod bit_reader;
pub mod huffman;

use std::ops::ControlFlow;
use std::sync::LazyLock;

use bit_reader::BitReader;
use huffman::{Decoder, LONGEST};

/// A part of the data as a stream gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// So many bytes that are given as they are.
    Literals(u32),
    /// So many bytes (3 to 258) that are the same as those so many bytes (1 to 32,768) before.
    Match { length: u32, distance: u32 },
}

impl Token {
    /// How much data it stands for, in bytes.
    pub fn length(self) -> u32 {
        match self {
            Token::Literals(length) | Token::Match { length, .. } => length,
        }
    }
}

/// For each of the length symbols from 257 on, the shortest length and how many bits are added to it.
pub const LENGTHS: [(u16, u8); 29] = ranges_of_lengths();

/// For each distance symbol, the shortest distance and how many bits are added to it.
pub const DISTANCES: [(u16, u8); 30] = ranges(1, 2);

/// The symbol that ends a block.
pub const END_OF_BLOCK: u16 = 256;

/// The order of the code lengths of code lengths.
pub const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The lengths of the fixed codes of literals and lengths.
pub const FIXED_LITERALS: [u8; 288] = fixed_literals();

/// The lengths of the fixed codes of distances.
pub const FIXED_DISTANCES: [u8; 30] = [5; 30];

/// Reads the tokens of the blocks that begin at this bit of the first byte, until they end, or make no sense, or it is enough.
/// Literals that follow each other come together.
pub fn for_each_token(bytes: &[u8], bit: u32, mut each: impl FnMut(Token) -> ControlFlow<()>) {
    // There is nobody to tell: an error in a stream was found when it was decompressed.
    let _ = read_blocks(&mut BitReader::new(bytes, bit), &mut each);
}

fn read_blocks(bits: &mut BitReader, each: &mut impl FnMut(Token) -> ControlFlow<()>) -> Option<()> {
    loop {
        bits.fill();
        let kind = bits.take(3) >> 1;
        bits.checked()?;
        let flow = match kind {
            0 => {
                bits.skip_bytes(0)?;
                bits.fill();
                let length = bits.take(16);
                bits.skip(16);
                bits.skip_bytes(length as usize)?;
                each(Token::Literals(length))
            }
            1 => {
                let (literals, distances) = &*FIXED;
                read_tokens(bits, literals.as_ref()?, distances.as_ref()?, each)?
            }
            2 => {
                let (literals, distances) = read_codes(bits)?;
                read_tokens(bits, &literals, &distances, each)?
            }
            _ => return None,
        };
        if flow.is_break() {
            return Some(());
        }
    }
}

static FIXED: LazyLock<(Option<Decoder>, Option<Decoder>)> =
    LazyLock::new(|| (Decoder::new(&FIXED_LITERALS), Decoder::new(&FIXED_DISTANCES)));

/// Reads the codes of a block that has its own (RFC 1951, section 3.2.7).
fn read_codes(bits: &mut BitReader) -> Option<(Decoder, Decoder)> {
    bits.fill();
    let literals = bits.take(5) as usize + 257;
    let distances = bits.take(5) as usize + 1;
    let given = bits.take(4) as usize + 4;
    let mut of_lengths = [0; 19];
    for &symbol in &ORDER[..given] {
        bits.fill();
        of_lengths[symbol] = bits.take(3) as u8;
    }
    let decoder = Decoder::new(&of_lengths)?;
    let mut lengths = Vec::with_capacity(literals + distances);
    while lengths.len() < literals + distances {
        bits.fill();
        let (length, count) = match decoder.next(bits) {
            16 => (*lengths.last()?, bits.take(2) + 3),
            17 => (0, bits.take(3) + 3),
            18 => (0, bits.take(7) + 11),
            length if usize::from(length) <= LONGEST => (length as u8, 1),
            _ => return None,
        };
        bits.checked()?;
        lengths.resize(lengths.len() + count as usize, length);
    }
    let (of_literals, of_distances) = lengths.split_at(literals);
    Some((Decoder::new(of_literals)?, Decoder::new(of_distances.get(..distances)?)?))
}

/// Reads the tokens of a block to its end, or until it is enough.
fn read_tokens(
    bits: &mut BitReader,
    literals: &Decoder,
    distances: &Decoder,
    each: &mut impl FnMut(Token) -> ControlFlow<()>,
) -> Option<ControlFlow<()>> {
    let mut bytes = 0;
    loop {
        bits.fill();
        let mut symbol = literals.next(bits);
        if symbol < END_OF_BLOCK {
            bytes += 1;
            // There are bits enough for a second one.
            symbol = literals.next(bits);
            if symbol < END_OF_BLOCK {
                bytes += 1;
                bits.checked()?;
                continue;
            }
            bits.fill();
        }
        bits.checked()?;
        if bytes > 0 && each(Token::Literals(std::mem::take(&mut bytes))).is_break() {
            return Some(ControlFlow::Break(()));
        }
        if symbol == END_OF_BLOCK {
            return Some(ControlFlow::Continue(()));
        }
        let &(shortest, more) = LENGTHS.get(usize::from(symbol - END_OF_BLOCK) - 1)?;
        let length = u32::from(shortest) + bits.take(more.into());
        let &(nearest, more) = DISTANCES.get(usize::from(distances.next(bits)))?;
        let distance = u32::from(nearest) + bits.take(more.into());
        bits.checked()?;
        if each(Token::Match { length, distance }).is_break() {
            return Some(ControlFlow::Break(()));
        }
    }
}

/// The last symbol is for the longest match alone.
const fn ranges_of_lengths() -> [(u16, u8); 29] {
    let mut ranges = ranges(3, 4);
    ranges[28] = (258, 0);
    ranges
}

/// Ranges that begin with `next` and follow each other: two times `alike` of them have no bits, then as many as `alike` says have one, and so on.
const fn ranges<const COUNT: usize>(mut next: u16, alike: usize) -> [(u16, u8); COUNT] {
    let mut ranges = [(0, 0); COUNT];
    let mut symbol = 0;
    while symbol < COUNT {
        let bits = (symbol / alike).saturating_sub(1) as u8;
        ranges[symbol] = (next, bits);
        next += 1 << bits;
        symbol += 1;
    }
    ranges
}

const fn fixed_literals() -> [u8; 288] {
    let mut lengths = [8; 288];
    let mut symbol = 144;
    while symbol < 280 {
        lengths[symbol] = if symbol < 256 { 9 } else { 7 };
        symbol += 1;
    }
    lengths
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    fn data() -> Vec<u8> {
        let mut state = 3_u32;
        let mut data = Vec::new();
        for part in 0..40 {
            let from = data.len() / 2;
            for at in 0..2000 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match part % 4 {
                    0 => data.push((state >> 24) as u8),
                    1 => data.push((state >> 28) as u8),
                    2 => data.push(data[from + at]),
                    _ => data.push(7),
                }
            }
        }
        data
    }

    /// Follows the tokens, and returns how much of the data they stand for.
    fn follow(stream: &[u8], bit: u32, data: &[u8]) -> usize {
        let mut at = 0;
        for_each_token(stream, bit, |token| {
            if let Token::Match { length, distance } = token {
                let (length, distance) = (length as usize, distance as usize);
                assert!((at..at + length).all(|at| data[at] == data[at - distance]));
            }
            at += token.length() as usize;
            if at < data.len() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        at
    }

    #[test]
    fn the_tokens_of_every_kind_of_block_give_the_data() {
        let mut data = data();
        data.extend([9; 300]);
        for level in 0..10 {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
            for part in data.chunks(33_333) {
                encoder.write_all(part).unwrap();
                encoder.flush().unwrap();
            }
            let stream = encoder.finish().unwrap();
            assert_eq!(follow(&stream, 0, &data), data.len(), "level {level}");
        }
    }

    #[test]
    fn blocks_begin_anywhere_in_a_byte() {
        let data = data();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
        // What cannot be compressed may be stored, and that is aligned to bytes.
        encoder.write_all(&data[2000..8000]).unwrap();
        let stream = encoder.finish().unwrap();
        for bit in 1..8 {
            let mut shifted = vec![0; stream.len() + 1];
            for (at, byte) in stream.iter().enumerate() {
                shifted[at] |= byte << bit;
                shifted[at + 1] |= byte >> (8 - bit);
            }
            assert_eq!(follow(&shifted, bit, &data[2000..8000]), 6000);
        }
    }

    #[test]
    fn fixed_codes_are_known() {
        // Eight times "a", as zlib writes it.
        let mut tokens = Vec::new();
        for_each_token(&[0x4b, 0x4c, 0x84, 0x00, 0x00], 0, |token| {
            tokens.push(token);
            ControlFlow::Continue(())
        });
        assert_eq!(tokens, [Token::Literals(2), Token::Match { length: 6, distance: 1 }]);
    }

    #[test]
    fn damaged_streams_end() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(&data()).unwrap();
        let stream = encoder.finish().unwrap();
        let count = |stream: &[u8]| {
            let mut count = 0_u32;
            for_each_token(stream, 0, |_| {
                count += 1;
                ControlFlow::Continue(())
            });
            count
        };
        let all = count(&stream);
        assert!(all > 1000);
        for end in [0, 1, 20, 1000, stream.len() - 20] {
            assert!(count(&stream[..end]) < all);
        }
        for at in (0..stream.len()).step_by(61) {
            let mut damaged = stream.clone();
            damaged[at] ^= 0x55;
            count(&damaged);
        }
    }
}
