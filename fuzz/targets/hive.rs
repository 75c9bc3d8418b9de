//! Any bytes as the beginning of a registry hive, with and without the right checksum.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winslim::hive::BaseBlock;
use winslim::hive::base_block::checksum;

fuzz_target!(|bytes: &[u8]| {
    let _ = BaseBlock::parse(bytes);
    let mut bytes = bytes.to_vec();
    if let Some(head) = bytes.first_chunk_mut::<512>() {
        let sum = checksum(head);
        head[508..].copy_from_slice(&sum.to_le_bytes());
    }
    if let Ok(block) = BaseBlock::parse(&bytes) {
        block.is_clean();
        block.is_differencing();
    }
});
