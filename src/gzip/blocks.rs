//! The block map: where the deflate blocks of a blob lie, and of what use they are for a part of its data.
//!
//! The map keeps *stretches*: runs of whole blocks with at least [`LEAST`] bytes of data, so that a blob of a million tiny
//! blocks does not need more memory than one of large ones.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::WINDOW;
use crate::position::{BitPosition, RawPosition, StoredPosition};

/// How much data a stretch holds at least, in bytes, if it can be copied.
pub const LEAST: u64 = 8 << 10;

/// How much data, and how much of the blob, is read at most in order to take matches over, in bytes. Blocks are seldom larger than
/// a tenth of this, but a hostile one may be as large as a layer.
const FARTHEST: u64 = 4 << 20;

/// Where blocks lie in a blob. The map of a blob that is not gzip has stretches too, but nothing in them can be copied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct BlockMap {
    /// In order; a stretch ends where the next one begins.
    stretches: Vec<Stretch>,
    /// The end of the data.
    raw_end: RawPosition,
    /// The end of the blob.
    bit_end: BitPosition,
}

/// Where a stretch begins, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    raw: RawPosition,
    bit: BitPosition,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It holds something other than whole blocks before a member's last one.
    Opaque = 0,
    /// Whole blocks that may refer to the data before them.
    Following = 1,
    /// The first blocks of a member, which can refer to nothing before them.
    First = 2,
}

/// A part of the data, and what there is of it in the blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The part, as positions in the data of the blob.
    pub raw: Range<RawPosition>,
    /// Of what use the blocks are.
    pub blocks: Use,
    /// Where the data of the blocks begins, which is at the part or before it.
    pub begin: RawPosition,
    /// The blocks, as positions in the blob.
    pub bits: Range<BitPosition>,
}

/// What blocks can be used for where a part of the data is kept as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// They hold the part and nothing else, and refer to nothing before it: they can be copied.
    Copy,
    /// They hold the part, and their matches can be taken over as far as what they refer to is there.
    Matches,
    /// What they are is not known.
    Nothing,
}

impl BlockMap {
    /// The map of a blob of which nothing is known but its lengths in bytes.
    pub fn opaque(raw_length: u64, stored_length: u64) -> BlockMap {
        let bit_end = StoredPosition::from(stored_length).first_bit();
        BlockMap { stretches: Vec::new(), raw_end: raw_length.into(), bit_end }
    }

    /// What the blocks are good for where this part of the data is kept as a whole, span by span.
    pub fn spans(&self, part: Range<RawPosition>) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let part = part.start..part.end.min(self.raw_end);
        // Whether what stands before a block in the part is all that the block can refer to.
        let mut is_independent = false;
        let first = self.stretches.partition_point(|stretch| stretch.raw <= part.start).saturating_sub(1);
        for (number, stretch) in self.stretches.iter().enumerate().skip(first) {
            let (raw_end, bit_end) =
                self.stretches.get(number + 1).map_or((self.raw_end, self.bit_end), |next| (next.raw, next.bit));
            let raw = stretch.raw.max(part.start)..raw_end.min(part.end);
            if stretch.raw >= part.end {
                break;
            }
            if raw.is_empty() {
                continue;
            }
            is_independent |= (stretch.kind == Kind::First && stretch.raw >= part.start)
                || stretch.raw >= part.start.saturating_add(WINDOW as u64);
            let is_near = raw.end - stretch.raw <= FARTHEST && bit_end - stretch.bit <= FARTHEST * 8;
            let blocks = match stretch.kind {
                Kind::First | Kind::Following if is_independent && raw == (stretch.raw..raw_end) => Use::Copy,
                Kind::First | Kind::Following if is_near => Use::Matches,
                _ => Use::Nothing,
            };
            match spans.last_mut() {
                Some(span)
                    if span.blocks == blocks
                        && span.bits.end == stretch.bit
                        && (blocks != Use::Matches || bit_end - span.bits.start <= FARTHEST * 8) =>
                {
                    span.raw.end = raw.end;
                    span.bits.end = bit_end;
                }
                _ => spans.push(Span { raw, blocks, begin: stretch.raw, bits: stretch.bit..bit_end }),
            }
        }
        spans
    }

    /// The position in the blob that belongs to one in the data: on a straight line within a stretch.
    pub fn stored_position(&self, raw: RawPosition) -> StoredPosition {
        if raw == RawPosition::START {
            return StoredPosition::START;
        }
        if raw >= self.raw_end {
            return self.bit_end.byte();
        }
        let after = self.stretches.partition_point(|stretch| stretch.raw <= raw);
        let place = |stretch: &Stretch| (stretch.raw, stretch.bit);
        let before = after.checked_sub(1).and_then(|at| self.stretches.get(at));
        let (raw_start, bit_start) = before.map_or((RawPosition::START, BitPosition::START), place);
        let (raw_end, bit_end) = self.stretches.get(after).map_or((self.raw_end, self.bit_end), place);
        // The divisor is not zero: `raw` is at or behind the one and before the other.
        let share = u128::from(raw - raw_start) * u128::from(bit_end - bit_start) / u128::from(raw_end - raw_start);
        (bit_start + share as u64).byte()
    }
}

/// Notes blocks as a blob is read.
#[derive(Debug)]
pub struct Recorder {
    done: Vec<Stretch>,
    open: Stretch,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder {
            done: Vec::new(),
            open: Stretch { raw: RawPosition::START, bit: BitPosition::START, kind: Kind::Opaque },
        }
    }
}

impl Recorder {
    /// A member's first block begins here, in the data and in the blob.
    pub fn member_begins(&mut self, raw: RawPosition, bit: BitPosition) {
        let after_blocks = self.done.last().is_some_and(|last| last.kind != Kind::Opaque);
        if raw - self.open.raw >= LEAST || (raw == self.open.raw && after_blocks) {
            // What is open holds the last block of the member before; its beginning is the end of the blocks before it.
            self.done.push(self.open);
        } else if raw != self.open.raw {
            // Too little to note: this member's first blocks are lost in the stretch that is open.
            return;
        }
        self.open = Stretch { raw, bit, kind: Kind::First };
    }

    /// A block that is not the last one of its member ends here.
    pub fn block_ends(&mut self, raw: RawPosition, bit: BitPosition) {
        if raw - self.open.raw >= LEAST {
            self.done.push(self.open);
            self.open = Stretch { raw, bit, kind: Kind::Following };
        }
    }

    /// The last block of a member ends. Where is not known to the bit, so it is never copied, and it must not be, because
    /// it says that it is the last.
    pub fn member_ends(&mut self) {
        self.open.kind = Kind::Opaque;
    }

    /// The reader stood here, in the data and in a blob that has no blocks to copy.
    pub fn passed(&mut self, raw: RawPosition, stored: StoredPosition) {
        self.done.push(self.open);
        self.open = Stretch { raw, bit: stored.first_bit(), kind: Kind::Opaque };
    }

    /// The map, given the end of the data and of the blob.
    pub fn finish(mut self, raw_end: RawPosition, stored_end: StoredPosition) -> BlockMap {
        self.done.push(self.open);
        BlockMap { stretches: self.done, raw_end, bit_end: stored_end.first_bit() }
    }
}

/// The stored form: every stretch as its distance from the one before.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// Bytes of data, times four, and the kind; and bits of the blob.
    distances: Vec<(u64, u64)>,
    raw_end: RawPosition,
    bit_end: BitPosition,
}

impl From<BlockMap> for Stored {
    fn from(map: BlockMap) -> Stored {
        let mut before = (RawPosition::START, BitPosition::START);
        let distances = map
            .stretches
            .iter()
            .map(|stretch| {
                let distance = ((stretch.raw - before.0) << 2 | stretch.kind as u64, stretch.bit - before.1);
                before = (stretch.raw, stretch.bit);
                distance
            })
            .collect();
        Stored { distances, raw_end: map.raw_end, bit_end: map.bit_end }
    }
}

impl TryFrom<Stored> for BlockMap {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<BlockMap, &'static str> {
        let (mut raw, mut bit) = (RawPosition::START, BitPosition::START);
        let mut stretches = Vec::with_capacity(stored.distances.len());
        for (raw_and_kind, bits) in stored.distances {
            raw = raw.checked_add(raw_and_kind >> 2).ok_or("a position is too large")?;
            bit = bit.checked_add(bits).ok_or("a position is too large")?;
            let kind = match raw_and_kind & 3 {
                0 => Kind::Opaque,
                1 => Kind::Following,
                2 => Kind::First,
                _ => return Err("a stretch is of an unknown kind"),
            };
            stretches.push(Stretch { raw, bit, kind });
        }
        if raw > stored.raw_end || bit > stored.bit_end {
            return Err("a stretch begins behind the end");
        }
        Ok(BlockMap { stretches, raw_end: stored.raw_end, bit_end: stored.bit_end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 1 << 10;

    /// One member with a block every 20 KiB, and a second one that begins at 100 KiB.
    fn map() -> BlockMap {
        let mut recorder = Recorder::default();
        recorder.member_begins(0.into(), 80.into());
        for block in 1..=4 {
            recorder.block_ends((block * 20 * K).into(), (block * 1000).into());
        }
        recorder.member_ends();
        recorder.member_begins((100 * K).into(), 5001.into());
        recorder.block_ends((120 * K).into(), 6000.into());
        recorder.block_ends((140 * K).into(), 7000.into());
        recorder.member_ends();
        recorder.finish((150 * K).into(), 1000.into())
    }

    #[test]
    fn what_can_be_copied_depends_on_what_stands_before() {
        let run = |raw: Range<u64>, bits: Range<u64>| (raw.start * K..raw.end * K, bits);
        let second = run(100..140, 5001..7000);
        for (part, expected) in [
            (0..150 * K, vec![run(0..80, 80..4000), second.clone()]),
            // The last block of the first member is cut, or only touched.
            (0..99 * K, vec![run(0..80, 80..4000)]),
            (0..80 * K, vec![run(0..80, 80..4000)]),
            (0..80 * K - 1, vec![run(0..60, 80..3000)]),
            // 32 KiB from the beginning of the part to the block.
            (8 * K, 150 * K).map_part(vec![run(40..80, 2000..4000), second.clone()]),
            (8 * K + 1, 150 * K).map_part(vec![run(60..80, 3000..4000), second.clone()]),
            (70 * K, 150 * K).map_part(vec![second.clone()]),
            (100 * K, 139 * K).map_part(vec![run(100..120, 5001..6000)]),
            (101 * K, 150 * K).map_part(vec![]),
            (0, 0).map_part(vec![]),
            (u64::MAX - 1, u64::MAX).map_part(vec![]),
        ] {
            assert_eq!(copied(&map(), part.clone()), expected, "{part:?}");
        }
    }

    /// The data and the bits of the blocks that are copied.
    fn copied(map: &BlockMap, part: Range<u64>) -> Vec<Copied> {
        let spans = map.spans(RawPosition::range(part)).into_iter().filter(|span| span.blocks == Use::Copy);
        spans
            .map(|span| {
                assert_eq!(span.begin, span.raw.start);
                (u64::from(span.raw.start)..span.raw.end.into(), u64::from(span.bits.start)..span.bits.end.into())
            })
            .collect()
    }

    #[test]
    fn what_cannot_be_copied_is_in_blocks_with_matches() {
        let span = |raw: Range<u64>, blocks, begin: u64, bits: Range<u64>| Span {
            raw: RawPosition::range(raw.start * K..raw.end * K),
            blocks,
            begin: (begin * K).into(),
            bits: BitPosition::range(bits),
        };
        assert_eq!(
            map().spans(RawPosition::range(25 * K..145 * K)),
            [
                span(25..60, Use::Matches, 20, 1000..3000),
                span(60..80, Use::Copy, 60, 3000..4000),
                span(80..100, Use::Nothing, 80, 4000..5001),
                span(100..140, Use::Copy, 100, 5001..7000),
                span(140..145, Use::Nothing, 140, 7000..8000),
            ]
        );
        assert_eq!(map().spans(RawPosition::range(30 * K..39 * K)), [span(30..39, Use::Matches, 20, 1000..2000)]);
        assert_eq!(map().spans(RawPosition::range(200 * K..300 * K)), []);
        // One block that is too large to be read for a part of it.
        let mut recorder = Recorder::default();
        recorder.member_begins(0.into(), 80.into());
        recorder.block_ends((2 * FARTHEST).into(), (1 << 20).into());
        let map = recorder.finish((2 * FARTHEST + 10).into(), (1 << 20).into());
        assert_eq!(map.spans(RawPosition::range(K..2 * K))[0].blocks, Use::Matches);
        assert_eq!(map.spans(RawPosition::range(FARTHEST..FARTHEST + K))[0].blocks, Use::Nothing);
    }

    type Copied = (Range<u64>, Range<u64>);

    trait MapPart {
        fn map_part(self, runs: Vec<Copied>) -> (Range<u64>, Vec<Copied>);
    }

    impl MapPart for (u64, u64) {
        fn map_part(self, runs: Vec<Copied>) -> (Range<u64>, Vec<Copied>) {
            (self.0..self.1, runs)
        }
    }

    #[test]
    fn the_stored_form_is_read_back() {
        let bytes = postcard::to_allocvec(&map()).unwrap();
        assert_eq!(postcard::from_bytes::<BlockMap>(&bytes).unwrap(), map());
        assert!(bytes.len() < 60, "{}", bytes.len());
        let bad = [
            Stored { distances: vec![(3, 0)], raw_end: 9.into(), bit_end: 9.into() },
            Stored {
                distances: vec![(u64::MAX, 1), (u64::MAX, u64::MAX)],
                raw_end: u64::MAX.into(),
                bit_end: u64::MAX.into(),
            },
            Stored { distances: vec![(40, 1)], raw_end: 9.into(), bit_end: 9.into() },
        ];
        for stored in bad {
            assert!(BlockMap::try_from(stored).is_err());
        }
    }

    #[test]
    fn tiny_blocks_and_members_take_no_room() {
        let mut recorder = Recorder::default();
        for number in 0..100_000 {
            recorder.member_begins(number.into(), (number * 1000).into());
            recorder.block_ends(number.into(), (number * 1000 + 10).into());
            recorder.member_ends();
        }
        let map = recorder.finish(100_000.into(), (100_000_000 / 8).into());
        assert!(map.stretches.len() < 40, "{}", map.stretches.len());
        assert_eq!(copied(&map, 0..100_000), []);
    }

    #[test]
    fn empty_members_do_not_move_the_end_of_blocks() {
        let mut recorder = Recorder::default();
        recorder.member_begins(0.into(), 80.into());
        recorder.block_ends((10 * K).into(), 500.into());
        recorder.member_ends();
        for member in 0..1000 {
            recorder.member_begins((10 * K).into(), (1000 + member * 100).into());
            recorder.member_ends();
        }
        let map = recorder.finish((10 * K).into(), 1_000_000.into());
        assert_eq!(copied(&map, 0..10 * K), [(0..10 * K, 80..500)]);
        assert!(map.stretches.len() < 5);
    }

    #[test]
    fn positions_are_on_straight_lines_and_meet_both_ends() {
        let map = map();
        for (raw, stored) in
            [(0, 0), (20 * K, 125), (30 * K, 187), (100 * K, 625), (149 * K, 987), (150 * K, 1000), (900 * K, 1000)]
        {
            assert_eq!(map.stored_position(raw.into()), stored.into(), "{raw}");
        }
        assert_eq!(BlockMap::opaque(100, 10).stored_position(50.into()), 5.into());
        assert_eq!(BlockMap::default().stored_position(0.into()), 0.into());
    }
}
