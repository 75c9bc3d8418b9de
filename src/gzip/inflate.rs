//! Decompressing a gzip stream and noting where its deflate blocks are.

use std::io::{self, BufRead, Read};

use super::blocks::{BlockMap, Recorder};
use super::member;
use super::zlib::{End, Inflate, Step};

/// Reads the members of a gzip stream one after the other.
pub struct BlockReader<R> {
    input: R,
    inflate: Inflate,
    /// How many bytes of the blob were used.
    stored: u64,
    /// How many bytes of data were read.
    raw: u64,
    recorder: Recorder,
    /// The member that the stream is in.
    member: Option<Member>,
}

#[derive(Default)]
struct Member {
    checksum: crc32fast::Hasher,
    length: u64,
}

impl<R: BufRead> BlockReader<R> {
    /// A reader at the beginning of a blob.
    ///
    /// # Errors
    /// If there is no memory for a decoder.
    pub fn new(input: R) -> io::Result<BlockReader<R>> {
        let inflate = Inflate::new()?;
        Ok(BlockReader { input, inflate, stored: 0, raw: 0, recorder: Recorder::default(), member: None })
    }

    /// The input.
    pub fn get_ref(&self) -> &R {
        &self.input
    }

    /// The input and the map of the blob, once all has been read.
    pub fn finish(self) -> (R, BlockMap) {
        (self.input, self.recorder.finish(self.raw, self.stored))
    }

    fn begin_member(&mut self) -> io::Result<()> {
        self.stored += member::read_header(&mut self.input)?;
        self.inflate.reset();
        self.recorder.member_begins(self.raw, self.stored * 8);
        self.member = Some(Member::default());
        Ok(())
    }

    /// Decompresses until something ends: the input at hand, the buffer, a block or the member.
    fn inflate(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = self.input.fill_buf()?;
        if input.is_empty() {
            return Err(member::ends_early());
        }
        let Step { used, made, end } = self.inflate.step(input, buffer)?;
        if used == 0 && made == 0 && end == End::Buffer {
            return Err(member::invalid("the compressed data is damaged"));
        }
        self.input.consume(used);
        self.stored += used as u64;
        self.raw += made as u64;
        let Some(member) = &mut self.member else { return Err(member::invalid("no gzip member has begun")) };
        member.checksum.update(&buffer[..made]);
        member.length += made as u64;
        match end {
            End::Buffer | End::LastBlock => {}
            End::Block(unused) => self.recorder.block_ends(self.raw, self.stored * 8 - unused),
            End::Stream => {
                self.recorder.member_ends();
                let Member { checksum, length } = std::mem::take(member);
                self.stored += member::check_trailer(&mut self.input, checksum.finalize(), length)?;
                self.member = None;
            }
        }
        Ok(made)
    }
}

/// Errors besides those of the input: the stream is damaged, ends too early, or something else follows a member.
impl<R: BufRead> Read for BlockReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut position = 0;
        while position < buffer.len() {
            if self.member.is_none() {
                if self.input.fill_buf()?.is_empty() {
                    break;
                }
                self.begin_member()?;
            }
            position += self.inflate(&mut buffer[position..])?;
        }
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read_all(stream: &[u8], count: usize, input_size: usize) -> io::Result<(Vec<u8>, BlockMap)> {
        let mut reader = BlockReader::new(BufReader::with_capacity(input_size, stream))?;
        let (mut data, mut buffer) = (Vec::new(), vec![0; count]);
        loop {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                return Ok((data, reader.finish().1));
            }
            data.extend_from_slice(&buffer[..read]);
        }
    }

    fn gzip(data: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn sample(length: usize) -> Vec<u8> {
        (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> (8 + at % 14)) as u8).collect()
    }

    #[test]
    fn members_are_read_in_pieces_of_any_size() {
        let data = sample(300_000);
        let mut stream = Vec::new();
        for (part, level) in data.chunks(70_000).zip(0..) {
            stream.extend(gzip(part, level));
        }
        stream.extend(gzip(b"", 6));
        let (_, whole_map) = read_all(&stream, 1 << 20, 1 << 20).unwrap();
        for (count, input_size) in
            [(1 << 20, 7), (1000, 1000), (65_536, 64), (33_000, 1 << 16), (1, 1), (1, 1000), (7, 1)]
        {
            let (read, map) = read_all(&stream, count, input_size).unwrap();
            assert_eq!(read, data);
            assert_eq!(map, whole_map, "{count} {input_size}");
        }
        assert_eq!(whole_map.stored_position(300_000), stream.len() as u64);
    }

    #[test]
    fn damaged_streams_are_errors() {
        let stream = gzip(&sample(50_000), 6);
        for end in [0, 1, 9, 10, 11, 1000, stream.len() - 9, stream.len() - 8, stream.len() - 1] {
            let result = read_all(&stream[..end], 1 << 16, 512);
            if end == 0 {
                assert!(result.unwrap().0.is_empty());
            } else {
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{end}");
            }
        }
        for flipped in [0, 2, 100, 2000, stream.len() - 8, stream.len() - 1] {
            let mut damaged = stream.clone();
            damaged[flipped] ^= 0x10;
            assert!(read_all(&damaged, 1 << 16, 512).is_err(), "{flipped}");
        }
        let mut followed = stream.clone();
        followed.push(0);
        assert!(read_all(&followed, 1 << 16, 512).is_err());
    }

    #[test]
    fn a_member_cannot_refer_to_the_one_before() {
        // A block that copies three bytes from a distance of one: at the beginning of a member there are none.
        let mut refers = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        refers.extend_from_slice(&[0b0000_0011, 0b0000_0010, 0, 0]);
        let mut stream = gzip(&sample(1000), 6);
        stream.extend(refers);
        stream.extend_from_slice(&[0; 8]);
        assert_eq!(read_all(&stream, 1 << 16, 512).unwrap_err().to_string(), "the compressed data is damaged");
        let mut flate2_reads = Vec::new();
        assert!(flate2::bufread::MultiGzDecoder::new(&stream[..]).read_to_end(&mut flate2_reads).is_err());
    }
}
