//! The directories of an image as a tree for the picture, no larger than a page can carry.
//!
//! The largest files and directories are there one by one, and what is left of a directory is one node: nothing is lost.
//! A directory's size is that of everything in it, and of the entry that the directory itself is.

use std::cmp::Reverse;

use serde::Serialize;

use crate::inspect::{By, GroupKey, Grouping, SizeModel, Sizes};
use crate::layer::{EntryId, EntryKind, FoldedPath};

/// About how many bytes of a page the tree may take.
const BUDGET: usize = 3_000_000;

/// What a node takes of that beside its name.
const NODE: usize = 56;

/// A tree, root first.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Tree {
    /// The parts of Windows, the largest first; nodes name them by their place here.
    components: Vec<Component>,
    /// Every node stands behind its parent.
    nodes: Vec<Node>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_by: Option<&'static str>,
}

/// A directory, a file, or what is left of a directory; in JSON an array, which is shorter.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Node(
    /// Its name; nothing for what is left of a directory.
    Option<String>,
    /// Its parent; the root is its own.
    usize,
    What,
    /// Compressed bytes.
    u64,
    /// Unpacked bytes.
    u64,
    /// Compressed bytes that are dead.
    u64,
    /// Files.
    u64,
    /// The component of a file; of a directory the one that takes the most of it.
    usize,
);

/// What a node is; in JSON a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Directory = 0,
    File = 1,
    Rest = 2,
}

impl Serialize for What {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

/// Bytes by component; only few are in one directory.
#[derive(Default)]
struct Shares(Vec<(usize, u64)>);

impl Shares {
    fn add(&mut self, component: usize, bytes: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == component) {
            Some((_, sum)) => *sum += bytes,
            None => self.0.push((component, bytes)),
        }
    }

    /// The component with the most bytes; of equal ones the first.
    fn largest(&self) -> Option<usize> {
        self.0.iter().max_by_key(|(component, bytes)| (*bytes, Reverse(*component))).map(|(component, _)| *component)
    }
}

/// A directory or file of the whole tree.
struct Place {
    name: String,
    parent: usize,
    is_directory: bool,
    sizes: Sizes,
    component: usize,
    /// Compressed bytes of each component in it.
    shares: Shares,
}

impl Tree {
    /// The tree of an image.
    pub(super) fn new(model: &SizeModel<'_>) -> Tree {
        Tree::within(model, BUDGET)
    }

    fn within(model: &SizeModel<'_>, budget: usize) -> Tree {
        let groups = model.groups(Grouping { by: By::Component, layer: None });
        let mut components = Vec::with_capacity(groups.len());
        let mut numbers = Vec::new();
        for group in &groups {
            let known = match group.key {
                GroupKey::Component(id) => {
                    numbers.resize(numbers.len().max(id.number() + 1), 0);
                    numbers[id.number()] = components.len();
                    model.component(id)
                }
                _ => None,
            };
            components.push(Component {
                name: model.label(group.key),
                meaning: known.map(|known| known.meaning),
                removed_by: known.and_then(|known| known.removed_by),
            });
        }
        let mut places = places(model, &numbers);
        let overhead = groups.iter().position(|group| group.key == GroupKey::ArchiveOverhead);
        if let Some(component) = overhead {
            let (name, sizes) = (components[component].name.clone(), groups[component].sizes);
            places.push(Place { name, parent: 0, is_directory: false, sizes, component, shares: Shares::default() });
        }
        add_up(&mut places);
        Tree { components, nodes: nodes(&places, budget) }
    }
}

/// Every directory and file once, whatever layers it is in, each behind its parent; the sizes are its own.
fn places(model: &SizeModel<'_>, numbers: &[usize]) -> Vec<Place> {
    let mut rows: Vec<(String, EntryId, EntryId)> = model
        .entries()
        .map(|(id, _, size)| {
            let owner = EntryId { layer: id.layer, entry: size.owner };
            (key(model.stack().entry(owner).path.as_str()), id, owner)
        })
        .collect();
    // Everything in a directory comes right behind it. The order of layers stays.
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let root = Place {
        name: String::new(),
        parent: 0,
        is_directory: true,
        sizes: Sizes::default(),
        component: 0,
        shares: Shares::default(),
    };
    let mut places = vec![root];
    // The directories that the row before lies in, and itself.
    let mut open: Vec<(usize, &str)> = Vec::new();
    for (key, id, owner) in &rows {
        let entry = model.stack().entry(*owner);
        let component = numbers.get(model.size(*owner).component.number()).copied().unwrap_or(0);
        let spelled = spelled(entry.path.as_str());
        let mut depth = 0;
        for part in key.split(SEPARATOR) {
            if open.get(depth).is_none_or(|(_, known)| *known != part) {
                open.truncate(depth);
                let parent = open.last().map_or(0, |(place, _)| *place);
                places[parent].is_directory = true;
                let name = match (depth, part) {
                    (0, "FILES") => "C:",
                    (0, "UTILITYVM") => "UtilityVM:",
                    _ => spelled.get(depth).copied().unwrap_or(part),
                };
                open.push((places.len(), part));
                let (is_directory, sizes) = (false, Sizes::default());
                places.push(Place {
                    name: name.to_owned(),
                    parent,
                    is_directory,
                    sizes,
                    component,
                    shares: Shares::default(),
                });
            }
            depth += 1;
        }
        open.truncate(depth);
        let place = open.last().map_or(0, |(place, _)| *place);
        places[place].is_directory |= entry.kind == EntryKind::Directory;
        places[place].sizes += model.size(*id).sizes();
    }
    places
}

const UTILITY_VM: &str = "UTILITYVM\0FILES";

/// Stands between components while names are sorted: less than any character that a name has, so that `a-b` does not come
/// between `a` and `a/c`.
const SEPARATOR: char = '\0';

/// The folded name of an entry, with the tree of the utility VM directly below its root.
fn key(name: &str) -> String {
    let folded = FoldedPath::new(name).as_str().replace('/', "\0");
    match folded.strip_prefix(UTILITY_VM) {
        Some(rest) if rest.is_empty() || rest.starts_with(SEPARATOR) => format!("UTILITYVM{rest}"),
        _ => folded,
    }
}

/// The components of a name as it is spelled, at the places where [`key`] has them.
fn spelled(name: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = name.trim_start_matches("./").split(['/', '\\']).collect();
    if let [first, second, ..] = parts[..]
        && first.eq_ignore_ascii_case("UtilityVM")
        && second.eq_ignore_ascii_case("Files")
    {
        parts.remove(1);
    }
    parts
}

/// Adds the sizes of everything to the directories above it.
fn add_up(places: &mut [Place]) {
    for at in (0..places.len()).rev() {
        let place = &mut places[at];
        let (sizes, parent) = (place.sizes, place.parent);
        let mut shares = std::mem::take(&mut place.shares);
        let in_it: u64 = shares.0.iter().map(|(_, bytes)| bytes).sum();
        shares.add(place.component, sizes.compressed.saturating_sub(in_it));
        place.component = shares.largest().unwrap_or(place.component);
        if at > 0 {
            places[parent].sizes += sizes;
            shares.0.into_iter().for_each(|(component, bytes)| places[parent].shares.add(component, bytes));
        }
    }
}

/// The largest places as far as the budget goes, and one node for what is left of each directory.
fn nodes(places: &[Place], budget: usize) -> Vec<Node> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    // A directory is at least as large as what is in it and stands before it, so it is never left out alone.
    order.sort_by_key(|&at| (Reverse(places[at].sizes.compressed), at));
    let mut left = budget;
    let mut is_shown = vec![false; places.len()];
    for at in order {
        // A control character takes six bytes in JSON.
        let cost = NODE + places[at].name.chars().map(|c| if c.is_control() { 6 } else { c.len_utf8() }).sum::<usize>();
        if at > 0 && cost > left {
            break;
        }
        left = left.saturating_sub(cost);
        is_shown[at] = true;
    }
    let mut nodes: Vec<Node> = Vec::new();
    let mut numbers = vec![0; places.len()];
    // What is left of each directory that is shown.
    let mut rests: Vec<Option<(Sizes, Shares)>> = Vec::new();
    for (at, place) in places.iter().enumerate() {
        let parent = numbers[place.parent];
        if is_shown[at] {
            numbers[at] = nodes.len();
            let what = if place.is_directory { What::Directory } else { What::File };
            nodes.push(node(Some(place.name.clone()), parent, what, place.sizes, place.component));
            rests.push(None);
        } else if is_shown[place.parent] {
            let (sizes, shares) = rests[parent].get_or_insert_default();
            *sizes += place.sizes;
            shares.add(place.component, place.sizes.compressed);
        }
    }
    for (parent, rest) in rests.into_iter().enumerate() {
        if let Some((sizes, shares)) = rest {
            nodes.push(node(None, parent, What::Rest, sizes, shares.largest().unwrap_or(0)));
        }
    }
    nodes
}

fn node(name: Option<String>, parent: usize, what: What, sizes: Sizes, component: usize) -> Node {
    Node(name, parent, what, sizes.compressed, sizes.unpacked, sizes.dead_compressed, sizes.files, component)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inspect::tests::{file, image};
    use crate::layer::index::tests::index_with;
    use crate::layer::{Entry, LayerStack};
    use proptest::prelude::*;

    /// The path of a node, by its parents.
    fn path(tree: &Tree, mut at: usize) -> String {
        let mut names = Vec::new();
        while at != 0 {
            names.push(tree.nodes[at].0.as_deref().unwrap_or("…"));
            at = tree.nodes[at].1;
        }
        names.reverse();
        names.join("\\")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_directory_is_the_sum_of_what_is_in_it(stack in image(), budget in 0..3_000_usize) {
            let model = SizeModel::new(&stack);
            let tree = Tree::within(&model, budget);
            let totals = model.totals();
            let root = &tree.nodes[0];
            prop_assert_eq!((root.3, root.4, root.5, root.6), (totals.compressed, totals.unpacked, totals.dead_compressed, totals.files));
            for (at, node) in tree.nodes.iter().enumerate() {
                prop_assert!(node.1 < at || at == 0);
                prop_assert!(node.7 < tree.components.len() || tree.components.is_empty());
                let children = || tree.nodes.iter().skip(1).filter(|child| child.1 == at);
                if node.2 != What::Directory {
                    prop_assert_eq!(children().count(), 0);
                }
                // A directory has no data of its own, but its entry takes compressed bytes.
                let sum = |size: fn(&Node) -> u64| children().map(size).sum::<u64>();
                prop_assert!(sum(|node| node.3) <= node.3);
                if children().count() > 0 {
                    prop_assert_eq!((sum(|node| node.4), sum(|node| node.6)), (node.4, node.6));
                }
            }
            let length = serde_json::to_string(&tree.nodes).unwrap().len();
            // The root and one rest for each directory are there in any case.
            prop_assert!(length < 2 * budget + 400, "{} bytes", length);
        }
    }

    #[test]
    fn small_files_become_one_node() {
        let mut base: Vec<Entry> = (0..50).map(|n| file(&format!("Files/Windows/small{n:02}"), 10)).collect();
        base.push(file("Files/Windows/large", 900_000));
        base.push(file("UtilityVM/Files/Windows/vm", 300_000));
        let upper = vec![file("files/WINDOWS/LARGE", 100_000)];
        let layers = [base, upper].map(|entries| Arc::new(index_with(entries, 1_000_000)));
        let stack = LayerStack::new(layers.to_vec());
        let model = SizeModel::new(&stack);
        let tree = Tree::within(&model, 7 * (NODE + 10));
        let paths: Vec<String> = (0..tree.nodes.len()).map(|at| path(&tree, at)).collect();
        for expected in ["C:\\Windows\\large", "UtilityVM:\\Windows\\vm", "C:\\Windows\\…"] {
            assert!(paths.iter().any(|path| path == expected), "{expected}: {paths:?}");
        }
        let rest = tree.nodes.iter().filter(|node| node.2 == What::Rest).max_by_key(|node| node.6).unwrap();
        assert!((45..=50).contains(&rest.6), "{rest:?}");
        let large = tree.nodes.iter().find(|node| node.0.as_deref() == Some("large")).unwrap();
        assert_eq!((large.4, large.6), (1_000_000, 2), "both layers' together");
        assert!(large.5 > 400_000, "the base's is dead: {large:?}");
    }

    #[test]
    fn names_beside_each_other_do_not_part_a_directory() {
        // `-` sorts before `/`.
        let names = ["Files/a/x", "Files/a-b", "Files/A", "Files/a/y", "UtilityVM/a", "UtilityVM/Files/a/b"];
        let entries = names.map(|name| file(name, 10)).to_vec();
        let stack = LayerStack::new(vec![Arc::new(index_with(entries, 10_000))]);
        let tree = Tree::new(&SizeModel::new(&stack));
        let mut paths: Vec<String> = (1..tree.nodes.len()).map(|at| path(&tree, at)).collect();
        paths.sort_unstable();
        let expected =
            ["(archive overhead)", "C:", "C:\\a-b", "C:\\a", "C:\\a\\x", "C:\\a\\y", "UtilityVM:", "UtilityVM:\\a"];
        assert_eq!(paths.len(), expected.len() + 1, "{paths:?}");
        for expected in expected {
            let count = paths.iter().filter(|path| path.eq_ignore_ascii_case(expected)).count();
            assert_eq!(count, 1, "{expected}: {paths:?}");
        }
    }
}
