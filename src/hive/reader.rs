//! Looks keys and values up in a hive, reading only the cells that it needs.
//!
//! Format: Maxim Suhanov, "Windows registry file format specification" (github.com/msuhanov/regf), sections "Hive bin" and
//! "Cell". Positions are counted from the end of the base block. Hives are not trusted: every position and length is checked,
//! no more than 64 KiB are read at once, and no list is followed for longer than any that Windows has.

use std::io::{self, Read, Seek, SeekFrom};

use super::base_block::{BaseBlock, BaseBlockError, FLAG_LAYERED_KEYS, HEAD_LENGTH};

/// Where the hive bins begin.
const BINS: u64 = 4096;

/// The most bytes of a list, or of a value's data, that are read: more than the longest list that Windows writes.
const LONGEST_LIST: usize = 64 << 10;

/// The most bytes of a key or a value that are read. A key's name has at most 255 characters.
const LONGEST_NODE: usize = 1 << 10;

/// The most subkeys of one key that are looked at. The largest key of Windows, that of the COM classes, has about 10,000.
const MOST_KEYS: usize = 100_000;

/// The length of a key node in front of its name.
const KEY_LENGTH: usize = 76;

/// The length of a value in front of its name.
const VALUE_LENGTH: usize = 20;

/// The flag of a key or value whose name is not UTF-16 but Latin-1, by the kind of cell.
const KEY_LATIN: u16 = 0x20;
const VALUE_LATIN: u16 = 1;

/// The flag of a value that deletes that of the layer below.
const VALUE_TOMBSTONE: u16 = 2;

/// The value of the lowest bits of a key's layer byte when it deletes that of the layer below.
const KEY_TOMBSTONE: u8 = 1;

/// The bit of a value's length that says that the data stands in place of its position.
const INLINE: u32 = 1 << 31;

/// A position that leads nowhere.
const NOTHING: u32 = u32::MAX;

/// Why a hive cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum HiveError {
    /// The file cannot be read, or is shorter than the hive says.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is not a hive.
    #[error(transparent)]
    BaseBlock(#[from] BaseBlockError),
    /// It was not written completely.
    #[error("it is good only together with its transaction logs")]
    Dirty,
    /// A cell is not what it should be.
    #[error("it is damaged: {problem}, at {position}")]
    Cell {
        /// What is wrong.
        problem: &'static str,
        /// The position of the cell.
        position: u32,
    },
}

/// A hive in a file.
#[derive(Debug)]
pub struct HiveReader<F> {
    file: F,
    head: BaseBlock,
}

/// A key that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The position of the list of its subkeys, and of its values, with their numbers.
    subkeys: (u32, u32),
    values: (u32, u32),
}

/// A value that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `REG_SZ` or `REG_EXPAND_SZ`.
    Text(String),
    /// `REG_DWORD`.
    Number(u32),
}

impl<F: Read + Seek> HiveReader<F> {
    /// Opens a hive that was written completely.
    pub fn open(mut file: F) -> Result<HiveReader<F>, HiveError> {
        let mut bytes = [0; HEAD_LENGTH];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut bytes)?;
        let head = BaseBlock::parse(&bytes)?;
        if !head.is_clean() {
            return Err(HiveError::Dirty);
        }
        Ok(HiveReader { file, head })
    }

    /// The key at a path below the root, without regard to case; nothing if there is none, or if a delta deletes it.
    pub fn key(&mut self, path: &[&str]) -> Result<Option<Key>, HiveError> {
        let root = self.cell(self.head.root_cell, LONGEST_NODE)?;
        let Some((mut key, _)) = self.node(&root, self.head.root_cell)? else { return Ok(None) };
        for name in path {
            match self.subkey(key, name)? {
                Some(found) => key = found,
                None => return Ok(None),
            }
        }
        Ok(Some(key))
    }

    /// A value of a key by its name, without regard to case; nothing if there is none, or if it is of another type than
    /// [`Value`] has.
    pub fn value(&mut self, key: Key, name: &str) -> Result<Option<Value>, HiveError> {
        let (list, count) = key.values;
        if count == 0 || list == NOTHING {
            return Ok(None);
        }
        let list = self.cell(list, LONGEST_LIST)?;
        for at in 0..count as usize {
            // A list may be longer than what is read of a cell; then the rest is not looked at.
            let Some(position) = number(&list, at * 4) else { return Ok(None) };
            let value = self.cell(position, LONGEST_NODE)?;
            let wrong = HiveError::Cell { problem: "a value is none", position };
            let header = value.get(..VALUE_LENGTH).filter(|header| header.starts_with(b"vk")).ok_or(wrong)?;
            let (length, flags) = (short(header, 2), short(header, 16));
            // A name that is longer than what is read is not the one that is looked for.
            let Some(stored) = value.get(VALUE_LENGTH..VALUE_LENGTH + usize::from(length)) else { continue };
            if flags & VALUE_TOMBSTONE == 0 && is_named(stored, flags & VALUE_LATIN != 0, name) {
                return self.data(header, position);
            }
        }
        Ok(None)
    }

    /// The data of a value with this header.
    fn data(&mut self, header: &[u8], position: u32) -> Result<Option<Value>, HiveError> {
        let fields = (number(header, 4), number(header, 8), number(header, 12));
        let (Some(size), Some(place), Some(kind)) = fields else { return Ok(None) };
        let inline = place.to_le_bytes();
        let length = (size & !INLINE) as usize;
        let in_cell;
        let data = if size & INLINE != 0 {
            inline.get(..length)
        } else {
            in_cell = self.cell(place, LONGEST_LIST)?;
            in_cell.get(..length)
        };
        let data = data.ok_or(HiveError::Cell { problem: "the data of a value is cut off", position })?;
        Ok(match (kind, data) {
            (1 | 2, text) => Some(Value::Text(utf16(text).split('\0').next().unwrap_or_default().to_owned())),
            (4, &[a, b, c, d]) => Some(Value::Number(u32::from_le_bytes([a, b, c, d]))),
            _ => None,
        })
    }

    fn subkey(&mut self, key: Key, name: &str) -> Result<Option<Key>, HiveError> {
        let (list, count) = key.subkeys;
        if count == 0 || list == NOTHING {
            return Ok(None);
        }
        let mut left = MOST_KEYS;
        let top = self.cell(list, LONGEST_LIST)?;
        if !top.starts_with(b"ri") {
            return self.search(&top, list, name, &mut left);
        }
        for at in 0..usize::from(short(&top, 2)) {
            let Some(position) = number(&top, 4 + at * 4) else { return Ok(None) };
            // A list of lists holds no other one; it is not a leaf, so `search` refuses it.
            let leaf = self.cell(position, LONGEST_LIST)?;
            if let Some(found) = self.search(&leaf, position, name, &mut left)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Looks for a key in one leaf of a list.
    fn search(&mut self, leaf: &[u8], at: u32, name: &str, left: &mut usize) -> Result<Option<Key>, HiveError> {
        let step = match leaf.get(..2) {
            Some(b"lf" | b"lh") => 8,
            Some(b"li") => 4,
            _ => return Err(HiveError::Cell { problem: "a list of subkeys is none", position: at }),
        };
        for entry in 0..usize::from(short(leaf, 2)) {
            let Some(position) = number(leaf, 4 + entry * step) else { return Ok(None) };
            let Some(fewer) = left.checked_sub(1) else { return Ok(None) };
            *left = fewer;
            let node = self.cell(position, LONGEST_NODE)?;
            if let Some((key, stored)) = self.node(&node, position)?
                && is_named(stored.0, stored.1, name)
            {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Reads a key node: the key, its name and whether that is Latin-1. Nothing for a key that a delta deletes.
    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn node<'n>(&self, node: &'n [u8], position: u32) -> Result<Option<(Key, (&'n [u8], bool))>, HiveError> {
        let wrong = HiveError::Cell { problem: "a key is none", position };
        let header = node.get(..KEY_LENGTH).filter(|header| header.starts_with(b"nk")).ok_or(wrong)?;
        // Only a delta has layers; in other hives the byte may be anything.
        let is_layered = self.head.flags & FLAG_LAYERED_KEYS != 0 && self.head.is_differencing();
        if is_layered && header[13] & 3 == KEY_TOMBSTONE {
            return Ok(None);
        }
        let wrong = HiveError::Cell { problem: "the name of a key is cut off", position };
        let length = usize::from(short(header, 72));
        let name = node.get(KEY_LENGTH..KEY_LENGTH + length).ok_or(wrong)?;
        let field = |at| number(header, at).unwrap_or_default();
        let key = Key { subkeys: (field(28), field(20)), values: (field(40), field(36)) };
        Ok(Some((key, (name, short(header, 2) & KEY_LATIN != 0))))
    }

    /// The first bytes of the data of a cell.
    fn cell(&mut self, position: u32, most: usize) -> Result<Vec<u8>, HiveError> {
        let wrong = |problem| HiveError::Cell { problem, position };
        if !position.is_multiple_of(8) || position >= self.head.bins_size {
            return Err(wrong("a position lies outside of the hive"));
        }
        self.file.seek(SeekFrom::Start(BINS + u64::from(position)))?;
        let mut size = [0; 4];
        self.file.read_exact(&mut size)?;
        // The size of a cell in use is negative, and covers itself.
        let size = i32::from_le_bytes(size);
        let length = if size < 0 { size.unsigned_abs() } else { 0 };
        if length < 8 || length > self.head.bins_size - position {
            return Err(wrong("a cell is not in use, or too long"));
        }
        let mut data = vec![0; (length as usize - 4).min(most)];
        self.file.read_exact(&mut data)?;
        Ok(data)
    }
}

/// Whether a stored name is this one.
fn is_named(stored: &[u8], latin: bool, name: &str) -> bool {
    if latin { stored.eq_ignore_ascii_case(name.as_bytes()) } else { utf16(stored).eq_ignore_ascii_case(name) }
}

fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// The 16-bit number at a place; 0 behind the end.
fn short(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |pair| u16::from_le_bytes([pair[0], pair[1]]))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}
