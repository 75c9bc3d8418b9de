//! The order in which a listing shows names: a directory comes right before what is in it.

use std::ops::Range;

use super::{NameId, Names};
use crate::numbered::{Number, NumberedVec};

/// For each name its place in the listing of all of them.
///
/// Sorting a hundred thousand long names by comparing them takes longer than any other step of a listing. So the names of
/// each directory are sorted on their own, and by eight bytes at a time.
pub fn places(names: &Names) -> NumberedVec<NameId, u32> {
    let mut children = Children::of(names);
    let mut places = names.each(0);
    let mut next = 0;
    // The directories that are open, each with what of it is still to come.
    let mut open = vec![children.sort(names, None)];
    while let Some(rest) = open.last_mut() {
        let Some(child) = rest.next() else {
            open.pop();
            continue;
        };
        let name = children.names[child].1;
        places[name] = next;
        next += 1;
        open.push(children.sort(names, Some(name)));
    }
    places
}

/// The names by directory.
struct Children {
    /// Eight bytes of a name, to sort by, and the name.
    names: Vec<(u64, NameId)>,
    /// Where those of a directory begin, and those of the next one; first come those at the top.
    first: Vec<usize>,
}

impl Children {
    fn of(names: &Names) -> Children {
        let place = |name: NameId| names.parent(name).map_or(0, |directory| directory.place() + 1);
        let mut first = vec![0; names.count() + 2];
        for name in names.all() {
            first[place(name) + 1] += 1;
        }
        for directory in 1..first.len() {
            first[directory] += first[directory - 1];
        }
        let mut children: Vec<(u64, NameId)> = names.all().map(|name| (0, name)).collect();
        children.sort_by_key(|(_, name)| place(*name));
        Children { names: children, first }
    }

    /// Sorts what is in a directory, or at the top, and returns where it is.
    fn sort(&mut self, names: &Names, directory: Option<NameId>) -> Range<usize> {
        let place = directory.map_or(0, |directory| directory.place() + 1);
        let range = self.first[place]..self.first[place + 1];
        sort_behind(names, &mut self.names[range.clone()], 0);
        range
    }
}

/// Sorts names whose last components begin with the same `start` bytes.
fn sort_behind(names: &Names, siblings: &mut [(u64, NameId)], start: usize) {
    if siblings.len() < 2 {
        return;
    }
    let mut is_longer = false;
    for (word, name) in &mut *siblings {
        let rest = names.last_component(*name).as_bytes().get(start..).unwrap_or_default();
        is_longer |= !rest.is_empty();
        *word = rest.first_chunk().map_or_else(
            || rest.iter().enumerate().fold(0, |word, (at, &byte)| word | u64::from(byte) << (56 - 8 * at)),
            |bytes: &[u8; 8]| u64::from_be_bytes(*bytes),
        );
    }
    // What differs in nothing but NUL characters at the end, or is too long for NTFS.
    if !is_longer || start >= 256 {
        siblings.sort_unstable_by_key(|(_, name)| names.last_component(*name));
        return;
    }
    siblings.sort_unstable();
    for same in siblings.chunk_by_mut(|one, other| one.0 == other.0) {
        sort_behind(names, same, start + 8);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layer::EntryKind::File;
    use crate::layer::index::tests::index_of;

    fn listing(spelled: &[&str]) -> Vec<String> {
        let entries: Vec<_> = spelled.iter().map(|name| (File, *name)).collect();
        let names = Names::collect(std::iter::once(&index_of(&entries)));
        let places = places(&names);
        let mut all: Vec<NameId> = names.all().collect();
        all.sort_by_key(|name| places[*name]);
        all.into_iter().map(|name| names.text(name).to_owned()).collect()
    }

    #[test]
    fn a_directory_comes_right_before_what_is_in_it() {
        let listed = listing(&["a/z", "a-b", "a/c/d", "A", "a/b", "0", "windows.old", "windows/a", "windows.old/b"]);
        let expected = ["0", "A", "A/B", "A/C", "A/C/D", "A/Z", "A-B"];
        assert_eq!(listed[..7], expected);
        assert_eq!(listed[7..], ["WINDOWS", "WINDOWS/A", "WINDOWS.OLD", "WINDOWS.OLD/B"]);
        assert!(listing(&[]).is_empty());
    }

    #[test]
    fn long_names_are_compared_to_their_ends() {
        let (long, longer) = ("a".repeat(10_000), "a".repeat(10_001));
        assert_eq!(listing(&[&longer, &long]), [long.to_uppercase(), longer.to_uppercase()]);
    }

    #[test]
    fn names_that_differ_in_nul_characters_only_come_by_length() {
        assert_eq!(listing(&["a\0\0", "a", "a\0"]), ["A", "A\0", "A\0\0"]);
        assert_eq!(listing(&["abcdefgh\0\0", "abcdefgh\0", "abcdefgh"]), ["ABCDEFGH", "ABCDEFGH\0", "ABCDEFGH\0\0"]);
    }

    proptest! {
        #[test]
        fn components_are_compared_one_by_one(spelled in prop::collection::vec("([ab\0-]{1,20}/){0,3}[ab\0-]{1,20}", 0..40)) {
            let listed = listing(&spelled.iter().map(String::as_str).collect::<Vec<_>>());
            let mut expected = listed.clone();
            expected.sort_by(|one, other| one.split('/').cmp(other.split('/')));
            prop_assert_eq!(listed, expected);
        }
    }
}
