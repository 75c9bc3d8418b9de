//! The codes of deflate: how many bits each symbol has decides all of them (RFC 1951, section 3.2.2).

use super::bit_reader::BitReader;

/// The longest code, in bits.
pub const LONGEST: usize = 15;

/// Codes of up to so many bits are looked up in one step.
const QUICK: u32 = 11;

/// No symbol.
const NONE: u16 = u16::MAX;

/// Turns bits into symbols.
pub struct Decoder {
    /// For what comes next, the symbol and, in the lowest four bits, the length of its code; zero for longer codes.
    quick: Box<[u16; 1 << QUICK]>,
    /// How many codes have each length.
    counts: [u16; LONGEST + 1],
    /// The symbols in the order of their codes.
    symbols: Vec<u16>,
}

impl Decoder {
    /// The codes with these lengths, by symbol; zero for symbols that do not occur. Nothing if they cannot be told apart.
    ///
    /// A code may be incomplete; bits that stand for nothing are found out when they come.
    pub fn new(lengths: &[u8]) -> Option<Decoder> {
        let mut counts = [0_u16; LONGEST + 1];
        for &length in lengths {
            *counts.get_mut(usize::from(length))? += 1;
        }
        counts[0] = 0;
        let next = first_codes(&counts)?;
        let mut places = [0_u16; LONGEST + 2];
        for length in 1..=LONGEST {
            places[length + 1] = places[length] + counts[length];
        }
        let mut symbols = vec![0; usize::from(places[LONGEST + 1])];
        let mut quick = Box::new([0; 1 << QUICK]);
        let mut codes = next;
        for (symbol, &length) in (0_u16..).zip(lengths).filter(|(_, length)| **length != 0) {
            let at = usize::from(length);
            symbols[usize::from(places[at])] = symbol;
            places[at] += 1;
            let code = reversed(codes[at], length);
            codes[at] += 1;
            if u32::from(length) <= QUICK {
                for entry in quick.iter_mut().skip(usize::from(code)).step_by(1 << length) {
                    *entry = symbol << 4 | u16::from(length);
                }
            }
        }
        Some(Decoder { quick, counts, symbols })
    }

    /// The next symbol, of the bits that were made sure of; one that there is not if they stand for none.
    #[inline]
    pub fn next(&self, bits: &mut BitReader) -> u16 {
        let entry = self.quick[bits.peek() as usize & ((1 << QUICK) - 1)];
        if entry != 0 {
            bits.skip(u32::from(entry & 15));
            return entry >> 4;
        }
        self.next_long(bits)
    }

    /// Codes of one length are numbers in a row, those of the next length follow after the last one, doubled.
    #[cold]
    fn next_long(&self, bits: &mut BitReader) -> u16 {
        let (mut ahead, mut code, mut first, mut place) = (bits.peek(), 0_u32, 0_u32, 0_usize);
        for length in 1..=LONGEST {
            code = code << 1 | (ahead & 1) as u32;
            ahead >>= 1;
            let count = u32::from(self.counts[length]);
            if code - first < count {
                bits.skip(length as u32);
                return self.symbols.get(place + (code - first) as usize).copied().unwrap_or(NONE);
            }
            place += count as usize;
            first = (first + count) << 1;
        }
        NONE
    }
}

/// The codes with these lengths, each with its first bit lowest, as they are written.
pub fn codes(lengths: &[u8]) -> Vec<u16> {
    let mut counts = [0_u16; LONGEST + 1];
    for &length in lengths {
        counts[usize::from(length)] += 1;
    }
    counts[0] = 0;
    let mut next = first_codes(&counts).unwrap_or_default();
    lengths
        .iter()
        .map(|&length| {
            let code = &mut next[usize::from(length)];
            *code += 1;
            if length == 0 { 0 } else { reversed(*code - 1, length) }
        })
        .collect()
}

/// The first code of each length, if there are enough bits for all.
fn first_codes(counts: &[u16; LONGEST + 1]) -> Option<[u16; LONGEST + 1]> {
    let mut first = [0; LONGEST + 1];
    let mut code = 0_u32;
    for length in 1..=LONGEST {
        code = (code + u32::from(counts[length - 1])) << 1;
        if code + u32::from(counts[length]) > 1 << length {
            return None;
        }
        first[length] = code as u16;
    }
    Some(first)
}

fn reversed(code: u16, length: u8) -> u16 {
    code.reverse_bits() >> (16 - u32::from(length))
}

/// The lengths of the best codes for symbols that occur so often, none longer than `longest`, which is enough for all.
///
/// At least two symbols get a code, because some decoders do not take a code that is not complete.
pub fn lengths(frequencies: &[u32], longest: usize) -> Vec<u8> {
    let mut leaves: Vec<(u32, u16)> =
        (0..).zip(frequencies).filter(|(_, count)| **count != 0).map(|(symbol, &count)| (count, symbol)).collect();
    for symbol in 0..2 {
        if leaves.len() < 2 && leaves.first().is_none_or(|leaf| leaf.1 != symbol) {
            leaves.push((1, symbol));
        }
    }
    leaves.sort_unstable();
    let mut counts = depths(&leaves);
    limit(&mut counts, longest);
    // The rarest symbols get the longest codes.
    let mut lengths = vec![0; frequencies.len()];
    let mut rest = &leaves[..];
    for (length, &count) in counts.iter().enumerate().rev() {
        let (these, others) = rest.split_at(count.min(rest.len()));
        these.iter().for_each(|leaf| lengths[usize::from(leaf.1)] = length as u8);
        rest = others;
    }
    lengths
}

/// How many leaves of Huffman's tree are at each depth. The leaves are in the order of their frequencies.
fn depths(leaves: &[(u32, u16)]) -> Vec<usize> {
    // Every inner node is lighter than the next one, so that the two lightest nodes are first in one of two rows.
    let mut inner: Vec<(u32, [usize; 2])> = Vec::with_capacity(leaves.len());
    let (mut leaf, mut node) = (0, 0);
    while inner.len() + 1 < leaves.len() {
        let mut weight = 0;
        let pair = [(); 2].map(|()| {
            let is_leaf = match (leaves.get(leaf), inner.get(node)) {
                (Some(left), Some(right)) => left.0 <= right.0,
                (left, _) => left.is_some(),
            };
            if is_leaf {
                weight += leaves[leaf].0;
                leaf += 1;
                leaf - 1
            } else {
                weight += inner[node].0;
                node += 1;
                leaves.len() + node - 1
            }
        });
        inner.push((weight, pair));
    }
    let mut counts = vec![0; leaves.len() + 1];
    let mut depth = vec![0; inner.len()];
    for (number, (_, pair)) in inner.iter().enumerate().rev() {
        for &child in pair {
            match child.checked_sub(leaves.len()) {
                Some(child) => depth[child] = depth[number] + 1,
                None => counts[depth[number] + 1] += 1,
            }
        }
    }
    counts
}

/// Moves what is too deep up, and as many others down as make room for it.
fn limit(counts: &mut Vec<usize>, longest: usize) {
    let too_deep: usize = counts.iter().skip(longest + 1).sum();
    counts.resize(longest + 1, 0);
    counts[longest] += too_deep;
    // In units of the longest code, of which there are two to the power of its length.
    let mut taken: usize = counts.iter().enumerate().skip(1).map(|(length, count)| count << (longest - length)).sum();
    while taken > 1 << longest {
        // A leaf goes down by one and takes one of the deepest as its sibling.
        let from = (1..longest).rev().find(|&length| counts[length] > 0).unwrap_or_default();
        counts[longest] -= 1;
        counts[from] -= 1;
        counts[from + 1] += 2;
        taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn used(lengths: &[u8]) -> usize {
        lengths.iter().filter(|length| **length != 0).map(|length| 1 << (LONGEST - usize::from(*length))).sum()
    }

    #[test]
    fn the_example_of_the_specification_is_right() {
        // RFC 1951, section 3.2.2: the symbols A to H.
        let lengths = [3, 3, 3, 3, 3, 2, 4, 4];
        let expected = [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111];
        for ((code, expected), length) in codes(&lengths).into_iter().zip(expected).zip(lengths) {
            assert_eq!(code, reversed(expected, length));
        }
    }

    #[test]
    fn rare_symbols_do_not_get_codes_that_are_too_long() {
        // With Fibonacci's numbers, the tree is as deep as it can be.
        let mut frequencies = vec![1_u32, 1];
        while frequencies.len() < 30 {
            frequencies.push(frequencies[frequencies.len() - 1] + frequencies[frequencies.len() - 2]);
        }
        for longest in [5, 7, 15] {
            let lengths = lengths(&frequencies, longest);
            assert_eq!(usize::from(*lengths.iter().max().unwrap()), longest);
            assert_eq!(used(&lengths), 1 << LONGEST);
            assert!(lengths.is_sorted_by(|left, right| left >= right));
        }
        assert_eq!(lengths(&[0; 5], 15), [1, 1, 0, 0, 0]);
        assert_eq!(lengths(&[0, 7, 0], 15), [1, 1, 0]);
        assert_eq!(lengths(&[0, 0, 7], 15), [1, 0, 1]);
        assert_eq!(lengths(&[1, 1, 2, 4], 15), [3, 3, 2, 1]);
    }

    #[test]
    fn codes_that_cannot_be_told_apart_are_refused() {
        assert!(Decoder::new(&[1, 1, 1]).is_none());
        assert!(Decoder::new(&[2, 2, 2, 2, 15]).is_none());
        assert!(Decoder::new(&[16]).is_none());
        // Incomplete ones are not, until a code comes that there is not.
        let incomplete = Decoder::new(&[0, 3]).unwrap();
        assert_eq!(incomplete.next(&mut BitReader::new(&[0b000], 0)), 1);
        assert_eq!(incomplete.next(&mut BitReader::new(&[0b001], 0)), NONE);
        assert_eq!(Decoder::new(&[]).unwrap().next(&mut BitReader::new(&[0], 0)), NONE);
    }

    proptest! {
        #[test]
        fn every_code_is_read_back(frequencies in proptest::collection::vec(0..40_000_u32, 2..300), steep in any::<bool>()) {
            let frequencies: Vec<u32> =
                frequencies.iter().enumerate().map(|(at, count)| if steep { count >> (at % 16) } else { *count }).collect();
            let lengths = lengths(&frequencies, LONGEST);
            prop_assert_eq!(used(&lengths), 1 << LONGEST);
            let decoder = Decoder::new(&lengths).unwrap();
            for ((symbol, code), &length) in (0..).zip(codes(&lengths)).zip(&lengths) {
                if length != 0 {
                    // What follows the code does not matter.
                    for bits in [u32::from(code), u32::from(code) | u32::MAX << length] {
                        let bytes = bits.to_le_bytes();
                        let mut reader = BitReader::new(&bytes, 0);
                        prop_assert_eq!(decoder.next(&mut reader), symbol);
                        reader.skip(32 - u32::from(length));
                        prop_assert!(reader.checked().is_some());
                        reader.skip(1);
                        prop_assert!(reader.checked().is_none());
                    }
                }
            }
        }
    }
}
