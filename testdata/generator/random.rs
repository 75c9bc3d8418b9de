//! Invented file contents: the same bytes for the same seed, on every machine.

use std::io::{self, Write};

/// The generator SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but without, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A file size around `mean`: half of all files are far smaller, one in fifty is far larger.
    pub fn size(&mut self, mean: u64) -> u64 {
        let (least, most) = match self.below(100) {
            0..50 => (10, 40),
            50..85 => (40, 150),
            85..98 => (150, 500),
            _ => (500, 1_500),
        };
        mean * (least + self.below(most - least)) / 100
    }
}

/// A stable number for a name (FNV-1a), so that each file has its own content.
pub fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What a file holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes made from a seed; gzip brings them to about four tenths.
    Made { seed: u64, length: u64 },
}

impl Content {
    pub fn text(text: &str) -> Content {
        Content::Bytes(text.replace('\n', "\r\n").into_bytes())
    }

    pub fn length(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Made { length, .. } => *length,
        }
    }

    /// Writes the content piece by piece, so that its size does not matter for memory.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Content::Bytes(bytes) => out.write_all(bytes),
            Content::Made { seed, length } => write_made(*seed, *length, out),
        }
    }
}

/// Units of 64 bytes: 24 fresh ones, and 40 from a pool that stands for code seen before.
fn write_made(seed: u64, length: u64, out: &mut dyn Write) -> io::Result<()> {
    const UNIT: usize = 64;
    let mut random = Random::new(seed);
    let pool: Vec<u8> = (0..128).flat_map(|_| random.next().to_le_bytes()).collect();
    let mut piece = Vec::with_capacity(1024 * UNIT);
    let mut left = length;
    while left > 0 {
        piece.clear();
        while piece.len() < 1024 * UNIT && (piece.len() as u64) < left {
            for _ in 0..3 {
                piece.extend_from_slice(&random.next().to_le_bytes());
            }
            let from = random.below((pool.len() - 40) as u64) as usize;
            piece.extend_from_slice(&pool[from..from + 40]);
        }
        let length = left.min(piece.len() as u64);
        out.write_all(&piece[..length as usize])?;
        left -= length;
    }
    Ok(())
}
