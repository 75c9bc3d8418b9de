//! One entry of a layer's tar, as the index keeps it.

use serde::{Deserialize, Serialize};

use super::{EntryNumber, LayerNumber, LayerPath};
use crate::position::RawPosition;

/// What an entry is to a Windows host.
///
/// The host decides by name, typeflag and the records `MSWINDOWS.*`
/// (hcsshim `pkg/ociwclayer/import.go`, go-winio `backuptar/tar.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntryKind {
    /// A directory (typeflag `5`).
    Directory,
    /// A file with its data (typeflag `0`).
    File,
    /// Another name of a file that came earlier, or that a layer below has (typeflag `1`).
    HardLink,
    /// A symbolic link (typeflag `2`).
    Symlink,
    /// A mount point: a symbolic link with the record `MSWINDOWS.mountpoint`.
    Junction,
    /// An alternate data stream, `owner:stream`, right behind its owner.
    Stream,
    /// `.wh.NAME`: NAME of the layers below is deleted.
    Whiteout,
    /// `.wh..wh..opq`: not supported by Windows hosts.
    OpaqueWhiteout,
    /// A typeflag that has no meaning in a Windows layer; the byte is the typeflag.
    Other(u8),
}

/// One entry: what it is, and where it lies in the uncompressed tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What the entry is.
    pub kind: EntryKind,
    /// Its name.
    pub path: LayerPath,
    /// The target of a hard link, symbolic link or junction, as spelled.
    pub link: Option<Box<str>>,
    /// The position of its first header block; PAX and GNU headers that belong to it are included.
    pub start: RawPosition,
    /// The position of its data, right behind its last header block.
    pub data: RawPosition,
    /// The length of its data in bytes, without padding.
    pub size: u64,
    /// Win32 file attributes (`MSWINDOWS.fileattr`), if recorded.
    pub attributes: Option<u32>,
    /// Its security descriptor (`MSWINDOWS.rawsd`): a number in [`super::LayerIndex::security`].
    pub security: Option<u32>,
    /// Time of the last write in whole seconds since 1970.
    pub modified: i64,
    /// CRC-32 of its data; of two files of one size it tells whether they are the same, as far as it matters for a look.
    pub checksum: u32,
    /// The first [`HEAD_LENGTH`] bytes of the data of a file that [`super::index`] looks into: registry hives.
    pub head: Option<Box<[u8]>>,
}

/// One entry of an image: its layer, and its number in that layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntryId {
    /// The layer.
    pub layer: LayerNumber,
    /// The entry in the layer's index.
    pub entry: EntryNumber,
}

impl EntryId {
    /// Returns the entry with this number in the layer with that number.
    pub fn new(layer: impl Into<LayerNumber>, entry: impl Into<EntryNumber>) -> EntryId {
        EntryId { layer: layer.into(), entry: entry.into() }
    }
}

/// How much of a hive's data the index keeps: what its checksum covers, and the checksum.
pub const HEAD_LENGTH: usize = 512;

/// The size of a tar block in bytes.
pub const BLOCK: u64 = BLOCK_LENGTH as u64;

/// The same as a length in memory.
pub const BLOCK_LENGTH: usize = 512;

/// The Win32 attribute of directories.
pub const ATTRIBUTE_DIRECTORY: u32 = 0x10;

impl Entry {
    /// The position right behind the entry: behind the padding of its data.
    pub fn end(&self) -> RawPosition {
        self.data + self.size.next_multiple_of(BLOCK)
    }

    /// The name that a whiteout deletes, in the same directory.
    pub fn whiteout_target(&self) -> Option<String> {
        if self.kind != EntryKind::Whiteout {
            return None;
        }
        let name = self.path.file_name().strip_prefix(WHITEOUT_PREFIX)?;
        Some(match self.path.parent() {
            Some(parent) => format!("{parent}/{name}"),
            None => name.to_owned(),
        })
    }

    /// The name of the file that an alternate data stream belongs to.
    pub fn stream_owner(&self) -> Option<&str> {
        if self.kind != EntryKind::Stream {
            return None;
        }
        stream_owner(self.path.as_str())
    }

    /// Whether the entry makes a name that a container sees: a file, a link or a directory, but no stream or whiteout.
    pub fn is_name(&self) -> bool {
        matches!(
            self.kind,
            EntryKind::Directory | EntryKind::File | EntryKind::HardLink | EntryKind::Symlink | EntryKind::Junction
        )
    }
}

/// How the name of a whiteout begins.
pub const WHITEOUT_PREFIX: &str = ".wh.";

/// The owner of `dir/owner:stream`, or nothing for a name without a stream.
pub fn stream_owner(name: &str) -> Option<&str> {
    let file_name = name.rfind('/').map_or(0, |end| end + 1);
    let colon = name[file_name..].find(':')?;
    // A colon at the second place of the whole name is a drive letter, which no owner has.
    (colon > 0).then(|| &name[..file_name + colon])
}
