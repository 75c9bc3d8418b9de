//! Sizes as people read them.

use std::fmt;

/// A number of bytes that displays with a decimal unit: `1.75 GB`, `512 B`.
///
/// Three digits, rounded to the nearest; the same rule in every report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The longest text that a size displays with, in bytes.
    pub(super) const LONGEST: usize = 7;

    /// What it displays with, written into a buffer.
    pub(super) fn text(self, buffer: &mut [u8; ByteSize::LONGEST]) -> &str {
        const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
        // In whole numbers and without memory of its own, because listings show hundreds of thousands of sizes.
        let (mut unit, mut scale) = (0, 1);
        // 999.5 would be shown as 1000.
        while unit + 1 < UNITS.len() && self.0 >= if unit == 0 { 1000 } else { scale / 2 * 1999 } {
            unit += 1;
            scale *= 1000;
        }
        let (decimals, step) = match self.0 {
            _ if unit == 0 => (0, 1),
            bytes if bytes < scale / 1000 * 9_995 => (2, scale / 100),
            bytes if bytes / 10 < scale / 1000 * 9_995 => (1, scale / 10),
            _ => (0, scale),
        };
        let rounded = self.0 / step + u64::from(self.0 % step >= step.div_ceil(2));
        let mut length = 0;
        let mut push = |byte| {
            buffer[length] = byte;
            length += 1;
        };
        for power in [100, 10, 1] {
            if rounded >= power || power == 1 {
                push(b'0' + (rounded / power % 10) as u8);
            }
            if decimals == 2 && power == 100 || decimals == 1 && power == 10 {
                push(b'.');
            }
        }
        push(b' ');
        UNITS[unit].bytes().for_each(push);
        std::str::from_utf8(&buffer[..length]).unwrap_or_default()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text(&mut [0; ByteSize::LONGEST]))
    }
}

/// A number of bytes that may be less than nothing: `1.75 GB`, `-512 B`.
pub fn signed(bytes: i64) -> String {
    let size = ByteSize(bytes.unsigned_abs());
    if bytes < 0 { format!("-{size}") } else { size.to_string() }
}

/// How much smaller `after` is than `before`: `-38.2 %`, or `+1.0 %`.
pub fn change(before: u64, after: u64) -> String {
    if before == 0 {
        return String::from("0 %");
    }
    let percent = (after as f64 - before as f64) * 100.0 / before as f64;
    format!("{percent:+.1} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (9_995, "10.0 kB"),
            (1_004, "1.00 kB"),
            (1_005, "1.01 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (1_749_538_666, "1.75 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), shown);
        }
        assert_eq!(change(200, 150), "-25.0 %");
        assert_eq!(change(0, 10), "0 %");
    }
}
