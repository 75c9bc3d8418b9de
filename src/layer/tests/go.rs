//! The scanner against what Go's `archive/tar` says of odd tars.
//!
//! The right values were printed by a program that calls `Next` of Go 1.19.8 to the end: name, typeflag, size (0 for what Go gives no
//! data to) and link target of each header, or an error. The code that they come from is the same in Go 1.25.

use super::tests::scan;
use super::*;
use crate::layer::header::{HeaderEdit, edit};
use crate::layer::pax::push_record;
use crate::layer::spelling::bytes_of;

/// A header block with right checksum: `fields` are offsets with what is there.
fn block(typeflag: u8, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[156] = typeflag;
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"Files/a");
    for field in [100, 108, 116] {
        put(field, b"0000644\0");
    }
    put(124, b"00000000000\0");
    put(136, b"00000000007\0");
    put(257, b"ustar\x0000");
    for (at, bytes) in fields {
        put(*at, bytes);
    }
    seal(block, u32::from)
}

/// Sets the checksum of a block.
fn seal(mut block: Vec<u8>, value: fn(u8) -> u32) -> Vec<u8> {
    block[148..156].copy_from_slice(b"        ");
    let sum = block.iter().fold(0_u32, |sum, &byte| sum.wrapping_add(value(byte)));
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A header block with this size, and its padded body.
fn with_body(typeflag: u8, fields: &[(usize, &[u8])], body: &[u8]) -> Vec<u8> {
    let size = format!("{:011o}\0", body.len());
    let mut tar = block(typeflag, &[&[(124, size.as_bytes())], fields].concat());
    tar.extend_from_slice(body);
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar
}

fn records(typeflag: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        push_record(&mut body, key.as_bytes(), value);
    }
    with_body(typeflag, &[(0, b"pax\0\0\0\0")], &body)
}

const FILE: &[(usize, &[u8])] = &[];
const A: &str = "Files/a 0 0";
const END: [u8; 1024] = [0; 1024];
const ERROR: &str = "error";

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    [records(b'x', &[(key, value)]), block(b'0', FILE)].concat()
}

/// A tar with a name, and the headers that Go reads from it, each as `name typeflag size [target]`; an error comes last.
type Row = (&'static str, Vec<u8>, &'static [&'static str]);

fn ends() -> Vec<Row> {
    let file = || with_body(b'0', FILE, &[1; 700]);
    let data_end = 512 + 700;
    vec![
        ("nothing", vec![], &[]),
        ("no end mark", block(b'0', FILE), &[A]),
        ("one block of zeros", [block(b'0', FILE), vec![0; 512]].concat(), &[A]),
        ("half a block", [block(b'0', FILE), vec![0; 100]].concat(), &[A, ERROR]),
        ("a block and a half", [block(b'0', FILE), vec![0; 768]].concat(), &[A, ERROR]),
        ("zeros, then a header", [vec![0; 512], block(b'0', FILE)].concat(), &[ERROR]),
        ("a tar behind the end", [block(b'0', FILE), END.into(), file()].concat(), &[A]),
        ("a byte behind the end", [block(b'0', FILE), END.into(), vec![1]].concat(), &[A]),
        ("half a block behind the end", [block(b'0', FILE), END.into(), vec![0; 9]].concat(), &[A]),
        ("no padding", file()[..data_end].to_vec(), &["Files/a 0 700"]),
        ("half the padding", file()[..data_end + 100].to_vec(), &["Files/a 0 700"]),
        ("data cut off", file()[..data_end - 1].to_vec(), &["Files/a 0 700", ERROR]),
        ("a header cut off", block(b'0', FILE)[..511].to_vec(), &[ERROR]),
        ("an extended header alone", records(b'x', &[("mtime", b"1")]), &[]),
        ("an extended header and the end", [records(b'x', &[("mtime", b"1")]), END.into()].concat(), &[]),
        ("an extended header without padding", records(b'x', &[("mtime", b"1")])[..512 + 11].to_vec(), &[]),
        ("an extended header cut off", records(b'x', &[("mtime", b"1")])[..512 + 10].to_vec(), &[ERROR]),
        ("a damaged extended header alone", with_body(b'x', FILE, b"9 a=b\n"), &[ERROR]),
    ]
}

fn headers() -> Vec<Row> {
    let signed = |byte: u8| byte.cast_signed() as u32;
    vec![
        ("before ustar", block(0, &[(257, &[0; 8])]), &[A]),
        ("a directory before ustar", block(0, &[(257, &[0; 8]), (0, b"Files/\0")]), &["Files/ 5 0"]),
        ("a file with a slash", block(b'0', &[(0, b"Files/\0")]), &["Files/ 0 0"]),
        ("a prefix", block(b'0', &[(345, b"Files/x")]), &["Files/x/Files/a 0 0"]),
        ("a prefix before ustar", block(b'0', &[(257, &[0; 8]), (345, b"Files/x")]), &[A]),
        ("a time in the place of a prefix", block(b'0', &[(257, b"ustar  \0"), (345, b"00000000007")]), &[A]),
        ("a prefix of an old Go", block(b'0', &[(257, b"ustar  \0"), (345, b"Files/x")]), &["Files/x/Files/a 0 0"]),
        ("a prefix that is not ASCII", block(b'0', &[(257, b"ustar  \0"), (345, b"Files/\xe9")]), &[A]),
        ("star", block(b'0', &[(508, b"tar\0"), (345, b"Files/x"), (476, b"7")]), &["Files/x/Files/a 0 0"]),
        ("star with a wrong time", block(b'0', &[(508, b"tar\0"), (476, b"x")]), &[ERROR]),
        ("a name up to a NUL", block(b'0', &[(0, b"Files/b\0x")]), &["Files/b 0 0"]),
        ("a signed checksum", seal(block(b'0', &[(0, b"Files/\xe9")]), signed), &["Files/<E9> 0 0"]),
        (
            "a wrong checksum",
            {
                let mut block = block(b'0', FILE);
                block[0] = b'G';
                block
            },
            &[ERROR],
        ),
        ("a large time", block(b'0', &[(136, b"\x80\0\0\0\0\0\0\0\0\0\0\x05")]), &[A]),
        ("a negative time", block(b'0', &[(136, &[0xff; 12])]), &[A]),
        ("a time that is too large", block(b'0', &[(136, b"\x80\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff")]), &[ERROR]),
        ("a size in base 256", block(b'0', &[(124, b"\x80\0\0\0\0\0\0\0\0\0\0\0")]), &[A]),
        ("a negative size", block(b'0', &[(124, &[0xff; 12])]), &[ERROR]),
        ("a negative size of a directory", block(b'5', &[(124, &[0xff; 12])]), &["Files/a 5 0"]),
        ("no size at all", block(b'0', &[(124, &[0; 12])]), &[A]),
        ("blanks around a number", block(b'0', &[(124, b" 0 \0 \0      ")]), &[A]),
        ("a size that is no number", block(b'0', &[(124, b"8")]), &[ERROR]),
        ("a mode that is no number", block(b'0', &[(100, b"rwx")]), &[ERROR]),
        ("a user that is no number", block(b'0', &[(108, b"root")]), &[ERROR]),
        ("a group that is no number", block(b'0', &[(116, b"-1")]), &[ERROR]),
        ("a device that is no number", block(b'0', &[(329, b"x")]), &[ERROR]),
        ("a device before ustar", block(b'0', &[(257, &[0; 8]), (329, b"x")]), &[A]),
        ("a link with a size", block(b'1', &[(124, b"00000000777\0"), (157, b"Files/b")]), &["Files/a 1 0 Files/b"]),
        ("a FIFO", block(b'6', FILE), &["Files/a 6 0"]),
        ("a contiguous file", [with_body(b'7', FILE, &[1; 9]), block(b'0', FILE)].concat(), &["Files/a 7 9", A]),
        ("a vendor's type", [with_body(b'V', FILE, &[1; 9]), block(b'0', FILE)].concat(), &["Files/a V 9", A]),
    ]
}

fn extended() -> Vec<Row> {
    let path = |name: &'static [u8]| records(b'x', &[("path", name)]);
    let long = |name: &[u8]| with_body(b'L', FILE, name);
    let file = || block(b'0', FILE);
    vec![
        ("a path", record("path", b"Files/b"), &["Files/b 0 0"]),
        ("an empty path", record("path", b""), &[A]),
        ("the last record counts", [records(b'x', &[("path", b"b"), ("path", b"c")]), file()].concat(), &["c 0 0"]),
        ("a path taken back", [records(b'x', &[("path", b"b"), ("path", b"")]), file()].concat(), &[A]),
        (
            "the last header counts",
            [records(b'x', &[("path", b"b")]), records(b'x', &[("uid", b"1")]), file()].concat(),
            &[A],
        ),
        ("a long name before a path", [long(b"long\0x"), path(b"b"), file()].concat(), &["long 0 0"]),
        ("a long name behind a path", [path(b"b"), long(b"long"), file()].concat(), &["long 0 0"]),
        ("an empty long name", [path(b"b"), long(b"\0long"), file()].concat(), &["b 0 0"]),
        ("the last long name counts", [long(b"one"), long(b"two"), file()].concat(), &["two 0 0"]),
        ("a long target", [with_body(b'K', FILE, b"t\0"), block(b'2', FILE)].concat(), &["Files/a 2 0 t"]),
        ("a directory by its long name", [long(b"d/"), block(0, FILE)].concat(), &["d/ 5 0"]),
        ("a name that is not UTF-8", record("path", b"gr\xf6\xdfe"), &["gr<F6><DF>e 0 0"]),
        ("a lone surrogate", record("path", b"bad\xed\xa0\x80"), &["bad<ED><A0><80> 0 0"]),
        (
            "a target that is not UTF-8",
            [records(b'x', &[("linkpath", b"\xff")]), block(b'2', FILE)].concat(),
            &["Files/a 2 0 <FF>"],
        ),
        ("a NUL in a path", record("path", b"a\0b"), &[ERROR]),
        ("a NUL in a user's name", record("uname", b"a\0b"), &[ERROR]),
        ("a NUL in a comment", record("comment", b"a\0b"), &[A]),
        ("a NUL in a key", record("a\0b", b"c"), &[ERROR]),
        ("a key that is not UTF-8", [with_body(b'x', FILE, b"7 \xff=b\n"), file()].concat(), &[ERROR]),
        ("a key of one wrong byte", [with_body(b'x', FILE, b"6 \xff=b\n"), file()].concat(), &[A]),
        ("a length with a sign", [with_body(b'x', FILE, b"+7 a=b\n"), file()].concat(), &[A]),
        (
            "a length with many zeros",
            [with_body(b'x', FILE, b"0000000000000000000000000000032 a=b\n"), file()].concat(),
            &[ERROR],
        ),
        (
            "a length with zeros",
            [with_body(b'x', FILE, b"00000000000000000000000000036 a=b\n"), file()].concat(),
            &[ERROR],
        ),
        (
            "a right length with zeros",
            [with_body(b'x', FILE, b"00000000000000000000000000034 a=b\n"), file()].concat(),
            &[A],
        ),
        ("a record cut off", [with_body(b'x', FILE, b"9 a=b\n"), file()].concat(), &[ERROR]),
        ("a size", [record("size", b"9"), vec![1; 512], file()].concat(), &["Files/a 0 9", A]),
        ("a size with a sign", [record("size", b"+9"), vec![1; 512], file()].concat(), &["Files/a 0 9", A]),
        ("a negative size", record("size", b"-1"), &[ERROR]),
        (
            "a negative size of a link",
            [records(b'x', &[("size", b"-1")]), block(b'1', FILE)].concat(),
            &["Files/a 1 0 "],
        ),
        ("a size that is no number", record("size", b"0x9"), &[ERROR]),
        ("an mtime", record("mtime", b"-1.5"), &[A]),
        ("an mtime that is no time", record("mtime", b"1,5"), &[ERROR]),
        ("an empty mtime", record("mtime", b""), &[A]),
        ("an atime that is no time", record("atime", b"1700000000,25"), &[ERROR]),
        ("a ctime that is no time", record("ctime", b"x"), &[ERROR]),
        ("a uid that is no number", record("uid", b"abc"), &[ERROR]),
        ("a gid that is no number", record("gid", b"-"), &[ERROR]),
        ("a negative uid", record("uid", b"-2"), &[A]),
        ("a uid that is too large", record("uid", b"9223372036854775808"), &[ERROR]),
        ("a sparse version of later", record("GNU.sparse.major", b"2"), &[A]),
        ("a sparse version alone", record("GNU.sparse.major", b"1"), &[A]),
        ("a global header", [records(b'g', &[("comment", b"c")]), file()].concat(), &["pax g 0", A]),
        ("a global header with a path", [records(b'g', &[("path", b"p")]), file()].concat(), &["p g 0", A]),
        ("a damaged global header", [with_body(b'g', FILE, b"x"), file()].concat(), &[ERROR]),
        ("a global header with a wrong time", [records(b'g', &[("mtime", b"x")]), file()].concat(), &["pax g 0", A]),
        ("a global header between", [path(b"b"), records(b'g', &[]), file()].concat(), &["pax g 0", A]),
        ("a global header without padding", records(b'g', &[("uid", b"1")])[..512 + 8].to_vec(), &["pax g 0"]),
        ("a longer name", [long(&[b'a'; (1 << 20) + 1]), file()].concat(), &[ERROR]),
    ]
}

/// What winslim reads. The body of a global header counts as its data, which Go has none of.
fn read(tar: &[u8], piece: usize) -> Result<Vec<String>, ScanError> {
    let found = scan(tar, piece)?;
    let show = |entry: &Entry| {
        let typeflag = match entry.kind {
            EntryKind::Directory => '5',
            EntryKind::HardLink => '1',
            EntryKind::Symlink => '2',
            EntryKind::Other(typeflag) => char::from(typeflag),
            _ => '0',
        };
        let size = if typeflag == 'g' { 0 } else { entry.size };
        let target = entry.link.as_ref().map_or(String::new(), |link| format!(" {link}"));
        format!("{} {typeflag} {size}{target}", entry.path)
    };
    Ok(found.entries.iter().map(show).collect())
}

#[test]
fn odd_tars_are_read_as_go_reads_them() {
    let rows: Vec<Row> = [ends(), headers(), extended()].into_iter().flatten().collect();
    if let Ok(directory) = std::env::var("WINSLIM_WRITE_ODD_TARS") {
        // For the program that prints what Go says of them.
        for (name, tar, _) in &rows {
            std::fs::write(format!("{directory}/{name}.tar"), tar).unwrap();
        }
    }
    let mut wrong = Vec::new();
    for (name, tar, expected) in &rows {
        for piece in [usize::MAX, 1, 300] {
            let found = read(tar, piece);
            let is_right = match (expected.split_last(), &found) {
                (Some((&ERROR, _)), found) => found.is_err(),
                (_, found) => found.as_ref().is_ok_and(|found| found == expected),
            };
            if !is_right {
                wrong.push(format!("{name}: Go reads {expected:?}, winslim in pieces of {piece} {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn raw_names_come_back() {
    let found = scan(&record("path", b"gr\xf6\xdfe<"), 100).unwrap();
    assert_eq!(&*bytes_of(found.entries[0].path.as_str()), b"gr\xf6\xdfe<");
}

#[test]
fn a_new_name_takes_the_place_of_a_prefix() {
    for magic in [b"ustar\x0000", b"ustar  \0"] {
        let old = block(b'0', &[(257, magic), (345, b"Files/x")]);
        let change = HeaderEdit { path: Some("Files/b<F6>"), link: None };
        let found = scan(&edit(&old, change).unwrap(), 512).unwrap();
        assert_eq!(found.entries[0].path.as_str(), "Files/b<F6>");
        let change = HeaderEdit { path: Some("Files/b"), link: None };
        assert_eq!(scan(&edit(&old, change).unwrap(), 512).unwrap().entries[0].path.as_str(), "Files/b");
    }
}

#[test]
fn what_follows_the_end_is_told() {
    let file = block(b'0', FILE);
    let ends_in_zeros = |behind: &[u8]| scan(&[&file[..], behind].concat(), 77).unwrap().ends_in_zeros;
    assert!(ends_in_zeros(&[]) && ends_in_zeros(&END) && ends_in_zeros(&[0; 10_240 - 512]));
    assert!(!ends_in_zeros(&[&END[..], &[0, 0, 1, 0]].concat()));
    assert!(!ends_in_zeros(&records(b'x', &[("mtime", b"1")])), "headers of nothing");
}

#[test]
fn a_name_longer_than_any_on_windows_is_refused() {
    let long = |length: usize| [with_body(b'L', FILE, "é".repeat(length).as_bytes()), block(b'0', FILE)].concat();
    assert!(scan(&long(LONGEST_NAME), 4096).is_ok());
    assert_eq!(scan(&long(LONGEST_NAME + 1), 4096).unwrap_err().problem, ScanProblem::NameTooLong);
}
