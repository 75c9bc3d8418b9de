//! The scanner against hand-made headers, and against the `tar` crate on archives that it wrote.

use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::layer::header::new_entry;

const FILE: tar::EntryType = tar::EntryType::Regular;

fn entry(path: &str, kind: tar::EntryType, data: &[u8], records: &[(&str, &str)]) -> Vec<u8> {
    let records: Vec<(&str, String)> = records.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    let mut bytes = new_entry(path, kind, 0o644, data.len() as u64, 7, &records);
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn end(mut tar: Vec<u8>) -> Vec<u8> {
    tar.resize(tar.len() + 1024, 0);
    tar
}

pub(super) fn scan(tar: &[u8], piece: usize) -> Result<Scan, ScanError> {
    let mut scanner = Scanner::new();
    for piece in tar.chunks(piece) {
        scanner.feed(piece)?;
    }
    scanner.finish()
}

fn problem(tar: &[u8]) -> ScanProblem {
    scan(tar, 100).unwrap_err().problem
}

/// A header block changed by `change`, with a right checksum.
fn header(change: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path("Files/x").unwrap();
    header.set_size(0);
    change(&mut header);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn every_kind_of_entry_is_told() {
    let mut tar = Vec::new();
    tar.extend(entry("Files", tar::EntryType::Directory, b"", &[("MSWINDOWS.fileattr", "16")]));
    tar.extend(entry("Files/a", FILE, b"data", &[("MSWINDOWS.rawsd", "AQAA"), ("mtime", "-1.5")]));
    tar.extend(entry("Files/a:stream", FILE, b"more", &[]));
    tar.extend(entry("Files/b", tar::EntryType::Link, b"", &[("linkpath", "Files/a")]));
    tar.extend(entry("Files/s", tar::EntryType::Symlink, b"", &[("linkpath", "C:\\a")]));
    tar.extend(entry("Files/j", tar::EntryType::Symlink, b"", &[("MSWINDOWS.mountpoint", ""), ("linkpath", "C:\\d")]));
    tar.extend(entry("Files/.wh.gone", FILE, b"", &[]));
    tar.extend(entry("Files/.wh..wh..opq", FILE, b"", &[]));
    tar.extend(entry("Files/c", FILE, b"", &[("MSWINDOWS.rawsd", "AQAA")]));
    tar.extend(entry("Files/f", tar::EntryType::Fifo, b"", &[]));
    let tar = end(tar);
    let found = scan(&tar, 512).unwrap();
    let kinds: Vec<EntryKind> = found.entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds,
        [
            EntryKind::Directory,
            EntryKind::File,
            EntryKind::Stream,
            EntryKind::HardLink,
            EntryKind::Symlink,
            EntryKind::Junction,
            EntryKind::Whiteout,
            EntryKind::OpaqueWhiteout,
            EntryKind::File,
            EntryKind::Other(b'6'),
        ],
    );
    assert_eq!(found.entries[0].attributes, Some(16));
    assert_eq!(found.entries[1].modified, -2, "time is rounded down");
    assert_eq!(found.entries[2].stream_owner(), Some("Files/a"));
    assert_eq!(found.entries[3].link.as_deref(), Some("Files/a"));
    assert_eq!(found.entries[6].whiteout_target().as_deref(), Some("Files/gone"));
    assert_eq!(found.security, [Box::from("AQAA")]);
    assert_eq!((found.entries[1].security, found.entries[8].security), (Some(0), Some(0)));
    assert_eq!(u64::from(found.entries_end), tar.len() as u64 - 1024);
}

#[test]
fn the_spans_of_entries_tile_the_tar_whatever_the_pieces() {
    // Bodies of extended headers of exactly one and two blocks are where other readers lose their place.
    for length in [512, 1024] {
        let overhead = format!("{length} comment=\n").len();
        let exact = "x".repeat(length - overhead);
        let mut tar = entry("Files", tar::EntryType::Directory, b"", &[]);
        tar.extend(entry("Files/a", FILE, &[1; 513], &[("comment", &exact)]));
        tar.extend(entry(&format!("Files/{}", "é".repeat(200)), FILE, &[2; 1024], &[]));
        tar.extend(entry("Files/e", FILE, &[], &[]));
        let tar = end(tar);
        let whole = scan(&tar, tar.len()).unwrap();
        let mut position = 0.into();
        for entry in &whole.entries {
            assert_eq!(entry.start, position);
            position = entry.end();
        }
        assert_eq!(position, whole.entries_end);
        for piece in [1, 3, 511, 512, 513, 4096] {
            assert_eq!(scan(&tar, piece).unwrap(), whole, "in pieces of {piece}");
        }
    }
}

#[test]
fn a_layer_beyond_all_measure_is_refused() {
    let mut tar = Vec::new();
    for number in 0..3 {
        tar.extend(entry(&format!("Files/{number}"), FILE, b"", &[("MSWINDOWS.rawsd", &format!("{number}QAA"))]));
    }
    let tar = end(tar);
    let scan = |limits: Limits| {
        let mut scanner = Scanner { limits, ..Scanner::new() };
        tar.chunks(100).try_for_each(|piece| scanner.feed(piece)).map_err(|error| error.problem)
    };
    // 3 names of 7 bytes in one directory, 3 descriptors of 4 bytes.
    let enough = Limits { entries: 3, directories: 1, text: 3 * (7 + 4), length: tar.len() as u64 };
    assert_eq!(scan(enough), Ok(()));
    assert_eq!(scan(Limits { directories: 0, ..enough }), Err(ScanProblem::TooManyDirectories(0)));
    assert_eq!(scan(Limits { entries: 2, ..enough }), Err(ScanProblem::TooManyEntries(2)));
    assert_eq!(scan(Limits { text: enough.text - 1, ..enough }), Err(ScanProblem::TooMuchText(enough.text - 1)));
    assert_eq!(scan(Limits { length: enough.length - 1, ..enough }), Err(ScanProblem::TooLong(enough.length - 1)));
}

#[test]
fn a_claimed_size_takes_no_memory() {
    let tar = header(|header| header.set_size(10 << 30));
    assert_eq!(problem(&tar), ScanProblem::Truncated);
    let error = scan(&header(|header| header.set_entry_type(tar::EntryType::XHeader)), 512).err();
    assert_eq!(error, None);
    let long = header(|header| {
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size(10 << 30);
    });
    assert_eq!(problem(&long), ScanProblem::ExtendedTooLong(10 << 30));
}

#[test]
fn the_head_of_a_hive_is_kept_and_no_other() {
    let mut tar = entry("Files/Windows/System32/config/SYSTEM", FILE, &[7; 2000], &[]);
    tar.extend(entry("Hives/Sam_Delta", FILE, &[8; 100], &[]));
    tar.extend(entry("Files/other", FILE, &[9; 2000], &[]));
    let tar = end(tar);
    for piece in [1, 700, 10_000] {
        let found = scan(&tar, piece).unwrap().entries;
        assert_eq!(found[0].head.as_deref(), Some(&[7; 512][..]));
        assert_eq!(found[1].head.as_deref(), Some(&[8; 100][..]));
        assert_eq!(found[2].head, None);
    }
}

#[test]
fn the_size_in_a_record_counts_and_a_link_has_no_data() {
    let mut tar = header(|header| header.set_size(0));
    let mut extended = Vec::new();
    pax::push_record(&mut extended, b"size", b"600");
    let mut with_record = header(|header| {
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size(extended.len() as u64);
    });
    extended.resize(512, 0);
    with_record.extend(extended);
    with_record.append(&mut tar);
    with_record.resize(with_record.len() + 1024, 5);
    // A hard link that claims the size of its file, as some writers have it.
    with_record.extend(header(|header| {
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(9999);
    }));
    let found = scan(&end(with_record), 77).unwrap().entries;
    assert_eq!((found[0].size, found[1].size), (600, 0));
}

#[test]
fn a_damaged_tar_is_refused_with_its_reason() {
    let good = entry("Files/a", FILE, b"data", &[("mtime", "1")]);
    let mut wrong_checksum = good.clone();
    wrong_checksum[1024] ^= 1;
    assert_eq!(problem(&wrong_checksum), ScanProblem::Checksum);
    assert_eq!(problem(&good[..good.len() - 509]), ScanProblem::Truncated);
    assert_eq!(problem(&[&good[..], &[0; 512], &good].concat()), ScanProblem::HalfEnd);
    for (records, expected) in [
        (("mtime", "soon"), ScanProblem::Record("mtime")),
        (("linkpath", "a\0b"), ScanProblem::Extended),
        (("GNU.sparse.map", "0,0"), ScanProblem::Sparse),
        (("size", "99999999999999999999"), ScanProblem::Record("size")),
        (("size", "9223372036854775807"), ScanProblem::Size),
    ] {
        assert_eq!(problem(&entry("Files/a", FILE, b"", &[records])), expected, "{records:?}");
    }
    let typed = |kind: u8| header(|header| header.set_entry_type(tar::EntryType::new(kind)));
    assert_eq!(problem(&typed(b'S')), ScanProblem::Sparse);
    let large = header(|header| {
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size((1 << 20) + 1);
    });
    assert_eq!(problem(&large), ScanProblem::ExtendedTooLong((1 << 20) + 1));
    let not_a_number = header(|header| header.as_old_mut().size = *b"12x\0\0\0\0\0\0\0\0\0");
    assert_eq!(problem(&not_a_number), ScanProblem::Number);
}

#[test]
fn an_archive_may_end_without_its_mark() {
    let tar = entry("Files/a", FILE, b"data", &[]);
    assert_eq!(scan(&tar, 64).unwrap().entries.len(), 1);
    assert_eq!(scan(&[], 64).unwrap().entries.len(), 0);
    let error = scan(&[tar, vec![1; 512]].concat(), 64).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tar is damaged at byte 1536, after `Files/a`: the checksum of a header is wrong"
    );
}

/// An archive as the `tar` crate writes it, with GNU long names and PAX records.
fn written(files: &[(String, Vec<u8>, bool)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, data, with_records) in files {
        if *with_records {
            builder.append_pax_extensions([("MSWINDOWS.fileattr", &b"32"[..]), ("comment", path.as_bytes())]).unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, &data[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

proptest! {
    #[test]
    fn the_tar_crate_agrees(
        files in prop::collection::vec(("Files/[a-zé]{1,160}", prop::collection::vec(any::<u8>(), 0..1500), any::<bool>()), 0..8),
        piece in 1..2000_usize,
    ) {
        let tar = written(&files);
        let found = scan(&tar, piece).unwrap();
        let mut archive = tar::Archive::new(&tar[..]);
        let mut count = 0;
        for (mine, theirs) in found.entries.iter().zip(archive.entries().unwrap()) {
            let mut theirs = theirs.unwrap();
            prop_assert_eq!(mine.path.as_str().as_bytes(), &*theirs.path_bytes());
            prop_assert_eq!(mine.size, theirs.size());
            prop_assert_eq!(u64::from(mine.data), theirs.raw_file_position());
            let mut data = Vec::new();
            theirs.read_to_end(&mut data).unwrap();
            prop_assert_eq!(&tar[u64::from(mine.data) as usize..u64::from(mine.data + mine.size) as usize], &data[..]);
            count += 1;
        }
        prop_assert_eq!(count, files.len());
        prop_assert_eq!(found.entries.len(), files.len());
    }

    #[test]
    fn any_bytes_end_in_entries_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..3000), piece in 1..700_usize) {
        let _ = scan(&bytes, piece);
    }

    #[test]
    fn a_flipped_bit_never_panics(at in 0..4096_usize, bit in 0..8_u8) {
        let mut tar = entry("Files/a", FILE, &[1; 600], &[("MSWINDOWS.fileattr", "32"), ("mtime", "1.5")]);
        tar.extend(entry("Files/b", FILE, &[2; 100], &[]));
        let mut tar = end(tar);
        let length = tar.len();
        tar[at % length] ^= 1 << bit;
        let _ = scan(&tar, 333);
    }
}

#[test]
fn as_many_entries_as_the_size_is_reason_for() {
    for (stored, most) in [(0, 400_000), (10_000_000, 650_000), (1 << 40, 2_000_000), (u64::MAX, 2_000_000)] {
        assert_eq!(most_entries(stored), most, "{stored}");
    }
}
