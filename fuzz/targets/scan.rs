//! Any bytes as a tar: the entries tile it, and how it comes in pieces makes no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winslim::layer::scan::{Scan, ScanError, Scanner};
use winslim::position::RawPosition;

fn scan(tar: &[u8], piece: usize) -> Result<Scan, ScanError> {
    let mut scanner = Scanner::new();
    for piece in tar.chunks(piece) {
        scanner.feed(piece)?;
    }
    scanner.finish()
}

fuzz_target!(|tar: &[u8]| {
    let whole = scan(tar, usize::MAX);
    assert_eq!(whole, scan(tar, 301));
    let Ok(scan) = whole else { return };
    let mut position = RawPosition::START;
    for entry in &scan.entries {
        assert_eq!(entry.start, position);
        assert!(entry.data > entry.start);
        position = entry.end();
    }
    assert_eq!(scan.entries_end, position);
    // The padding of the last entry may be missing.
    let data_end = scan.entries.last().map_or(RawPosition::START, |entry| entry.data + entry.size);
    assert!(data_end <= scan.length.into() && scan.length == tar.len() as u64);
});
