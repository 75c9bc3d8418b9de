//! The entries of an image put into groups: by layer, component, directory, extension or file.

use std::cmp::Reverse;

use super::{SizeModel, Sizes};
use crate::layer::path::NameMap;
use crate::layer::path::windows_name;
use crate::layer::{Entry, EntryId, EntryKind, FoldedPath, LayerNumber, PerEntry};
use crate::numbered::Number;
use crate::windows::components::ComponentId;

/// What belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// What lies in one layer.
    Layer,
    /// What is one part of Windows.
    Component,
    /// What lies in one directory, so many levels deep, with all below it. 0 is the whole tree.
    Directory {
        /// How many levels.
        depth: usize,
    },
    /// Files whose names end alike.
    Extension,
    /// One name, in all layers, with its alternate data streams.
    File,
}

/// Which entries, and what of them belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouping {
    /// What belongs together.
    pub by: By,
    /// Only this layer.
    pub layer: Option<LayerNumber>,
}

/// What a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupKey {
    /// A layer.
    Layer(LayerNumber),
    /// A part of Windows.
    Component(ComponentId),
    /// The directory, so many components of its name deep, that this entry is or lies in.
    Directory {
        /// An entry in it.
        entry: EntryId,
        /// How many components of the entry's name are the directory's.
        components: usize,
    },
    /// The extension of this entry's name.
    Extension(EntryId),
    /// The name that this entry has.
    File(EntryId),
    /// What belongs to no entry: the marks of the archives' ends. In [`By::Layer`] each layer has its own.
    ArchiveOverhead,
    /// So many groups that are not shown.
    Others(u64),
}

/// Entries that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// What they are.
    pub key: GroupKey,
    /// What they take.
    pub sizes: Sizes,
}

impl SizeModel<'_> {
    /// Puts the entries into groups: layers from the base upward, all others by compressed size, the largest first.
    ///
    /// The groups add up to the sizes of the image, or of the layer that was asked for.
    pub fn groups(&self, grouping: Grouping) -> Vec<Group> {
        let names = self.stack().names();
        let mut groups = Groups::default();
        let mut folded = String::new();
        for (id, _, size) in self.entries() {
            if grouping.layer.is_some_and(|layer| layer != id.layer) {
                continue;
            }
            let owner = EntryId { layer: id.layer, entry: size.owner };
            let entry = self.stack().entry(owner);
            let place = match grouping.by {
                By::Layer => groups.numbered(id.layer.place(), || GroupKey::Layer(id.layer)),
                By::Component => groups.numbered(size.component.number(), || GroupKey::Component(size.component)),
                By::Directory { depth } => {
                    let name = names.text(names.of(owner));
                    let name = &name[..directory_end(name, entry.kind == EntryKind::Directory, depth)];
                    let components = || if name.is_empty() { 0 } else { name.split('/').count() };
                    groups.named(name, || GroupKey::Directory { entry: owner, components: components() })
                }
                By::Extension => {
                    extension_into(entry, &mut folded);
                    groups.named(&folded, || GroupKey::Extension(owner))
                }
                By::File => {
                    // A whiteout, which is no name of a file, stands for itself.
                    let all = if entry.is_name() { names.entries(names.of(owner)) } else { &[] };
                    let first = all.first().copied().unwrap_or(owner);
                    let first = if grouping.layer.is_some() { owner } else { first };
                    groups.of_file(self, first)
                }
            };
            groups.all[place].sizes += size.sizes();
        }
        self.add_overhead(&mut groups, grouping);
        let mut all = groups.all;
        match grouping.by {
            By::Layer => all.sort_by_key(|group| match group.key {
                GroupKey::Layer(layer) => layer,
                _ => u32::MAX.into(),
            }),
            _ => all.sort_by_key(|group| (group.key == GroupKey::ArchiveOverhead, Reverse(group.sizes.compressed))),
        }
        all
    }

    fn add_overhead(&self, groups: &mut Groups, grouping: Grouping) {
        for layer in self.stack().layers().numbers() {
            let compressed = self.overhead(layer);
            if grouping.layer.is_some_and(|only| only != layer) || (compressed == 0 && grouping.by != By::Layer) {
                continue;
            }
            let place = match grouping.by {
                By::Layer => groups.numbered(layer.place(), || GroupKey::Layer(layer)),
                _ => groups.named_as("/overhead", || GroupKey::ArchiveOverhead),
            };
            groups.all[place].sizes += Sizes { compressed, ..Sizes::default() };
        }
    }

    /// What a group is called.
    pub fn label(&self, key: GroupKey) -> String {
        let spelled = |id: EntryId| self.stack().entry(id).path.as_str().trim_start_matches("./");
        match key {
            GroupKey::Layer(layer) => layer.to_string(),
            GroupKey::Component(component) => self.component_name(component).to_owned(),
            GroupKey::Directory { entry, components } => {
                let directory: Vec<&str> = spelled(entry).split(['/', '\\']).take(components).collect();
                windows_name(&directory.join("/"))
            }
            GroupKey::Extension(id) => {
                let entry = self.stack().entry(id);
                match (entry.kind, extension(entry.path.file_name())) {
                    (EntryKind::Directory, _) => "(directories)".to_owned(),
                    (EntryKind::Whiteout | EntryKind::OpaqueWhiteout, _) => "(whiteouts)".to_owned(),
                    (_, None) => "(none)".to_owned(),
                    (_, Some(extension)) => format!(".{}", extension.to_lowercase()),
                }
            }
            GroupKey::File(id) => self.stack().entry(id).path.to_windows(),
            GroupKey::ArchiveOverhead => "(archive overhead)".to_owned(),
            GroupKey::Others(count) => format!("({count} others)"),
        }
    }
}

/// Keeps the first groups and puts the rest into one, so that the sum stays the same.
pub fn top(mut groups: Vec<Group>, count: usize) -> Vec<Group> {
    // One row that stands for a single group would only hide its name.
    if groups.len() <= count.saturating_add(1) {
        return groups;
    }
    let rest = groups.split_off(count);
    let sizes = rest.iter().map(|group| group.sizes).sum();
    groups.push(Group { key: GroupKey::Others(rest.len() as u64), sizes });
    groups
}

/// The groups made so far, in the order in which they were met.
#[derive(Default)]
struct Groups {
    all: Vec<Group>,
    by_number: Vec<Option<usize>>,
    by_name: NameMap<Box<str>, usize>,
    by_file: Option<PerEntry<Option<usize>>>,
    /// The name that was looked up last, and where that led: entries of one directory come together.
    last: Option<(String, usize)>,
}

impl Groups {
    fn push(&mut self, key: GroupKey) -> usize {
        self.all.push(Group { key, sizes: Sizes::default() });
        self.all.len() - 1
    }

    fn numbered(&mut self, number: usize, key: impl FnOnce() -> GroupKey) -> usize {
        if self.by_number.len() <= number {
            self.by_number.resize(number + 1, None);
        }
        match self.by_number[number] {
            Some(place) => place,
            None => {
                let place = self.push(key());
                self.by_number[number] = Some(place);
                place
            }
        }
    }

    fn named(&mut self, name: &str, key: impl FnOnce() -> GroupKey) -> usize {
        if let Some((last, place)) = &self.last
            && last == name
        {
            return *place;
        }
        let place = self.named_as(name, key);
        self.last = Some((name.to_owned(), place));
        place
    }

    fn named_as(&mut self, name: &str, key: impl FnOnce() -> GroupKey) -> usize {
        if let Some(&place) = self.by_name.get(name) {
            return place;
        }
        let place = self.push(key());
        self.by_name.insert(name.into(), place);
        place
    }

    /// The group of the name whose first entry this is.
    fn of_file(&mut self, model: &SizeModel<'_>, first: EntryId) -> usize {
        let next = self.all.len();
        let known = self.by_file.get_or_insert_with(|| PerEntry::filled(model.stack().indexes(), None));
        if let Some(place) = known[first] {
            return place;
        }
        known[first] = Some(next);
        self.push(GroupKey::File(first))
    }
}

/// Where the name of the directory ends that a folded name is or lies in, at most so many levels below its tree's root.
fn directory_end(folded: &str, is_directory: bool, depth: usize) -> usize {
    let directory = if is_directory { folded.len() } else { folded.rfind('/').unwrap_or(0) };
    let directory = &folded[..directory];
    let root = match directory {
        "UTILITYVM" | "UTILITYVM/FILES" => return "UTILITYVM".len(),
        _ if directory.starts_with("UTILITYVM/FILES/") => 2,
        _ if directory == "FILES" || directory.starts_with("FILES/") => 1,
        _ => 0,
    };
    let end = directory.match_indices('/').map(|(end, _)| end).nth((root + depth).saturating_sub(1));
    match end.unwrap_or(directory.len()) {
        _ if root + depth == 0 => 0,
        end if &directory[..end] == "UTILITYVM/FILES" => "UTILITYVM".len(),
        end => end,
    }
}

/// Writes what entries with one extension have in common. No extension has a `/`.
fn extension_into(entry: &Entry, name: &mut String) {
    name.clear();
    match (entry.kind, extension(entry.path.file_name())) {
        (EntryKind::Directory, _) => name.push_str("/directory"),
        (EntryKind::Whiteout | EntryKind::OpaqueWhiteout, _) => name.push_str("/whiteout"),
        (_, None) => name.push_str("/none"),
        (_, Some(extension)) => FoldedPath::fold_into(extension, name),
    }
}

/// What stands behind the last dot of a name.
fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| !extension.is_empty())
}
