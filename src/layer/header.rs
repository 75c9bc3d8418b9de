//! The headers of an entry with another name or another link target, and everything else as it was.

use std::borrow::Cow;

use super::block::{self, Block};
use super::entry::BLOCK_LENGTH;
use super::pax::{self, push_record};
use super::spelling::bytes_of;

/// The headers of an entry are not those of a tar. The scan would have said so before; the layer changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the headers of an entry cannot be read; the layer has changed since it was indexed")]
pub struct HeaderError;

/// The longest name that fits into a header block without an extended header, in bytes.
const SHORT_NAME: usize = 100;

/// What to change in the headers of an entry.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeaderEdit<'a> {
    /// The new name, if it changes, as [`super::spelling`] spells it.
    pub path: Option<&'a str>,
    /// The new link target, if it changes, as [`super::spelling`] spells it.
    pub link: Option<&'a str>,
}

/// Makes the header blocks of an entry anew from its present ones: `headers` is the span from the entry's first
/// extended header to its data.
///
/// All PAX records but `path` and `linkpath` stay, in their order, and so do all other fields. GNU long names become PAX
/// records.
pub fn edit(headers: &[u8], change: HeaderEdit<'_>) -> Result<Vec<u8>, HeaderError> {
    let parsed = Parsed::read(headers)?;
    let path = change.path.map(bytes_of).or(parsed.long_name.map(Cow::Owned));
    let link = change.link.map(bytes_of).or(parsed.long_link.map(Cow::Owned));
    let mut records = parsed.records;
    let mut main = parsed.main;
    let short_path = main.path_bytes().into_owned();
    if let Some(path) = &path {
        set_name(&mut main, &mut records, Name::Path, path);
    }
    if let Some(link) = &link {
        set_name(&mut main, &mut records, Name::Link, link);
    }
    main.set_cksum();
    let is_new = parsed.extended.is_none();
    let extended = parsed.extended.unwrap_or_else(extended_header);
    let name = path.as_deref().or(is_new.then_some(&*short_path));
    Ok(assemble(&main, &records, extended, name))
}

/// The header blocks of a new entry; the records must be sorted by key and hold neither `path` nor `size`.
pub fn new_entry(
    path: &str,
    typeflag: tar::EntryType,
    mode: u32,
    size: u64,
    modified: u64,
    records: &[(&str, String)],
) -> Vec<u8> {
    let mut main = tar::Header::new_ustar();
    main.set_entry_type(typeflag);
    main.set_mode(mode);
    main.set_uid(0);
    main.set_gid(0);
    main.set_size(size);
    main.set_mtime(modified);
    let mut records: Vec<PaxRecord> =
        records.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    if size > MOST_OCTAL_SIZE {
        let at = records.partition_point(|(key, _)| key.as_slice() < &b"size"[..]);
        records.insert(at, (b"size".to_vec(), size.to_string().into_bytes()));
    }
    let path = bytes_of(path);
    set_name(&mut main, &mut records, Name::Path, &path);
    main.set_cksum();
    assemble(&main, &records, extended_header(), Some(&path))
}

/// Key and value of a record.
type PaxRecord = (Vec<u8>, Vec<u8>);

/// The largest size that the twelve octal digits of a header block can hold.
const MOST_OCTAL_SIZE: u64 = 0o77_777_777_777;

/// Joins the blocks of an entry: the extended header, if there are records, and its own.
fn assemble(main: &tar::Header, records: &[PaxRecord], mut extended: tar::Header, name: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if !records.is_empty() {
        let mut body = Vec::new();
        for (key, value) in records {
            push_record(&mut body, key, value);
        }
        if let Some(path) = name {
            put_bytes(&mut extended.as_old_mut().name, &short(&extended_name(path)));
        }
        extended.set_size(body.len() as u64);
        extended.set_cksum();
        bytes.extend_from_slice(extended.as_bytes());
        body.resize(body.len().next_multiple_of(BLOCK_LENGTH), 0);
        bytes.extend_from_slice(&body);
    }
    bytes.extend_from_slice(main.as_bytes());
    bytes
}

/// The headers of an entry, taken apart.
struct Parsed {
    extended: Option<tar::Header>,
    records: Vec<PaxRecord>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    main: tar::Header,
}

impl Parsed {
    fn read(mut headers: &[u8]) -> Result<Parsed, HeaderError> {
        let mut extended = None;
        let mut records = Vec::new();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let (block, rest) = headers.split_at_checked(BLOCK_LENGTH).ok_or(HeaderError)?;
            let parsed = Block::read(block).map_err(|_| HeaderError)?;
            let header = tar::Header::from_byte_slice(block);
            if !matches!(parsed.typeflag, b'x' | b'L' | b'K') {
                let main = header.clone();
                return if rest.is_empty() {
                    Ok(Parsed { extended, records, long_name, long_link, main })
                } else {
                    Err(HeaderError)
                };
            }
            let length = usize::try_from(parsed.size).map_err(|_| HeaderError)?;
            let padded = length.checked_next_multiple_of(BLOCK_LENGTH).ok_or(HeaderError)?;
            let (body, rest) = rest.split_at_checked(padded).ok_or(HeaderError)?;
            let body = &body[..length];
            // Of several of one kind the last one counts, and an empty long name does not.
            let long = || Some(block::text(body).to_vec()).filter(|name| !name.is_empty());
            match parsed.typeflag {
                b'x' => {
                    extended = Some(header.clone());
                    records.clear();
                    for record in pax::records(body) {
                        let record = record.ok_or(HeaderError)?;
                        records.push((record.key.to_owned(), record.value.to_owned()));
                    }
                }
                b'L' => long_name = long(),
                _ => long_link = long(),
            }
            headers = rest;
        }
    }
}

#[derive(Clone, Copy)]
enum Name {
    Path,
    Link,
}

/// Puts a name into the header block, and into a record where the block cannot hold it.
fn set_name(main: &mut tar::Header, records: &mut Vec<PaxRecord>, which: Name, name: &[u8]) {
    let key = match which {
        Name::Path => &b"path"[..],
        Name::Link => b"linkpath",
    };
    let fits = name.len() <= SHORT_NAME && name.is_ascii();
    let record = || (key.to_vec(), name.to_vec());
    // Of several records the last one counts; only one is left.
    match (records.iter().position(|(present, _)| present == key), fits) {
        (Some(_), true) => records.retain(|(present, _)| present != key),
        (Some(at), false) => {
            let mut number = 0;
            records.retain(|(present, _)| {
                number += 1;
                present != key || number == at + 1
            });
            records[at] = record();
        }
        (None, true) => {}
        (None, false) => {
            // Writers sort records by key; a new one goes where they would have put it.
            let at = records.iter().position(|(present, _)| present.as_slice() > key).unwrap_or(records.len());
            records.insert(at, record());
        }
    }
    let field = short(name);
    match which {
        Name::Path => {
            let old = block::text(&main.as_old().name).len();
            let has_prefix = Block::read(main.as_bytes()).is_ok_and(|block| block.name.len() > old);
            put_bytes(&mut main.as_old_mut().name, &field);
            if main.as_ustar().is_some() || has_prefix {
                main.as_mut_bytes()[345..500].fill(0);
            }
        }
        Name::Link => put_bytes(&mut main.as_old_mut().linkname, &field),
    }
}

/// What a header block shows of a name that may be longer than it can hold: ASCII, cut off, as Go writes it.
fn short(name: &[u8]) -> Vec<u8> {
    name.iter().copied().filter(u8::is_ascii).take(SHORT_NAME).collect()
}

fn put_bytes(field: &mut [u8], bytes: &[u8]) {
    field.fill(0);
    field[..bytes.len()].copy_from_slice(bytes);
}

/// The name that the header block of an extended header has: `dir/PaxHeaders.0/name`, as Go and others write it.
fn extended_name(path: &[u8]) -> Vec<u8> {
    let name = path.iter().rposition(|&byte| byte == b'/').map_or(0, |separator| separator + 1);
    [&path[..name], b"PaxHeaders.0/", &path[name..]].concat()
}

/// The header block of a new extended header.
fn extended_header() -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_mode(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::scan::Scanner;

    /// The headers of an empty file as Microsoft's writer makes them.
    fn headers(path: &str, link: Option<&str>, extra: &[(&str, &str)]) -> Vec<u8> {
        let mut records: Vec<(&str, &str)> = extra.to_vec();
        let mut main = tar::Header::new_ustar();
        main.set_entry_type(if link.is_some() { tar::EntryType::Link } else { tar::EntryType::Regular });
        main.set_mode(0o100644);
        put_bytes(&mut main.as_old_mut().name, &short(path.as_bytes()));
        if short(path.as_bytes()) != path.as_bytes() {
            records.push(("path", path));
        }
        if let Some(link) = link {
            put_bytes(&mut main.as_old_mut().linkname, &short(link.as_bytes()));
            if short(link.as_bytes()) != link.as_bytes() {
                records.push(("linkpath", link));
            }
        }
        records.sort_unstable();
        main.set_size(0);
        main.set_cksum();
        let mut bytes = Vec::new();
        if !records.is_empty() {
            let mut body = Vec::new();
            for (key, value) in records {
                push_record(&mut body, key.as_bytes(), value.as_bytes());
            }
            let mut extended = extended_header();
            put_bytes(&mut extended.as_old_mut().name, &short(&extended_name(path.as_bytes())));
            extended.set_size(body.len() as u64);
            extended.set_cksum();
            bytes.extend_from_slice(extended.as_bytes());
            body.resize(body.len().next_multiple_of(512), 0);
            bytes.extend_from_slice(&body);
        }
        bytes.extend_from_slice(main.as_bytes());
        bytes
    }

    fn scan(headers: &[u8]) -> crate::layer::Entry {
        let mut scanner = Scanner::new();
        scanner.feed(headers).unwrap();
        scanner.feed(&[0; 1024]).unwrap();
        scanner.finish().unwrap().entries.remove(0)
    }

    #[test]
    fn another_name_keeps_everything_else() {
        let long = format!("Files/{}", "x".repeat(200));
        let records = [("MSWINDOWS.fileattr", "32"), ("MSWINDOWS.rawsd", "AQAA")];
        for (old, new) in [
            ("Files/a", "Files/b"),
            ("Files/a", long.as_str()),
            (long.as_str(), "Files/b"),
            (long.as_str(), "Files/été"),
            ("Files/été", "Files/b"),
        ] {
            let edited = edit(&headers(old, None, &records), HeaderEdit { path: Some(new), link: None }).unwrap();
            assert_eq!(edited, headers(new, None, &records), "{old} -> {new}");
            assert_eq!(scan(&edited).path.as_str(), new);
        }
    }

    #[test]
    fn another_target_keeps_everything_else() {
        let long = format!("Files/{}", "x".repeat(200));
        for (old, new) in [("Files/a", "Files/b"), ("Files/a", long.as_str()), (long.as_str(), "Files/b")] {
            for records in [&[][..], &[("mtime", "1.5")][..]] {
                let edited =
                    edit(&headers("Files/l", Some(old), records), HeaderEdit { path: None, link: Some(new) }).unwrap();
                assert_eq!(edited, headers("Files/l", Some(new), records), "{old} -> {new}");
                assert_eq!(scan(&edited).link.as_deref(), Some(new));
            }
        }
    }

    #[test]
    fn gnu_long_names_become_records() {
        let long = format!("Files/{}", "y".repeat(150));
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        builder.append_link(&mut header, &long, "Files/old").unwrap();
        let bytes = builder.into_inner().unwrap();
        let edited = edit(&bytes[..bytes.len() - 1024], HeaderEdit { path: None, link: Some("Files/new") }).unwrap();
        let entry = scan(&edited);
        assert_eq!((entry.path.as_str(), entry.link.as_deref()), (long.as_str(), Some("Files/new")));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let good = headers("Files/a", None, &[("mtime", "1")]);
        for wrong in [&good[..512], &good[..good.len() - 1], &[0; 512], &[]] {
            assert_eq!(edit(wrong, HeaderEdit::default()), Err(HeaderError));
        }
    }
}
