//! Any bytes as a gzip stream: what the reader that notes blocks takes, another decoder reads the same, and it can be read from
//! every seek point on.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use winslim::gzip::BlockMap;
use winslim::gzip::inflate::BlockReader;
use winslim::gzip::seek::SeekPoint;
use winslim::position::RawPosition;

/// A few bytes may unpack to a thousand times as many; so much is looked at.
const MOST: usize = 4 << 20;

fn read(stream: &[u8], count: usize) -> Option<(Vec<u8>, BlockMap)> {
    let mut reader = BlockReader::new(stream).expect("memory");
    let (mut data, mut buffer) = (Vec::new(), vec![0; count]);
    while data.len() < MOST {
        let read = reader.read(&mut buffer).ok()?;
        if read == 0 {
            return Some((data, reader.finish().1));
        }
        data.extend_from_slice(&buffer[..read]);
    }
    None
}

/// From each of the first seek points on, the rest of the data is read.
fn read_from_seek_points(stream: &[u8], data: &[u8], distance: u64) {
    let mut reader = BlockReader::new(stream).expect("memory").with_seek_distance(distance);
    let (mut points, mut buffer) = (Vec::<SeekPoint>::new(), vec![0; 1000]);
    while points.len() < 10 && reader.read(&mut buffer).expect("a stream that was just read") > 0 {
        points.extend(reader.take_seek_point());
    }
    for point in points {
        let mut reader = BlockReader::new(stream).expect("memory");
        let skip = |input: &mut &[u8], count: u64| {
            *input = &input[count as usize..];
            Ok(())
        };
        assert!(reader.seek(&point, skip).expect("a seek point of this stream"));
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("a stream that was just read");
        assert!(rest == data[u64::from(point.raw) as usize..]);
    }
}

fuzz_target!(|stream: &[u8]| {
    let Some((data, map)) = read(stream, 256 << 10) else { return };
    assert_eq!(read(stream, 33_333), Some((data.clone(), map.clone())));
    let length = RawPosition::from(data.len() as u64);
    for span in map.spans(RawPosition::START..length) {
        assert!(span.begin <= span.raw.start && span.raw.start < span.raw.end && span.raw.end <= length);
        assert!(span.bits.start < span.bits.end && span.bits.end.next_byte() <= (stream.len() as u64).into());
    }
    if !stream.is_empty() {
        let mut other = Vec::new();
        flate2::bufread::MultiGzDecoder::new(stream).read_to_end(&mut other).expect("a stream that was just read");
        assert!(other == data);
        read_from_seek_points(stream, &data, 10_000);
    }
});
