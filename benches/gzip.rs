//! The kernels of rewriting: finding blocks, copying them, and what they save compared with compressing again.
//!
//! `cargo bench --bench gzip`. The unit of all throughputs is bytes of uncompressed data.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use divan::Bencher;
use divan::counter::BytesCount;
use winslim::gzip::inflate::BlockReader;
use winslim::gzip::{BlockMap, GzipWriter, Source};
use winslim::position::RawPosition;

fn main() {
    divan::main();
}

struct Stream {
    data: Vec<u8>,
    stored: Vec<u8>,
    map: BlockMap,
    source: Arc<Source>,
    _file: tempfile::NamedTempFile,
}

/// 32 MB that compress about as much as the files of Windows do.
fn stream() -> &'static Stream {
    static STREAM: OnceLock<Stream> = OnceLock::new();
    STREAM.get_or_init(|| {
        let mut state = 88_172_645_463_325_252_u64;
        let mut data = Vec::with_capacity(32 << 20);
        while data.len() < 32 << 20 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let length = 3 + (state >> 8) as usize % 14;
            let distance = 1 + (state >> 16) as usize % 20_000;
            if state.is_multiple_of(3) && data.len() > distance {
                let from = data.len() - distance;
                let again: Vec<u8> = data[from..].iter().copied().take(length).collect();
                data.extend(again);
            } else {
                data.extend(state.to_le_bytes().iter().map(|byte| byte & 0x3f).take(length / 2));
            }
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(&data).unwrap();
        let stored = encoder.finish().unwrap();
        let mut reader = BlockReader::new(&stored[..]).unwrap();
        let mut buffer = vec![0; 256 << 10];
        while reader.read(&mut buffer).unwrap() > 0 {}
        let map = reader.finish().1;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&stored).unwrap();
        let source = Arc::new(Source::open(file.path()).unwrap());
        Stream { data, stored, map, source, _file: file }
    })
}

#[divan::bench]
fn inflate_and_note_blocks(bencher: Bencher) {
    let stream = stream();
    bencher.counter(BytesCount::new(stream.data.len())).bench(|| {
        let mut reader = BlockReader::new(&stream.stored[..]).unwrap();
        let mut buffer = vec![0; 256 << 10];
        while reader.read(&mut buffer).unwrap() > 0 {}
        reader.finish().1
    });
}

#[divan::bench]
fn inflate(bencher: Bencher) {
    let stream = stream();
    let mut buffer = vec![0; 256 << 10];
    bencher.counter(BytesCount::new(stream.data.len())).bench_local(|| {
        let mut decoder = flate2::bufread::MultiGzDecoder::new(&stream.stored[..]);
        while decoder.read(&mut buffer).unwrap() > 0 {}
    });
}

/// Keeps parts of so many KiB, and removes nothing between them.
#[divan::bench(args = [32_768, 4096, 512, 64])]
fn splice(bencher: Bencher, kib: usize) {
    let stream = stream();
    bencher.counter(BytesCount::new(stream.data.len())).bench(|| {
        let mut gzip = GzipWriter::new(std::io::sink(), 6, 1);
        for (number, part) in stream.data.chunks(kib << 10).enumerate() {
            let start = (number * (kib << 10)) as u64;
            gzip.expect(&stream.source, &stream.map, RawPosition::range(start..start + part.len() as u64)).unwrap();
            gzip.write_all(part).unwrap();
        }
        gzip.finish().unwrap()
    });
}

#[divan::bench(sample_count = 5)]
fn recompress(bencher: Bencher) {
    let stream = stream();
    bencher.counter(BytesCount::new(stream.data.len())).bench(|| {
        let mut gzip = GzipWriter::new(std::io::sink(), 6, 1);
        gzip.write_all(&stream.data).unwrap();
        gzip.finish().unwrap()
    });
}
