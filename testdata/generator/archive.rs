//! Layers as tar: headers and PAX records as the exporters of Microsoft's tools write them (go-winio `backuptar/tar.go`
//! through Go's `archive/tar`).

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::layer::{Item, Kind, Layer};
use super::random::{Random, seed_of};
use super::security::descriptor;

const BLOCK: usize = 512;

/// Writes a layer, times counted from `epoch` (seconds since 1970).
pub fn write_layer(layer: &Layer, epoch: i64, out: &mut dyn Write) -> io::Result<()> {
    for item in &layer.items {
        write_item(item, epoch, out)?;
    }
    out.write_all(&[0; 2 * BLOCK])
}

fn write_item(item: &Item, epoch: i64, out: &mut dyn Write) -> io::Result<()> {
    let content = match &item.kind {
        Kind::File(content) | Kind::Stream(content) => Some(content),
        _ => None,
    };
    let target = match &item.kind {
        Kind::HardLink(target) | Kind::Symlink { target, .. } | Kind::Junction(target) => Some(target.as_str()),
        _ => None,
    };
    let modified = if item.bare { 0 } else { Times::of(item, epoch).modified.0 };

    let body = pax_body(item, target, epoch);
    if !body.is_empty() {
        let (directory, name) = item.name.rsplit_once('/').unwrap_or((".", &item.name));
        let name = format!("{directory}/PaxHeaders.0/{name}");
        out.write_all(header(&name, None, b'x', 0, body.len() as u64, 0).as_bytes())?;
        out.write_all(&body)?;
        pad(body.len() as u64, out)?;
    }

    let size = content.map_or(0, |content| content.length());
    let (typeflag, mode) = typeflag_and_mode(item);
    out.write_all(header(&item.name, target, typeflag, mode, size, modified).as_bytes())?;
    if let Some(content) = content {
        content.write(out)?;
        pad(size, out)?;
    }
    Ok(())
}

/// Modes with the bits of the type, as Go's exporter sets them, and without permissions where Microsoft's layers have none.
fn typeflag_and_mode(item: &Item) -> (u8, u32) {
    match item.kind {
        Kind::Directory if matches!(&*item.name, "Files" | "UtilityVM" | "UtilityVM/Files") => (b'5', 0o040_000),
        Kind::Directory => (b'5', 0o040_755),
        Kind::HardLink(_) => (b'1', 0o644),
        Kind::Symlink { .. } | Kind::Junction(_) => (b'2', 0o120_000),
        Kind::File(_) => (b'0', 0o100_644),
        Kind::Stream(_) => (b'0', 0o100_000),
        Kind::Whiteout => (b'0', 0),
    }
}

fn header(name: &str, target: Option<&str>, typeflag: u8, mode: u32, size: u64, modified: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    fill(&mut header.as_old_mut().name, name);
    fill(&mut header.as_old_mut().linkname, target.unwrap_or_default());
    header.set_entry_type(tar::EntryType::new(typeflag));
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(modified);
    header.set_size(size);
    header.set_cksum();
    header
}

/// The ASCII part of a name, cut to what the field holds: the PAX record has the name in full.
fn fill(field: &mut [u8], text: &str) {
    for (place, byte) in field.iter_mut().zip(text.bytes().filter(u8::is_ascii)) {
        *place = byte;
    }
}

fn pad(length: u64, out: &mut dyn Write) -> io::Result<()> {
    let padding = length.next_multiple_of(BLOCK as u64) - length;
    out.write_all(&[0; BLOCK][..padding as usize])
}

/// Seconds since 1970 and hundreds of nanoseconds.
type Time = (u64, u64);

struct Times {
    created: Time,
    modified: Time,
    accessed: Time,
    changed: Time,
}

impl Times {
    fn of(item: &Item, epoch: i64) -> Times {
        let mut random = Random::new(seed_of(&item.name));
        let mut time = |spread: u64| (epoch.unsigned_abs() + random.below(spread), random.below(10_000_000));
        Times { created: time(1_000), modified: time(1_000), accessed: time(100_000), changed: time(100_000) }
    }
}

/// The records of an entry, sorted by key as Go sorts them.
fn pax_body(item: &Item, target: Option<&str>, epoch: i64) -> Vec<u8> {
    let mut records: Vec<(String, String)> = Vec::new();
    if !item.bare {
        let times = Times::of(item, epoch);
        let attributes = item.attributes.unwrap_or_else(|| attributes(item));
        records.push(("LIBARCHIVE.creationtime".into(), seconds(times.created)));
        records.push(("MSWINDOWS.fileattr".into(), attributes.to_string()));
        if matches!(item.kind, Kind::Junction(_)) {
            records.push(("MSWINDOWS.mountpoint".into(), "1".into()));
        }
        records.push(("MSWINDOWS.rawsd".into(), STANDARD.encode(descriptor(item.security))));
        for (name, value) in &item.extended {
            records.push((format!("MSWINDOWS.xattr.{name}"), STANDARD.encode(value)));
        }
        records.push(("atime".into(), seconds(times.accessed)));
        records.push(("ctime".into(), seconds(times.changed)));
        records.push(("mtime".into(), seconds(times.modified)));
    }
    if item.name.len() > 100 || !item.name.is_ascii() {
        records.push(("path".into(), item.name.clone()));
    }
    if let Some(target) = target.filter(|target| target.len() > 100 || !target.is_ascii()) {
        records.push(("linkpath".into(), target.to_owned()));
    }
    if let Some(size) = item.pax_size {
        records.push(padding_record(size - joined(&records).len()));
    }
    records.sort();
    joined(&records)
}

fn joined(records: &[(String, String)]) -> Vec<u8> {
    records.iter().flat_map(|(key, value)| record(key, value).into_bytes()).collect()
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

/// An extended attribute whose record is exactly `size` bytes long.
fn padding_record(size: usize) -> (String, String) {
    for value in 0..size {
        for key in 0..8 {
            let key = format!("MSWINDOWS.xattr.PADDING{}", "X".repeat(key));
            let value = STANDARD.encode(vec![b'.'; value]);
            if record(&key, &value).len() == size {
                return (key, value);
            }
        }
    }
    panic!("no record is {size} bytes long");
}

fn seconds((seconds, fraction): Time) -> String {
    if fraction == 0 {
        return seconds.to_string();
    }
    format!("{seconds}.{fraction:07}").trim_end_matches('0').to_owned()
}

/// FILE_ATTRIBUTE_DIRECTORY 0x10, ARCHIVE 0x20, REPARSE_POINT 0x400, as a Windows host records them.
fn attributes(item: &Item) -> u32 {
    match item.kind {
        Kind::Directory => 0x10,
        Kind::Junction(_) | Kind::Symlink { directory: true, .. } => 0x410,
        Kind::Symlink { .. } => 0x400,
        _ => 0x20,
    }
}
