//! One header block of a tar, read as Go's `archive/tar` reads it: every Windows host reads layers with that.
//!
//! The formats and their fields are those of `reader.go: readHeader`, `format.go` and `strconv.go` (Go 1.19 to 1.25).

use std::borrow::Cow;
use std::ops::Range;

/// What a header block says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The name, with the prefix that some formats have for long ones.
    pub(super) name: Cow<'a, [u8]>,
    /// The target of a link.
    pub(super) link: &'a [u8],
    /// The type of the entry.
    pub(super) typeflag: u8,
    /// The length of the data in bytes, as claimed.
    pub(super) size: i64,
    /// Time of the last write in seconds since 1970.
    pub(super) modified: i64,
}

/// Why a block is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockProblem {
    /// Its checksum is wrong.
    Checksum,
    /// One of its numbers cannot be read.
    Number,
}

/// The length of a block in bytes.
const LENGTH: usize = 512;

const MODE: Range<usize> = 100..108;
const USER: Range<usize> = 108..116;
const GROUP: Range<usize> = 116..124;
const CHECKSUM: Range<usize> = 148..156;
const DEVICE: [Range<usize>; 2] = [329..337, 337..345];
const PREFIX: Range<usize> = 345..500;

enum Format {
    /// Before ustar.
    V7,
    /// ustar, and PAX.
    Ustar,
    Star,
    Gnu,
}

impl<'a> Block<'a> {
    /// Reads a block of 512 bytes.
    pub(super) fn read(block: &'a [u8]) -> Result<Block<'a>, BlockProblem> {
        let block: &[u8; LENGTH] = block.try_into().map_err(|_| BlockProblem::Checksum)?;
        if !has_right_checksum(block) {
            return Err(BlockProblem::Checksum);
        }
        let number = |field: Range<usize>| number(&block[field]).ok_or(BlockProblem::Number);
        let (short, link) = (text(&block[..100]), text(&block[157..257]));
        let (size, modified) = (number(124..136)?, number(136..148)?);
        for field in [MODE, USER, GROUP] {
            number(field)?;
        }
        let format = format(block);
        if !matches!(format, Format::V7) {
            for field in DEVICE {
                number(field)?;
            }
        }
        let prefix = match format {
            Format::V7 => &[][..],
            Format::Ustar => text(&block[PREFIX]),
            Format::Star => {
                for field in [476..488, 488..500] {
                    number(field)?;
                }
                text(&block[345..476])
            }
            Format::Gnu => gnu_prefix(block),
        };
        let name = if prefix.is_empty() { Cow::Borrowed(short) } else { [prefix, b"/", short].concat().into() };
        Ok(Block { name, link, typeflag: block[156], size, modified })
    }
}

/// The sum of all bytes, with blanks in place of the sum itself. Some old writers added signed bytes.
fn has_right_checksum(block: &[u8; LENGTH]) -> bool {
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (at, &byte) in block.iter().enumerate() {
        let byte = if CHECKSUM.contains(&at) { b' ' } else { byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    octal(&block[CHECKSUM]).is_some_and(|sum| sum == unsigned || sum == signed)
}

fn format(block: &[u8; LENGTH]) -> Format {
    match (&block[257..263], &block[263..265], &block[508..]) {
        (b"ustar\0", _, b"tar\0") => Format::Star,
        (b"ustar\0", _, _) => Format::Ustar,
        (b"ustar ", b" \0", _) => Format::Gnu,
        _ => Format::V7,
    }
}

/// GNU tar has times where ustar has the prefix. Go wrote a prefix there before version 1.8, and takes what is no time for one.
fn gnu_prefix(block: &[u8; LENGTH]) -> &[u8] {
    let times = [&block[345..357], &block[357..369]];
    if times.iter().all(|time| time[0] == 0 || number(time).is_some()) {
        return &[];
    }
    let prefix = text(&block[PREFIX]);
    if prefix.is_ascii() { prefix } else { &[] }
}

/// A text up to the first NUL, or of the whole field.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or as a two's complement number where the first bit is set.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 == 0 {
        return octal(field);
    }
    let inverted = if first & 0x40 == 0 { 0 } else { 0xff };
    let mut value = 0_u64;
    for (at, &byte) in field.iter().enumerate() {
        let byte = byte ^ inverted;
        let byte = if at == 0 { byte & 0x7f } else { byte };
        if value >> 56 > 0 {
            return None;
        }
        value = value << 8 | u64::from(byte);
    }
    let value = i64::try_from(value).ok()?;
    Some(if inverted == 0 { value } else { !value })
}

/// A number in octal digits, with blanks or NULs around it; nothing at all is zero.
fn octal(field: &[u8]) -> Option<i64> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_padding(byte));
    let end = field.iter().rposition(|byte| !is_padding(byte));
    let (Some(start), Some(end)) = (start, end) else { return Some(0) };
    let digits = text(&field[start..=end]);
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    i64::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}
