//! Entries: what is kept under a key, packed and unpacked.
//!
//! Packed form: Zstandard of a line and of what it announces. `layer DIGEST` is followed by the index of the layer blob with
//! that digest, in its stored form; `limits WORD…` by nothing. Entries come from other machines too, so nothing in them is
//! believed that [`CacheEntry::unpack`] can check.

use std::io::{self, Read, Write};

use crate::hive::RegistryVersion;
use crate::image::Digest;
use crate::layer::LayerIndex;
use crate::layer::entry::{BLOCK, Entry, HEAD_LENGTH};
use crate::layer::scan::MAX_EXTENDED_HEADER;
use crate::plan::LayerLimit;

/// The longest packed entry that is read, in bytes. That of a Windows base layer with 110,000 files has about five million.
pub const LONGEST_PACKED: u64 = 128 << 20;

/// The longest entry that is unpacked, in bytes.
const LONGEST: u64 = 512 << 20;

/// A higher level makes entries of real images a tenth smaller, which is not worth its time.
const LEVEL: i32 = 3;

/// The most bytes of headers that reading a layer takes for one entry: its own, and three extended ones.
const MOST_HEADERS: u64 = BLOCK + 3 * (BLOCK + MAX_EXTENDED_HEADER);

/// The longest first line.
const LONGEST_LINE: usize = 4096;

/// What is kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub enum CacheEntry {
    /// A layer, by its index.
    Layer(LayerIndex),
    /// How far each layer may change.
    Limits(Vec<LayerLimit>),
}

/// Packs a layer.
pub fn pack_layer(index: &LayerIndex) -> Vec<u8> {
    pack(&format!("layer {}\n", index.digest), &index.encode())
}

/// Packs limits.
pub fn pack_limits(limits: &[LayerLimit]) -> Vec<u8> {
    let words: Vec<&str> = limits.iter().copied().map(word).collect();
    pack(&format!("limits {}\n", words.join(" ")), &[])
}

fn pack(line: &str, body: &[u8]) -> Vec<u8> {
    let pack = || -> io::Result<Vec<u8>> {
        let mut packed = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        packed.write_all(line.as_bytes())?;
        packed.write_all(body)?;
        packed.finish()
    };
    #[expect(clippy::unwrap_used, reason = "compressing from memory into memory does not fail at a level that exists")]
    pack().unwrap()
}

impl CacheEntry {
    /// Reads a packed entry; nothing if it is damaged, of another version, or cannot be.
    pub fn unpack(packed: &[u8]) -> Option<CacheEntry> {
        let mut bytes = Vec::new();
        let unpacked = zstd::stream::read::Decoder::new(packed).ok()?;
        unpacked.take(LONGEST + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > LONGEST {
            return None;
        }
        let end = bytes.iter().take(LONGEST_LINE).position(|&byte| byte == b'\n')?;
        let (line, body) = (str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]);
        match line.split_once(' ')? {
            ("layer", digest) => {
                let digest: Digest = digest.parse().ok()?;
                LayerIndex::decode(body, &digest).filter(is_sound).map(CacheEntry::Layer)
            }
            ("limits", words) if body.is_empty() => {
                words.split(' ').map(limit).collect::<Option<_>>().map(CacheEntry::Limits)
            }
            _ => None,
        }
    }
}

fn word(limit: LayerLimit) -> &'static str {
    match limit {
        LayerLimit::Free => "free",
        LayerLimit::NoPromotion => "no-promotion",
        LayerLimit::Untouched => "untouched",
    }
}

fn limit(text: &str) -> Option<LayerLimit> {
    [LayerLimit::Free, LayerLimit::NoPromotion, LayerLimit::Untouched].into_iter().find(|&limit| word(limit) == text)
}

/// Whether an index holds to what reading a layer always gives: positions that tile the tar, and numbers that lead somewhere.
fn is_sound(index: &LayerIndex) -> bool {
    let mut position = 0;
    for entry in &index.entries {
        let Some(end) = end_of(entry).filter(|_| entry.start == position) else { return false };
        let is_described = entry.security.is_none_or(|number| (number as usize) < index.security.len());
        if !is_described || entry.head.as_ref().is_some_and(|head| head.len() > HEAD_LENGTH) {
            return false;
        }
        position = end;
    }
    position == index.entries_end
        && index.entries_end <= index.unpacked_size
        && index.unpacked_size <= i64::MAX as u64
        && u32::try_from(index.entries.len()).is_ok()
        && index.blocks.stored_position(u64::MAX) == index.stored_size
        && index.registry.as_ref().is_none_or(RegistryVersion::is_printable)
}

/// The position behind an entry; nothing if its parts are not in order.
fn end_of(entry: &Entry) -> Option<u64> {
    let headers = entry.data.checked_sub(entry.start)?;
    let end = entry.data.checked_add(entry.size.checked_next_multiple_of(BLOCK)?)?;
    (headers.is_multiple_of(BLOCK) && (BLOCK..=MOST_HEADERS).contains(&headers)).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::EntryKind;
    use crate::layer::index::tests::index_of;

    fn index() -> LayerIndex {
        index_of(&[(EntryKind::Directory, "Files"), (EntryKind::File, "Files/a"), (EntryKind::File, "Files/b")])
    }

    #[test]
    fn entries_are_read_back() {
        assert_eq!(CacheEntry::unpack(&pack_layer(&index())), Some(CacheEntry::Layer(index())));
        let limits = [LayerLimit::Free, LayerLimit::NoPromotion, LayerLimit::Untouched];
        assert_eq!(CacheEntry::unpack(&pack_limits(&limits)), Some(CacheEntry::Limits(limits.to_vec())));
    }

    #[test]
    fn damaged_entries_are_nothing() {
        let other = Digest::of(b"other");
        let body = index().encode();
        for bytes in [
            pack("layer sha256:00\n", &body),
            pack(&format!("layer {other}\n"), &body),
            pack(&format!("layer {}\n", index().digest), &body[..body.len() - 1]),
            pack("limits free\n", b"more"),
            pack("limits loose\n", &[]),
            pack("limits\n", &[]),
            pack("something else\n", &[]),
            pack(&" ".repeat(LONGEST_LINE + 1), b"\n"),
            pack("no end", &[]),
            pack_layer(&index())[..20].to_vec(),
            b"no Zstandard".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(CacheEntry::unpack(&bytes), None);
        }
    }

    #[test]
    fn indexes_that_no_layer_has_are_nothing() {
        let changes: [fn(&mut LayerIndex); 14] = [
            |index| {
                index.entries[2].data += 4 << 20;
                index.entries_end += 4 << 20;
                index.unpacked_size += 4 << 20;
            },
            |index| {
                let edition = Some("\u{1b}[31m".to_owned());
                index.registry = Some(RegistryVersion { edition, ..RegistryVersion::default() });
            },
            |index| index.entries[1].start += 512,
            |index| index.entries[1].data = index.entries[1].start,
            |index| index.entries[1].data -= 1024,
            |index| index.entries[1].data += 1,
            |index| index.entries[2].size = u64::MAX,
            |index| index.entries[2].size = u64::MAX - 1024,
            |index| index.entries[0].size = 512,
            |index| index.entries[1].security = Some(0),
            |index| index.entries[1].head = Some(vec![0; HEAD_LENGTH + 1].into()),
            |index| index.entries_end += 512,
            |index| index.unpacked_size = 512,
            |index| index.stored_size += 1,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut wrong = index();
            change(&mut wrong);
            assert_eq!(CacheEntry::unpack(&pack_layer(&wrong)), None, "change {number}");
        }
    }
}
