//! Finding what the data repeats.

use crate::gzip::WINDOW;

/// The shortest match that is looked for: a shorter one saves little.
const SHORTEST: usize = 4;

/// How many places with the same hash are looked at.
const MOST_PLACES: usize = 6;

const HASH_BITS: u32 = 15;

/// Finds earlier places with the same bytes, and looks at as little as is needed for that.
pub struct Matcher<'a> {
    bytes: &'a [u8],
    /// For each hash the last place with it, plus one.
    last: Vec<u32>,
    /// For each place, modulo the window, the one before it with the same hash, plus one.
    before: Vec<u32>,
    /// What stands before this is known.
    known: usize,
}

impl<'a> Matcher<'a> {
    /// A matcher that knows nothing yet.
    pub fn new(bytes: &'a [u8]) -> Matcher<'a> {
        Matcher { bytes, last: Vec::new(), before: Vec::new(), known: 0 }
    }

    /// The length of the longest match of at most so many bytes here, and its distance, if there is any worth its while.
    pub fn longest(&mut self, at: usize, most: usize) -> Option<(usize, usize)> {
        if most < SHORTEST {
            return None;
        }
        self.learn(at);
        let here = &self.bytes[at..at + most];
        let mut place = self.last[self.hash(at)] as usize;
        let mut best = None;
        let mut best_length = SHORTEST - 1;
        for _ in 0..MOST_PLACES {
            // Places are overwritten after a window; what is found there then is not before this one.
            if place == 0 || place - 1 + WINDOW < at || place > at {
                break;
            }
            let there = &self.bytes[place - 1..];
            if there[best_length] == here[best_length] {
                let length = here.iter().zip(there).take_while(|(left, right)| left == right).count();
                if length > best_length {
                    best = Some((length, at + 1 - place));
                    best_length = length;
                    if length == most {
                        break;
                    }
                }
            }
            let next = self.before[(place - 1) % WINDOW] as usize;
            if next >= place {
                break;
            }
            place = next;
        }
        best
    }

    /// Takes note of every place before this one that a match can refer to.
    fn learn(&mut self, until: usize) {
        if self.last.is_empty() {
            self.last = vec![0; 1 << HASH_BITS];
            self.before = vec![0; WINDOW];
        }
        for place in self.known.max(until.saturating_sub(WINDOW))..until {
            let hash = self.hash(place);
            self.before[place % WINDOW] = std::mem::replace(&mut self.last[hash], place as u32 + 1);
        }
        self.known = until;
    }

    /// The hash of the bytes at a place, of which there are enough.
    fn hash(&self, at: usize) -> usize {
        let bytes = self.bytes[at..].first_chunk().copied().unwrap_or_default();
        (u32::from_le_bytes(bytes).wrapping_mul(0x9e37_79b1) >> (u32::BITS - HASH_BITS)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_match_in_the_window_is_found() {
        let mut bytes = b"longest, and longer; ".to_vec();
        bytes.resize(1000, b'.');
        let at = bytes.len();
        bytes.extend_from_slice(b"longest, and long");
        assert_eq!(Matcher::new(&bytes).longest(at, 17), Some((17, at)));
        assert_eq!(Matcher::new(&bytes).longest(at, 9), Some((9, at)));
        assert_eq!(Matcher::new(&bytes).longest(at, 3), None);
        assert_eq!(Matcher::new(&bytes).longest(2, 10), None);
        // A match may go on into what it stands for.
        assert_eq!(Matcher::new(&bytes).longest(500, 258), Some((258, 1)));
    }

    #[test]
    fn nothing_farther_than_the_window_is_found() {
        for (distance, expected) in [(WINDOW, Some((8, WINDOW))), (WINDOW + 1, None)] {
            let mut bytes = b"distant!".to_vec();
            // Numbers that do not occur twice.
            bytes.extend((0_u32..).flat_map(|number| (0x8000_0000 + number * 3).to_be_bytes()).take(distance - 8));
            bytes.extend_from_slice(b"distant!");
            let mut matcher = Matcher::new(&bytes);
            assert_eq!(matcher.longest(distance, 8), expected);
            // It may be asked about places that are far from each other.
            let mut matcher = Matcher::new(&bytes);
            matcher.longest(9, 8);
            assert_eq!(matcher.longest(distance, 8), expected);
        }
    }
}
