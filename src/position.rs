//! Positions in a layer's two streams: the tar, and the blob that it is stored in.
//!
//! A position in one stream means nothing in the other, so each stream has a type of its own. Distances are plain numbers of
//! bytes or bits.
//!
//! ```
//! use winslim::gzip::BlockMap;
//! use winslim::position::{RawPosition, StoredPosition};
//!
//! let map = BlockMap::opaque(100, 10);
//! assert_eq!(map.stored_position(RawPosition::from(50)), StoredPosition::from(5));
//! ```
//!
//! A position in the blob does not compile where one in the tar is meant:
//!
//! ```compile_fail,E0308
//! use winslim::gzip::BlockMap;
//! use winslim::position::StoredPosition;
//!
//! let map = BlockMap::opaque(100, 10);
//! assert_eq!(map.stored_position(StoredPosition::from(50)), StoredPosition::from(5));
//! ```

use std::fmt;
use std::ops::{Add, AddAssign, Range, Sub};

use serde::{Deserialize, Serialize};

macro_rules! position {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The beginning of the stream.
            pub const START: $name = $name(0);

            /// Returns a part of the stream, given the distances of its ends from the beginning.
            pub fn range(distances: Range<u64>) -> Range<$name> {
                $name(distances.start)..$name(distances.end)
            }

            /// Returns the position so far behind this one, or `None` if there is no such number.
            pub fn checked_add(self, distance: u64) -> Option<$name> {
                self.0.checked_add(distance).map($name)
            }

            /// Returns the position so far behind this one, or the last one that there is a number for.
            pub fn saturating_add(self, distance: u64) -> $name {
                $name(self.0.saturating_add(distance))
            }

            /// Returns the position so far before this one, or `None` if the stream does not reach back so far.
            pub fn before(self, distance: u64) -> Option<$name> {
                self.0.checked_sub(distance).map($name)
            }

            /// Returns how far this is behind another position, or `None` if it is before it.
            pub fn checked_sub(self, other: $name) -> Option<u64> {
                self.0.checked_sub(other.0)
            }

            /// Returns how far this is behind another position, or 0 if it is before it.
            pub fn saturating_sub(self, other: $name) -> u64 {
                self.0.saturating_sub(other.0)
            }
        }

        impl From<u64> for $name {
            fn from(distance: u64) -> $name {
                $name(distance)
            }
        }

        impl From<$name> for u64 {
            fn from(position: $name) -> u64 {
                position.0
            }
        }

        impl Add<u64> for $name {
            type Output = $name;

            fn add(self, distance: u64) -> $name {
                $name(self.0 + distance)
            }
        }

        impl AddAssign<u64> for $name {
            fn add_assign(&mut self, distance: u64) {
                self.0 += distance;
            }
        }

        impl Sub for $name {
            type Output = u64;

            fn sub(self, other: $name) -> u64 {
                self.0 - other.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

position! {
    /// A position in the raw stream, in bytes: in the uncompressed tar of a layer.
    RawPosition
}

position! {
    /// A position in the stored stream, in bytes: in the blob of a layer.
    StoredPosition
}

position! {
    /// A position in the stored stream, in bits. The least significant bit of a byte is its first (RFC 1951).
    BitPosition
}

impl StoredPosition {
    /// Returns the first bit of the byte at this position.
    pub fn first_bit(self) -> BitPosition {
        BitPosition(self.0 * 8)
    }
}

impl BitPosition {
    /// Returns the byte that the bit is in.
    pub fn byte(self) -> StoredPosition {
        StoredPosition(self.0 / 8)
    }

    /// Returns the first byte that has no bit before this one.
    pub fn next_byte(self) -> StoredPosition {
        StoredPosition(self.0.div_ceil(8))
    }

    /// Returns how many bits of its byte come before this one: 0 to 7.
    pub fn bits_before(self) -> u32 {
        (self.0 % 8) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_in_bytes() {
        for (bit, byte, next, before) in [(0, 0, 0, 0), (1, 0, 1, 1), (7, 0, 1, 7), (8, 1, 1, 0), (17, 2, 3, 1)] {
            let position = BitPosition::from(bit);
            assert_eq!((position.byte(), position.next_byte()), (StoredPosition(byte), StoredPosition(next)), "{bit}");
            assert_eq!(position.bits_before(), before, "{bit}");
            assert_eq!(position.byte().first_bit() + u64::from(before), position, "{bit}");
        }
    }

    #[test]
    fn distances_do_not_wrap() {
        let (first, last) = (RawPosition::START, RawPosition::from(u64::MAX));
        assert_eq!((last.checked_add(1), last.saturating_add(1)), (None, last));
        assert_eq!((first.checked_sub(last), first.saturating_sub(last)), (None, 0));
        assert_eq!((last.checked_sub(first), last - first), (Some(u64::MAX), u64::MAX));
    }
}
