//! The least work that rewriting a gzip layer can be: inflating it, hashing what comes, and hashing as much as went in.
//!
//! `cargo run --release --example floor -- BLOB…` does that for each blob, on one thread, and prints both digests.
//! `compare.py` compares programs with it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may panic and print")]

use std::fs::File;
use std::io::{BufReader, Read};

use winslim::image::digest::{Hasher, Hashing};

fn main() {
    for blob in std::env::args_os().skip(1) {
        let blob = BufReader::with_capacity(256 << 10, Hashing::new(File::open(blob).unwrap()));
        let mut decoder = flate2::bufread::MultiGzDecoder::new(blob);
        let mut raw = Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = decoder.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            raw.update(&buffer[..read]);
        }
        let (_, stored) = decoder.into_inner().into_inner().into_parts();
        println!("{} {}", raw.finish(), stored.finish());
    }
}
