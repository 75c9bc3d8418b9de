//! Decompressing a gzip stream and noting where its deflate blocks are.

use std::io::{self, BufRead, Read};

use super::blocks::{BlockMap, Recorder};
use super::member;
use super::seek::{DISTANCE, SeekPoint};
use super::zlib::{End, Inflate, Step};
use crate::position::{RawPosition, StoredPosition};

/// Reads the members of a gzip stream one after the other.
pub struct BlockReader<R> {
    input: R,
    inflate: Inflate,
    /// Where in the blob it is.
    stored: StoredPosition,
    /// Where in the data it is.
    raw: RawPosition,
    recorder: Recorder,
    /// The member that the stream is in.
    member: Option<Member>,
    /// The last place found at which decompressing can begin, until it is taken.
    seek_point: Option<SeekPoint>,
    /// From where on in the data the next such place is wanted, and how far it is from one to the next at least.
    next_seek_point: RawPosition,
    seek_distance: u64,
}

struct Member {
    checksum: crc32fast::Hasher,
    length: u64,
    /// Whether its data was read from its beginning.
    is_whole: bool,
}

impl<R: BufRead> BlockReader<R> {
    /// A reader at the beginning of a blob.
    ///
    /// # Errors
    /// If there is no memory for a decoder.
    pub fn new(input: R) -> io::Result<BlockReader<R>> {
        let inflate = Inflate::new()?;
        let reader = BlockReader {
            input,
            inflate,
            stored: StoredPosition::START,
            raw: RawPosition::START,
            recorder: Recorder::default(),
            member: None,
            seek_point: None,
            next_seek_point: DISTANCE.into(),
            seek_distance: DISTANCE,
        };
        Ok(reader)
    }

    /// The same, but with seek points at least so many bytes of data apart, instead of [`DISTANCE`].
    pub fn with_seek_distance(self, distance: u64) -> BlockReader<R> {
        BlockReader { next_seek_point: distance.into(), seek_distance: distance, ..self }
    }

    /// The input.
    pub fn get_ref(&self) -> &R {
        &self.input
    }

    /// The last place that the reader came by at which decompressing can begin, unless it was taken before.
    pub fn take_seek_point(&mut self) -> Option<SeekPoint> {
        self.seek_point.take()
    }

    /// Goes on at a later place, unless the reader has come as far already. `skip` moves the input forward by so many bytes.
    ///
    /// The checksum of the member is then not compared, and what [`BlockReader::finish`] gives is not the map of the blob.
    ///
    /// # Errors
    /// If the input ends before that place, or `skip` fails.
    pub fn seek(&mut self, point: &SeekPoint, skip: impl FnOnce(&mut R, u64) -> io::Result<()>) -> io::Result<bool> {
        let first_byte = point.bit.byte();
        // The last bytes of the data before may be made of bits of that very byte, and then it is used.
        let Some(distance) = first_byte.checked_sub(self.stored).filter(|_| point.raw > self.raw) else {
            return Ok(false);
        };
        skip(&mut self.input, distance)?;
        let bits = (8 - point.bit.bits_before()) % 8;
        let mut byte = [0];
        if bits > 0 {
            self.input.read_exact(&mut byte)?;
        }
        self.inflate.resume(&point.window, bits, byte[0])?;
        (self.stored, self.raw) = (first_byte + u64::from(bits > 0), point.raw);
        self.member = Some(Member { checksum: crc32fast::Hasher::new(), length: 0, is_whole: false });
        Ok(true)
    }

    /// The input and the map of the blob, once all has been read.
    pub fn finish(self) -> (R, BlockMap) {
        (self.input, self.recorder.finish(self.raw, self.stored))
    }

    fn begin_member(&mut self) -> io::Result<()> {
        self.stored += member::read_header(&mut self.input)?;
        self.inflate.reset();
        self.recorder.member_begins(self.raw, self.stored.first_bit());
        self.member = Some(Member { checksum: crc32fast::Hasher::new(), length: 0, is_whole: true });
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
        if member.is_whole {
            member.checksum.update(&buffer[..made]);
            member.length += made as u64;
        }
        match end {
            End::Buffer | End::LastBlock => {}
            End::Block(unused) => {
                let damaged = || member::invalid("the compressed data is damaged");
                let bit = self.stored.first_bit().before(unused).ok_or_else(damaged)?;
                self.recorder.block_ends(self.raw, bit);
                if self.raw >= self.next_seek_point
                    && let Some(window) = self.inflate.window()
                {
                    self.seek_point = Some(SeekPoint { raw: self.raw, bit, window });
                    self.next_seek_point = self.raw + self.seek_distance;
                }
            }
            End::Stream => {
                self.recorder.member_ends();
                let data = self.member.take().filter(|member| member.is_whole);
                let data = data.map(|member| (member.checksum.finalize(), member.length));
                self.stored += member::check_trailer(&mut self.input, data)?;
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
        assert_eq!(whole_map.stored_position(300_000.into()), (stream.len() as u64).into());
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

    /// Members of stored, of fixed and of ordinary blocks, over three times as long as seek points are apart.
    fn long_stream() -> (Vec<u8>, Vec<u8>) {
        let data = sample(14 << 20);
        let mut stream = Vec::new();
        for (part, level) in [(&data[..5 << 20], 1), (&data[5 << 20..7 << 20], 0), (&data[7 << 20..], 6)] {
            stream.extend(gzip(part, level));
        }
        (data, stream)
    }

    #[test]
    fn reading_goes_on_at_every_seek_point() {
        let (data, stream) = long_stream();
        let mut reader = BlockReader::new(&stream[..]).unwrap();
        let (mut points, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        while reader.read(&mut buffer).unwrap() > 0 {
            points.extend(reader.take_seek_point());
        }
        let far = points.windows(2).all(|pair| pair[1].raw >= pair[0].raw + DISTANCE);
        assert!(points.len() == 3 && far, "{:?}", points.iter().map(|point| point.raw).collect::<Vec<_>>());
        let skip = |input: &mut &[u8], count: u64| {
            *input = &input[count as usize..];
            Ok(())
        };
        for point in points {
            let raw = usize::try_from(u64::from(point.raw)).unwrap();
            for (read_before, can_be_left_out) in
                [(0, true), (1, true), (raw - 1000, true), (raw, false), (raw + 1, false)]
            {
                let mut reader = BlockReader::new(&stream[..]).unwrap();
                reader.read_exact(&mut vec![0; read_before]).unwrap();
                assert_eq!(reader.seek(&point, skip).unwrap(), can_be_left_out);
                let begin = if can_be_left_out { raw } else { read_before };
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest).unwrap();
                assert!(rest == data[begin..], "{raw} {read_before}");
            }
        }
    }

    #[test]
    fn a_seek_point_of_something_else_is_an_error() {
        let (_, stream) = long_stream();
        for (bit, raw) in [(1_000_003, 5 << 20), (8, DISTANCE), (stream.len() as u64 * 8 - 9, 9 << 20)] {
            let mut reader = BlockReader::new(&stream[..]).unwrap();
            let point = SeekPoint { raw: raw.into(), bit: bit.into(), window: Box::new([7; super::super::WINDOW]) };
            let skipped = reader.seek(&point, |input, count| {
                *input = &input[count as usize..];
                Ok(())
            });
            let read = skipped.and_then(|_| io::copy(&mut reader, &mut io::sink()));
            assert!(read.is_err(), "{bit}: {read:?}");
        }
    }
}
