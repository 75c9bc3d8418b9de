//! The base block: the first 4,096 bytes of a hive, of which the first 512 say whether the hive can be used at all.
//!
//! The format is described by Maxim Suhanov, "Windows registry file format specification" (github.com/msuhanov/regf),
//! section "Base block". All numbers are little-endian.

/// How many bytes of a hive the checksum and all fields that matter lie in.
pub const HEAD_LENGTH: usize = 512;

/// The bit in [`BaseBlock::flags`] of a hive with layered keys: a differencing hive, or delta.
pub const FLAG_LAYERED_KEYS: u32 = 2;

/// The major version of every hive since Windows NT 3.1.
const MAJOR_VERSION: u32 = 1;

/// What a hive says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseBlock {
    /// Counts up before a write begins.
    pub primary_sequence: u32,
    /// Takes the value of the primary sequence number when the write is complete.
    pub secondary_sequence: u32,
    /// Time of the last write as a FILETIME: units of 100 ns since 1601; 0 in many hives.
    pub last_written: u64,
    /// Minor version of the format, 3 to 6; differencing hives have 6.
    pub minor_version: u32,
    /// Position of the root key's cell, counted from the end of the base block.
    pub root_cell: u32,
    /// Length of the hive bins in bytes, which follow the base block; a multiple of 4,096.
    pub bins_size: u32,
    /// Bits: 1 for a transaction that was under way, [`FLAG_LAYERED_KEYS`].
    pub flags: u32,
}

/// Why some bytes are not the beginning of a hive that Windows would load.
///
/// Each reads as the end of a sentence about the file: "`SYSTEM` is not a registry hive: …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseBlockError {
    /// There are fewer bytes than the head of a base block has.
    #[error("it has only {0} bytes, and the head of a hive has {HEAD_LENGTH}")]
    Short(usize),
    /// The first four bytes are something else.
    #[error("it does not begin with `regf`")]
    Signature,
    /// The stored checksum is not that of the bytes.
    #[error("its base block is damaged: the checksum says {stored:#010x}, the bytes give {computed:#010x}")]
    Checksum {
        /// The checksum in the base block.
        stored: u32,
        /// The checksum that the base block should have.
        computed: u32,
    },
    /// The version is not one of 1.3 to 1.6.
    #[error("its format version {major}.{minor} is not one that Windows containers use (1.3 to 1.6)")]
    Version {
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
    },
    /// It is a transaction log, or a hive that is laid out for memory.
    #[error("it is not a primary hive file (type {file_type}, format {format})")]
    FileType {
        /// 0 for a primary file; others are transaction logs.
        file_type: u32,
        /// 1 for the memory-mapped layout, the only one there is.
        format: u32,
    },
    /// The length of the hive bins is 0 or no multiple of 4,096, or the root key lies outside them.
    #[error("its layout is impossible: {bins_size} bytes of hive bins, root key at {root_cell}")]
    Layout {
        /// Length of the hive bins in bytes.
        bins_size: u32,
        /// Position of the root key's cell.
        root_cell: u32,
    },
}

impl BaseBlock {
    /// Reads the first [`HEAD_LENGTH`] bytes of a hive; more bytes may follow.
    pub fn parse(bytes: &[u8]) -> Result<BaseBlock, BaseBlockError> {
        let head: &[u8; HEAD_LENGTH] = bytes.first_chunk().ok_or(BaseBlockError::Short(bytes.len()))?;
        if !head.starts_with(b"regf") {
            return Err(BaseBlockError::Signature);
        }
        let (stored, computed) = (number(head, 508), checksum(head));
        if stored != computed {
            return Err(BaseBlockError::Checksum { stored, computed });
        }
        let (major, minor) = (number(head, 20), number(head, 24));
        if major != MAJOR_VERSION || !(3..=6).contains(&minor) {
            return Err(BaseBlockError::Version { major, minor });
        }
        let (file_type, format) = (number(head, 28), number(head, 32));
        if (file_type, format) != (0, 1) {
            return Err(BaseBlockError::FileType { file_type, format });
        }
        let (root_cell, bins_size) = (number(head, 36), number(head, 40));
        if bins_size == 0 || !bins_size.is_multiple_of(4096) || root_cell >= bins_size {
            return Err(BaseBlockError::Layout { bins_size, root_cell });
        }
        Ok(BaseBlock {
            primary_sequence: number(head, 4),
            secondary_sequence: number(head, 8),
            last_written: u64::from(number(head, 12)) | u64::from(number(head, 16)) << 32,
            minor_version: minor,
            root_cell,
            bins_size,
            flags: number(head, 144),
        })
    }

    /// Whether the last write was completed. If not, the hive is good only together with its transaction logs.
    pub fn is_clean(&self) -> bool {
        self.primary_sequence == self.secondary_sequence
    }

    /// Whether the hive is a differencing hive, which is laid over the hive of the layer below.
    pub fn is_differencing(&self) -> bool {
        self.minor_version == 6 && self.flags & FLAG_LAYERED_KEYS != 0
    }
}

/// The checksum of a base block: its first 127 numbers joined by exclusive or, avoiding 0 and `0xffffffff`.
pub fn checksum(head: &[u8; HEAD_LENGTH]) -> u32 {
    match (0..508).step_by(4).fold(0, |sum, offset| sum ^ number(head, offset)) {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    }
}

/// The number at an offset, which is at most 508.
fn number(head: &[u8; HEAD_LENGTH], offset: usize) -> u32 {
    u32::from_le_bytes([head[offset], head[offset + 1], head[offset + 2], head[offset + 3]])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The head of an empty hive, with some numbers replaced and the checksum made right.
    pub(crate) fn head(changes: &[(usize, u32)]) -> [u8; HEAD_LENGTH] {
        let mut head = [0; HEAD_LENGTH];
        head[..4].copy_from_slice(b"regf");
        let usual = [(4, 7), (8, 7), (20, 1), (24, 5), (32, 1), (36, 32), (40, 4096), (44, 1)];
        for (offset, value) in usual.iter().chain(changes) {
            head[*offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        }
        let sum = checksum(&head);
        head[508..].copy_from_slice(&sum.to_le_bytes());
        head
    }

    /// The head of an empty differencing hive.
    pub(crate) fn delta_head() -> [u8; HEAD_LENGTH] {
        head(&[(24, 6), (144, FLAG_LAYERED_KEYS)])
    }

    #[test]
    fn a_whole_base_block_is_read() {
        let block = BaseBlock::parse(&head(&[(12, 1), (16, 2)])).unwrap();
        assert!(block.is_clean() && !block.is_differencing());
        assert_eq!((block.last_written, block.bins_size, block.root_cell), (0x2_0000_0001, 4096, 32));
        assert!(!BaseBlock::parse(&head(&[(4, 8)])).unwrap().is_clean());
        assert!(BaseBlock::parse(&delta_head()).unwrap().is_differencing());
        assert!(!BaseBlock::parse(&head(&[(144, FLAG_LAYERED_KEYS)])).unwrap().is_differencing(), "version 1.5");
    }

    #[test]
    fn each_fault_has_its_error() {
        assert_eq!(BaseBlock::parse(b"regf"), Err(BaseBlockError::Short(4)));
        assert_eq!(BaseBlock::parse(&[0; 512]), Err(BaseBlockError::Signature));
        let mut damaged = head(&[]);
        damaged[100] ^= 1;
        assert!(matches!(BaseBlock::parse(&damaged), Err(BaseBlockError::Checksum { .. })));
        for (change, error) in [
            ((20, 2), BaseBlockError::Version { major: 2, minor: 5 }),
            ((24, 2), BaseBlockError::Version { major: 1, minor: 2 }),
            ((24, 7), BaseBlockError::Version { major: 1, minor: 7 }),
            ((28, 6), BaseBlockError::FileType { file_type: 6, format: 1 }),
            ((40, 4097), BaseBlockError::Layout { bins_size: 4097, root_cell: 32 }),
            ((40, 0), BaseBlockError::Layout { bins_size: 0, root_cell: 32 }),
            ((36, 4096), BaseBlockError::Layout { bins_size: 4096, root_cell: 4096 }),
        ] {
            assert_eq!(BaseBlock::parse(&head(&[change])), Err(error));
        }
    }

    #[test]
    fn the_checksum_is_never_all_zeros_or_all_ones() {
        let mut head = [0; HEAD_LENGTH];
        assert_eq!(checksum(&head), 1);
        head[..4].fill(0xff);
        assert_eq!(checksum(&head), 0xffff_fffe);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = BaseBlock::parse(&bytes);
        }

        #[test]
        fn any_single_damaged_byte_is_noticed(offset in 0_usize..508, change in 1_u8..) {
            let mut head = head(&[]);
            head[offset] ^= change;
            prop_assert!(BaseBlock::parse(&head).is_err());
        }
    }
}
