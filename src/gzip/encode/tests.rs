//! Tests of the encoder, with blocks taken over and without.

use std::io::Read;

use proptest::prelude::*;

use super::super::WINDOW;
use super::super::blocks::BlockMap;
use super::super::inflate::BlockReader;
use super::*;

fn encode(bytes: &[u8], level: u32, threads: usize, write_size: usize) -> Vec<u8> {
    let mut gzip = GzipWriter::new(Vec::new(), level, threads);
    for chunk in bytes.chunks(write_size) {
        gzip.write_all(chunk).unwrap();
    }
    gzip.finish().unwrap()
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    flate2::bufread::GzDecoder::new(bytes).read_to_end(&mut decoded).unwrap();
    decoded
}

/// Bytes that compress, but not to nothing.
fn sample(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|at| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if at % 3 == 0 { (state >> 32) as u8 } else { (at / 100) as u8 }
        })
        .collect()
}

#[test]
fn the_output_is_the_same_for_any_number_of_threads_and_any_writes() {
    let bytes = sample(3 * PIECE + 17, 7);
    let one = encode(&bytes, 6, 1, bytes.len());
    assert_eq!(decode(&one), bytes);
    assert_eq!(encode(&bytes, 6, 4, 1000), one);
    assert_eq!(encode(&bytes, 6, 3, 65_537), one);
}

#[test]
fn a_piece_does_not_depend_on_what_its_thread_compressed_before() {
    // Few different bytes, so that there are matches everywhere, those across the ends of dictionaries too.
    let bytes: Vec<u8> = sample(40 * PIECE, 5).iter().map(|byte| byte & 7).collect();
    let one = encode(&bytes, 6, 1, bytes.len());
    for threads in 2..6 {
        assert!(encode(&bytes, 6, threads, bytes.len()) == one, "{threads} threads");
    }
}

#[test]
fn the_dictionary_of_the_piece_before_is_used() {
    let unit = sample(WINDOW - 1000, 11);
    let bytes: Vec<u8> = unit.iter().copied().cycle().take(4 * PIECE).collect();
    assert!(encode(&bytes, 6, 2, 4096).len() < unit.len() * 2);
}

#[test]
fn a_failing_output_is_reported() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut gzip = GzipWriter::new(Full, 1, 2);
    let failed = gzip.write_all(&sample(20 * PIECE, 3)).unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(gzip.failure().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));

    let mut gzip = GzipWriter::new(Full, 1, 2);
    gzip.write_all(b"little").unwrap();
    assert_eq!(gzip.finish().err().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_is_encoded_decodes(length in 0..(2 * PIECE + 1000), seed in any::<u64>(), level in 0..10_u32, threads in 1..4_usize) {
        let bytes = sample(length, seed);
        prop_assert_eq!(decode(&encode(&bytes, level, threads, 50_000)), bytes);
    }
}

/// A stream, its data, its map, and the file it is in.
struct Stream {
    data: Vec<u8>,
    map: BlockMap,
    source: Arc<Source>,
}

fn stored_stream(stream: &[u8]) -> Stream {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(stream).unwrap();
    let mut reader = BlockReader::new(stream).unwrap();
    let mut data = Vec::new();
    reader.read_to_end(&mut data).unwrap();
    Stream { data, map: reader.finish().1, source: Arc::new(Source::open(file.path()).unwrap()) }
}

/// What a layer is made of.
#[derive(Debug, Clone)]
enum Edit {
    Keep(u64),
    Remove(u64),
    Insert(u64),
}

fn copied_bytes(map: &BlockMap, part: Range<RawPosition>) -> u64 {
    let spans = map.spans(part).into_iter();
    spans.filter(|span| span.blocks == Use::Copy).map(|span| span.raw.end - span.raw.start).sum()
}

/// Carries edits out, and returns the data that should come of it, the stream, and how many blocks' bytes were copied.
fn edited(stream: &Stream, edits: &[Edit], level: u32, threads: usize, write_size: usize) -> (Vec<u8>, Vec<u8>, u64) {
    let mut expected = Vec::new();
    let mut gzip = GzipWriter::new(Vec::new(), level, threads);
    let (mut position, mut copied) = (0, 0);
    for edit in edits {
        match *edit {
            Edit::Keep(length) => {
                let end = (position + length).min(stream.data.len() as u64);
                copied += copied_bytes(&stream.map, RawPosition::range(position..end));
                gzip.expect(&stream.source, &stream.map, RawPosition::range(position..end)).unwrap();
                for part in stream.data[position as usize..end as usize].chunks(write_size) {
                    gzip.write_all(part).unwrap();
                    expected.extend_from_slice(part);
                }
                position = end;
            }
            Edit::Remove(length) => position = (position + length).min(stream.data.len() as u64),
            Edit::Insert(length) => {
                let bytes = sample(length as usize, length);
                gzip.write_all(&bytes).unwrap();
                expected.extend_from_slice(&bytes);
            }
        }
    }
    (expected, gzip.finish().unwrap(), copied)
}

#[test]
fn blocks_far_from_cuts_are_copied() {
    let data = sample(3_000_000, 5);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::new(9));
    encoder.write_all(&data).unwrap();
    let stream = stored_stream(&encoder.finish().unwrap());
    let edits = [
        Edit::Keep(1_000_000),
        Edit::Insert(10),
        Edit::Keep(500_000),
        Edit::Remove(700_000),
        Edit::Insert(0),
        Edit::Keep(u64::MAX / 2),
    ];
    let (expected, spliced, copied) = edited(&stream, &edits, 1, 1, 40_000);
    assert_eq!(decode(&spliced), expected);
    // Around each of the cuts, 32 KiB and two blocks are not.
    assert!(copied > expected.len() as u64 - 5 * 130_000, "{copied} of {}", expected.len());
    for (threads, write_size) in [(3, 1000), (2, 1 << 20)] {
        assert_eq!(edited(&stream, &edits, 1, threads, write_size).1, spliced);
    }
    // Nothing changes but the last block.
    let (expected, spliced, copied) = edited(&stream, &[Edit::Keep(3_000_000)], 6, 1, 100_000);
    assert_eq!(decode(&spliced), expected);
    assert!(copied > 2_800_000);
}

#[test]
fn copied_blocks_must_be_written_as_a_whole() {
    let stream = stored_stream(&encode(&sample(1_000_000, 3), 6, 1, 1 << 20));
    let mut gzip = GzipWriter::new(Vec::new(), 6, 1);
    gzip.expect(&stream.source, &stream.map, RawPosition::range(0..900_000)).unwrap();
    gzip.write_all(&stream.data[..100_000]).unwrap();
    assert!(gzip.expect(&stream.source, &stream.map, RawPosition::range(0..0)).is_err());
    assert!(gzip.finish().is_err());
}

#[test]
fn a_source_that_cannot_be_read_is_named() {
    let stream = stored_stream(&encode(&sample(100_000, 3), 6, 1, 1 << 20));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("short");
    std::fs::write(&path, b"short").unwrap();
    let source = Arc::new(Source::open(&path).unwrap());
    let mut gzip = GzipWriter::new(Vec::new(), 6, 1);
    gzip.expect(&source, &stream.map, RawPosition::range(0..100_000)).unwrap();
    gzip.write_all(&stream.data).unwrap();
    assert_eq!(gzip.finish().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

/// Data of several textures: noise, runs of one byte, text, repeats from afar.
fn textured(parts: &[(u8, u16)], seed: u64) -> Vec<u8> {
    let mut data = Vec::new();
    for (number, &(texture, length)) in parts.iter().enumerate() {
        let length = usize::from(length);
        match texture % 4 {
            0 => data.extend(sample(length, seed ^ number as u64)),
            1 => data.extend(std::iter::repeat_n(texture, length)),
            2 => data.extend(b"the quick brown fox ".iter().cycle().take(length)),
            _ => {
                let from = data.len().saturating_sub(32_768);
                let again: Vec<u8> = data[from..].iter().copied().chain(std::iter::repeat(7)).take(length).collect();
                data.extend(again);
            }
        }
    }
    data
}

/// Compresses data with blocks of every kind, flushed after each of some lengths.
fn blocks_of_every_kind(data: &[u8], pieces: &[(u8, u16)], members: bool) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut rest = data;
    let mut encoder = None;
    for &(kind, length) in pieces.iter().cycle() {
        let mut gzip = encoder
            .take()
            .unwrap_or_else(|| flate2::write::GzEncoder::new(Vec::new(), Compression::new(u32::from(kind) % 10)));
        let (part, after) = rest.split_at(usize::from(length).max(100).min(rest.len()));
        gzip.write_all(part).unwrap();
        rest = after;
        if rest.is_empty() || (members && kind > 200) {
            stream.extend(gzip.finish().unwrap());
        } else {
            gzip.flush().unwrap();
            encoder = Some(gzip);
        }
        if rest.is_empty() {
            return stream;
        }
    }
    stream
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => (0..100_000_u64).prop_map(Edit::Keep),
        2 => (0..30_000_u64).prop_map(Edit::Remove),
        1 => (0..3000_u64).prop_map(Edit::Insert),
    ];
    proptest::collection::vec(edit, 1..8)
}

proptest! {
    // Each case splices twice.
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn edited_streams_decode_to_edited_data(
        parts in proptest::collection::vec(any::<(u8, u16)>(), 1..5),
        pieces in proptest::collection::vec(any::<(u8, u16)>(), 1..6),
        members in any::<bool>(),
        edits in edits(),
        seed in any::<u64>(),
        level in 0..10_u32,
        write_size in 500..100_000_usize,
    ) {
        let stream = stored_stream(&blocks_of_every_kind(&textured(&parts, seed), &pieces, members));
        let (expected, spliced, _) = edited(&stream, &edits, level, 1, write_size);
        prop_assert_eq!(&decode(&spliced), &expected);
        // What was spliced can be spliced again.
        let again = stored_stream(&spliced);
        prop_assert_eq!(&again.data, &expected);
        let (expected, spliced, _) = edited(&again, &edits, level, 1, write_size);
        prop_assert_eq!(decode(&spliced), expected);
    }
}
