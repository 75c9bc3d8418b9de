//! Small registry hives: a base block and one bin with a root key and its security descriptor.
//!
//! The format is that of the public description of regf (github.com/msuhanov/regf).

use super::security::descriptor;

/// What a hive is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiveKind {
    /// A hive of its own: format 1.5.
    Base,
    /// The changes of an upper layer: format 1.6, with the flag for layered keys.
    Delta,
}

const BLOCK: usize = 4096;
const NONE: u32 = u32::MAX;

/// Makes a hive whose root key has no subkeys and no values; `name` is shown in its base block.
pub fn hive(name: &str, kind: HiveKind) -> Vec<u8> {
    let (minor, flags) = match kind {
        HiveKind::Base => (5, 0),
        HiveKind::Delta => (6, 2),
    };
    let mut hive = vec![0; 2 * BLOCK];
    hive[..4].copy_from_slice(b"regf");
    for (offset, value) in
        [(4, 1), (8, 1), (20, 1), (24, minor), (32, 1), (36, 32), (40, BLOCK as u32), (44, 1), (144, flags)]
    {
        put(&mut hive, offset, value);
    }
    for (index, unit) in name.encode_utf16().take(31).enumerate() {
        hive[48 + 2 * index..50 + 2 * index].copy_from_slice(&unit.to_le_bytes());
    }
    bin(&mut hive[BLOCK..]);
    let checksum = hive[..508]
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .fold(0, |checksum, word| checksum ^ word);
    put(
        &mut hive,
        508,
        match checksum {
            0 => 1,
            NONE => NONE - 1,
            other => other,
        },
    );
    hive
}

/// One bin: the root key at 32, its security descriptor behind it, and one free cell up to the end.
fn bin(bin: &mut [u8]) {
    let security = descriptor(0);
    let key_length = cell_length(76 + 4);
    let security_length = cell_length(20 + security.len());
    let (key, security_cell) = (32, 32 + key_length);
    let free = security_cell + security_length;

    bin[..4].copy_from_slice(b"hbin");
    put(bin, 8, BLOCK as u32);
    put(bin, key, (key_length as u32).wrapping_neg());
    let node = key + 4;
    bin[node..node + 2].copy_from_slice(b"nk");
    bin[node + 2] = 0x2c;
    for (offset, value) in
        [(16, NONE), (28, NONE), (32, NONE), (40, NONE), (44, security_cell as u32), (48, NONE), (72, 4)]
    {
        put(bin, node + offset, value);
    }
    bin[node + 76..node + 80].copy_from_slice(b"ROOT");

    put(bin, security_cell, (security_length as u32).wrapping_neg());
    let node = security_cell + 4;
    bin[node..node + 2].copy_from_slice(b"sk");
    for (offset, value) in [(4, security_cell as u32), (8, security_cell as u32), (12, 1), (16, security.len() as u32)]
    {
        put(bin, node + offset, value);
    }
    bin[node + 20..node + 20 + security.len()].copy_from_slice(&security);
    put(bin, free, (BLOCK - free) as u32);
}

/// The length of a cell for so many bytes: with its own size in front, in multiples of eight.
fn cell_length(data: usize) -> usize {
    (4 + data).next_multiple_of(8)
}

fn put(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}
