//! Streams of compressors that people have, edited block by block, and read by the decoders that people have.

#![expect(clippy::unwrap_used, reason = "a test that cannot start its programs has failed")]

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use winslim::gzip::inflate::BlockReader;
use winslim::gzip::{BlockMap, GzipWriter, Source, Use};
use winslim::position::RawPosition;

/// Flushes in both ways, and members: what Python's zlib can do and programs seldom ask for.
const PYTHON_ENCODER: &str = r"
import sys, zlib
data = sys.stdin.buffer.read()
out = sys.stdout.buffer
for member, begin in enumerate(range(0, len(data), 700_000)):
    part = data[begin:begin + 700_000]
    encoder = zlib.compressobj(member % 10, zlib.DEFLATED, 31, 1 + member % 9, member % 5)
    for at in range(0, len(part), 41_000):
        out.write(encoder.compress(part[at:at + 41_000]))
        out.write(encoder.flush([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_BLOCK][at // 41_000 % 4]))
    out.write(encoder.flush())
";

const PYTHON_DECODER: &str = "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";

/// Compressors of the field, as filters.
const COMPRESSORS: [(&str, &[&str]); 7] = [
    ("gzip", &["-1c"]),
    ("gzip", &["-6c"]),
    ("gzip", &["-9c"]),
    ("pigz", &["-6c"]),
    ("igzip", &["-1c"]),
    ("libdeflate-gzip", &["-6", "-c"]),
    ("python3", &["-c", PYTHON_ENCODER]),
];

/// Runs a filter.
fn filter(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        panic!(
            "this test needs `{program}`: install the Debian packages gzip, pigz, isal, libdeflate-tools and python3"
        );
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A filter that refuses its input closes it early; its exit code then says so.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

/// Data that changes its texture often, so that blocks of every kind come about.
fn textured(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut data = Vec::with_capacity(length);
    while data.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let count = 500 + (state >> 20) as usize % 60_000;
        match state % 5 {
            0 => data.extend((0..count as u64).map(|at| (state.wrapping_mul(at * at + 7) >> 29) as u8)),
            1 => data.resize(data.len() + count, state as u8),
            2 => data.extend((0..count).map(|at| b"\x55\x8b\xec\x83\xe4\xf8\x51\x53"[at % 8] ^ (at / 97) as u8)),
            _ => data.extend(b"C:\\Windows\\System32\\drivers\\etc\\hosts ".iter().cycle().take(count)),
        }
    }
    data
}

fn read(stream: &[u8]) -> (Vec<u8>, BlockMap) {
    let mut reader = BlockReader::new(stream).unwrap();
    let mut data = Vec::new();
    reader.read_to_end(&mut data).unwrap();
    (data, reader.finish().1)
}

/// Removes a part after each of some lengths, and puts a word in its place.
fn edit(stream: &[u8], keep: usize, remove: usize) -> (Vec<u8>, Vec<u8>, u64) {
    let (data, map) = read(stream);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(stream).unwrap();
    let source = Arc::new(Source::open(file.path()).unwrap());
    let mut gzip = GzipWriter::new(Vec::new(), 6, 2);
    let (mut expected, mut copied) = (Vec::new(), 0);
    for start in (0..data.len()).step_by(keep + remove) {
        let end = (start + keep).min(data.len());
        let part = RawPosition::range(start as u64..end as u64);
        let spans = map.spans(part.clone()).into_iter().filter(|span| span.blocks == Use::Copy);
        copied += spans.map(|span| span.raw.end - span.raw.start).sum::<u64>();
        gzip.expect(&source, &map, part).unwrap();
        for part in [&data[start..end], b"inserted"] {
            gzip.write_all(part).unwrap();
            expected.extend_from_slice(part);
        }
    }
    (expected, gzip.finish().unwrap(), copied)
}

#[test]
fn every_decoder_reads_what_is_made_from_every_compressor() {
    let data = textured(2_000_000);
    let decoders: [(&str, &[&str]); 5] = [
        ("gzip", &["-dc"]),
        ("pigz", &["-dc"]),
        ("igzip", &["-dc"]),
        ("libdeflate-gunzip", &["-c"]),
        ("python3", &["-c", PYTHON_DECODER]),
    ];
    for (compressor, arguments) in COMPRESSORS {
        let stream = filter(compressor, arguments, &data);
        for (keep, remove) in [(data.len(), 0), (900_000, 0), (700_001, 40_003), (150_000, 1)] {
            let (expected, spliced, copied) = edit(&stream, keep, remove);
            let mut decoded = Vec::new();
            flate2::bufread::GzDecoder::new(&spliced[..]).read_to_end(&mut decoded).unwrap();
            assert!(decoded == expected, "flate2 of {compressor} {arguments:?} {keep} {remove}");
            for (decoder, arguments) in decoders {
                assert!(filter(decoder, arguments, &spliced) == expected, "{decoder} of {compressor} {keep} {remove}");
            }
            // Some compressors make blocks of several hundred kilobytes.
            assert!(copied > 0 || keep < 500_000, "nothing was copied of {compressor} {arguments:?} {keep} {remove}");
        }
    }
}

#[test]
fn streams_of_every_compressor_can_be_read_from_the_midst() {
    let data = textured(2_000_000);
    for (compressor, arguments) in COMPRESSORS {
        let stream = filter(compressor, arguments, &data);
        let mut reader = BlockReader::new(&stream[..]).unwrap().with_seek_distance(30_000);
        let (mut points, mut buffer) = (Vec::new(), vec![0; 5_000]);
        while reader.read(&mut buffer).unwrap() > 0 {
            points.extend(reader.take_seek_point());
        }
        assert!(points.len() > 2, "{compressor} {arguments:?} gives {} places", points.len());
        let skip = |input: &mut &[u8], count: u64| {
            *input = &input[count as usize..];
            Ok(())
        };
        for (number, point) in points.iter().enumerate() {
            let mut reader = BlockReader::new(&stream[..]).unwrap();
            // From where another one has led, too.
            if let Some(before) = number.checked_sub(2) {
                assert!(reader.seek(&points[before], skip).unwrap());
                reader.read_exact(&mut vec![0; 1 + number * 100]).unwrap();
            }
            assert!(reader.seek(point, skip).unwrap());
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            assert!(rest == data[u64::from(point.raw) as usize..], "{compressor} {arguments:?} from {}", point.raw);
        }
    }
}
