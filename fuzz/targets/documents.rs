//! Any bytes as the documents of an image: read, chosen from, and edited.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use winslim::image::edit::{
    ConfigEdit, LayerSource, ManifestEdit, NewIndexEntry, edit_config, edit_manifest, make_index, make_referrer,
};
use winslim::image::select::{Candidate, Choice, select};
use winslim::image::{Config, Descriptor, Document, Index, IndexEntry, Manifest};

fuzz_target!(|parts: (&[u8], &[u8], &[u8])| {
    let document = |bytes: &[u8]| Document::parse("document", "", Bytes::copy_from_slice(bytes)).ok();
    let index = document(parts.0).and_then(|document| Index::parse(document).ok());
    let chosen = index.as_ref().and_then(|index| {
        let candidate = |entry: &IndexEntry| Candidate {
            digest: entry.descriptor.digest,
            platform: entry.platform.clone(),
            asked: true,
        };
        let candidates: Vec<Candidate> = index.entries.iter().map(candidate).collect();
        match select(&candidates, None).ok()? {
            Choice::Chosen(position) => index.entries.get(position),
            Choice::Ask(_) => unreachable!("all configs have been asked"),
        }
    });
    let manifest = document(parts.1).and_then(|document| Manifest::parse(document).ok());
    let config = document(parts.2).and_then(|document| Config::parse(document).ok());
    if let Some(config) = &config {
        config.platform().version();
        let edited = edit_config(config, &ConfigEdit::default());
        Config::parse(edited).expect("an edited config reads like the one that it was made of");
    }
    if let (Some(manifest), Some(config)) = (&manifest, &config) {
        let edit = ManifestEdit {
            config: Descriptor::of(&config.document),
            layers: (0..manifest.layers.len()).map(LayerSource::Kept).collect(),
            annotations: Default::default(),
        };
        let edited = edit_manifest(manifest, &edit);
        let edited = Manifest::parse(edited).expect("an edited manifest reads like the one that it was made of");
        let entry = NewIndexEntry { manifest: &edited.document, config, base: chosen };
        Index::parse(make_index(&[entry])).expect("an index");
        make_referrer(&edited.document, "application/x", &Descriptor::of(&config.document));
    }
});
