//! The patterns with wildcards, as one tree of components: names are matched component by component, and what is known of
//! a directory is not found out again for what lies in it.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::glob::{Component, Glob};
use super::wild::{Part, Path};
use crate::layer::path::NameMap;
use crate::profile::PatternNumber;

/// How many components with wildcards may follow one another without a search for the text in them.
const FEW: usize = 8;

/// Patterns with wildcards.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

/// A place in the tree: where a name is after some of its components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u32);

/// What may come at a place.
#[derive(Debug, Clone, Default)]
struct Node {
    literals: NameMap<String, Place>,
    globs: Vec<(Glob, Place)>,
    search: Option<Search>,
    /// The place behind `**` and before another component; it takes no component by itself.
    deep: Option<Place>,
    /// Any component leads here again.
    stays: bool,
    /// The place behind `**` at the end of a pattern; any component leads there, and from there, too.
    rest: Option<Place>,
    /// The patterns that end here.
    patterns: Vec<PatternNumber>,
}

/// Which of many components with wildcards can fit at all: those whose longest text is in the component.
#[derive(Debug, Clone)]
struct Search {
    texts: AhoCorasick,
    /// For each text, the numbers of the components that need it.
    needed_by: Vec<Vec<u32>>,
    /// The components that have no text.
    without: Vec<u32>,
}

/// What one step through the tree needs, kept so that it is not made anew each time.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// For each place, the last step that led there.
    seen: Vec<u64>,
    number: u64,
    /// The patterns that end where steps have led, since they were last taken out.
    pub(crate) found: Vec<PatternNumber>,
}

/// The tree cannot be made.
#[derive(Debug)]
pub(crate) struct TooLarge;

impl Tree {
    /// Makes the tree; `paths` are those with wildcards, each with the number of its pattern.
    pub(super) fn new<'p>(paths: impl Iterator<Item = (&'p Path, PatternNumber)>) -> Result<Tree, TooLarge> {
        let mut tree = Tree { nodes: vec![Node::default()] };
        let mut globs: NameMap<(u32, &'p Glob), Place> = NameMap::default();
        for (path, pattern) in paths {
            let mut at = Place(0);
            let mut parts = path.parts.iter().peekable();
            while let Some(part) = parts.next() {
                at = match part {
                    Part::Component(Component::Literal(text)) => match tree.nodes[at.0 as usize].literals.get(text) {
                        Some(&known) => known,
                        None => {
                            let new = tree.add(Node::default())?;
                            tree.nodes[at.0 as usize].literals.insert(text.clone(), new);
                            new
                        }
                    },
                    Part::Component(Component::Glob(glob)) => match globs.get(&(at.0, glob)) {
                        Some(&known) => known,
                        None => {
                            let new = tree.add(Node::default())?;
                            globs.insert((at.0, glob), new);
                            tree.nodes[at.0 as usize].globs.push((glob.clone(), new));
                            new
                        }
                    },
                    Part::Deep if parts.peek().is_some() => match tree.nodes[at.0 as usize].deep {
                        Some(known) => known,
                        None => {
                            let new = tree.add(Node { stays: true, ..Node::default() })?;
                            tree.nodes[at.0 as usize].deep = Some(new);
                            new
                        }
                    },
                    Part::Deep => match tree.nodes[at.0 as usize].rest {
                        Some(known) => known,
                        None => {
                            let new = tree.add(Node::default())?;
                            tree.nodes[new.0 as usize].rest = Some(new);
                            tree.nodes[at.0 as usize].rest = Some(new);
                            new
                        }
                    },
                };
            }
            tree.nodes[at.0 as usize].patterns.push(pattern);
        }
        for node in &mut tree.nodes {
            node.patterns.sort_unstable();
            node.patterns.dedup();
            if node.globs.len() > FEW {
                node.search = Some(Search::new(&node.globs)?);
            }
        }
        Ok(tree)
    }

    fn add(&mut self, node: Node) -> Result<Place, TooLarge> {
        let place = u32::try_from(self.nodes.len()).map_err(|_| TooLarge)?;
        self.nodes.push(node);
        Ok(Place(place))
    }

    /// Whether there is no pattern at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.len() <= 1
    }

    /// The places where every name begins.
    pub(crate) fn start(&self, places: &mut Vec<Place>) {
        if !self.is_empty() {
            places.push(Place(0));
        }
    }

    /// Takes a component: from the places in the range `from` of the list, those that follow are put behind its end, and
    /// the patterns that end there are added to those that `step` has found, in no order and perhaps twice. A `**` at the
    /// end of a pattern is found once only, with the first name that it stands for, and not with what lies below that.
    pub(crate) fn step(&self, places: &mut Vec<Place>, from: Range<usize>, component: &str, step: &mut Step) {
        step.seen.resize(self.nodes.len(), 0);
        step.number += 1;
        for at in from {
            let place = places[at];
            let node = &self.nodes[place.0 as usize];
            if node.stays && !component.is_empty() {
                self.reach(place, places, step);
            }
            if let Some(&next) = node.literals.get(component) {
                self.reach(next, places, step);
            }
            let mut try_glob = |number: u32| {
                let (glob, next) = &node.globs[number as usize];
                if glob.fits(component) {
                    self.reach(*next, places, step);
                }
            };
            match &node.search {
                None => node.globs.iter().for_each(|(glob, next)| {
                    if glob.fits(component) {
                        self.reach(*next, places, step);
                    }
                }),
                Some(search) => {
                    search.without.iter().copied().for_each(&mut try_glob);
                    for text in search.texts.find_overlapping_iter(component) {
                        search.needed_by[text.pattern().as_usize()].iter().copied().for_each(&mut try_glob);
                    }
                }
            }
            match node.rest {
                // What ends there was found before.
                Some(same) if same == place => {
                    let seen = std::mem::replace(&mut step.seen[place.0 as usize], step.number);
                    places.extend((seen != step.number).then_some(place));
                }
                Some(next) => self.reach(next, places, step),
                None => {}
            }
        }
    }

    /// Adds the patterns that end at places.
    pub(super) fn ending_at(&self, places: &[Place], found: &mut Vec<PatternNumber>) {
        found.extend(places.iter().flat_map(|place| &self.nodes[place.0 as usize].patterns));
    }

    /// Notes that a step leads to a place, and to the one behind a `**` that may stand for nothing.
    fn reach(&self, place: Place, places: &mut Vec<Place>, step: &mut Step) {
        let mut next = Some(place);
        while let Some(place) = next {
            if std::mem::replace(&mut step.seen[place.0 as usize], step.number) == step.number {
                return;
            }
            let node = &self.nodes[place.0 as usize];
            places.push(place);
            step.found.extend_from_slice(&node.patterns);
            next = node.deep;
        }
    }
}

impl Search {
    fn new(globs: &[(Glob, Place)]) -> Result<Search, TooLarge> {
        let mut texts: Vec<&str> = Vec::new();
        let mut number_of: NameMap<&str, usize> = NameMap::default();
        let mut needed_by: Vec<Vec<u32>> = Vec::new();
        let mut without = Vec::new();
        for (number, (glob, _)) in globs.iter().enumerate() {
            let number = u32::try_from(number).map_err(|_| TooLarge)?;
            match glob.longest_text() {
                None => without.push(number),
                Some(text) => {
                    let at = *number_of.entry(text).or_insert_with(|| {
                        texts.push(text);
                        needed_by.push(Vec::new());
                        texts.len() - 1
                    });
                    needed_by[at].push(number);
                }
            }
        }
        let built = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&texts);
        Ok(Search { texts: built.map_err(|_| TooLarge)?, needed_by, without })
    }
}
