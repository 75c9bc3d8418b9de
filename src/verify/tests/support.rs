//! A small image that hosts take, for tests to spoil.

use std::sync::Arc;

use crate::hive::RegistryVersion;
use crate::hive::base_block::tests::{delta_head, head};
use crate::image::Platform;
use crate::image::{Descriptor, Digest};
use crate::layer::index::Compression;
use crate::layer::records::{Oddity, Remark};
use crate::layer::{Entry, EntryKind, LayerIndex, LayerPath, LayerStack};
use crate::verify::{Finding, ImageFacts, Subject, verify};
use crate::windows::program::Start;

/// An image that can be changed before it is verified.
pub struct TestImage {
    pub layers: Vec<LayerIndex>,
    pub facts: ImageFacts,
}

impl TestImage {
    /// An image of the given layers, with documents that fit them.
    pub fn new(layers: Vec<Vec<Entry>>) -> TestImage {
        let layers: Vec<LayerIndex> = layers.into_iter().enumerate().map(|(n, entries)| layer(n, entries)).collect();
        let platform = Platform {
            variant: None,
            os: "windows".into(),
            architecture: "amd64".into(),
            os_version: Some("10.0.17763.737".into()),
            os_features: vec!["win32k".into()],
        };
        let descriptor = |index: &LayerIndex| Descriptor {
            media_type: "application/vnd.docker.image.rootfs.diff.tar.gzip".into(),
            digest: index.digest,
            size: index.stored_size,
            urls: Vec::new(),
        };
        let facts = ImageFacts {
            platform: platform.clone(),
            diff_ids: layers.iter().map(|index| index.diff_id).collect(),
            layers: layers.iter().map(descriptor).collect(),
            history: Some(layers.len()),
            index_platform: Some(platform),
            start: Start::default(),
        };
        TestImage { layers, facts }
    }

    /// A base layer and a servicing layer, with everything that such layers have.
    pub fn sound() -> TestImage {
        TestImage::new(vec![base(), servicing()])
    }

    pub fn add(&mut self, layer: usize, entry: Entry) {
        self.layers[layer].entries.push(entry);
    }

    pub fn insert_before(&mut self, layer: usize, name: &str, entry: Entry) {
        let place = self.place(layer, name);
        self.edit_all(layer, |entries| entries.insert(place, entry));
    }

    pub fn remove(&mut self, layer: usize, name: &str) -> Entry {
        let place = self.place(layer, name);
        self.edit_all(layer, |entries| entries.remove(place))
    }

    /// Removes a directory with all below it.
    pub fn remove_tree(&mut self, layer: usize, name: &str) {
        let below = format!("{name}/");
        let stays = |entry: &Entry| entry.path.as_str() != name && !entry.path.as_str().starts_with(&below);
        self.edit_all(layer, |entries| entries.retain(stays));
    }

    pub fn rename(&mut self, layer: usize, name: &str, new: &str) {
        self.edit(layer, name).path = LayerPath::new(new);
    }

    pub fn edit(&mut self, layer: usize, name: &str) -> &mut Entry {
        let place = self.place(layer, name);
        &mut self.layers[layer].entries[place.try_into().expect("few entries")]
    }

    /// Changes the list of a layer's entries.
    pub fn edit_all<T>(&mut self, layer: usize, change: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        let mut entries = std::mem::take(&mut self.layers[layer].entries).into_vec();
        let result = change(&mut entries);
        self.layers[layer].entries = entries.into();
        result
    }

    /// Says something of an entry's records.
    pub fn remark(&mut self, layer: usize, name: &str, what: Oddity) {
        let entry = self.place(layer, name).try_into().expect("few entries");
        self.layers[layer].remarks.push(Remark { entry, what });
    }

    pub fn verify(&self) -> Vec<Finding> {
        let stack = LayerStack::new(self.layers.iter().cloned().map(Arc::new).collect());
        verify(&Subject { stack: &stack, image: self.facts.clone() })
    }

    fn place(&self, layer: usize, name: &str) -> usize {
        self.layers[layer].entries.iter().position(|entry| entry.path.as_str() == name).expect(name)
    }
}

pub fn entry(kind: EntryKind, name: &str) -> Entry {
    let attributes = match kind {
        EntryKind::Directory => Some(0x10),
        EntryKind::File => Some(0x20),
        EntryKind::Junction => Some(0x410),
        _ => None,
    };
    Entry {
        kind,
        path: LayerPath::new(name),
        link: None,
        start: 0.into(),
        data: 0.into(),
        size: 0,
        attributes,
        security: Some(0),
        modified: 0,
        checksum: 0,
        head: None,
    }
}

pub fn dir(name: &str) -> Entry {
    entry(EntryKind::Directory, name)
}

pub fn file(name: &str) -> Entry {
    entry(EntryKind::File, name)
}

pub fn whiteout(name: &str) -> Entry {
    entry(EntryKind::Whiteout, name)
}

pub fn stream(name: &str) -> Entry {
    entry(EntryKind::Stream, name)
}

pub fn link(name: &str, target: &str) -> Entry {
    Entry { link: Some(target.into()), ..entry(EntryKind::HardLink, name) }
}

pub fn symlink(kind: EntryKind, name: &str, target: &str) -> Entry {
    Entry { link: Some(target.into()), ..entry(kind, name) }
}

/// A hive with the given head and as many bytes as the head says.
pub fn hive(name: &str, head: [u8; 512]) -> Entry {
    Entry { size: 8192, head: Some(Box::new(head)), ..file(name) }
}

/// What a SOFTWARE hive or its delta says.
pub fn says(build: Option<u32>, revision: u32) -> Option<RegistryVersion> {
    Some(RegistryVersion { build, revision: Some(revision), ..RegistryVersion::default() })
}

fn layer(number: usize, entries: Vec<Entry>) -> LayerIndex {
    LayerIndex {
        digest: Digest::of(&[number as u8, 1]),
        stored_size: 1000,
        compression: Compression::Gzip,
        diff_id: Digest::of(&[number as u8, 2]),
        unpacked_size: 0,
        entries_end: 0.into(),
        ends_in_zeros: true,
        remarks: Vec::new(),
        entries: entries.into(),
        security: vec!["AQAA".into()],
        blocks: crate::gzip::BlockMap::default(),
        registry: None,
    }
}

fn base() -> Vec<Entry> {
    vec![
        dir("Files"),
        file("Files/License.txt"),
        dir("Files/Users"),
        symlink(EntryKind::Junction, "Files/Documents and Settings", "C:\\Users"),
        dir("Files/Windows"),
        file("Files/Windows/notes.txt"),
        stream("Files/Windows/notes.txt:mark"),
        stream("Files/Windows/notes.txt:other"),
        dir("Files/Windows/System32"),
        file("Files/Windows/System32/bootmgfw.efi"),
        dir("Files/Windows/System32/config"),
        hive("Files/Windows/System32/config/DEFAULT", head(&[])),
        hive("Files/Windows/System32/config/SAM", head(&[])),
        hive("Files/Windows/System32/config/SECURITY", head(&[])),
        hive("Files/Windows/System32/config/SOFTWARE", head(&[])),
        hive("Files/Windows/System32/config/SYSTEM", head(&[])),
        file("Files/Windows/System32/ntdll.dll"),
        symlink(EntryKind::Symlink, "Files/Windows/System32/nt.dll", "ntdll.dll"),
        dir("Files/Windows/WinSxS"),
        dir("Files/Windows/WinSxS/one"),
        link("Files/Windows/WinSxS/one/ntdll.dll", "Files/Windows/System32/ntdll.dll"),
        dir("UtilityVM"),
        dir("UtilityVM/Files"),
        dir("UtilityVM/Files/EFI"),
        dir("UtilityVM/Files/EFI/Microsoft"),
        dir("UtilityVM/Files/EFI/Microsoft/Boot"),
        hive("UtilityVM/Files/EFI/Microsoft/Boot/BCD", head(&[])),
        link("UtilityVM/Files/EFI/Microsoft/Boot/bootmgfw.efi", "Files/Windows/System32/bootmgfw.efi"),
        dir("UtilityVM/Files/Windows"),
        dir("UtilityVM/Files/Windows/System32"),
        link("UtilityVM/Files/Windows/System32/ntdll.dll", "Files/Windows/WinSxS/one/ntdll.dll"),
        dir("UtilityVM/Files/Windows/System32/config"),
        hive("UtilityVM/Files/Windows/System32/config/SOFTWARE", head(&[])),
        hive("UtilityVM/Files/Windows/System32/config/SYSTEM", head(&[])),
    ]
}

fn servicing() -> Vec<Entry> {
    vec![
        dir("Files"),
        dir("Files/Windows"),
        whiteout("Files/Windows/.wh.notes.txt"),
        whiteout("Files/Windows/.wh.was-never-there.txt"),
        dir("Files/Windows/System32"),
        file("Files/Windows/System32/new.dll"),
        dir("Files/Windows/WinSxS"),
        dir("Files/Windows/WinSxS/two"),
        link("Files/Windows/WinSxS/two/new.dll", "Files/Windows/System32/new.dll"),
        // A link into the base layer, in another letter case, as real servicing layers seem to have them.
        link("Files/Windows/WinSxS/two/ntdll.dll", "Files/windows/system32/NTDLL.dll"),
        dir("Hives"),
        hive("Hives/System_Delta", delta_head()),
        dir("UtilityVM"),
        dir("UtilityVM/Files"),
        dir("UtilityVM/Files/Windows"),
        dir("UtilityVM/Files/Windows/System32"),
        whiteout("UtilityVM/Files/Windows/System32/.wh.ntdll.dll"),
        link("UtilityVM/Files/Windows/System32/new.dll", "Files/Windows/System32/new.dll"),
    ]
}
