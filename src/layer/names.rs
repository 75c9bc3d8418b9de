//! Every name of an image once, with a number, so that what is known of names fits in plain lists.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::{EntryId, FoldedPath, LayerIndex, PerEntry, PerLayer};
use crate::numbered::{Number, NumberRange, NumberedVec, number};

number! {
    /// The number of a name in [`Names`]. A directory has a smaller number than what is in it.
    NameId
}

/// Every name of an image, as Windows compares them (see [`FoldedPath`]).
///
/// These are the names of all entries, the names that whiteouts delete, and the directories above all of them, whether
/// there is an entry for them or not.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Folded names one behind the other; that of a directory may be the beginning of another one.
    text: String,
    spans: NumberedVec<NameId, Span>,
    by_text: HashTable<NameId>,
    hasher: foldhash::fast::RandomState,
    /// For each entry, the name that it is about.
    of_entry: PerEntry<NameId>,
    /// The entries that have a name, name by name.
    entries: Vec<EntryId>,
    /// For each name, where its entries begin in `entries`; at the end, where the last ones end.
    first_entries: Vec<u32>,
}

/// Where a name is in the text, and the name of its directory.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    length: u32,
    /// [`NONE`] at the top.
    parent: NameId,
    /// Of the hash of the directory and the last component, so that a name of ten thousand components costs no more than one of
    /// the same length that has few.
    hash: u64,
}

/// No name: an image has fewer of them.
const NONE: NameId = NameId(u32::MAX);

/// The hash of what names at the top lie in.
const TOP: u64 = 0;

impl Names {
    /// Collects the names of the layers, from the base upward.
    pub fn collect<'l>(layers: impl Iterator<Item = &'l LayerIndex> + Clone) -> Names {
        let entries = || layers.clone().flat_map(|layer| &layer.entries);
        let most = entries().count();
        let mut names = Names {
            text: String::with_capacity(entries().map(|entry| entry.path.as_str().len()).sum()),
            spans: NumberedVec::with_capacity(most),
            by_text: HashTable::with_capacity(most),
            ..Names::default()
        };
        let mut folded = String::new();
        let mut last = None;
        let mut of_entry = PerLayer::new();
        for index in layers.clone() {
            let mut of_layer = NumberedVec::with_capacity(index.entries.len());
            // Where the directory of the last entry ends, as spelled with its separator and folded.
            let mut directory = ("", 0);
            for entry in &index.entries {
                let path = entry.path.as_str();
                match (path.strip_prefix(directory.0).filter(|_| directory.1 > 0), entry.whiteout_target()) {
                    (_, Some(target)) => {
                        FoldedPath::fold_into(&target, &mut folded);
                        directory = ("", 0);
                    }
                    // Entries of one directory come together: it need not be folded again.
                    (Some(rest), None) if is_simple(rest) => {
                        folded.truncate(directory.1);
                        folded.push_str(rest);
                        folded[directory.1..].make_ascii_uppercase();
                    }
                    _ => {
                        FoldedPath::fold_into(path, &mut folded);
                        let (spelled_end, folded_end) = (path.rfind('/'), folded.rfind('/'));
                        directory = match (spelled_end, folded_end) {
                            (Some(spelled), Some(end)) if is_simple(&path[spelled + 1..]) => {
                                (&path[..=spelled], end + 1)
                            }
                            _ => ("", 0),
                        };
                    }
                }
                let name = names.intern(&folded, last);
                last = names.parent(name);
                of_layer.push(name);
            }
            of_entry.push(of_layer);
        }
        names.of_entry = of_entry.into();
        names.sort_entries(layers);
        names
    }

    /// The number of a name, which it gets if it has none; `near` is a directory that it may well be in.
    fn intern(&mut self, folded: &str, near: Option<NameId>) -> NameId {
        if let Some(near) = near
            && let Some(component) = folded.strip_prefix(self.text(near)).and_then(|rest| rest.strip_prefix('/'))
            && !component.contains('/')
        {
            let hash = self.hash(self.spans[near].hash, component);
            return self.lookup(hash, folded).unwrap_or_else(|| {
                let start = self.push(folded);
                self.add(start, folded.len(), near, hash)
            });
        }
        let hashes = self.hashes(folded);
        let known = |names: &Names, &(end, hash): &(usize, u64)| names.lookup(hash, folded.get(..end)?);
        if let Some(name) = hashes.last().and_then(|whole| known(self, whole)) {
            return name;
        }
        // The directories that have no number yet are the beginning of this text; those above a known one are known, too.
        let first_new = hashes.partition_point(|place| known(self, place).is_some());
        let mut parent = first_new.checked_sub(1).and_then(|at| known(self, hashes.get(at)?)).unwrap_or(NONE);
        let start = self.push(folded);
        for &(length, hash) in hashes.iter().skip(first_new) {
            parent = self.add(start, length, parent, hash);
        }
        parent
    }

    fn push(&mut self, folded: &str) -> usize {
        let start = self.text.len();
        self.text.push_str(folded);
        start
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "an image has at most 127 layers with a million entries each, and as many directories; names are short"
    )]
    fn add(&mut self, start: usize, length: usize, parent: NameId, hash: u64) -> NameId {
        let id = NameId(self.spans.len() as u32);
        self.spans.push(Span { start, length: length as u32, parent, hash });
        let spans = &self.spans;
        self.by_text.insert_unique(hash, id, |&id| spans[id].hash);
        id
    }

    /// The hash of a name, from that of its directory and its last component.
    fn hash(&self, directory: u64, component: &str) -> u64 {
        self.hasher.hash_one((directory, component))
    }

    /// Where a name and each directory above it end, and their hashes; the uppermost directory comes first.
    fn hashes(&self, folded: &str) -> Vec<(usize, u64)> {
        let mut hash = TOP;
        let mut end = 0;
        let components = folded.split('/').enumerate();
        components
            .map(|(number, component)| {
                hash = self.hash(hash, component);
                end += component.len() + usize::from(number > 0);
                (end, hash)
            })
            .collect()
    }

    fn lookup(&self, hash: u64, folded: &str) -> Option<NameId> {
        self.by_text.find(hash, |&id| self.text(id) == folded).copied()
    }

    /// Sorts the entries that have names by their names: those of one name in the order of layers and entries.
    fn sort_entries<'l>(&mut self, layers: impl Iterator<Item = &'l LayerIndex> + Clone) {
        let mut first = vec![0_u32; self.spans.len() + 1];
        let named = || {
            layers.clone().zip(self.of_entry.layers().numbered()).flat_map(|(index, (layer, names))| {
                let entries = index.entries.iter().zip(names.numbered());
                let named = entries.filter(|(entry, _)| entry.is_name());
                named.map(move |(_, (number, name))| (EntryId::new(layer, number), *name))
            })
        };
        for (_, name) in named() {
            first[name.place() + 1] += 1;
        }
        for place in 1..first.len() {
            first[place] += first[place - 1];
        }
        let mut next = first.clone();
        let mut entries = vec![EntryId::new(0, 0); first.last().map_or(0, |&count| count as usize)];
        for (id, name) in named() {
            entries[next[name.place()] as usize] = id;
            next[name.place()] += 1;
        }
        self.entries = entries;
        self.first_entries = first;
    }

    /// How many names there are.
    pub fn count(&self) -> usize {
        self.spans.len()
    }

    /// Returns a list that has this value for each name.
    pub fn each<T: Clone>(&self, value: T) -> NumberedVec<NameId, T> {
        self.spans.same_length(value)
    }

    /// All names, a directory before what is in it.
    pub fn all(&self) -> NumberRange<NameId> {
        self.spans.numbers()
    }

    /// A name, folded.
    pub fn text(&self, name: NameId) -> &str {
        self.spans[name].of(&self.text)
    }

    /// The directory that a name is in, or nothing at the top.
    pub fn parent(&self, name: NameId) -> Option<NameId> {
        let parent = self.spans[name].parent;
        (parent != NONE).then_some(parent)
    }

    /// The last component of a name, folded.
    pub fn last_component(&self, name: NameId) -> &str {
        let text = self.text(name);
        self.parent(name).map_or(text, |directory| &text[self.spans[directory].length as usize + 1..])
    }

    /// The directories above a name, nearest first.
    pub fn ancestors(&self, name: NameId) -> impl Iterator<Item = NameId> {
        std::iter::successors(self.parent(name), |&name| self.parent(name))
    }

    /// The name with this folded spelling.
    pub fn find(&self, folded: &str) -> Option<NameId> {
        let hash = folded.split('/').fold(TOP, |hash, component| self.hash(hash, component));
        self.lookup(hash, folded)
    }

    /// The name that an entry is about: its own, or for a whiteout the one that it deletes.
    ///
    /// The number must come from these layers.
    pub fn of(&self, entry: EntryId) -> NameId {
        self.of_entry[entry]
    }

    /// The entries that make a name, in the order of layers and entries; streams and whiteouts make none.
    pub fn entries(&self, name: NameId) -> &[EntryId] {
        let place = name.place();
        &self.entries[self.first_entries[place] as usize..self.first_entries[place + 1] as usize]
    }

    /// The entries that make the name with this folded spelling, in the order of layers and entries.
    pub fn get(&self, folded: &str) -> &[EntryId] {
        self.find(folded).map_or(&[], |name| self.entries(name))
    }
}

/// Whether a text is one component of a name, and folds to its upper case.
fn is_simple(text: &str) -> bool {
    let has_separator = text.bytes().fold(false, |has, byte| has | (byte == b'/') | (byte == b'\\'));
    !text.is_empty() && text.is_ascii() && !has_separator
}

impl Span {
    fn of(self, text: &str) -> &str {
        &text[self.start..self.start + self.length as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::EntryKind::{Directory, File, HardLink, Stream, Whiteout};
    use crate::layer::index::tests::index_of;

    #[test]
    fn a_directory_has_a_number_before_what_is_in_it() {
        let base = index_of(&[(File, "Files/a/b/c"), (Directory, "files/A"), (Stream, "Files/a/b/c:s")]);
        let upper = index_of(&[(Whiteout, "Files/x/.wh.Gone"), (HardLink, "Files/A/B/C"), (Directory, "Files")]);
        let names = Names::collect([&base, &upper].into_iter());
        let all: Vec<&str> = names.all().map(|name| names.text(name)).collect();
        assert_eq!(all, ["FILES", "FILES/A", "FILES/A/B", "FILES/A/B/C", "FILES/A/B/C:S", "FILES/X", "FILES/X/GONE"]);
        for name in names.all() {
            let parent = names.parent(name);
            assert!(parent.is_none_or(|parent| parent < name));
            let expected = names.text(name).rsplit_once('/').map(|(directory, _)| directory);
            assert_eq!(parent.map(|parent| names.text(parent)), expected);
            assert_eq!(names.find(names.text(name)), Some(name));
        }
        assert_eq!(names.get("FILES/A/B/C"), [EntryId::new(0, 0), EntryId::new(1, 1)]);
        assert_eq!(names.get("FILES/A"), [EntryId::new(0, 1)]);
        assert_eq!(names.get("FILES/A/B"), []);
        assert_eq!(names.get("FILES/A/B/C:S"), [], "a stream makes no name");
        assert_eq!(names.text(names.of(EntryId::new(1, 0))), "FILES/X/GONE", "a whiteout is about what it deletes");
        assert_eq!(names.find("FILES/Y"), None);
    }

    #[test]
    fn a_directory_is_folded_again_when_it_changes() {
        let spelled = [
            "a/b", "a/c", "A/d", "a/", "a/é", "a/f\\g", "a/p", "./a/h", "a/i", "a//j", "a/k", "l", "m", "a/.wh.n",
            "a/o",
        ];
        let index = index_of(&spelled.map(|name| (File, name)));
        let names = Names::collect(std::iter::once(&index));
        for (number, name) in (0..).zip(spelled) {
            assert_eq!(names.text(names.of(EntryId::new(0, number))), FoldedPath::new(name).as_str());
        }
    }

    #[test]
    fn odd_names_have_numbers_too() {
        let index = index_of(&[(File, "/"), (File, "//a"), (File, "a//b"), (File, "./")]);
        let names = Names::collect(std::iter::once(&index));
        let all: Vec<&str> = names.all().map(|name| names.text(name)).collect();
        assert_eq!(all, ["", "/", "//A", "A", "A/", "A//B"]);
    }

    #[test]
    fn a_deep_name_takes_its_text_once() {
        let deep = "a/".repeat(10_000) + "b";
        let names = Names::collect(std::iter::once(&index_of(&[(File, &deep)])));
        assert_eq!(names.count(), 10_001);
        assert_eq!(names.text.len(), deep.len());
    }
}
