//! Bits of a deflate stream, lowest first.

/// Reads bits that are in memory. Behind their end there are zeros, until somebody asks.
pub struct BitReader<'a> {
    bytes: &'a [u8],
    /// The bits that come next, from the lowest: as many as `count` says, and sometimes more.
    ahead: u64,
    /// How many bits were taken from `bytes` and are still ahead; negative if more were used than there are.
    count: i32,
}

impl<'a> BitReader<'a> {
    /// A reader that begins at this bit of the first byte.
    pub fn new(bytes: &'a [u8], bit: u32) -> BitReader<'a> {
        let mut reader = BitReader { bytes, ahead: 0, count: 0 };
        reader.fill();
        reader.skip(bit);
        reader
    }

    /// Makes sure that 56 bits are ahead, or all that there are.
    #[inline]
    pub fn fill(&mut self) {
        if self.count >= 56 || self.count < 0 {
            return;
        }
        if let Some((eight, _)) = self.bytes.split_first_chunk() {
            self.ahead |= u64::from_le_bytes(*eight) << self.count;
            // Whole bytes only are taken; what else came in is put there again, the same, with the next ones.
            let taken = (63 - self.count) / 8;
            self.bytes = &self.bytes[taken as usize..];
            self.count += taken * 8;
        } else {
            while let (true, Some((byte, rest))) = (self.count < 56, self.bytes.split_first()) {
                self.ahead |= u64::from(*byte) << self.count;
                self.bytes = rest;
                self.count += 8;
            }
        }
    }

    /// What comes next, from the lowest bit: as many as were made sure of.
    #[inline]
    pub fn peek(&self) -> u64 {
        self.ahead
    }

    /// Passes over bits that were made sure of.
    #[inline]
    pub fn skip(&mut self, count: u32) {
        self.ahead >>= count;
        self.count -= count as i32;
    }

    /// Takes some of the bits that were made sure of as a number.
    #[inline]
    pub fn take(&mut self, count: u32) -> u32 {
        let value = self.ahead & ((1 << count) - 1);
        self.skip(count);
        value as u32
    }

    /// Nothing if more bits were used than there are.
    #[inline]
    pub fn checked(&self) -> Option<()> {
        (self.count >= 0).then_some(())
    }

    /// Passes over the rest of a byte and then over whole bytes.
    pub fn skip_bytes(&mut self, count: usize) -> Option<()> {
        self.checked()?;
        self.skip((self.count % 8) as u32);
        let at_hand = (self.count as usize / 8).min(count);
        if count > at_hand {
            // All that was ahead is used up, and what would be put there once more with it must go too.
            (self.ahead, self.count) = (0, 0);
        } else {
            self.skip(at_hand as u32 * 8);
        }
        self.bytes = self.bytes.get(count - at_hand..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_lowest_first_and_end() {
        let bytes: Vec<u8> = (0..40_u8).map(|at| at.wrapping_mul(37)).collect();
        let mut reader = BitReader::new(&bytes, 3);
        let mut position = 3;
        for count in (0..=16).cycle().take(36) {
            let expected = (0..count).fold(0, |value, bit| {
                let at: usize = position + bit;
                value | u32::from(bytes[at / 8] >> (at % 8) & 1) << bit
            });
            reader.fill();
            assert_eq!(reader.take(count as u32), expected, "{position} {count}");
            position += count;
        }
        for _ in position..bytes.len() * 8 {
            reader.fill();
            reader.skip(1);
            assert!(reader.checked().is_some());
        }
        reader.fill();
        assert_eq!(reader.take(10), 0);
        assert!(reader.checked().is_none());
        reader.fill();
        assert!(reader.checked().is_none());
    }

    #[test]
    fn bytes_are_passed_over_from_the_next_whole_one() {
        let bytes: Vec<u8> = (0..40).collect();
        for (bits, count, next) in [(0, 0, 0), (1, 0, 1), (1, 3, 4), (8, 2, 3), (13, 20, 22), (5, 38, 39)] {
            let mut reader = BitReader::new(&bytes, 0);
            reader.skip(bits);
            reader.skip_bytes(count).unwrap();
            reader.fill();
            assert_eq!(reader.take(8), next, "{bits} {count}");
        }
        let mut reader = BitReader::new(&bytes, 0);
        assert!(reader.skip_bytes(40).is_some());
        assert!(reader.skip_bytes(1).is_none());
    }
}
