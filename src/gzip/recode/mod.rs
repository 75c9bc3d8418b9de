//! Compressing what lies around a cut by the matches that its source has.
//!
//! Looking for matches is most of the work of compressing. Where data is kept but its blocks cannot be copied, the source's
//! own matches are taken over as far as what they refer to is still there; only what has lost its match, and what is new,
//! is looked for. Every match is compared with the data before it is used, so a wrong hint makes the output larger and
//! never wrong.

mod block_writer;
mod matcher;

use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::source::Source;
use super::tokens::{Token, for_each_token};
use crate::position::{BitPosition, RawPosition};
use block_writer::{BlockWriter, LONGEST_MATCH, SHORTEST_MATCH};
use matcher::Matcher;

/// Where the tokens of some data can be found.
#[derive(Debug, Clone)]
pub struct Hint {
    /// Which of the bytes at hand.
    pub bytes: Range<usize>,
    /// Where they come from: the position of the first one in the data of the source.
    pub position: RawPosition,
    /// The blob that the blocks are in.
    pub source: Arc<Source>,
    /// Where the data of the blocks begins.
    pub begin: RawPosition,
    /// The blocks, as positions in the blob.
    pub bits: Range<BitPosition>,
}

impl Hint {
    /// The position in the data of the source that the bytes end at.
    pub fn end(&self) -> RawPosition {
        self.position + self.bytes.len() as u64
    }

    /// Whether these are its blocks.
    pub fn has_blocks(&self, source: &Arc<Source>, bits: &Range<BitPosition>) -> bool {
        Arc::ptr_eq(&self.source, source) && self.bits == *bits
    }

    /// Whether the blocks of the next hint can be read together with those before, which are these bits.
    fn is_read_with(&self, &Range { start, end }: &Range<BitPosition>, next: &Hint) -> bool {
        Arc::ptr_eq(&self.source, &next.source)
            && (self.bits.start..=end).contains(&next.bits.start)
            && self.end() <= next.position
            && next.bits.end.saturating_sub(start) <= MOST_AT_ONCE
    }
}

/// How many bits of blocks are read into memory together.
const MOST_AT_ONCE: u64 = 8 << 23;

/// Where more than one byte in so many has lost its match, looking for all matches anew gives a smaller output.
const LEAST_KEPT: usize = 8;

/// Compresses what begins at `start`, with what stands before as dictionary, to whole bytes of a deflate stream. Nothing if that would
/// be much larger than it has to be, because too many matches are lost.
///
/// # Errors
/// If a source cannot be read.
pub fn recode(bytes: &[u8], start: usize, hints: &[Hint]) -> io::Result<Option<Vec<u8>>> {
    let recoder = Recoder::run(bytes, start, hints)?;
    let is_small = recoder.found * LEAST_KEPT <= bytes.len() - start;
    Ok(is_small.then(|| recoder.blocks.finish()))
}

struct Recoder<'a> {
    bytes: &'a [u8],
    /// What stands before this has a token, or has lost it: then it stands behind the end of `blocks`.
    at: usize,
    /// How many bytes had no tokens by now.
    found: usize,
    matcher: Matcher<'a>,
    blocks: BlockWriter<'a>,
}

impl<'a> Recoder<'a> {
    /// Goes through the bytes to their end.
    fn run(bytes: &'a [u8], start: usize, hints: &[Hint]) -> io::Result<Recoder<'a>> {
        let (matcher, blocks) = (Matcher::new(bytes), BlockWriter::new(bytes, start));
        let mut recoder = Recoder { bytes, at: start, found: 0, matcher, blocks };
        let mut rest = hints;
        while let Some(first) = rest.first() {
            let mut bits = first.bits.clone();
            let mut count = 1;
            while let Some(next) = rest.get(count).filter(|next| rest[count - 1].is_read_with(&bits, next)) {
                bits.end = bits.end.max(next.bits.end);
                count += 1;
            }
            let stored = first.source.read_range(bits.start.byte()..bits.end.next_byte())?;
            let (group, others) = rest.split_at(count);
            let (mut group, mut position) = (group, first.begin);
            for_each_token(&stored, bits.start.bits_before(), |token| {
                let begin = position;
                position += u64::from(token.length());
                recoder.follow(token, begin, &mut group)
            });
            rest = others;
        }
        recoder.at = bytes.len();
        recoder.find();
        Ok(recoder)
    }

    /// Takes over a token that begins at this position of the source, as far as it is one of the bytes of these hints.
    fn follow(&mut self, token: Token, begin: RawPosition, hints: &mut &[Hint]) -> ControlFlow<()> {
        let end = begin + u64::from(token.length());
        while let Some((hint, others)) = hints.split_first() {
            if end <= hint.position {
                return ControlFlow::Continue(());
            }
            // A token that begins before the bytes or ends behind them is cut off there.
            let first = begin.max(hint.position);
            self.at = hint.bytes.start + (first - hint.position) as usize;
            self.take_over(token, (end.min(hint.end()) - first) as usize);
            if end < hint.end() {
                return ControlFlow::Continue(());
            }
            *hints = others;
        }
        ControlFlow::Break(())
    }

    /// Takes over so much of a token.
    fn take_over(&mut self, token: Token, length: usize) {
        match token {
            Token::Match { distance, .. } if self.repeats(length, distance as usize) => {
                self.find();
                self.blocks.repeat(length, distance as usize);
            }
            // Literals among what is lost may be part of a match that is found for it.
            Token::Literals(_) if self.blocks.end() == self.at => self.blocks.literals(length),
            _ => {}
        }
        self.at += length;
    }

    /// Whether the next bytes are the same as those at a distance before.
    fn repeats(&self, length: usize, distance: usize) -> bool {
        let Some(from) = self.at.checked_sub(distance) else { return false };
        let (here, there) = (&self.bytes[self.at..], &self.bytes[from..]);
        if let (1..=8, Some(here), Some(there)) = (length, here.first_chunk(), there.first_chunk()) {
            let different = u64::from_le_bytes(*here) ^ u64::from_le_bytes(*there);
            return different.trailing_zeros() as usize / 8 >= length && length >= SHORTEST_MATCH;
        }
        length >= SHORTEST_MATCH && here[..length] == there[..length]
    }

    /// Finds tokens for what has none.
    fn find(&mut self) {
        self.found += self.at - self.blocks.end();
        while self.blocks.end() < self.at {
            let lost = self.blocks.end();
            match self.matcher.longest(lost, (self.at - lost).min(LONGEST_MATCH)) {
                Some((length, distance)) => self.blocks.repeat(length, distance),
                None => self.blocks.literals(1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use flate2::Compression;
    use proptest::prelude::*;

    use super::*;

    /// Words in an order that does not repeat itself.
    fn words(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut data = Vec::with_capacity(length + 20);
        while data.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            data.extend_from_slice(
                [&b"push ebp"[..], b"mov esp", b"KERNEL32", b"\0\0\0\0", b"call", b"ret 8"][(state >> 30) as usize % 6],
            );
            data.push((state >> 40) as u8 % 32);
        }
        data.truncate(length);
        data
    }

    fn source(data: &[u8]) -> Arc<Source> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::new(9));
        encoder.write_all(data).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&encoder.finish().unwrap()).unwrap();
        Arc::new(Source::open(file.path()).unwrap())
    }

    fn hint(source: &Arc<Source>, bytes: Range<usize>, position: u64) -> Hint {
        let mut stored = Vec::new();
        source.reader(0.into()).read_to_end(&mut stored).unwrap();
        let bits = BitPosition::range(0..stored.len() as u64 * 8);
        Hint { bytes, position: position.into(), source: Arc::clone(source), begin: 0.into(), bits }
    }

    fn decode(output: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        flate2::bufread::DeflateDecoder::new(&*[output, &[3, 0]].concat()).read_to_end(&mut data).unwrap();
        data
    }

    fn deflated(data: &[u8]) -> usize {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap().len()
    }

    #[test]
    fn matches_are_taken_over_around_cuts() {
        let data = words(600_000, 3);
        let source = source(&data);
        // Two parts with something new between them.
        let kept = [&data[10_000..210_000], b"something new", &data[300_000..500_000]].concat();
        let hints = [hint(&source, 0..200_000, 10_000), hint(&source, 200_013..400_013, 300_000)];
        let output = recode(&kept, 0, &hints).unwrap().unwrap();
        assert_eq!(decode(&output), kept);
        let (recoded, deflated) = (output.len(), deflated(&kept));
        assert!(recoded < deflated + deflated / 50, "{recoded} {deflated}");
        // Without its source's matches, it would be larger, and so it is left to others.
        assert!(Recoder::run(&kept, 0, &[]).unwrap().blocks.finish().len() > recoded + recoded / 100);
        assert_eq!(recode(&kept, 0, &[]).unwrap(), None);
    }

    #[test]
    fn a_source_that_is_too_short_is_an_error() {
        let source = source(b"short");
        let mut hint = hint(&source, 0..5, 0);
        hint.bits.end = (1 << 20).into();
        assert_eq!(recode(b"short", 0, &[hint]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn wrong_hints_do_no_harm(
            start in 0..30_000_usize,
            parts in proptest::collection::vec((0..40_000_usize, 0..40_000_usize, 0..100_000_u64, 0..2_usize), 0..5),
            seed in 0..4_u64,
        ) {
            let data = words(100_000, 9);
            let sources = [source(&data), source(&words(100_000, 10))];
            let bytes = words(100_000, seed + 8);
            let mut hints = Vec::new();
            let mut at = start;
            for (skipped, length, position, number) in parts {
                let begin = (at + skipped).min(bytes.len());
                at = (begin + length).min(bytes.len());
                hints.push(hint(&sources[number], begin..at, position));
            }
            let before = Recoder::run(&bytes[..start], 0, &[]).unwrap().blocks.finish();
            let output = Recoder::run(&bytes, start, &hints).unwrap().blocks.finish();
            prop_assert_eq!(decode(&[before, output].concat()), bytes);
        }
    }
}
