//! A gzip stream of any shape, cut and joined at any places: what comes out unpacks to what was kept.
#![no_main]

use std::io::{Read, Write};
use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress};
use libfuzzer_sys::fuzz_target;
use winslim::gzip::inflate::BlockReader;
use winslim::gzip::{GzipWriter, Source, member};
use winslim::position::RawPosition;

const FLUSHES: [FlushCompress; 4] =
    [FlushCompress::None, FlushCompress::Sync, FlushCompress::Full, FlushCompress::Partial];

/// Compresses parts of some lengths at some levels, with some flush behind each.
fn stream(data: &[u8], shape: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut rest = data;
    let mut shape = shape.iter().copied();
    loop {
        let level = shape.next().unwrap_or(6);
        let mut encoder = Compress::new(Compression::new(u32::from(level % 10)), false);
        let (mut checksum, mut length) = (crc(), 0_u64);
        let mut deflated = Vec::new();
        let last = loop {
            let choice = shape.next();
            let taken = choice.map_or(rest.len(), |choice| (usize::from(choice) * 997).min(rest.len()));
            let (part, behind) = rest.split_at(taken);
            rest = behind;
            checksum.update(part);
            length += part.len() as u64;
            let ends = choice.is_none() || rest.is_empty() || choice.is_some_and(|choice| choice % 7 == 0);
            let flush = if ends { FlushCompress::Finish } else { FLUSHES[taken % 4] };
            let (mut used, before) = (0, encoder.total_in());
            loop {
                deflated.reserve(1 << 16);
                let status = encoder.compress_vec(&part[used..], &mut deflated, flush).expect("memory");
                used = (encoder.total_in() - before) as usize;
                let has_room = deflated.len() < deflated.capacity();
                if status == flate2::Status::StreamEnd || (!ends && used == part.len() && has_room) {
                    break;
                }
            }
            if ends {
                break rest.is_empty();
            }
        };
        member::write_header(&mut stream).expect("memory");
        stream.extend_from_slice(&deflated);
        member::write_trailer(&mut stream, checksum.sum(), length).expect("memory");
        if last {
            return stream;
        }
    }
}

fn crc() -> flate2::Crc {
    flate2::Crc::new()
}

/// How often the text comes, the shape of the stream, the cuts, and the text.
type Input = (u8, Vec<u8>, Vec<(u16, u8)>, Vec<u8>);

fuzz_target!(|input: Input| {
    let (times, shape, cuts, text) = input;
    // Longer than the text alone, so that blocks are large enough to be copied.
    let mut data = Vec::new();
    for round in 0..=u32::from(times) {
        data.extend(text.iter().map(|byte| byte.wrapping_add((round.wrapping_mul(2_654_435_761) >> 27) as u8)));
    }
    data.truncate(1 << 20);
    let stream = stream(&data, &shape);
    let mut reader = BlockReader::new(&*stream).expect("memory");
    let mut read = Vec::new();
    reader.read_to_end(&mut read).expect("a stream that was just written");
    assert!(read == data);
    let map = reader.finish().1;
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&stream).expect("a temporary file");
    let source = Arc::new(Source::open(file.path()).expect("a temporary file"));
    let mut gzip = GzipWriter::new(Vec::new(), 1, 2);
    let mut expected = Vec::new();
    let mut position = 0;
    for (kept, skipped) in cuts.into_iter().chain([(u16::MAX, 0)]) {
        let end = position.max((position + usize::from(kept) * 16).min(data.len()));
        let part = &data[position..end];
        gzip.expect(&source, &map, RawPosition::range(position as u64..end as u64)).expect("a place for it");
        gzip.write_all(part).expect("memory");
        expected.extend_from_slice(part);
        gzip.write_all(&text[..text.len().min(usize::from(skipped))]).expect("memory");
        expected.extend_from_slice(&text[..text.len().min(usize::from(skipped))]);
        position = (end + usize::from(skipped) * 64).min(data.len());
    }
    let joined = gzip.finish().expect("memory");
    let mut unpacked = Vec::new();
    flate2::bufread::GzDecoder::new(&*joined).read_to_end(&mut unpacked).expect("a gzip stream");
    assert!(unpacked == expected);
});
