//! What two images have different, as a container sees them, and what that means in bytes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{By, GroupKey, Grouping, SizeModel, Sizes};
use crate::layer::{EntryId, EntryKind};

/// The differences of two images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The names that differ: those with the most bytes first, then by path.
    pub changes: Vec<Change>,
    /// The sizes of every component of either image, before and after; the greatest change first.
    pub components: Vec<ComponentChange>,
    /// The sizes of both images.
    pub totals: (Sizes, Sizes),
}

/// A name that is not the same in both images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name, as on Windows.
    pub path: String,
    /// The component that it belongs to.
    pub component: String,
    /// The length of the file before; nothing if it was not there.
    pub before: Option<u64>,
    /// The length of the file after; nothing if it is not there.
    pub after: Option<u64>,
    /// Whether attributes or security descriptor are all that differs. Times are not compared: every build of Windows
    /// writes all of them anew.
    pub metadata_only: bool,
}

/// The sizes of a component in two images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentChange {
    /// What the component is called.
    pub name: String,
    /// Its sizes before.
    pub before: Sizes,
    /// Its sizes after.
    pub after: Sizes,
}

/// What a container sees under a name. Two names with equal views are the same file, as far as an index tells.
#[derive(Debug, PartialEq, Eq)]
struct View<'a> {
    is_directory: bool,
    metadata: Metadata<'a>,
    link: Option<&'a str>,
    /// Lengths and checksums of the data and the streams, of every layer that takes part.
    data: Vec<(u64, u32)>,
}

/// What there is to know about a file or directory beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Metadata<'a> {
    attributes: Option<u32>,
    /// The security descriptor in base64.
    security: Option<&'a str>,
}

impl Diff {
    /// Compares two images.
    pub fn new(before: &SizeModel<'_>, after: &SizeModel<'_>) -> Diff {
        let all: BTreeSet<&str> = seen(before).chain(seen(after)).collect();
        let mut changes: Vec<Change> = all.into_iter().filter_map(|path| change(before, after, path)).collect();
        changes.sort_by_key(|change| Reverse(change.bytes()));
        Diff { changes, components: components(before, after), totals: (before.totals(), after.totals()) }
    }

    /// Whether containers see the same in both images.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Change {
    /// How many bytes the change is about: what is new, gone, or replaced.
    fn bytes(&self) -> u64 {
        self.before.unwrap_or(0).max(self.after.unwrap_or(0))
    }
}

/// The entries of a name that containers see, from the base upward.
///
/// A name of a file has one; a directory has one for each layer, and so have registry deltas.
fn visible<'m>(model: &'m SizeModel<'_>, ids: &'m [EntryId]) -> impl DoubleEndedIterator<Item = EntryId> + 'm {
    ids.iter().copied().filter(|&id| model.shadows().hidden_by(id).is_none())
}

/// The folded names that containers see.
fn seen<'m>(model: &'m SizeModel<'_>) -> impl Iterator<Item = &'m str> {
    let names = model.stack().names();
    let seen = names.all().filter(|&name| visible(model, names.entries(name)).next().is_some());
    seen.map(|name| names.text(name))
}

fn change(before: &SizeModel<'_>, after: &SizeModel<'_>, path: &str) -> Option<Change> {
    let (old, new) = (view(before, path), view(after, path));
    if old.as_ref().map(|(_, view)| view) == new.as_ref().map(|(_, view)| view) {
        return None;
    }
    let named = |model: &SizeModel<'_>, id: EntryId| {
        let component = model.component_name(model.size(id).component).to_owned();
        (model.stack().entry(id).path.to_windows(), component)
    };
    let (path, component) = match (&old, &new) {
        (_, Some((id, _))) => named(after, *id),
        (Some((id, _)), None) => named(before, *id),
        (None, None) => return None,
    };
    let length = |view: &Option<(EntryId, View<'_>)>| {
        view.as_ref().map(|(_, view)| view.data.iter().map(|(length, _)| length).sum())
    };
    let metadata_only = match (&old, &new) {
        (Some((_, old)), Some((_, new))) => {
            (old.is_directory, old.link, &old.data) == (new.is_directory, new.link, &new.data)
        }
        _ => false,
    };
    Some(Change { path, component, before: length(&old), after: length(&new), metadata_only })
}

/// What containers see under a name, and the entry that says it last.
fn view<'m>(model: &'m SizeModel<'_>, path: &str) -> Option<(EntryId, View<'m>)> {
    let ids = model.stack().names().get(path);
    let top = visible(model, ids).next_back()?;
    let entry = model.stack().entry(top);
    let is_directory = entry.kind == EntryKind::Directory;
    let mut view = View { is_directory, metadata: Metadata::default(), link: None, data: Vec::new() };
    if matches!(entry.kind, EntryKind::Symlink | EntryKind::Junction) {
        view.link = entry.link.as_deref();
    }
    for id in visible(model, ids) {
        // A hard link has the data and the metadata of its file.
        let holder = model.stack().links().group_of(id).map_or(id, |group| group.holder);
        let layer = &model.stack().layers()[holder.layer];
        let entry = model.stack().entry(holder);
        let security = entry.security.and_then(|number| layer.security.get(number as usize));
        view.metadata = Metadata { attributes: entry.attributes, security: security.map(|text| &**text) };
        if is_directory {
            continue;
        }
        let streams = layer.entries.slice(layer.streams_of(holder.entry));
        for entry in std::iter::once(entry).chain(streams) {
            view.data.push((entry.size, entry.checksum));
        }
    }
    Some((top, view))
}

fn components(before: &SizeModel<'_>, after: &SizeModel<'_>) -> Vec<ComponentChange> {
    let mut all: BTreeMap<String, (Sizes, Sizes)> = BTreeMap::new();
    let grouping = Grouping { by: By::Component, layer: None };
    // The marks of the archives' ends are part of the totals but of no component.
    let of_component = |key: GroupKey| matches!(key, GroupKey::Component(_));
    for group in before.groups(grouping).into_iter().filter(|group| of_component(group.key)) {
        all.entry(before.label(group.key)).or_default().0 = group.sizes;
    }
    for group in after.groups(grouping).into_iter().filter(|group| of_component(group.key)) {
        all.entry(after.label(group.key)).or_default().1 = group.sizes;
    }
    let mut all: Vec<ComponentChange> =
        all.into_iter().map(|(name, (before, after))| ComponentChange { name, before, after }).collect();
    all.sort_by_key(|change| Reverse(change.before.compressed.abs_diff(change.after.compressed)));
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inspect::tests::{file, link};
    use crate::layer::index::tests::index_with;
    use crate::layer::{Entry, LayerStack};

    fn stack(layers: &[&[Entry]]) -> LayerStack {
        LayerStack::new(layers.iter().map(|entries| Arc::new(index_with(entries.to_vec(), 10_000))).collect())
    }

    fn changes(before: &LayerStack, after: &LayerStack) -> Vec<(String, Option<u64>, Option<u64>)> {
        let diff = Diff::new(&SizeModel::new(before), &SizeModel::new(after));
        diff.changes.into_iter().map(|change| (change.path, change.before, change.after)).collect()
    }

    #[test]
    fn what_containers_see_is_compared() {
        let other = |name: &str, size| Entry { checksum: 7, ..file(name, size) };
        let before = stack(&[&[
            file("Files/same", 1),
            file("Files/gone", 20),
            file("Files/longer", 5),
            file("Files/other", 30),
        ]]);
        let after = stack(&[
            &[file("Files/SAME", 1), file("Files/longer", 5), file("Files/new", 4), other("Files/other", 30)],
            &[file("Files/longer", 6)],
        ]);
        let expected = [
            (r"other", Some(30), Some(30)),
            (r"gone", Some(20), None),
            (r"longer", Some(5), Some(6)),
            (r"new", None, Some(4)),
        ];
        assert_eq!(changes(&before, &after), expected.map(|(path, old, new)| (path.to_owned(), old, new)));
        assert!(changes(&before, &before).is_empty());
    }

    #[test]
    fn attributes_and_security_descriptors_are_compared_apart() {
        let protected = |entry: Entry, number| Entry { security: Some(number), ..entry };
        let hidden = |entry: Entry| Entry { attributes: Some(2), ..entry };
        let image = |entries: [Entry; 3], descriptor: &str| {
            let mut index = index_with(entries.to_vec(), 10_000);
            index.security = vec!["AQAA".into(), descriptor.into()];
            LayerStack::new(vec![Arc::new(index)])
        };
        let directory = |number| protected(Entry { kind: EntryKind::Directory, ..file("Files/d", 0) }, number);
        let before = image([directory(1), protected(file("Files/a", 1), 0), hidden(file("Files/b", 2))], "AQAB");
        let moved = image([directory(0), protected(file("Files/a", 1), 1), file("Files/b", 3)], "AQAA");
        let diff = Diff::new(&SizeModel::new(&before), &SizeModel::new(&moved));
        let seen: Vec<_> = diff.changes.iter().map(|change| (change.path.as_str(), change.metadata_only)).collect();
        assert_eq!(seen, [("b", false), ("d", true)], "the numbers of descriptors mean nothing");
    }

    #[test]
    fn links_layers_and_what_is_hidden_make_no_difference() {
        let linked =
            stack(&[&[file("Files/a", 9), link("Files/b", "Files/a"), file("Files/c", 1)], &[file("Files/c", 2)]]);
        let promoted = stack(&[&[file("Files/b", 9), link("Files/a", "Files/b"), file("Files/c", 2)]]);
        assert!(changes(&linked, &promoted).is_empty());
    }
}
