//! The seek points of a layer in a file, so that the next time what nobody needs is not decompressed.
//!
//! They are found when a layer is indexed, and take up under one hundredth of its data.
//!
//! Stored form: records of the same length, in the order of the stream. Each is the CRC-32 of the digest of the blob and of
//! the rest of the record (4 bytes), the position in the data in bytes and in the blob in bits (8 bytes each), all little
//! endian, and the 32 KiB of data before it. A damaged record is of no use, and nothing else is lost with it.

use std::io::{self, Read, Seek, SeekFrom};

use crate::gzip::WINDOW;
pub use crate::gzip::seek::{DISTANCE, SeekPoint};
use crate::image::Digest;
use crate::position::{BitPosition, RawPosition};

/// The version of the stored form.
pub const VERSION: u32 = 1;

const HEADER: usize = 20;

/// The length of a record in bytes.
const RECORD: u64 = (HEADER + WINDOW) as u64;

/// The record of a seek point of a blob.
pub fn encode(point: &SeekPoint, blob: &Digest) -> Vec<u8> {
    let mut record = vec![0; 4];
    record.extend(u64::from(point.raw).to_le_bytes());
    record.extend(u64::from(point.bit).to_le_bytes());
    record.extend(point.window.as_slice());
    let checksum = checksum(blob, &record).to_le_bytes();
    record[..4].copy_from_slice(&checksum);
    record
}

fn decode(record: &[u8], blob: &Digest) -> Option<SeekPoint> {
    let (&sum, _) = record.split_first_chunk()?;
    let (header, window) = record.split_at_checked(HEADER)?;
    let (raw, bit) = positions(header)?;
    let window = Box::new(*window.first_chunk()?);
    (u32::from_le_bytes(sum) == checksum(blob, record)).then_some(SeekPoint { raw, bit, window })
}

fn positions(header: &[u8]) -> Option<(RawPosition, BitPosition)> {
    let (_, positions) = header.split_first_chunk::<4>()?;
    let (&raw, bit) = positions.split_first_chunk()?;
    Some((u64::from_le_bytes(raw).into(), u64::from_le_bytes(*bit.first_chunk()?).into()))
}

fn checksum(blob: &Digest, record: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(blob.to_string().as_bytes());
    checksum.update(&record[4..]);
    checksum.finalize()
}

/// The stored seek points of a blob.
#[derive(Debug)]
pub struct SeekPoints<R> {
    records: R,
    blob: Digest,
    count: u64,
}

impl<R: Read + Seek> SeekPoints<R> {
    /// Those that are in a file.
    pub fn new(mut records: R, blob: Digest) -> io::Result<SeekPoints<R>> {
        let count = records.seek(SeekFrom::End(0))? / RECORD;
        Ok(SeekPoints { records, blob, count })
    }

    /// The last seek point at or before a position in the data, unless it is damaged.
    pub fn last_before(&mut self, raw: RawPosition) -> io::Result<Option<SeekPoint>> {
        let (mut from, mut to) = (0, self.count);
        while from < to {
            let middle = from + (to - from) / 2;
            let header = self.read(middle, HEADER)?;
            match positions(&header) {
                Some((position, _)) if position <= raw => from = middle + 1,
                _ => to = middle,
            }
        }
        let Some(number) = from.checked_sub(1) else { return Ok(None) };
        let record = self.read(number, HEADER + WINDOW)?;
        Ok(decode(&record, &self.blob).filter(|point| point.raw <= raw))
    }

    /// Whether all of them are whole.
    pub fn are_sound(&mut self) -> io::Result<bool> {
        let mut are_sound = self.records.seek(SeekFrom::End(0))? == self.count * RECORD;
        for number in 0..self.count {
            are_sound &= decode(&self.read(number, HEADER + WINDOW)?, &self.blob).is_some();
        }
        Ok(are_sound)
    }

    fn read(&mut self, number: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.records.seek(SeekFrom::Start(number * RECORD))?;
        self.records.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn point(number: u64) -> SeekPoint {
        let (raw, bit) = ((number * DISTANCE).into(), (number * 12_345_677).into());
        SeekPoint { raw, bit, window: Box::new([number as u8; WINDOW]) }
    }

    fn stored(blob: &Digest) -> Vec<u8> {
        (1..=5).flat_map(|number| encode(&point(number), blob)).collect()
    }

    #[test]
    fn the_last_point_before_a_position_is_found() {
        let blob = Digest::of(b"blob");
        let mut points = SeekPoints::new(Cursor::new(stored(&blob)), blob).unwrap();
        for (raw, number) in [
            (0, None),
            (DISTANCE - 1, None),
            (DISTANCE, Some(1)),
            (DISTANCE + 1, Some(1)),
            (DISTANCE * 3 - 1, Some(2)),
            (DISTANCE * 4, Some(4)),
            (u64::MAX, Some(5)),
        ] {
            assert_eq!(points.last_before(raw.into()).unwrap(), number.map(point), "{raw}");
        }
        assert_eq!(SeekPoints::new(Cursor::new(Vec::new()), blob).unwrap().last_before(9.into()).unwrap(), None);
    }

    #[test]
    fn what_is_damaged_or_of_another_blob_is_not_used() {
        let blob = Digest::of(b"blob");
        let sound = stored(&blob);
        assert!(SeekPoints::new(Cursor::new(&sound), blob).unwrap().are_sound().unwrap());
        for damaged in [0, 3, 4, 11, 12, 19, 20, 20 + WINDOW - 1] {
            let mut bytes = sound.clone();
            bytes[2 * (HEADER + WINDOW) + damaged] ^= 1;
            let mut points = SeekPoints::new(Cursor::new(bytes), blob).unwrap();
            assert!(!points.are_sound().unwrap(), "{damaged}");
            let found = points.last_before((3 * DISTANCE).into()).unwrap();
            assert!(found.is_none_or(|found| found == point(2)), "{damaged}");
            assert_eq!(points.last_before((2 * DISTANCE).into()).unwrap(), Some(point(2)), "{damaged}");
        }
        let mut points = SeekPoints::new(Cursor::new(&sound), Digest::of(b"another")).unwrap();
        assert_eq!(points.last_before(DISTANCE.into()).unwrap(), None);
        // One that was cut off.
        let mut points = SeekPoints::new(Cursor::new(&sound[..HEADER + WINDOW + 5]), blob).unwrap();
        assert!(!points.are_sound().unwrap());
        assert_eq!(points.last_before(u64::MAX.into()).unwrap(), Some(point(1)));
    }
}
