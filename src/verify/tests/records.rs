//! Each record that hosts read, with values on both sides of what they take.

use std::io::Cursor;

use super::support::*;
use crate::layer::LayerIndex;
use crate::layer::header::new_entry;
use crate::verify::Severity;

use Said::{Refused, Taken};

/// What Go's `archive/tar` (`reader.go: mergePAX`) and go-winio (`backuptar/tar.go`, `strconv.go`, `ea.go`) do with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Taken,
    Refused,
}

/// Whether somebody refuses a file with this record; it comes behind the files of a sound base layer's directory.
fn said(kind: tar::EntryType, name: &str, key: &str, value: &str) -> Said {
    let directory = new_entry("Files", tar::EntryType::Directory, 0, 0, 0, &[]);
    let owner = new_entry("Files/a", tar::EntryType::Regular, 0, 0, 0, &[]);
    let entry = new_entry(name, kind, 0, 0, 0, &[("a", String::new()), (key, value.to_owned())]);
    let tar = [directory, owner, entry, vec![0; 1024]].concat();
    let Ok(index) = LayerIndex::read(Cursor::new(tar), |_| {}) else { return Refused };
    let mut image = TestImage::sound();
    image.layers[0] = index;
    let refused =
        image.verify().iter().any(|found| found.rule == "windows-records" && found.severity == Severity::Error);
    if refused { Refused } else { Taken }
}

const FILE: (tar::EntryType, &str) = (tar::EntryType::Regular, "Files/b");

#[test]
fn what_hosts_take_is_taken_and_what_they_refuse_is_refused() {
    let long = |length: usize| "A".repeat(length);
    let rows: Vec<(&str, String, Said)> = [
        ("MSWINDOWS.fileattr", "32", Taken),
        ("MSWINDOWS.fileattr", "4294967295", Taken),
        ("MSWINDOWS.fileattr", "00032", Taken),
        ("MSWINDOWS.fileattr", "4294967296", Refused),
        ("MSWINDOWS.fileattr", "0x20", Refused),
        ("MSWINDOWS.fileattr", "+32", Refused),
        ("MSWINDOWS.fileattr", "-1", Refused),
        ("MSWINDOWS.fileattr", " 32", Refused),
        ("MSWINDOWS.fileattr", "", Refused),
        ("MSWINDOWS.rawsd", "AQAA", Taken),
        ("MSWINDOWS.rawsd", "", Taken),
        ("MSWINDOWS.rawsd", "\r\n", Taken),
        ("MSWINDOWS.rawsd", "AQ\r\nAA\n", Taken),
        ("MSWINDOWS.rawsd", "AR==", Taken),
        ("MSWINDOWS.rawsd", "AQ", Refused),
        ("MSWINDOWS.rawsd", "AQ-_", Refused),
        ("MSWINDOWS.rawsd", "AQAA AQAA", Refused),
        ("MSWINDOWS.rawsd", "not base64!", Refused),
        ("MSWINDOWS.sd", "O:BAG:SYD:(A;;FA;;;BA)", Taken),
        ("MSWINDOWS.sd", "AQAA", Refused),
        ("MSWINDOWS.mountpoint", "", Taken),
        ("MSWINDOWS.mountpoint", "anything", Taken),
        ("MSWINDOWS.xattr.$KERNEL.PURGE", "AQAA", Taken),
        ("MSWINDOWS.xattr.a", "", Taken),
        ("MSWINDOWS.xattr.a", "AQA", Refused),
        ("MSWINDOWS.xattr.", "AQAA", Taken),
        ("MSWINDOWS.unknown", "?", Taken),
        ("LIBARCHIVE.creationtime", "-1.5", Taken),
        ("LIBARCHIVE.creationtime", "1.", Taken),
        ("LIBARCHIVE.creationtime", "+1.0000000001", Taken),
        ("LIBARCHIVE.creationtime", "", Refused),
        ("LIBARCHIVE.creationtime", "1,5", Refused),
        ("LIBARCHIVE.creationtime", "soon", Refused),
        ("mtime", "1.5", Taken),
        ("mtime", "", Taken),
        ("mtime", "x", Refused),
        ("atime", "1.5", Taken),
        ("atime", "", Taken),
        ("atime", "1700000000,25", Refused),
        ("ctime", "-1", Taken),
        ("ctime", "x", Refused),
        ("uid", "-5", Taken),
        ("uid", "", Taken),
        ("uid", "abc", Refused),
        ("gid", "9223372036854775807", Taken),
        ("gid", "9223372036854775808", Refused),
        ("size", "0", Taken),
        ("size", "+0", Taken),
        ("size", "-1", Refused),
        ("size", "0x0", Refused),
        ("uname", "a\0b", Refused),
        ("gname", "a\0b", Refused),
        ("comment", "a\0b", Taken),
    ]
    .into_iter()
    .map(|(key, value, said)| (key, value.to_owned(), said))
    .chain([
        // The value is 65,535 and 65,536 bytes long.
        ("MSWINDOWS.xattr.a", long(87_380), Taken),
        ("MSWINDOWS.xattr.a", format!("{}==", long(87_382)), Refused),
    ])
    .collect();
    for (key, value, expected) in rows {
        assert_eq!(said(FILE.0, FILE.1, key, &value), expected, "{key}={:?}", value.get(..40).unwrap_or(&value));
    }
    for (length, expected) in [(255, Taken), (256, Refused)] {
        let key = format!("MSWINDOWS.xattr.{}", "n".repeat(length));
        assert_eq!(said(FILE.0, FILE.1, &key, "AQAA"), expected, "a name of {length} bytes");
    }
}

#[test]
fn records_that_no_host_reads_are_taken_whatever_they_say() {
    // Of hard links, whiteouts and streams hosts read the names (hcsshim pkg/ociwclayer/import.go).
    for (kind, name) in [
        (tar::EntryType::Link, "Files/b"),
        (tar::EntryType::Regular, "Files/.wh.b"),
        (tar::EntryType::Regular, "Files/a:stream"),
    ] {
        for key in ["MSWINDOWS.fileattr", "MSWINDOWS.rawsd", "MSWINDOWS.xattr.a", "LIBARCHIVE.creationtime"] {
            assert_eq!(said(kind, name, key, "?"), Taken, "{name}: {key}");
        }
        assert_eq!(said(kind, name, "atime", "?"), Refused, "Go reads it: {name}");
    }
    for kind in [tar::EntryType::Directory, tar::EntryType::Symlink, tar::EntryType::Fifo] {
        assert_eq!(said(kind, "Files/b", "MSWINDOWS.fileattr", "?"), Refused);
    }
}
