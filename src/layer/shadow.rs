//! Which names of lower layers no container sees, and which layer above hides them.

use super::path::NameMap;
use super::{EntryId, EntryKind, LayerNumber, LayerStack, NameId, Names, PerEntry};

/// For every entry of an image: the layer that hides it.
///
/// A name is hidden by the lowest layer above it that has the name again as anything but a directory, that deletes the
/// name with a whiteout, or that does either to a directory above it. A directory that comes again only gets new metadata:
/// it stays. An alternate data stream is hidden with its file. Only names below `Files` and `UtilityVM` can be hidden;
/// what a layer has in `Hives` is added to what the layers below it have there.
///
/// Whether the bytes of a file are needed all the same, under another name of its link group, is not said here.
#[derive(Debug, Clone)]
pub struct Shadows {
    hidden_by: PerEntry<LayerNumber>,
}

/// No layer: an image has fewer of them.
const NOTHING: u32 = u32::MAX;

impl Shadows {
    /// Finds what is hidden in an image.
    pub fn find(stack: &LayerStack) -> Shadows {
        let layers = stack.layers();
        let mut shadows = Shadows { hidden_by: PerEntry::filled(stack.indexes(), NOTHING.into()) };
        if layers.len() < 2 {
            return shadows;
        }
        let mut graves = Graves::of_whiteouts(stack);
        let names = stack.names();
        for name in names.all() {
            let entries = names.entries(name);
            if entries.len() > 1 && in_file_tree(names.text(name)) {
                shadows.hide_replaced(stack, entries);
                graves.add_replaced_directory(stack, name, entries);
            }
        }
        shadows.hide_at_graves(stack, &graves);
        shadows.hide_below(stack, &graves);
        shadows
    }

    /// The layer that hides an entry's name, or nothing if a container sees it.
    pub fn hidden_by(&self, entry: EntryId) -> Option<LayerNumber> {
        let layer = *self.hidden_by.get(entry)?;
        (u32::from(layer) != NOTHING).then_some(layer)
    }

    fn hide(&mut self, entry: EntryId, by: LayerNumber) {
        let place = &mut self.hidden_by[entry];
        *place = by.min(*place);
    }

    /// Hides files that a layer above has again.
    fn hide_replaced(&mut self, stack: &LayerStack, entries: &[EntryId]) {
        // From above: the lowest layer above the one that is looked at, and that layer itself.
        let (mut above, mut here) = (None, None);
        for &id in entries.iter().rev().filter(|&&id| !is_directory(stack, id)) {
            if here.is_some_and(|layer| layer > id.layer) {
                above = here;
            }
            here = Some(id.layer);
            if let Some(by) = above {
                self.hide(id, by);
            }
        }
    }

    /// Hides the names that whiteouts delete and files in the place of directories replace.
    fn hide_at_graves(&mut self, stack: &LayerStack, graves: &Graves) {
        for &name in graves.0.keys() {
            for &id in stack.names().entries(name) {
                if let Some(by) = graves.at(name, id.layer) {
                    self.hide(id, by);
                }
            }
        }
    }

    /// Hides what lies below these names, and the streams of all that is hidden.
    fn hide_below(&mut self, stack: &LayerStack, graves: &Graves) {
        for (number, layer) in stack.layers().numbered() {
            // Entries of one directory come together, so that most of them ask for the same one.
            let mut parent = None;
            let mut parent_by = None;
            let mut owner_by = None;
            for (at, entry) in layer.entries.numbered() {
                let id = EntryId::new(number, at);
                if entry.kind == EntryKind::Stream {
                    if let Some(by) = owner_by {
                        self.hide(id, by);
                    }
                    continue;
                }
                if entry.is_name() && !graves.is_empty() {
                    let directory = stack.names().parent(stack.names().of(id));
                    if directory != parent {
                        parent = directory;
                        parent_by = directory.and_then(|directory| graves.above(stack.names(), directory, id.layer));
                    }
                    if let Some(by) = parent_by {
                        self.hide(id, by);
                    }
                }
                owner_by = self.hidden_by(id);
            }
        }
    }
}

/// Names below which nothing of the layers under them is seen, each with the layers that say so, the lowest first.
struct Graves(NameMap<NameId, Vec<LayerNumber>>);

impl Graves {
    fn of_whiteouts(stack: &LayerStack) -> Graves {
        let mut graves: NameMap<NameId, Vec<LayerNumber>> = NameMap::default();
        for (number, layer) in stack.layers().numbered() {
            let whiteouts = layer.entries.numbered().filter(|(_, entry)| entry.whiteout_target().is_some());
            for (at, _) in whiteouts {
                let target = stack.names().of(EntryId::new(number, at));
                if in_file_tree(stack.names().text(target)) {
                    let layers = graves.entry(target).or_default();
                    if layers.last() != Some(&number) {
                        layers.push(number);
                    }
                }
            }
        }
        Graves(graves)
    }

    /// Notes the layers that have something else in the place of a directory.
    fn add_replaced_directory(&mut self, stack: &LayerStack, name: NameId, entries: &[EntryId]) {
        let Some(lowest) = entries.iter().find(|&&id| is_directory(stack, id)) else { return };
        let others = entries.iter().filter(|above| above.layer > lowest.layer && !is_directory(stack, **above));
        let layers: Vec<LayerNumber> = others.map(|above| above.layer).collect();
        if !layers.is_empty() {
            let graves = self.0.entry(name).or_default();
            graves.extend(layers);
            graves.sort_unstable();
            graves.dedup();
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lowest layer above this one that buries a name.
    fn at(&self, name: NameId, layer: LayerNumber) -> Option<LayerNumber> {
        self.0.get(&name)?.iter().copied().find(|&above| above > layer)
    }

    /// The lowest layer above this one that buries a directory or one that it is in.
    fn above(&self, names: &Names, directory: NameId, layer: LayerNumber) -> Option<LayerNumber> {
        let all = std::iter::once(directory).chain(names.ancestors(directory));
        all.filter_map(|name| self.at(name, layer)).min()
    }
}

fn is_directory(stack: &LayerStack, id: EntryId) -> bool {
    stack.entry(id).kind == EntryKind::Directory
}

fn in_file_tree(folded: &str) -> bool {
    folded.starts_with("FILES/") || folded.starts_with("UTILITYVM/")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::layer::index::tests::index_of;

    /// Each name of each layer, with the layer that hides it.
    fn hidden(layers: &[&[(EntryKind, &str)]]) -> Vec<Vec<Option<u32>>> {
        let stack = LayerStack::new(layers.iter().map(|entries| Arc::new(index_of(entries))).collect());
        let shadows = Shadows::find(&stack);
        let hidden_by = |layer, entry| shadows.hidden_by(EntryId::new(layer, entry)).map(u32::from);
        let of = |layer| stack.layers()[layer].entries.numbers().map(|entry| hidden_by(layer, entry)).collect();
        stack.layers().numbers().map(of).collect()
    }

    #[test]
    fn the_lowest_layer_above_hides_a_name() {
        use EntryKind::{Directory, File, Stream, Whiteout};
        let hidden = hidden(&[
            &[
                (Directory, "Files"),
                (Directory, "Files/d"),
                (File, "Files/d/twice"),
                (Stream, "Files/d/twice:s"),
                (File, "Files/d/deleted"),
                (File, "Files/d/seen"),
                (Directory, "Files/e"),
                (File, "Files/e/below"),
                (Directory, "Files/f"),
                (File, "Files/f/below"),
                (File, "Hives/x"),
            ],
            &[(Directory, "Files/D"), (File, "Files/D/TWICE"), (Whiteout, "Files/.wh.E"), (File, "Hives/x")],
            &[(File, "Files/d/twice"), (Whiteout, "Files/d/.wh.deleted"), (File, "Files/f"), (Whiteout, "Files/.wh.e")],
        ]);
        let (one, two) = (Some(1), Some(2));
        assert_eq!(hidden[0], [None, None, one, one, two, None, one, one, two, two, None]);
        assert_eq!(hidden[1], [None, two, None, None]);
        assert_eq!(hidden[2], [None; 4]);
    }

    #[test]
    fn a_layer_does_not_hide_what_it_has_itself() {
        use EntryKind::{Directory, File, Whiteout};
        let same = [(Directory, "Files/e"), (Whiteout, "Files/.wh.e"), (File, "Files/e/new")];
        assert_eq!(hidden(&[&[(File, "Files/e/old")], &same]), [vec![Some(1)], vec![None; 3]]);
    }
}
