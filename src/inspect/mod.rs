//! Where the bytes of an image are: the size of each entry, added up in many ways.
//!
//! Everything here is computed from the layer indexes alone; no layer is decompressed and nothing is written.

pub mod diff;
pub mod group;
pub mod list;
pub mod policy;

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::Serialize;

use crate::layer::{Entry, EntryId, EntryKind, EntryNumber, LayerNumber, LayerStack, PerEntry, PerLayer, Shadows};
use crate::numbered::{NumberRange, NumberedVec};
use crate::position::StoredPosition;
use crate::windows::components::{Classifier, Component, ComponentId};

pub use diff::Diff;
pub use group::{By, Group, GroupKey, Grouping};
pub use list::Listed;

/// Sizes of a part of an image.
///
/// They can be added up: the parts that any grouping makes of an image add up to the same sizes, exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sizes {
    /// Names of files: hard links, symbolic links and junctions too, but no directories, streams and whiteouts.
    pub files: u64,
    /// Bytes of file data and of alternate data streams. A file with several names counts once, where its data is stored.
    pub unpacked: u64,
    /// Bytes of the compressed layers that the entries take, headers included, by where these lie.
    pub compressed: u64,
    /// Unpacked bytes that no container sees: a layer above replaces or deletes every name of the file.
    pub dead: u64,
    /// Compressed bytes of what no container sees.
    pub dead_compressed: u64,
}

impl AddAssign for Sizes {
    fn add_assign(&mut self, other: Sizes) {
        self.files += other.files;
        self.unpacked += other.unpacked;
        self.compressed += other.compressed;
        self.dead += other.dead;
        self.dead_compressed += other.dead_compressed;
    }
}

impl std::iter::Sum for Sizes {
    fn sum<I: Iterator<Item = Sizes>>(all: I) -> Sizes {
        all.fold(Sizes::default(), |mut sum, sizes| {
            sum += sizes;
            sum
        })
    }
}

/// What one entry takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntrySize {
    /// The part of Windows that it belongs to.
    pub component: ComponentId,
    /// The number of the entry in the same layer that it is counted with: the file of an alternate data stream, or itself.
    pub owner: EntryNumber,
    /// Bytes of data; a hard link has none.
    pub unpacked: u64,
    /// Bytes of the blob, headers included.
    pub compressed: u64,
    /// The layer that made it dead, or [`ALIVE`].
    dead_by: LayerNumber,
    is_file: bool,
}

/// No layer: an image has fewer of them.
const ALIVE: u32 = u32::MAX;

impl EntrySize {
    /// The layer that made it dead, or nothing if it is not.
    ///
    /// The data of a file is dead when all names of its link group are hidden, by the layer that hides the last of them.
    pub fn dead_by(&self) -> Option<LayerNumber> {
        (u32::from(self.dead_by) != ALIVE).then_some(self.dead_by)
    }

    /// Its sizes.
    pub fn sizes(&self) -> Sizes {
        let dead = |bytes| if u32::from(self.dead_by) == ALIVE { 0 } else { bytes };
        Sizes {
            files: self.is_file.into(),
            unpacked: self.unpacked,
            compressed: self.compressed,
            dead: dead(self.unpacked),
            dead_compressed: dead(self.compressed),
        }
    }
}

/// What a layer holds that a layer above made dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead {
    /// The layer that holds it.
    pub layer: LayerNumber,
    /// The layer that replaces or deletes it.
    pub by: LayerNumber,
    /// Names of files.
    pub files: u64,
    /// Bytes of data.
    pub unpacked: u64,
    /// Bytes of the blob.
    pub compressed: u64,
}

/// The sizes of all entries of an image.
#[derive(Debug)]
pub struct SizeModel<'a> {
    stack: &'a LayerStack,
    shadows: Shadows,
    sizes: PerEntry<EntrySize>,
    classifier: Classifier,
    overhead: PerLayer<u64>,
}

impl<'a> SizeModel<'a> {
    /// Measures an image.
    pub fn new(stack: &'a LayerStack) -> SizeModel<'a> {
        let shadows = Shadows::find(stack);
        let mut classifier = Classifier::new(stack.names());
        let mut sizes = PerLayer::with_capacity(stack.layers().len());
        let mut overhead = PerLayer::with_capacity(stack.layers().len());
        for (number, layer) in stack.layers().numbered() {
            let mut position = StoredPosition::START;
            let mut file = None;
            let mut of_layer: NumberedVec<EntryNumber, EntrySize> = NumberedVec::with_capacity(layer.entries.len());
            for (at, entry) in layer.entries.numbered() {
                let end = layer.blocks.stored_position(entry.end());
                let owner: Option<EntryNumber> = if entry.kind == EntryKind::Stream { file } else { None };
                let component = match owner {
                    Some(owner) => of_layer[owner].component,
                    None => {
                        let name = stack.names().of(EntryId::new(number, at));
                        let is_directory = entry.kind == EntryKind::Directory;
                        classifier.classify(stack.names(), name, entry.path.as_str(), is_directory)
                    }
                };
                of_layer.push(EntrySize {
                    component,
                    owner: owner.unwrap_or(at),
                    unpacked: data(entry),
                    compressed: end.saturating_sub(position),
                    dead_by: shadows.hidden_by(EntryId::new(number, at)).unwrap_or(ALIVE.into()),
                    is_file: is_file(entry),
                });
                position = end.max(position);
                if entry.kind != EntryKind::Stream {
                    file = Some(at);
                }
            }
            overhead.push(StoredPosition::from(layer.stored_size).saturating_sub(position));
            sizes.push(of_layer);
        }
        let mut model = SizeModel { stack, shadows, sizes: sizes.into(), classifier, overhead };
        model.revive_linked();
        model
    }

    /// Data is dead only when all names of its file are hidden; its streams share its fate.
    fn revive_linked(&mut self) {
        for group in self.stack.links().groups() {
            let by = group.members.iter().map(|&id| self.shadows.hidden_by(id).unwrap_or(ALIVE.into())).max();
            let by = by.unwrap_or(ALIVE.into());
            let EntryId { layer, entry: holder } = group.holder;
            self.sizes[group.holder].dead_by = by;
            let behind = self.sizes.layer(layer).after(holder);
            let count = behind.iter().take_while(|size| size.owner == holder).count();
            for stream in NumberRange::behind(holder, count) {
                self.sizes[EntryId::new(layer, stream)].dead_by = by;
            }
        }
    }

    /// The layers of the image.
    pub fn stack(&self) -> &'a LayerStack {
        self.stack
    }

    /// Which names are hidden, whether their bytes are needed elsewhere or not.
    pub fn shadows(&self) -> &Shadows {
        &self.shadows
    }

    /// What an entry takes. The number must come from the stack.
    pub fn size(&self, id: EntryId) -> &EntrySize {
        &self.sizes[id]
    }

    /// All entries, layer by layer from the base upward, in the order of the tars.
    pub fn entries(&self) -> impl Iterator<Item = (EntryId, &'a Entry, &EntrySize)> {
        self.stack.layers().iter().zip(self.sizes.layers().numbered()).flat_map(|(layer, (number, sizes))| {
            let entries = layer.entries.iter().zip(sizes.numbered());
            entries.map(move |(entry, (at, size))| (EntryId::new(number, at), entry, size))
        })
    }

    /// Compressed bytes of a layer that belong to no entry: the mark of the archive's end, and what compression adds there.
    pub fn overhead(&self, layer: LayerNumber) -> u64 {
        self.overhead.get(layer).copied().unwrap_or(0)
    }

    /// The sizes of the whole image.
    pub fn totals(&self) -> Sizes {
        let mut totals: Sizes = self.sizes.layers().iter().flatten().map(EntrySize::sizes).sum();
        totals.compressed += self.overhead.iter().sum::<u64>();
        totals
    }

    /// What each layer holds in vain, by the layer that made it so; both from the base upward.
    pub fn dead(&self) -> Vec<Dead> {
        let mut all: Vec<Dead> = Vec::new();
        for (layer, sizes) in self.sizes.layers().numbered() {
            for size in sizes {
                let Some(by) = size.dead_by() else { continue };
                let place = all.binary_search_by_key(&(layer, by), |dead| (dead.layer, dead.by)).unwrap_or_else(|at| {
                    all.insert(at, Dead { layer, by, files: 0, unpacked: 0, compressed: 0 });
                    at
                });
                let dead = &mut all[place];
                dead.files += u64::from(size.is_file);
                dead.unpacked += size.unpacked;
                dead.compressed += size.compressed;
            }
        }
        all
    }

    /// What a component is called.
    pub fn component_name(&self, id: ComponentId) -> &str {
        self.classifier.name(id)
    }

    /// What is known of a component, unless it is only named after a directory.
    pub fn component(&self, id: ComponentId) -> Option<&'static Component> {
        self.classifier.component(id)
    }
}

/// Whether an entry is a name of a file.
pub fn is_file(entry: &Entry) -> bool {
    entry.is_name() && entry.kind != EntryKind::Directory
}

/// The bytes of data that an entry holds.
fn data(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::File | EntryKind::Stream => entry.size,
        _ => 0,
    }
}

#[cfg(test)]
pub(crate) mod tests;
