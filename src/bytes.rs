//! Sizes as people read and write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes that displays with a decimal unit: `1.75 GB`, `512 B`.
///
/// Three digits, rounded to the nearest; the same rule in every report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The longest text that a size displays with, in bytes.
    pub const LONGEST: usize = 7;

    /// What it displays with, written into a buffer.
    pub fn text(self, buffer: &mut [u8; ByteSize::LONGEST]) -> &str {
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

/// A text is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a size; write it as in `20GB`")]
pub struct SizeError;

/// The most digits behind the point of a size.
const MOST_DECIMALS: usize = 9;

impl FromStr for ByteSize {
    type Err = SizeError;

    /// Parses `20GB`, `1.5 GiB`, `500 kb` or a plain number of bytes.
    fn from_str(text: &str) -> Result<ByteSize, SizeError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (whole, decimals) = text[..end].split_once('.').unwrap_or((&text[..end], "0"));
        let unit = match text[end..].trim() {
            "" => 1,
            name => unit(name).ok_or(SizeError)?,
        };
        if decimals.len() > MOST_DECIMALS {
            return Err(SizeError);
        }
        let parse = |digits: &str| digits.parse::<u64>().map_err(|_| SizeError);
        let tenths = (0..decimals.len()).fold(1_u128, |scale, _| scale * 10);
        let bytes =
            u128::from(parse(whole)?) * u128::from(unit) + u128::from(parse(decimals)?) * u128::from(unit) / tenths;
        u64::try_from(bytes).map(ByteSize).map_err(|_| SizeError)
    }
}

/// Returns how many bytes a unit is, in any case: `kB`, `GiB`.
pub fn unit(name: &str) -> Option<u64> {
    Some(match name.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    })
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
    fn sizes_are_parsed() {
        for (text, bytes) in [
            ("0", 0),
            ("20GB", 20_000_000_000),
            (" 500 MiB ", 500 << 20),
            ("1.5kb", 1500),
            ("0.001 kB", 1),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "GB", "-1", "1.2.3", "1.", ".5", "1 parsec", "20000000TB", "1e3", "+1", "1.0000000001", "1 .5"]
        {
            assert_eq!(text.parse::<ByteSize>(), Err(SizeError), "{text}");
        }
    }

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
