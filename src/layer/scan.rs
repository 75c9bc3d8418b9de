//! Reads a tar as it is pushed in, piece by piece, and notes where each entry lies.
//!
//! A reader that pulls entry by entry knows where an entry's own header is, but not where the extended headers in front of
//! it begin; to remove an entry one needs the whole span. The tar is read as Go's `archive/tar` reads it (`reader.go`), because
//! every Windows host reads layers with that: what Go takes is taken, and what it refuses is an error. The one exception are sparse
//! files, which Go unpacks and winslim refuses.

use std::collections::HashSet;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::block::{self, Block, BlockProblem};
use super::entry::{BLOCK, BLOCK_LENGTH, Entry, EntryKind, HEAD_LENGTH, WHITEOUT_PREFIX, stream_owner};
use super::path::{FoldedPath, LayerPath};
use super::pax;
pub use super::problem::{ScanError, ScanProblem};
use super::records::{Records, Remark};
use super::spelling::spell;
use crate::position::RawPosition;

/// The longest extended header that is read, in bytes: the limit of Go's `archive/tar`.
pub const MAX_EXTENDED_HEADER: u64 = 1 << 20;

/// The most bytes of headers that are read for one entry: its own, and three extended ones.
pub(super) const MOST_HEADERS: u64 = BLOCK + 3 * (BLOCK + MAX_EXTENDED_HEADER);

/// The longest name, in UTF-16 units: no path of Windows is longer.
pub const LONGEST_NAME: usize = 32_767;

/// What a layer may have at most. The largest layers of Microsoft's images have a few hundred thousand entries, tens of
/// megabytes of names, and about 10 GB; whatever is far beyond that is made to exhaust memory, a disk or patience.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries.
    entries: usize,
    /// Different directories above the entries.
    directories: usize,
    /// Bytes of names, link targets and security descriptors, as the index keeps them.
    text: usize,
    /// Bytes of the uncompressed tar.
    length: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: 1_000_000, directories: 1_000_000, text: 256 << 20, length: 256 << 30 }
    }
}

/// How many times its stored size a layer may unpack to, besides [`UNPACKED_ANYWAY`]. gzip cannot reach more than 1,032 times.
const MOST_TIMES: u64 = 1_100;

/// How many bytes every layer may unpack to.
const UNPACKED_ANYWAY: u64 = 1 << 30;

/// How many entries every layer may have: more than the largest image of Microsoft's has.
const ENTRIES_ANYWAY: u64 = 400_000;

/// How many bytes of a blob are reason enough for one entry more. The entries of real layers take hundreds.
const BYTES_OF_AN_ENTRY: u64 = 40;

/// The most entries that all layers of an image may have together.
const MOST_OF_AN_IMAGE: u64 = 2_000_000;

/// Returns how many entries the layers of an image may have together if their blobs have so many bytes together.
pub fn most_entries(stored_size: u64) -> u64 {
    (ENTRIES_ANYWAY + stored_size / BYTES_OF_AN_ENTRY).min(MOST_OF_AN_IMAGE)
}

impl Limits {
    /// The limits of a layer whose blob has so many bytes. `most` bytes are let through in any case.
    ///
    /// A small blob must not take more time and memory than its size can be the reason for.
    pub fn of_blob(stored_size: u64, most: Option<u64>) -> Limits {
        let default = Limits::default();
        let length = stored_size.saturating_mul(MOST_TIMES).saturating_add(UNPACKED_ANYWAY).min(default.length);
        let text = (64 << 20) + usize::try_from(stored_size.saturating_mul(4)).unwrap_or(default.text);
        let entries = usize::try_from(most_entries(stored_size)).unwrap_or(default.entries).min(default.entries);
        Limits { entries, length: length.max(most.unwrap_or(0)), text: text.min(default.text), ..default }
    }
}

/// A tar reader that is fed bytes and collects entries.
#[derive(Debug, Default)]
pub struct Scanner {
    limits: Limits,
    state: State,
    position: u64,
    /// Where the span of the entry being read begins.
    start: u64,
    /// Whether anything but zeros came behind the last entry.
    has_more: bool,
    extended: Extended,
    entries: Vec<Entry>,
    remarks: Vec<Remark>,
    security: Vec<Box<str>>,
    /// The numbers of security descriptors, to find them by what they are.
    security_numbers: HashTable<u32>,
    directories: Directories,
    /// Bytes of text in the entries so far.
    text: usize,
}

/// What a finished scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The entries in order; their spans tile `0..entries_end`.
    pub entries: Vec<Entry>,
    /// What is odd about their records, entry by entry.
    pub remarks: Vec<Remark>,
    /// The different values of `MSWINDOWS.rawsd`.
    pub security: Vec<Box<str>>,
    /// The position behind the last entry and the padding that it should have.
    pub entries_end: RawPosition,
    /// Whether nothing but zeros follows the last entry.
    pub ends_in_zeros: bool,
    /// The number of bytes that were fed.
    pub length: u64,
}

#[derive(Debug)]
enum State {
    /// Collecting a header block.
    Header(Vec<u8>),
    /// Collecting the body of an extended header of this typeflag, which begins there.
    Extended { typeflag: u8, begin: u64, length: usize, body: Vec<u8> },
    /// Passing data and padding; of the data, `data` bytes are left, and `head` are still to be copied for the index.
    Data { left: u64, data: u64, head: usize, checksum: crc32fast::Hasher },
    /// Behind a block of zeros: collecting the second one.
    Ending(Vec<u8>),
    /// Behind the end mark. Whatever follows is not looked at.
    End,
}

impl Default for State {
    fn default() -> State {
        State::Header(Vec::with_capacity(BLOCK_LENGTH))
    }
}

/// The extended headers that wait for their entry. Of several of one kind the last one counts.
#[derive(Debug, Default)]
struct Extended {
    /// The name of a global header.
    name: Option<Vec<u8>>,
    pax: Option<Vec<u8>>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Scanner {
    /// A scanner at the beginning of a tar.
    pub fn new() -> Scanner {
        Scanner::default()
    }

    /// A scanner that refuses what is beyond these limits.
    pub fn with_limits(limits: Limits) -> Scanner {
        Scanner { limits, ..Scanner::default() }
    }

    /// Takes the next bytes of the tar in.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), ScanError> {
        while !bytes.is_empty() {
            let taken = self.step(bytes);
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
    ///
    /// As for Go, a tar may end where a header could begin, behind one block of zeros, and in the padding of data.
    pub fn finish(mut self) -> Result<Scan, ScanError> {
        match std::mem::take(&mut self.state) {
            State::Header(block) | State::Ending(block) if block.is_empty() => {}
            State::End => {}
            State::Data { data: 0, checksum, .. } => self.end_data(&checksum),
            State::Extended { typeflag, begin, length, mut body } if body.len() >= length => {
                body.truncate(length);
                self.extended(typeflag, begin, body)?;
            }
            _ => return Err(self.error(ScanProblem::Truncated)),
        }
        let entries_end = self.entries.last().map_or(RawPosition::START, Entry::end);
        Ok(Scan {
            entries: self.entries,
            remarks: self.remarks,
            security: self.security,
            entries_end,
            ends_in_zeros: !self.has_more,
            length: self.position,
        })
    }

    /// Uses up some of the bytes, as the state asks for them.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.state {
            State::Header(block) | State::Ending(block) => fill(block, BLOCK_LENGTH, bytes),
            State::Extended { length, body, .. } => fill(body, length.next_multiple_of(BLOCK_LENGTH), bytes),
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
                taken
            }
            State::End => {
                self.has_more |= !is_zero(bytes);
                bytes.len()
            }
        }
    }

    /// Moves on from a state that has all it asked for.
    fn settle(&mut self) -> Result<(), ScanError> {
        match &mut self.state {
            State::Header(block) if block.len() == BLOCK_LENGTH => {
                let block = std::mem::take(block);
                self.header(&block)
            }
            State::Ending(block) if block.len() == BLOCK_LENGTH => {
                if !is_zero(block) {
                    return Err(self.error(ScanProblem::HalfEnd));
                }
                self.state = State::End;
                Ok(())
            }
            State::Extended { typeflag, begin, length, body }
                if body.len() == length.next_multiple_of(BLOCK_LENGTH) =>
            {
                let (typeflag, begin) = (*typeflag, *begin);
                let mut body = std::mem::take(body);
                body.truncate(*length);
                self.state = State::default();
                self.extended(typeflag, begin, body)
            }
            State::Data { left: 0, checksum, .. } => {
                let checksum = checksum.clone();
                self.state = State::default();
                self.end_data(&checksum);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end_data(&mut self, checksum: &crc32fast::Hasher) {
        if let Some(entry) = self.entries.last_mut() {
            entry.checksum = checksum.clone().finalize();
        }
        self.start = self.position;
    }

    fn header(&mut self, block: &[u8]) -> Result<(), ScanError> {
        if is_zero(block) {
            self.state = State::Ending(Vec::with_capacity(BLOCK_LENGTH));
            return Ok(());
        }
        self.has_more = true;
        let header = Block::read(block).map_err(|problem| {
            self.error(match problem {
                BlockProblem::Checksum => ScanProblem::Checksum,
                BlockProblem::Number => ScanProblem::Number,
            })
        })?;
        if header.size < 0 && !has_no_data(header.typeflag) {
            return Err(self.error(ScanProblem::Number));
        }
        match header.typeflag {
            typeflag @ (b'x' | b'g' | b'L' | b'K') => {
                let length = header.size.unsigned_abs();
                let in_memory = usize::try_from(length).ok().filter(|_| length <= MAX_EXTENDED_HEADER);
                let length = in_memory.ok_or_else(|| self.error(ScanProblem::ExtendedTooLong(length)))?;
                self.extended.name = (typeflag == b'g').then(|| header.name.into_owned());
                self.state = State::Extended { typeflag, begin: self.position, length, body: Vec::new() };
                if length == 0 {
                    self.settle()?;
                }
                Ok(())
            }
            b'S' => Err(self.error(ScanProblem::Sparse)),
            _ => self.entry(&header),
        }
    }

    fn extended(&mut self, typeflag: u8, begin: u64, body: Vec<u8>) -> Result<(), ScanError> {
        if matches!(typeflag, b'x' | b'g') && pax::records(&body).any(|record| record.is_none()) {
            return Err(self.error(ScanProblem::Extended));
        }
        match typeflag {
            b'x' => self.extended.pax = Some(body),
            b'g' => return self.global(begin, &body),
            b'L' => self.extended.long_name = Some(body),
            _ => self.extended.long_link = Some(body),
        }
        Ok(())
    }

    /// Takes a global extended header for what it is to hosts: an entry of its own, an empty file. Headers that waited for an entry
    /// are lost with it.
    fn global(&mut self, begin: u64, body: &[u8]) -> Result<(), ScanError> {
        let name = std::mem::take(&mut self.extended).name.unwrap_or_default();
        let records = Records::read(body).unwrap_or_default();
        let entry = Entry {
            kind: EntryKind::Other(b'g'),
            start: self.start.into(),
            data: begin.into(),
            size: body.len() as u64,
            modified: 0,
            checksum: crc32fast::hash(body),
            ..self.new_entry(records.path.unwrap_or(&name))?
        };
        self.push(entry, &records)?;
        self.start = self.position;
        Ok(())
    }

    fn entry(&mut self, header: &Block) -> Result<(), ScanError> {
        let extended = std::mem::take(&mut self.extended);
        let records =
            Records::read(extended.pax.as_deref().unwrap_or_default()).map_err(|problem| self.error(problem))?;
        let long = |name: &'_ Option<Vec<u8>>| {
            let name = name.as_deref().map(block::text).unwrap_or_default();
            (!name.is_empty()).then(|| name.to_owned())
        };
        // A long name of GNU tar goes before the record of PAX.
        let (long_name, long_link) = (long(&extended.long_name), long(&extended.long_link));
        let path = long_name.as_deref().or(records.path).unwrap_or(&header.name);
        let link = long_link.as_deref().or(records.link).unwrap_or(header.link);
        // Before ustar, a slash at the end was all that told a directory.
        let typeflag = match header.typeflag {
            0 if path.ends_with(b"/") => b'5',
            0 => b'0',
            other => other,
        };
        let size = if has_no_data(typeflag) { 0 } else { records.size.unwrap_or(header.size) };
        let size = u64::try_from(size).map_err(|_| self.error(ScanProblem::Number))?;
        let data = self.position;
        let end = data.checked_add(size).and_then(|end| end.checked_next_multiple_of(BLOCK));
        if end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(self.error(ScanProblem::Size));
        }
        let mut entry = self.new_entry(path)?;
        entry.kind = kind(typeflag, entry.path.as_str(), records.mount_point, self.entries.last());
        if matches!(entry.kind, EntryKind::HardLink | EntryKind::Symlink | EntryKind::Junction) {
            entry.link = Some(spell(link).into());
        }
        entry.start = self.start.into();
        entry.data = data.into();
        entry.size = size;
        entry.modified = records.modified.unwrap_or(header.modified);
        let head = match entry.kind {
            EntryKind::File if wants_head(entry.path.as_str()) => {
                usize::try_from(size).map_or(HEAD_LENGTH, |size| size.min(HEAD_LENGTH))
            }
            _ => 0,
        };
        self.push(entry, &records)?;
        self.state =
            State::Data { left: size.next_multiple_of(BLOCK), data: size, head, checksum: crc32fast::Hasher::new() };
        if size == 0 {
            self.settle()?;
        }
        Ok(())
    }

    /// An entry of which nothing is known but its name.
    fn new_entry(&self, path: &[u8]) -> Result<Entry, ScanError> {
        if path.len() > LONGEST_NAME && utf16_length(path) > LONGEST_NAME {
            return Err(self.error(ScanProblem::NameTooLong));
        }
        Ok(Entry {
            kind: EntryKind::File,
            path: LayerPath::new(spell(path)),
            link: None,
            start: RawPosition::START,
            data: RawPosition::START,
            size: 0,
            attributes: None,
            security: None,
            modified: 0,
            checksum: 0,
            head: None,
        })
    }

    /// Appends an entry with what its records say, as far as the limits allow it.
    fn push(&mut self, mut entry: Entry, records: &Records) -> Result<(), ScanError> {
        if self.entries.len() >= self.limits.entries {
            return Err(self.error(ScanProblem::TooManyEntries(self.limits.entries)));
        }
        let headers = entry.data - entry.start;
        if headers > MOST_HEADERS {
            return Err(self.error(ScanProblem::ExtendedTooLong(headers)));
        }
        let path = entry.path.as_str();
        let before = self.entries.last().map_or("", |entry| entry.path.as_str());
        self.directories.note(before, path);
        if self.directories.count() > self.limits.directories {
            return Err(self.error(ScanProblem::TooManyDirectories(self.limits.directories)));
        }
        self.text += path.len() + entry.link.as_ref().map_or(0, |link| link.len());
        entry.attributes = records.attributes;
        entry.security = match records.security {
            Some(descriptor) => Some(self.intern(descriptor)?),
            None => None,
        };
        if self.text > self.limits.text {
            return Err(self.error(ScanProblem::TooMuchText(self.limits.text)));
        }
        // Hosts read the records of these, and of others the name only (hcsshim pkg/ociwclayer/import.go).
        let is_read = !matches!(
            entry.kind,
            EntryKind::HardLink | EntryKind::Whiteout | EntryKind::OpaqueWhiteout | EntryKind::Stream
        );
        if is_read {
            let number = self.number(self.entries.len())?;
            self.remarks.extend(records.oddities.iter().map(|&what| Remark { entry: number.into(), what }));
        }
        self.entries.push(entry);
        self.has_more = false;
        Ok(())
    }

    fn intern(&mut self, descriptor: &str) -> Result<u32, ScanError> {
        let hasher = &self.directories.hasher;
        let hash = hasher.hash_one(descriptor);
        let text = |number: u32| self.security.get(number as usize).map_or("", |text| &**text);
        if let Some(&number) = self.security_numbers.find(hash, |&number| text(number) == descriptor) {
            return Ok(number);
        }
        let number = self.number(self.security.len())?;
        self.text += descriptor.len();
        self.security_numbers.insert_unique(hash, number, |&number| hasher.hash_one(text(number)));
        self.security.push(descriptor.into());
        Ok(number)
    }

    /// A number in the index, which the limits keep far from its end.
    fn number(&self, count: usize) -> Result<u32, ScanError> {
        u32::try_from(count).map_err(|_| self.error(ScanProblem::TooManyEntries(self.limits.entries)))
    }

    fn error(&self, problem: ScanProblem) -> ScanError {
        ScanError { position: self.position, after: self.entries.last().map(|entry| entry.path.clone()), problem }
    }
}

/// Counts the different directories that entries lie in. One deep name has thousands of them.
#[derive(Debug, Default)]
struct Directories {
    hasher: foldhash::fast::RandomState,
    /// Each directory as the hash of that above it and of its own name.
    known: HashSet<u64, foldhash::fast::RandomState>,
    /// The directories above the last entry: where the name of each ends, and its hash.
    open: Vec<(usize, u64)>,
}

impl Directories {
    /// Notes the directories above an entry; `before` is the name of the entry before.
    fn note(&mut self, before: &str, name: &str) {
        let same = name.bytes().zip(before.bytes()).take_while(|(one, other)| one == other).count();
        while self.open.pop_if(|(end, _)| *end >= same).is_some() {}
        let (mut start, mut above) = self.open.last().map_or((0, 0), |&(end, hash)| (end + 1, hash));
        for (end, _) in name.bytes().enumerate().skip(start).filter(|(_, byte)| *byte == b'/') {
            above = self.hasher.hash_one((above, &name.as_bytes()[start..end]));
            self.known.insert(above);
            self.open.push((end, above));
            start = end + 1;
        }
    }

    fn count(&self) -> usize {
        self.known.len()
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
        b'0' => match (stream_owner(path), before) {
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

/// Whether Go gives no data to entries of this typeflag, whatever their size says.
fn has_no_data(typeflag: u8) -> bool {
    matches!(typeflag, b'1'..=b'6')
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) == 0
}

/// The length of a name on Windows: each byte that is not UTF-8 becomes a unit.
pub fn utf16_length(name: &[u8]) -> usize {
    name.utf8_chunks().map(|chunk| chunk.valid().encode_utf16().count() + chunk.invalid().len()).sum()
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

/// Appends bytes until `to` is that long; says how many it took.
fn fill(to: &mut Vec<u8>, length: usize, bytes: &[u8]) -> usize {
    let taken = (length - to.len()).min(bytes.len());
    to.extend_from_slice(&bytes[..taken]);
    taken
}

#[cfg(test)]
#[path = "tests/scan.rs"]
mod tests;

#[cfg(test)]
#[path = "tests/go.rs"]
mod go_tests;
