//! What stands around the deflate stream of a gzip member (RFC 1952).

use std::io::{self, BufRead, Write};

/// The header that is written: deflate, no name, no time, unknown system, so that it tells nothing of the machine.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The length of the checksum and the size behind the deflate stream.
const TRAILER_LENGTH: usize = 8;

const HAS_HEADER_CHECKSUM: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;

/// Writes the header of a member.
pub fn write_header(output: &mut impl Write) -> io::Result<()> {
    output.write_all(&HEADER)
}

/// Writes the end of a member: the CRC-32 and the length, modulo 2^32, of its data.
pub fn write_trailer(output: &mut impl Write, checksum: u32, length: u64) -> io::Result<()> {
    output.write_all(&checksum.to_le_bytes())?;
    output.write_all(&(length as u32).to_le_bytes())
}

/// Reads the header of a member and returns its length in bytes.
///
/// # Errors
/// Besides those of the reader: the input is not a gzip header, ends in it, or the header's own checksum is wrong.
pub fn read_header(input: &mut impl BufRead) -> io::Result<u64> {
    let mut header = HeaderReader { input, checksum: crc32fast::Hasher::new(), length: 0 };
    let [first, second, method, flags] = header.take()?;
    let [_time @ .., _extra_flags, _system] = header.take::<6>()?;
    if [first, second, method] != [0x1f, 0x8b, 8] || flags & RESERVED != 0 {
        return Err(invalid("a gzip header is wrong"));
    }
    if flags & HAS_EXTRA != 0 {
        for _ in 0..u16::from_le_bytes(header.take()?) {
            header.take::<1>()?;
        }
    }
    for text in [HAS_NAME, HAS_COMMENT] {
        if flags & text != 0 {
            while header.take()? != [0] {}
        }
    }
    if flags & HAS_HEADER_CHECKSUM != 0 {
        // The lower half of the CRC-32 of the header before it.
        let computed = header.checksum.clone().finalize() as u16;
        if u16::from_le_bytes(header.take()?) != computed {
            return Err(invalid("the checksum of a gzip header is wrong"));
        }
    }
    Ok(header.length)
}

/// Reads the end of a member, compares it with the checksum and the length of its data, and returns its own length in bytes.
/// Nothing is compared if not all of the data was read.
pub fn check_trailer(input: &mut impl BufRead, data: Option<(u32, u64)>) -> io::Result<u64> {
    let mut trailer = [0; TRAILER_LENGTH];
    input.read_exact(&mut trailer).map_err(name_the_end)?;
    let Some((checksum, length)) = data else { return Ok(TRAILER_LENGTH as u64) };
    let [a, b, c, d, size @ ..] = trailer;
    if u32::from_le_bytes([a, b, c, d]) != checksum {
        return Err(invalid("the checksum of the gzip data is wrong"));
    }
    if u32::from_le_bytes(size) != length as u32 {
        return Err(invalid("the gzip data has another length than its end says"));
    }
    Ok(TRAILER_LENGTH as u64)
}

/// The error of a stream that is not what it should be.
pub(super) fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// The error of a stream that ends too early.
pub(super) fn ends_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the gzip stream ends too early")
}

fn name_the_end(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { ends_early() } else { error }
}

struct HeaderReader<'a, R> {
    input: &'a mut R,
    checksum: crc32fast::Hasher,
    length: u64,
}

impl<R: BufRead> HeaderReader<'_, R> {
    fn take<const COUNT: usize>(&mut self) -> io::Result<[u8; COUNT]> {
        let mut bytes = [0; COUNT];
        self.input.read_exact(&mut bytes).map_err(name_the_end)?;
        self.checksum.update(&bytes);
        self.length += COUNT as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_form_are_read() {
        let plain = HEADER.to_vec();
        let full = flate2::GzBuilder::new()
            .extra(vec![7; 300])
            .filename("layer.tar")
            .comment("a comment")
            .mtime(1)
            .write(Vec::new(), flate2::Compression::default())
            .finish()
            .unwrap();
        let full_length = 10 + 2 + 300 + 10 + 10;
        let mut checked = vec![0x1f, 0x8b, 8, HAS_HEADER_CHECKSUM, 0, 0, 0, 0, 0, 3];
        let checksum = crc32fast::hash(&checked) as u16;
        checked.extend_from_slice(&checksum.to_le_bytes());
        for (header, length) in [(&plain, 10), (&full, full_length), (&checked, 12)] {
            assert_eq!(read_header(&mut &header[..]).unwrap(), length);
            for end in 0..length as usize {
                let error = read_header(&mut &header[..end]).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{end}");
            }
        }
        checked[11] ^= 1;
        for wrong in [&checked[..], b"\x1f\x8b\x07\0\0\0\0\0\0\0", b"\x1f\x8b\x08\x20\0\0\0\0\0\0", b"PK\x03\x04123456"]
        {
            assert_eq!(read_header(&mut &wrong[..]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_trailer_that_does_not_fit_is_an_error() {
        let mut trailer = Vec::new();
        write_trailer(&mut trailer, 0x1234_5678, (1 << 32) + 9).unwrap();
        assert_eq!(check_trailer(&mut &trailer[..], Some((0x1234_5678, (1 << 32) + 9))).unwrap(), 8);
        assert!(check_trailer(&mut &trailer[..], Some((0x1234_5679, 9))).is_err());
        assert!(check_trailer(&mut &trailer[..], Some((0x1234_5678, 8))).is_err());
        assert!(check_trailer(&mut &trailer[..7], Some((0x1234_5678, 9))).is_err());
        assert_eq!(check_trailer(&mut &[0; 8][..], None).unwrap(), 8);
        assert!(check_trailer(&mut &[0; 7][..], None).is_err());
    }
}
