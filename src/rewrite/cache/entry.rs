//! Entries: what is kept under a key, packed and unpacked.
//!
//! Packed form: Zstandard of a line and of what it announces. `layer DIGEST` is followed by the index of the layer blob with
//! that digest, in its stored form; `limits WORD…` by nothing. Entries come from other machines too, so nothing in them is
//! believed that [`CacheEntry::unpack`] can check.

use std::io::{self, Read, Write};

use crate::image::Digest;
use crate::layer::LayerIndex;
use crate::plan::LayerLimit;

/// The longest packed entry that is read, in bytes. That of a Windows base layer with 110,000 files has about five million.
pub const LONGEST_PACKED: u64 = 128 << 20;

/// The longest entry that is unpacked, in bytes.
const LONGEST: u64 = 512 << 20;

/// A higher level makes entries of real images a tenth smaller, which is not worth its time.
const LEVEL: i32 = 3;

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
                LayerIndex::decode(body, &digest).map(CacheEntry::Layer)
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
}
