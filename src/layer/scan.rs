//! Reads a tar as it is pushed in, piece by piece, and notes where each entry lies.
//!
//! A reader that pulls entry by entry knows where an entry's own header is, but not where the extended headers in front of
//! it begin; to remove an entry one needs the whole span. The rules are those of Go's `archive/tar`, which every Windows
//! host reads layers with, and stricter where a layer could mean different things to different readers.

use std::collections::HashMap;

use super::entry::{BLOCK, Entry, EntryKind, HEAD_LENGTH, WHITEOUT_PREFIX, stream_owner};
use super::path::{FoldedPath, LayerPath};
use super::pax;

/// The longest extended header that is read, in bytes: the limit of Go's `archive/tar`.
pub const MAX_EXTENDED_HEADER: u64 = 1 << 20;

/// What a layer may have at most. The largest layers of Microsoft's images have a few hundred thousand entries, tens of
/// megabytes of names, and about 10 GB; whatever is far beyond that is made to exhaust memory, a disk or patience.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Entries.
    entries: usize,
    /// Bytes of names, link targets and security descriptors, as the index keeps them.
    text: usize,
    /// Bytes of the uncompressed tar.
    length: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: 1_000_000, text: 256 << 20, length: 256 << 30 }
    }
}

/// Why a tar cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tar is damaged at byte {position}{}: {problem}", .after.as_ref().map(|name| format!(", after `{name}`")).unwrap_or_default())]
pub struct ScanError {
    /// Position in the uncompressed tar.
    pub position: u64,
    /// The name of the last entry that could be read.
    pub after: Option<LayerPath>,
    /// What is wrong there.
    pub problem: ScanProblem,
}

/// What is wrong with a tar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ScanProblem {
    #[error("the checksum of a header is wrong")]
    Checksum,
    #[error("a number in a header cannot be read")]
    Number,
    #[error("an extended header cannot be read")]
    Extended,
    #[error("an extended header of {0} bytes is longer than the 1 MiB that readers accept")]
    ExtendedTooLong(u64),
    #[error("two extended headers of one kind stand before one entry")]
    ExtendedTwice,
    #[error("an extended header stands before no entry")]
    ExtendedAlone,
    #[error("a name is not UTF-8 or holds a NUL")]
    Name,
    #[error("the record `{0}` has a value that cannot be read")]
    Record(&'static str),
    #[error("it has a global extended header, which a Windows host would take for a file")]
    Global,
    #[error("it has a sparse file, which Windows hosts do not read")]
    Sparse,
    #[error("an entry claims more bytes than any file can have")]
    Size,
    #[error("it ends in the middle of an entry")]
    Truncated,
    #[error("something follows the end of the archive")]
    Trailing,
    #[error("it has more than {0} entries, which no Windows layer has")]
    TooManyEntries(usize),
    #[error("its names and security descriptors take more than {} MiB, which no Windows layer needs", .0 >> 20)]
    TooMuchText(usize),
    #[error("it unpacks to more than {} GiB, which no Windows layer does", .0 >> 30)]
    TooLong(u64),
}

/// A tar reader that is fed bytes and collects entries.
#[derive(Debug, Default)]
pub struct Scanner {
    limits: Limits,
    state: State,
    position: u64,
    /// Where the span of the entry being read begins.
    start: u64,
    extended: Extended,
    entries: Vec<Entry>,
    security: Vec<Box<str>>,
    security_numbers: HashMap<Box<str>, u32>,
    /// Bytes of text in the entries so far.
    text: usize,
}

/// What a finished scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The entries in order; their spans tile `0..entries_end`.
    pub entries: Vec<Entry>,
    /// The different values of `MSWINDOWS.rawsd`.
    pub security: Vec<Box<str>>,
    /// The position behind the last entry.
    pub entries_end: u64,
    /// The number of bytes that were fed.
    pub length: u64,
}

#[derive(Debug)]
enum State {
    /// Collecting a header block.
    Header(Vec<u8>),
    /// Collecting the body of an extended header of this typeflag.
    Extended { typeflag: u8, length: usize, body: Vec<u8> },
    /// Passing data and padding; of the data, `data` bytes are left, and `head` are still to be copied for the index.
    Data { left: u64, data: u64, head: usize, checksum: crc32fast::Hasher },
    /// Behind a zero block.
    End,
}

impl Default for State {
    fn default() -> State {
        State::Header(Vec::with_capacity(BLOCK as usize))
    }
}

/// The extended headers that wait for their entry.
#[derive(Debug, Default)]
struct Extended {
    pax: Option<Vec<u8>>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Extended {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

impl Scanner {
    /// A scanner at the beginning of a tar.
    pub fn new() -> Scanner {
        Scanner::default()
    }

    /// Takes the next bytes of the tar in.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), ScanError> {
        while !bytes.is_empty() {
            let taken = self.step(bytes)?;
            self.position += taken as u64;
            if self.position > self.limits.length {
                return Err(self.error(ScanProblem::TooLong(self.limits.length)));
            }
            bytes = &bytes[taken..];
            self.settle()?;
        }
        Ok(())
    }

    /// The entries that have begun by now.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Ends the scan: the whole tar has been fed.
    pub fn finish(self) -> Result<Scan, ScanError> {
        match &self.state {
            State::Header(block) if block.is_empty() => {
                if !self.extended.is_empty() {
                    return Err(self.error(ScanProblem::ExtendedAlone));
                }
            }
            State::End => {}
            _ => return Err(self.error(ScanProblem::Truncated)),
        }
        let entries_end = self.entries.last().map_or(0, Entry::end);
        Ok(Scan { entries: self.entries, security: self.security, entries_end, length: self.position })
    }

    /// Uses up some of the bytes, as the state asks for them.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, ScanError> {
        match &mut self.state {
            State::Header(block) => Ok(fill(block, BLOCK as usize, bytes)),
            State::Extended { length, body, .. } => {
                let padded = length.next_multiple_of(BLOCK as usize);
                Ok(fill(body, padded, bytes))
            }
            State::Data { left, data, head, checksum } => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let of_data = usize::try_from(*data).map_or(taken, |data| data.min(taken));
                checksum.update(&bytes[..of_data]);
                *data -= of_data as u64;
                let copied = taken.min(*head);
                if copied > 0
                    && let Some(entry) = self.entries.last_mut()
                {
                    let mut kept = entry.head.take().map(Vec::from).unwrap_or_default();
                    kept.extend_from_slice(&bytes[..copied]);
                    entry.head = Some(kept.into());
                    *head -= copied;
                }
                *left -= taken as u64;
                Ok(taken)
            }
            State::End => match bytes.iter().position(|&byte| byte != 0) {
                Some(at) => {
                    self.position += at as u64;
                    Err(self.error(ScanProblem::Trailing))
                }
                None => Ok(bytes.len()),
            },
        }
    }

    /// Moves on from a state that has all it asked for.
    fn settle(&mut self) -> Result<(), ScanError> {
        match &mut self.state {
            State::Header(block) if block.len() == BLOCK as usize => {
                let block = std::mem::take(block);
                self.header(&block)
            }
            State::Extended { typeflag, length, body } if body.len() == length.next_multiple_of(BLOCK as usize) => {
                let typeflag = *typeflag;
                let mut body = std::mem::take(body);
                body.truncate(*length);
                self.state = State::default();
                self.extended(typeflag, body)
            }
            State::Data { left: 0, checksum, .. } => {
                if let Some(entry) = self.entries.last_mut() {
                    entry.checksum = checksum.clone().finalize();
                }
                self.state = State::default();
                self.start = self.position;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn header(&mut self, block: &[u8]) -> Result<(), ScanError> {
        if block.iter().all(|&byte| byte == 0) {
            if !self.extended.is_empty() {
                return Err(self.error(ScanProblem::ExtendedAlone));
            }
            self.state = State::End;
            return Ok(());
        }
        let Some(header) = checked_header(block) else {
            return Err(self.error(ScanProblem::Checksum));
        };
        let typeflag = header.entry_type().as_byte();
        match typeflag {
            b'x' | b'L' | b'K' => {
                let length = header.entry_size().map_err(|_| self.error(ScanProblem::Number))?;
                if length > MAX_EXTENDED_HEADER {
                    return Err(self.error(ScanProblem::ExtendedTooLong(length)));
                }
                self.state = State::Extended { typeflag, length: length as usize, body: Vec::new() };
                if length == 0 {
                    self.settle()?;
                }
                Ok(())
            }
            b'g' => Err(self.error(ScanProblem::Global)),
            b'S' => Err(self.error(ScanProblem::Sparse)),
            _ => self.entry(header),
        }
    }

    fn extended(&mut self, typeflag: u8, body: Vec<u8>) -> Result<(), ScanError> {
        let place = match typeflag {
            b'x' => &mut self.extended.pax,
            b'L' => &mut self.extended.long_name,
            _ => &mut self.extended.long_link,
        };
        if place.replace(body).is_some() {
            return Err(self.error(ScanProblem::ExtendedTwice));
        }
        Ok(())
    }

    fn entry(&mut self, header: &tar::Header) -> Result<(), ScanError> {
        let extended = std::mem::take(&mut self.extended);
        let records =
            Records::read(extended.pax.as_deref().unwrap_or_default()).map_err(|problem| self.error(problem))?;
        let name = |pax: Option<Box<str>>, long: Option<Vec<u8>>, short: &[u8]| match (pax, long) {
            (Some(path), _) => Ok(path),
            (None, Some(mut long)) => {
                // GNU tar ends long names with a NUL.
                while long.last() == Some(&0) {
                    long.pop();
                }
                text(&long)
            }
            (None, None) => text(short),
        };
        let path =
            name(records.path, extended.long_name, &header.path_bytes()).map_err(|problem| self.error(problem))?;
        let short_link = header.link_name_bytes().unwrap_or_default();
        let link = name(records.link, extended.long_link, &short_link).map_err(|problem| self.error(problem))?;
        let size = match records.size {
            Some(size) => size,
            None => header.entry_size().map_err(|_| self.error(ScanProblem::Number))?,
        };
        let typeflag = header.entry_type().as_byte();
        // Go gives no data to these, whatever their size says.
        let size = if matches!(typeflag, b'1'..=b'6') { 0 } else { size };
        let data = self.position;
        if data
            .checked_add(size)
            .and_then(|end| end.checked_next_multiple_of(BLOCK))
            .is_none_or(|end| end > i64::MAX as u64)
        {
            return Err(self.error(ScanProblem::Size));
        }
        let kind = kind(typeflag, &path, records.mount_point, self.entries.last());
        let modified = match records.modified {
            Some(seconds) => seconds,
            None => i64::try_from(header.mtime().map_err(|_| self.error(ScanProblem::Number))?).unwrap_or(i64::MAX),
        };
        let security = records.security.map(|descriptor| self.intern(descriptor));
        let has_link = matches!(kind, EntryKind::HardLink | EntryKind::Symlink | EntryKind::Junction);
        if self.entries.len() == self.limits.entries {
            return Err(self.error(ScanProblem::TooManyEntries(self.limits.entries)));
        }
        let link = has_link.then_some(link);
        self.text += path.len() + link.as_ref().map_or(0, |link| link.len());
        if self.text > self.limits.text {
            return Err(self.error(ScanProblem::TooMuchText(self.limits.text)));
        }
        let head = if kind == EntryKind::File && wants_head(&path) { HEAD_LENGTH.min(size as usize) } else { 0 };
        self.entries.push(Entry {
            kind,
            path: LayerPath::new(path),
            link,
            start: self.start,
            data,
            size,
            attributes: records.attributes,
            security,
            modified,
            checksum: 0,
            head: None,
        });
        let left = size.next_multiple_of(BLOCK);
        self.state = State::Data { left, data: size, head, checksum: crc32fast::Hasher::new() };
        if size == 0 {
            self.settle()?;
        }
        Ok(())
    }

    fn intern(&mut self, descriptor: Box<str>) -> u32 {
        if let Some(&number) = self.security_numbers.get(&descriptor) {
            return number;
        }
        let number = self.security.len() as u32;
        // Kept twice: in the list, and to find it there.
        self.text += 2 * descriptor.len();
        self.security.push(descriptor.clone());
        self.security_numbers.insert(descriptor, number);
        number
    }

    fn error(&self, problem: ScanProblem) -> ScanError {
        ScanError { position: self.position, after: self.entries.last().map(|entry| entry.path.clone()), problem }
    }
}

/// The records that the index keeps.
#[derive(Default)]
struct Records {
    path: Option<Box<str>>,
    link: Option<Box<str>>,
    size: Option<u64>,
    modified: Option<i64>,
    attributes: Option<u32>,
    security: Option<Box<str>>,
    mount_point: bool,
}

impl Records {
    fn read(body: &[u8]) -> Result<Records, ScanProblem> {
        let mut found = Records::default();
        for record in pax::records(body) {
            let pax::Record { key, value } = record.ok_or(ScanProblem::Extended)?;
            if key == "MSWINDOWS.mountpoint" {
                // Its presence alone counts, even with an empty value (go-winio backuptar/tar.go).
                found.mount_point = true;
            }
            if key.starts_with("GNU.sparse.") {
                return Err(ScanProblem::Sparse);
            }
            if value.is_empty() {
                // An empty value takes the record back: the field of the header counts.
                continue;
            }
            match key {
                "path" => found.path = Some(text(value)?),
                "linkpath" => found.link = Some(text(value)?),
                "size" => found.size = Some(decimal(value).ok_or(ScanProblem::Record("size"))?),
                "mtime" => found.modified = Some(seconds(value).ok_or(ScanProblem::Record("mtime"))?),
                "MSWINDOWS.fileattr" => {
                    let attributes = decimal(value).and_then(|value| u32::try_from(value).ok());
                    found.attributes = Some(attributes.ok_or(ScanProblem::Record("MSWINDOWS.fileattr"))?);
                }
                "MSWINDOWS.rawsd" => {
                    found.security = Some(text(value).map_err(|_| ScanProblem::Record("MSWINDOWS.rawsd"))?);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// What an entry is, from its typeflag, name and records, and from the entry before it.
fn kind(typeflag: u8, path: &str, mount_point: bool, before: Option<&Entry>) -> EntryKind {
    let file_name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if file_name == ".wh..wh..opq" {
        return EntryKind::OpaqueWhiteout;
    }
    if file_name.starts_with(WHITEOUT_PREFIX) {
        return EntryKind::Whiteout;
    }
    match typeflag {
        // Before ustar, a slash at the end was all that told a directory.
        0 if path.ends_with('/') => EntryKind::Directory,
        0 | b'0' => match (stream_owner(path), before) {
            (Some(_), Some(_)) => EntryKind::Stream,
            _ => EntryKind::File,
        },
        b'1' => EntryKind::HardLink,
        b'2' if mount_point => EntryKind::Junction,
        b'2' => EntryKind::Symlink,
        b'5' => EntryKind::Directory,
        other => EntryKind::Other(other),
    }
}

/// Whether the index keeps the beginning of this file: it is a registry hive that `verify` looks at.
fn wants_head(path: &str) -> bool {
    let folded = FoldedPath::new(path);
    let folded = folded.as_str();
    let below = folded.strip_prefix("UTILITYVM/").unwrap_or(folded);
    below.starts_with("FILES/WINDOWS/SYSTEM32/CONFIG/")
        || below.starts_with("FILES/EFI/MICROSOFT/BOOT/BCD")
        || folded.starts_with("HIVES/")
}

/// The header in a block, if its checksum is right.
pub(super) fn checked_header(block: &[u8]) -> Option<&tar::Header> {
    let block: &[u8; 512] = block.try_into().ok()?;
    let header = tar::Header::from_byte_slice(block);
    let sum: u32 =
        block.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) }).sum();
    (header.cksum().ok()? == sum).then_some(header)
}

/// Appends bytes until `to` is that long; says how many it took.
fn fill(to: &mut Vec<u8>, length: usize, bytes: &[u8]) -> usize {
    let taken = (length - to.len()).min(bytes.len());
    to.extend_from_slice(&bytes[..taken]);
    taken
}

fn text(bytes: &[u8]) -> Result<Box<str>, ScanProblem> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.into()),
        _ => Err(ScanProblem::Name),
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The whole seconds of a PAX time: `[-]seconds[.fraction]`, rounded down.
fn seconds(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    if whole.starts_with('-') && fraction.bytes().any(|digit| digit != b'0') {
        seconds.checked_sub(1)
    } else {
        Some(seconds)
    }
}

#[cfg(test)]
#[path = "tests/scan.rs"]
mod tests;
