//! The layer index: everything winslim knows of a layer without decompressing it again.
//!
//! Stored form: the bytes `winslim index` and a newline, the version (4 bytes, little endian), the CRC-32 of what follows
//! (4 bytes), and the index in postcard's encoding. A stored index that is of another version or damaged is made anew.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::entry::{BLOCK, HEAD_LENGTH};
use super::read::{Piece, Wanted, for_each_piece};
use super::records::Remark;
use super::scan::{Limits, MOST_HEADERS, ScanError, Scanner};
use super::seek_points::SeekPoint;
use super::{Entry, EntryKind, EntryNumber, FoldedPath};
use crate::error::reason;
use crate::gzip::BlockMap;
use crate::hive::RegistryVersion;
use crate::image::Digest;
use crate::image::digest::Hasher;
pub use crate::image::media_type::Compression;
use crate::numbered::{NumberRange, NumberedVec};
use crate::position::{RawPosition, StoredPosition};

/// The version of the stored form.
pub const VERSION: u32 = 4;

const MAGIC: &[u8] = b"winslim index\n";

/// What one pass over a layer found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerIndex {
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub stored_size: u64,
    /// How the blob is compressed.
    pub compression: Compression,
    /// Digest of the uncompressed tar, padding at its end included.
    pub diff_id: Digest,
    /// Length of the uncompressed tar in bytes, padding at its end included.
    pub unpacked_size: u64,
    /// The position behind the last entry, where the mark of the archive's end begins. The padding of the last entry counts, even if
    /// the tar ends before it.
    pub entries_end: RawPosition,
    /// Whether nothing but zeros follows the last entry. Hosts do not look at what follows the mark of the end.
    pub ends_in_zeros: bool,
    /// Every entry, in the order of the tar. Their spans tile `0..entries_end`.
    #[serde(deserialize_with = "sized_at_once")]
    pub entries: NumberedVec<EntryNumber, Entry>,
    /// What is odd about the records of entries, in the order of the entries.
    pub remarks: Vec<Remark>,
    /// The different security descriptors of the layer (`MSWINDOWS.rawsd`, base64 as in the tar).
    pub security: Vec<Box<str>>,
    /// Where compressed bytes lie, and which of them a rewritten layer can take over.
    pub blocks: BlockMap,
    /// What the layer's SOFTWARE hive says, if it has one that can be looked into; see [`LayerIndex::read_with`].
    pub registry: Option<RegistryVersion>,
}

/// Reads a list into memory that is as long as it from the beginning: growing one of this length takes twice as much.
fn sized_at_once<'de, D: Deserializer<'de>>(stored: D) -> Result<NumberedVec<EntryNumber, Entry>, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = NumberedVec<EntryNumber, Entry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut stored: A) -> Result<Self::Value, A::Error> {
            // The length is only what the file says; so much memory is reserved on its word.
            let mut entries = NumberedVec::with_capacity(stored.size_hint().unwrap_or(0).min(1 << 20));
            while let Some(entry) = stored.next_element()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    stored.deserialize_seq(Entries)
}

/// Why a layer could not be indexed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The blob cannot be read or decompressed.
    #[error("the layer cannot be decompressed: {}", reason(.0))]
    Read(io::Error),
    /// What it decompresses to is not a tar that Windows hosts read.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> IndexError {
        IndexError::Read(error)
    }
}

impl LayerIndex {
    /// Reads a layer blob once. `advance` is told how many bytes of the blob were read since it was last called.
    pub fn read(blob: impl Read + Seek + Send, advance: impl FnMut(u64)) -> Result<LayerIndex, IndexError> {
        LayerIndex::read_with(blob, None, advance, |_| {}, |_| {})
    }

    /// Like [`LayerIndex::read`]; `hive` is given the data of the layer's SOFTWARE hive as it comes by, from its first byte on:
    /// of the hive itself, or of its delta in an upper layer. What it says is for the caller to put into the index.
    /// `seek_point` is given the places at which decompressing can begin. The layer may unpack to `most_unpacked` bytes even if
    /// that is far more than its size makes likely (see [`Limits::of_blob`]).
    pub fn read_with(
        mut blob: impl Read + Seek + Send,
        most_unpacked: Option<u64>,
        mut advance: impl FnMut(u64),
        mut hive: impl FnMut(&[u8]),
        mut seek_point: impl FnMut(&SeekPoint),
    ) -> Result<LayerIndex, IndexError> {
        let stored_size = blob.seek(SeekFrom::End(0))?;
        blob.rewind()?;
        let mut scanner = Scanner::with_limits(Limits::of_blob(stored_size, most_unpacked));
        let mut hasher = Hasher::new();
        let mut software = Software::default();
        let mut stored_before = StoredPosition::START;
        let blob = for_each_piece(
            blob,
            Wanted { blocks: true, ..Wanted::default() },
            |piece: &Piece| -> Result<(), IndexError> {
                hasher.update(piece.bytes());
                scanner.feed(piece.bytes())?;
                software.pass(piece.bytes(), scanner.entries(), &mut hive);
                piece.seek_point.iter().for_each(&mut seek_point);
                advance(piece.stored - stored_before);
                stored_before = piece.stored;
                Ok(())
            },
        )?;
        let scan = scanner.finish()?;
        Ok(LayerIndex {
            digest: blob.digest,
            stored_size: blob.stored_size,
            compression: blob.compression,
            diff_id: hasher.finish(),
            unpacked_size: scan.length,
            entries_end: scan.entries_end,
            ends_in_zeros: scan.ends_in_zeros,
            entries: scan.entries.into(),
            remarks: scan.remarks,
            security: scan.security,
            blocks: blob.blocks,
            registry: None,
        })
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        // About as much as it takes, so that the memory need not grow.
        let texts = self
            .entries
            .iter()
            .map(|entry| entry.path.as_str().len() + entry.link.as_ref().map_or(0, |link| link.len()));
        let mut bytes = Vec::with_capacity(texts.sum::<usize>() + 48 * self.entries.len() + 4096);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let body = bytes.len() + 4;
        bytes.extend_from_slice(&[0; 4]);
        #[expect(clippy::unwrap_used, reason = "writing to memory fails only for types that do not know their length")]
        let mut bytes = postcard::to_extend(self, bytes).unwrap();
        let checksum = crc32fast::hash(&bytes[body..]);
        bytes[body - 4..body].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the stored form of the index of the blob with this digest; nothing if it is damaged, of another version, of
    /// another blob, or says what no layer can be.
    pub fn decode(bytes: &[u8], digest: &Digest) -> Option<LayerIndex> {
        let rest = bytes.strip_prefix(MAGIC)?.strip_prefix(&VERSION.to_le_bytes())?;
        let (checksum, body) = rest.split_first_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let index: LayerIndex = postcard::from_bytes(body).ok()?;
        (index.digest == *digest && is_sound(&index)).then_some(index)
    }

    /// The bytes of file data in the layer; a file with several names counts once.
    pub fn data_size(&self) -> u64 {
        let has_data = |entry: &&Entry| matches!(entry.kind, EntryKind::File | EntryKind::Stream);
        self.entries.iter().filter(has_data).map(|entry| entry.size).sum()
    }

    /// The alternate data streams of a file: the entries right behind it that are named after it.
    pub fn streams_of(&self, file: EntryNumber) -> NumberRange<EntryNumber> {
        let Some(owner) = self.entries.get(file) else { return NumberRange::empty() };
        let folded = owner.path.fold();
        let is_stream = |entry: &&Entry| entry.stream_owner().is_some_and(|name| FoldedPath::new(name) == folded);
        let count = self.entries.after(file).iter().take_while(is_stream).count();
        NumberRange::behind(file, count)
    }

    /// About how many bytes of the blob a part of the tar takes. The parts of a layer add up to its size exactly.
    pub fn stored_share(&self, raw: Range<RawPosition>) -> u64 {
        self.blocks.stored_position(raw.end).saturating_sub(self.blocks.stored_position(raw.start))
    }
}

/// Finds the data of the first SOFTWARE hive of a layer while its tar streams by.
#[derive(Debug, Default)]
struct Software {
    /// How many entries are known not to be it.
    passed: usize,
    /// Where its data lies in the tar, once it is known.
    data: Option<Range<RawPosition>>,
    /// How much of the tar has come.
    position: RawPosition,
}

impl Software {
    /// Takes the next bytes of the tar, given the entries that have begun by their end.
    fn pass(&mut self, bytes: &[u8], entries: &[Entry], hive: &mut impl FnMut(&[u8])) {
        if self.data.is_none() {
            let is_hive = |entry: &&Entry| entry.kind == EntryKind::File && is_software(entry.path.as_str());
            let found = entries.iter().skip(self.passed).find(is_hive);
            self.data = found.map(|entry| entry.data..entry.data + entry.size);
            self.passed = entries.len();
        }
        let start = self.position;
        self.position += bytes.len() as u64;
        let Some(data) = &self.data else { return };
        // What has come lies between the two positions, so that the difference is at most its length.
        let inside = |position: RawPosition| {
            usize::try_from(position.clamp(start, self.position) - start).map_or(bytes.len(), |at| at.min(bytes.len()))
        };
        let part = &bytes[inside(data.start)..inside(data.end)];
        if !part.is_empty() {
            hive(part);
        }
    }
}

/// Whether this is the SOFTWARE hive of a base layer, or its delta in an upper layer (hcsshim
/// `internal/wclayer/cim/common.go`).
fn is_software(path: &str) -> bool {
    ["Files/Windows/System32/config/SOFTWARE", "Hives/Software_Delta"]
        .iter()
        .any(|name| path.eq_ignore_ascii_case(name))
}

/// Whether an index holds to what reading a layer always gives: positions that tile the tar, and numbers that lead somewhere.
fn is_sound(index: &LayerIndex) -> bool {
    let mut position = RawPosition::START;
    for entry in &index.entries {
        let Some(end) = end_of(entry).filter(|_| entry.start == position) else { return false };
        let is_described = entry.security.is_none_or(|number| (number as usize) < index.security.len());
        if !is_described || entry.head.as_ref().is_some_and(|head| head.len() > HEAD_LENGTH) {
            return false;
        }
        position = end;
    }
    // The padding of the last entry may be missing.
    let data_end = index.entries.last().map_or(RawPosition::START, |entry| entry.data + entry.size);
    position == index.entries_end
        && data_end <= index.unpacked_size.into()
        && index.remarks.is_sorted_by_key(|remark| remark.entry)
        && index.remarks.last().is_none_or(|remark| index.entries.get(remark.entry).is_some())
        && index.unpacked_size <= i64::MAX as u64
        && u32::try_from(index.entries.len()).is_ok()
        && index.blocks.stored_position(u64::MAX.into()) == index.stored_size.into()
        && index.registry.as_ref().is_none_or(RegistryVersion::is_printable)
}

/// The position behind an entry; nothing if its parts are not in order.
fn end_of(entry: &Entry) -> Option<RawPosition> {
    let headers = entry.data.checked_sub(entry.start)?;
    let end = entry.data.checked_add(entry.size.checked_next_multiple_of(BLOCK)?)?;
    (headers.is_multiple_of(BLOCK) && (BLOCK..=MOST_HEADERS).contains(&headers)).then_some(end)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::layer::LayerPath;
    use crate::layer::records::Oddity;

    /// An index of entries of these kinds and names, each with a header of one block and no data.
    pub(crate) fn index_of(entries: &[(EntryKind, &str)]) -> LayerIndex {
        let entry = |&(kind, name): &(EntryKind, &str)| Entry {
            kind,
            path: LayerPath::new(name),
            link: None,
            start: RawPosition::START,
            data: RawPosition::START,
            size: 0,
            attributes: None,
            security: None,
            modified: 0,
            checksum: 0,
            head: None,
        };
        index_with(entries.iter().map(entry).collect(), 0)
    }

    /// An index of entries whose sizes and names are set; they are put one behind the other, a header of one block each.
    pub(crate) fn index_with(mut entries: Vec<Entry>, stored_size: u64) -> LayerIndex {
        let mut position = RawPosition::START;
        for entry in &mut entries {
            entry.start = position;
            entry.data = position + BLOCK;
            position = entry.end();
        }
        let unpacked_size = (position + 2 * BLOCK).into();
        LayerIndex {
            digest: Digest::of(b"blob"),
            stored_size,
            compression: Compression::Gzip,
            diff_id: Digest::of(b"tar"),
            unpacked_size,
            entries_end: position,
            ends_in_zeros: true,
            entries: entries.into(),
            remarks: Vec::new(),
            security: Vec::new(),
            blocks: BlockMap::opaque(unpacked_size, stored_size),
            registry: None,
        }
    }

    #[test]
    fn the_data_of_the_hive_is_handed_over() {
        let mut builder = tar::Builder::new(Vec::new());
        let hive = "regf and so on ".repeat(50_000);
        let other = "something else ".repeat(30_000);
        for (name, data) in [
            ("Files/Windows/SOFTWARE", &other),
            ("Files/Windows/System32/Config/software", &hive),
            ("Hives/Software_Delta", &other),
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_size(data.len() as u64);
            builder.append_data(&mut header, name, data.as_bytes()).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let mut found = Vec::new();
        LayerIndex::read_with(Cursor::new(tar), None, |_| {}, |bytes| found.extend_from_slice(bytes), |_| {}).unwrap();
        assert!(found == hive.as_bytes(), "{} bytes", found.len());
    }

    #[test]
    fn the_checksum_is_that_of_the_data_alone() {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, data) in [("Files/a", "some data".repeat(100)), ("Files/b", String::new())] {
            let mut header = tar::Header::new_ustar();
            header.set_size(data.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            builder.append_data(&mut header, name, data.as_bytes()).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let index = LayerIndex::read(Cursor::new(tar), |_| {}).unwrap();
        let checksums: Vec<u32> = index.entries.iter().map(|entry| entry.checksum).collect();
        assert_eq!(checksums, [crc32fast::hash("some data".repeat(100).as_bytes()), 0]);
    }

    /// Indexes are kept in caches and shared: other bytes for the same layer need another [`VERSION`].
    #[test]
    fn the_stored_form_changes_with_its_version_only() {
        let mut index = index_of(&[
            (EntryKind::Directory, "Files"),
            (EntryKind::File, "Files/a"),
            (EntryKind::HardLink, "Files/b"),
        ]);
        index.entries[1.into()].security = Some(0);
        index.entries[2.into()].link = Some("Files/a".into());
        index.remarks.push(Remark { entry: 1.into(), what: Oddity::CreationTime });
        index.security.push("AQAA".into());
        let expected = "cd64f0d59a2952631ae3d185d30b22660889ffaa317644fb97f4ec819aeed039";
        assert_eq!((VERSION, Digest::of(&index.encode()).hex().as_str()), (4, expected));
    }

    #[test]
    fn indexes_that_no_layer_has_are_nothing() {
        let right = index_of(&[(EntryKind::Directory, "a"), (EntryKind::File, "a/b"), (EntryKind::File, "a/c")]);
        assert!(LayerIndex::decode(&right.encode(), &right.digest).is_some());
        let changes: [fn(&mut LayerIndex); 14] = [
            |index| {
                index.entries[2.into()].data += 4 << 20;
                index.entries_end += 4 << 20;
                index.unpacked_size += 4 << 20;
            },
            |index| {
                let edition = Some("\u{1b}[31m".to_owned());
                index.registry = Some(RegistryVersion { edition, ..RegistryVersion::default() });
            },
            |index| index.entries[1.into()].start += 512,
            |index| index.entries[1.into()].data = index.entries[1.into()].start,
            |index| index.entries[1.into()].data = RawPosition::START,
            |index| index.entries[1.into()].data += 1,
            |index| index.entries[2.into()].size = u64::MAX,
            |index| index.entries[2.into()].size = u64::MAX - 1024,
            |index| index.entries[0.into()].size = 512,
            |index| index.entries[1.into()].security = Some(0),
            |index| index.entries[1.into()].head = Some(vec![0; HEAD_LENGTH + 1].into()),
            |index| index.entries_end += 512,
            |index| index.unpacked_size = 512,
            |index| index.stored_size += 1,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut wrong = right.clone();
            change(&mut wrong);
            assert_eq!(LayerIndex::decode(&wrong.encode(), &wrong.digest), None, "change {number}");
        }
    }
}
