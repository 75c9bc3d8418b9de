//! Any bytes as a stored index whose checksum is right: whoever wrote it, it can be used.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use winslim::image::{Digest, Platform};
use winslim::inspect::SizeModel;
use winslim::layer::index::VERSION;
use winslim::layer::{LayerIndex, LayerStack};
use winslim::position::RawPosition;
use winslim::verify::{ImageFacts, Subject, verify};
use winslim::windows::program::Start;

fuzz_target!(|body: &[u8]| {
    let digest = Digest::of(b"layer");
    let mut file = b"winslim index\n".to_vec();
    file.extend_from_slice(&VERSION.to_le_bytes());
    // The digest of the layer comes first in the index; the input goes on behind it.
    let text = digest.to_string();
    let mut index = vec![text.len() as u8];
    index.extend_from_slice(text.as_bytes());
    index.extend_from_slice(body);
    let mut checksum = flate2::Crc::new();
    checksum.update(&index);
    file.extend_from_slice(&checksum.sum().to_le_bytes());
    file.extend_from_slice(&index);
    let Some(index) = LayerIndex::decode(&file, &digest) else { return };
    index.data_size();
    index.blocks.spans(RawPosition::range(0..index.unpacked_size));
    for (number, entry) in index.entries.numbered() {
        index.stored_share(entry.start..entry.end());
        index.streams_of(number);
    }
    let stack = LayerStack::new(vec![Arc::new(index)]);
    let image = ImageFacts {
        platform: Platform::default(),
        diff_ids: Vec::new(),
        layers: Vec::new(),
        history: None,
        index_platform: None,
        start: Start::default(),
    };
    verify(&Subject { stack: &stack, image });
    SizeModel::new(&stack).dead();
});
