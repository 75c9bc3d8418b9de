//! Layers of the result that are made of several layers of the source.

use std::io::{Read, Write};
use std::sync::Arc;

use super::*;
use crate::layer::header::new_entry;
use crate::plan::Step;
use crate::store::Store;

const SETTINGS: Settings =
    Settings { compression: Compression::Gzip, level: 6, recompress: false, threads: 1, read_back: false };

/// A tar of directories (names that end in a slash) and files, whose content is their name again and again.
fn tar(names: &[&str]) -> Vec<u8> {
    let mut tar: Vec<u8> = names.iter().flat_map(|name| entry(name)).collect();
    tar.extend([0; 1024]);
    tar
}

fn entry(name: &str) -> Vec<u8> {
    let directory = name.strip_suffix('/');
    let content = if directory.is_some() { Vec::new() } else { name.repeat(1000).into_bytes() };
    let kind = if directory.is_some() { tar::EntryType::Directory } else { tar::EntryType::Regular };
    let mut entry = new_entry(directory.unwrap_or(name), kind, 0o644, content.len() as u64, 0, &[]);
    entry.extend(&content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

struct Scene {
    _directory: tempfile::TempDir,
    store: Store,
    paths: Vec<std::path::PathBuf>,
    stack: LayerStack,
    spool: Spool,
}

fn scene(layers: &[&[&str]]) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    let mut indexes = Vec::new();
    for (number, names) in layers.iter().enumerate() {
        let path = directory.path().join(format!("layer-{number}"));
        let mut encoder = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        encoder.write_all(&tar(names)).unwrap();
        encoder.finish().unwrap();
        indexes.push(Arc::new(LayerIndex::read(File::open(&path).unwrap(), |_| ()).unwrap()));
        paths.push(path);
    }
    Scene {
        store: Store::open_private(directory.path().join("store")).unwrap(),
        spool: Spool::create(directory.path().join("spool")).unwrap(),
        stack: LayerStack::new(indexes),
        paths,
        _directory: directory,
    }
}

impl Scene {
    /// The uncompressed tar that an output becomes.
    fn write(&mut self, output: &OutputPlan) -> Vec<u8> {
        let source = |layer: &LayerNumber| OutputSource {
            blob: SourceBlob { path: &self.paths[u32::from(*layer) as usize], checked: false, seek_points: None },
            set_aside: Vec::new(),
        };
        let sources: Vec<OutputSource<'_>> = output.sources.iter().map(source).collect();
        let writer = LayerWriter::new(self.store.temporary().unwrap(), SETTINGS).unwrap();
        let (file, index) = rewrite(&sources, &self.stack, output, &mut self.spool, writer, |_| ()).unwrap();
        read_back(file.path(), &index).unwrap();
        let mut unpacked = Vec::new();
        let blob = File::open(file.path()).unwrap();
        flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut unpacked).unwrap();
        unpacked
    }
}

#[test]
fn a_layer_of_two_sources_has_the_entries_of_both_and_one_end() {
    let mut scene = scene(&[&["Files/", "Files/a", "Files/b"], &["Hives/", "Files/c", "Files/d"]]);
    let keep = |layer: u32, entry: u32| Step::Keep(EntryId::new(layer, entry));
    let both =
        OutputPlan { sources: vec![0.into(), 1.into()], steps: vec![keep(0, 0), keep(0, 2), keep(1, 1), keep(1, 2)] };
    assert!(scene.write(&both) == tar(&["Files/", "Files/b", "Files/c", "Files/d"]));
    let one = OutputPlan { sources: vec![1.into()], steps: vec![keep(1, 0), keep(1, 1)] };
    assert!(scene.write(&one) == tar(&["Hives/", "Files/c"]));
    assert_eq!(one.is_layer(&scene.stack), None);
    let whole = OutputPlan { sources: vec![1.into()], steps: (0..3).map(|entry| keep(1, entry)).collect() };
    assert_eq!(whole.is_layer(&scene.stack), Some(1.into()));
}
