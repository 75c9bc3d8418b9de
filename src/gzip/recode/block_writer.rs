//! Writing tokens as deflate blocks (RFC 1951, section 3.2).

use crate::gzip::tokens::huffman::{LONGEST, codes, lengths};
use crate::gzip::tokens::{DISTANCES, END_OF_BLOCK, FIXED_DISTANCES, FIXED_LITERALS, LENGTHS, ORDER};

/// The shortest match that there is a code for, in bytes.
pub const SHORTEST_MATCH: usize = 3;

/// The longest match that there is a code for, in bytes.
pub const LONGEST_MATCH: usize = 258;

/// So many tokens make a block, as with most compressors: more take longer to adapt to the data, fewer waste codes.
const TOKENS: usize = 16 << 10;

/// How much a stored block holds at most.
const STORED: usize = 0xffff;

/// Puts tokens into blocks.
pub struct BlockWriter<'a> {
    bytes: &'a [u8],
    /// Where in the bytes the open block begins, and ends as yet.
    start: usize,
    end: usize,
    tokens: Vec<Packed>,
    counts: Counts,
    output: Bits,
}

impl<'a> BlockWriter<'a> {
    /// Tokens of these bytes, beginning at `start`, are to follow.
    pub fn new(bytes: &'a [u8], start: usize) -> BlockWriter<'a> {
        let output = Bits { bytes: Vec::with_capacity((bytes.len() - start) / 2 + 1024), ahead: 0, count: 0 };
        BlockWriter { bytes, start, end: start, tokens: Vec::with_capacity(TOKENS), counts: Counts::new(), output }
    }

    /// What stands before this has tokens.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The next bytes as they are.
    pub fn literals(&mut self, mut count: usize) {
        while count > 0 {
            let part = count.min(TOKENS - self.tokens.len());
            let literals = &self.bytes[self.end..self.end + part];
            self.tokens.extend(literals.iter().map(|&byte| Packed::literal(byte)));
            literals.iter().for_each(|&byte| self.counts.literals[usize::from(byte)] += 1);
            self.end += part;
            count -= part;
            self.write_full_block();
        }
    }

    /// The next bytes, 3 to 258, as a repetition of those at this distance before, 1 to 32,768.
    pub fn repeat(&mut self, length: usize, distance: usize) {
        let token = Packed::repeat(length, distance);
        self.counts.literals[257 + token.length_symbol()] += 1;
        self.counts.distances[token.distance_symbol()] += 1;
        self.tokens.push(token);
        self.end += length;
        self.write_full_block();
    }

    fn write_full_block(&mut self) {
        if self.tokens.len() == TOKENS {
            self.write_block();
        }
    }

    /// Writes what is open, and an empty stored block, which ends with a byte.
    pub fn finish(mut self) -> Vec<u8> {
        if !self.tokens.is_empty() {
            self.write_block();
        }
        self.output.put(0, 3);
        self.output.fill_byte();
        self.output.bytes.extend_from_slice(&[0, 0, 0xff, 0xff]);
        self.output.bytes
    }

    /// Writes the tokens in whichever form is the shortest.
    fn write_block(&mut self) {
        let data = &self.bytes[self.start..self.end];
        let counts = std::mem::replace(&mut self.counts, Counts::new());
        let own = OwnCodes::new(&counts);
        let (own_size, fixed_size) = (own.size(&counts), counts.size(&FIXED_LITERALS, &FIXED_DISTANCES));
        let stored_size = data.len() as u64 * 8 + data.len().div_ceil(STORED) as u64 * 40;
        if stored_size <= own_size.min(fixed_size) {
            for part in data.chunks(STORED) {
                self.output.put(0, 3);
                self.output.fill_byte();
                let length = part.len() as u16;
                self.output.bytes.extend_from_slice(&length.to_le_bytes());
                self.output.bytes.extend_from_slice(&(!length).to_le_bytes());
                self.output.bytes.extend_from_slice(part);
            }
        } else if own_size < fixed_size {
            self.output.put(0b100, 3);
            own.write(&mut self.output);
            write_tokens(&self.tokens, &own.literals, &own.distances, &mut self.output);
        } else {
            self.output.put(0b010, 3);
            write_tokens(&self.tokens, &FIXED_LITERALS, &FIXED_DISTANCES, &mut self.output);
        }
        self.start = self.end;
        self.tokens.clear();
    }
}

fn write_tokens(tokens: &[Packed], of_literals: &[u8], of_distances: &[u8], output: &mut Bits) {
    let (literals, distances) = (Codes::<288>::new(of_literals), Codes::<32>::new(of_distances));
    for &token in tokens {
        if token.is_literal() {
            let (code, count) = literals.0[token.0 as usize & 0xff];
            output.put(code.into(), count);
        } else {
            let (symbol, (code, count)) = (token.length_symbol(), literals.0[257 + token.length_symbol()]);
            output.put(u64::from(code) | token.more_length() << count, count + LENGTHS[symbol].1);
            let (symbol, (code, count)) = (token.distance_symbol(), distances.0[token.distance_symbol()]);
            output.put(u64::from(code) | token.more_distance() << count, count + DISTANCES[symbol].1);
        }
    }
    let (code, count) = literals.0[usize::from(END_OF_BLOCK)];
    output.put(code.into(), count);
}

/// The code of each symbol, and its length in bits.
struct Codes<const SYMBOLS: usize>([(u16, u8); SYMBOLS]);

impl<const SYMBOLS: usize> Codes<SYMBOLS> {
    fn new(lengths: &[u8]) -> Codes<SYMBOLS> {
        let mut all = [(0, 0); SYMBOLS];
        for (to, code) in all.iter_mut().zip(codes(lengths).into_iter().zip(lengths.iter().copied())) {
            *to = code;
        }
        Codes(all)
    }
}

/// A literal byte, or a match as two symbols with what is added to them: a bit that says so, 5 bits for the symbol of the
/// length and 5 for what is added to it, 5 for the symbol of the distance and 13 for what is added to that.
#[derive(Clone, Copy)]
struct Packed(u32);

impl Packed {
    fn literal(byte: u8) -> Packed {
        Packed(byte.into())
    }

    fn repeat(length: usize, distance: usize) -> Packed {
        let of_length = usize::from(LENGTH_SYMBOLS[length - SHORTEST_MATCH]);
        let of_distance = distance_symbol(distance);
        let more_length = length - usize::from(LENGTHS[of_length].0);
        let more_distance = distance - usize::from(DISTANCES[of_distance].0);
        Packed((1 << 31 | more_distance << 15 | of_distance << 10 | more_length << 5 | of_length) as u32)
    }

    fn is_literal(self) -> bool {
        self.0 >> 31 == 0
    }

    fn length_symbol(self) -> usize {
        (self.0 & 31) as usize
    }

    fn more_length(self) -> u64 {
        (self.0 >> 5 & 31).into()
    }

    fn distance_symbol(self) -> usize {
        (self.0 >> 10 & 31) as usize
    }

    fn more_distance(self) -> u64 {
        (self.0 >> 15 & 0x1fff).into()
    }
}

/// The symbol of each length, less 257.
const LENGTH_SYMBOLS: [u8; LONGEST_MATCH - SHORTEST_MATCH + 1] = {
    let mut symbols = [0; LONGEST_MATCH - SHORTEST_MATCH + 1];
    let mut symbol = 0;
    while symbol < LENGTHS.len() {
        let mut at = LENGTHS[symbol].0 as usize - SHORTEST_MATCH;
        while at < symbols.len() {
            symbols[at] = symbol as u8;
            at += 1;
        }
        symbol += 1;
    }
    symbols
};

/// From the third on, a symbol says how many bits the distance less one has, and which is its second highest.
fn distance_symbol(distance: usize) -> usize {
    let less_one = distance - 1;
    match less_one.checked_ilog2() {
        None | Some(0) => less_one,
        Some(highest) => 2 * highest as usize + (less_one >> (highest - 1) & 1),
    }
}

/// How often each symbol occurs in a block.
struct Counts {
    literals: [u32; 286],
    distances: [u32; 30],
}

impl Counts {
    fn new() -> Counts {
        let mut counts = Counts { literals: [0; 286], distances: [0; 30] };
        counts.literals[usize::from(END_OF_BLOCK)] = 1;
        counts
    }

    /// The number of bits with codes of these lengths.
    fn size(&self, literals: &[u8], distances: &[u8]) -> u64 {
        let bits = |counts: &[u32], lengths: &[u8]| -> u64 {
            counts.iter().zip(lengths).map(|(&count, &length)| u64::from(count) * u64::from(length)).sum()
        };
        let more = |counts: &[u32], ranges: &[(u16, u8)]| -> u64 {
            counts.iter().zip(ranges).map(|(&count, range)| u64::from(count) * u64::from(range.1)).sum()
        };
        bits(&self.literals, literals)
            + bits(&self.distances, distances)
            + more(&self.literals[257..], &LENGTHS)
            + more(&self.distances, &DISTANCES)
    }
}

/// The codes of a block that has its own, and how their lengths are written (section 3.2.7).
struct OwnCodes {
    literals: Vec<u8>,
    distances: Vec<u8>,
    /// The lengths in a row, as symbols, each with the bits that are added to it and how many.
    runs: Vec<(u8, u8, u8)>,
    of_runs: Vec<u8>,
}

impl OwnCodes {
    fn new(counts: &Counts) -> OwnCodes {
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|&length| length != 0).map_or(least, |last| least.max(last + 1))
        };
        let mut literals = lengths(&counts.literals, LONGEST);
        literals.truncate(used(&literals, 257));
        let mut distances = lengths(&counts.distances, LONGEST);
        distances.truncate(used(&distances, 1));
        let runs = runs(&[literals.as_slice(), distances.as_slice()].concat());
        let mut of_symbols = [0; 19];
        runs.iter().for_each(|run| of_symbols[usize::from(run.0)] += 1);
        OwnCodes { literals, distances, runs, of_runs: lengths(&of_symbols, 7) }
    }

    /// How many code lengths of code lengths are written.
    fn given(&self) -> usize {
        ORDER.iter().rposition(|&symbol| self.of_runs[symbol] != 0).map_or(4, |last| (last + 1).max(4))
    }

    /// The number of bits of the codes and the block.
    fn size(&self, counts: &Counts) -> u64 {
        let runs: u64 =
            self.runs.iter().map(|&(symbol, _, more)| u64::from(self.of_runs[usize::from(symbol)] + more)).sum();
        14 + self.given() as u64 * 3 + runs + counts.size(&self.literals, &self.distances)
    }

    fn write(&self, output: &mut Bits) {
        output.put(self.literals.len() as u64 - 257, 5);
        output.put(self.distances.len() as u64 - 1, 5);
        output.put(self.given() as u64 - 4, 4);
        for &symbol in &ORDER[..self.given()] {
            output.put(self.of_runs[symbol].into(), 3);
        }
        let codes = codes(&self.of_runs);
        for &(symbol, value, more) in &self.runs {
            let (code, count) = (codes[usize::from(symbol)], self.of_runs[usize::from(symbol)]);
            output.put(u64::from(code) | u64::from(value) << count, count + more);
        }
    }
}

/// Code lengths as symbols: 0 to 15 stand for themselves, 16 repeats the last one, 17 and 18 are runs of zeros.
fn runs(lengths: &[u8]) -> Vec<(u8, u8, u8)> {
    let mut runs = Vec::new();
    for same in lengths.chunk_by(|left, right| left == right) {
        let (length, mut left) = (same[0], same.len());
        if length != 0 {
            runs.push((length, 0, 0));
            left -= 1;
        }
        while left > 0 {
            let (count, run) = match (length, left) {
                (0, 11..) => (left.min(138), (18, (left.min(138) - 11) as u8, 7)),
                (0, 3..) => (left, (17, (left - 3) as u8, 3)),
                (_, 3..) => (left.min(6), (16, (left.min(6) - 3) as u8, 2)),
                _ => (1, (length, 0, 0)),
            };
            runs.push(run);
            left -= count;
        }
    }
    runs
}

/// Bits that are written, lowest first.
struct Bits {
    bytes: Vec<u8>,
    ahead: u64,
    count: u32,
}

impl Bits {
    /// Writes at most 32 bits.
    fn put(&mut self, value: u64, count: u8) {
        self.ahead |= value << self.count;
        self.count += u32::from(count);
        if self.count >= 32 {
            self.bytes.extend_from_slice(&(self.ahead as u32).to_le_bytes());
            self.ahead >>= 32;
            self.count -= 32;
        }
    }

    /// Fills the last byte up.
    fn fill_byte(&mut self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.ahead.to_le_bytes()[..bytes]);
        (self.ahead, self.count) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::gzip::WINDOW;

    /// The data before and behind `start`, from what was written for the latter.
    fn decode(before: &[u8], output: &[u8]) -> Vec<u8> {
        let mut stored = vec![0, 0, 0, 0, 0];
        stored[1..3].copy_from_slice(&(before.len() as u16).to_le_bytes());
        stored[3..5].copy_from_slice(&(!(before.len() as u16)).to_le_bytes());
        let stream = [&stored, before, output, &[3, 0]].concat();
        let mut data = Vec::new();
        flate2::bufread::DeflateDecoder::new(&*stream).read_to_end(&mut data).unwrap();
        data
    }

    #[test]
    fn every_length_and_every_distance_is_written() {
        let mut bytes: Vec<u8> = (0..WINDOW).map(|at| (at % 251) as u8 ^ (at / 251) as u8).collect();
        let mut tokens = Vec::new();
        for (number, length) in (3..=258).chain((3..=258).rev()).enumerate() {
            let distance = match number {
                0 => WINDOW,
                _ => 1 + number * number * 41 % WINDOW,
            };
            tokens.push((length, distance));
            for _ in 0..length {
                bytes.push(bytes[bytes.len() - distance]);
            }
        }
        let mut writer = BlockWriter::new(&bytes, WINDOW);
        tokens.iter().for_each(|&(length, distance)| writer.repeat(length, distance));
        let output = writer.finish();
        assert!(output.len() < tokens.len() * 6);
        assert!(decode(&bytes[..WINDOW], &output) == bytes);
    }

    #[test]
    fn literals_are_written_in_the_shortest_form() {
        let noise: Vec<u8> = (0..150_000_u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let text: Vec<u8> = noise.iter().map(|byte| b"etaoin s"[usize::from(byte % 8)]).collect();
        // Stored, with codes of their own, and with fixed codes; each with the five bytes of the end at most.
        for (bytes, least, most) in [(&noise, 150_000, 150_100), (&text, 56_000, 59_000), (&b"x".to_vec(), 6, 8)] {
            let mut writer = BlockWriter::new(bytes, 0);
            writer.literals(bytes.len() / 3);
            writer.literals(bytes.len() - bytes.len() / 3);
            let output = writer.finish();
            assert!((least..most).contains(&output.len()), "{}", output.len());
            assert!(decode(&[], &output) == *bytes);
        }
        assert_eq!(BlockWriter::new(&noise, 10).finish(), [0, 0, 0, 0xff, 0xff]);
    }
}
