//! Patterns of profiles: which files and directories of a Windows tree a rule means.
//!
//! A pattern is a Windows path below `C:\`, with `/` or `\` between its components and without regard to case. `*`
//! stands for any characters of one component, `?` for one character, `[a-z]` and `[!a-z]` for one character of a set,
//! `{a,b}` for either text; `**` as a whole component stands for any number of components (at the end: for at least
//! one). Braces without a comma inside are plain characters, as in the names of catalog directories. `C:\` or `\` may
//! stand in front; `UtilityVM:\` in front addresses the tree of the utility VM, and alone all of it.
//!
//! A pattern that names a directory matches the directory only: whoever asks for an entry asks for the directories
//! above it as well.

mod glob;
mod tree;
mod wild;

use std::sync::OnceLock;

use self::glob::{Component, set_end};
pub(crate) use self::tree::{Place, Step, Tree};
use self::wild::{Part, Path};
use super::number::PatternNumber;
use crate::layer::path::NameMap;
use crate::numbered::NumberedVec;

/// The longest pattern in bytes; a path on NTFS rarely has more than 260 characters.
const MAX_LENGTH: usize = 1024;

/// The most patterns that the braces of one pattern may expand to.
const MAX_ALTERNATIVES: usize = 256;

/// The most paths that the patterns of one run may come to when their braces are expanded.
pub const MOST_PATHS: usize = 1_000_000;

/// The most of these that may have wildcards.
pub const MOST_WILDCARDS: usize = 50_000;

/// A pattern that cannot be, with the reason as the end of the sentence "the pattern `…` …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` {problem}")]
pub struct PatternError {
    pattern: String,
    problem: String,
}

/// The patterns of one run are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooManyPatterns {
    /// All of them.
    #[error("the profiles name {0} paths, braces expanded; {MOST_PATHS} are the most")]
    Paths(usize),
    /// Those that cannot be looked up.
    #[error(
        "the profiles name {0} paths with wildcards, braces expanded; {MOST_WILDCARDS} are the most (paths without wildcards are cheaper)"
    )]
    Wildcards(usize),
}

/// One pattern, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    /// What its braces expand to.
    paths: Box<[Alternative]>,
}

/// One of the paths that a pattern stands for, over folded in-tar names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Alternative {
    /// A name that can be looked up.
    Literal(Box<str>),
    /// A path with wildcards.
    Wild(Path),
}

/// Several patterns that are matched together.
#[derive(Debug, Clone, Default)]
pub struct PatternSet {
    patterns: NumberedVec<PatternNumber, Pattern>,
    compiled: OnceLock<Compiled>,
}

/// Patterns ready to be matched: those without wildcards are looked up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Compiled {
    pub(crate) literals: NameMap<Box<str>, Vec<PatternNumber>>,
    pub(crate) tree: Tree,
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        let fail = |problem: String| PatternError { pattern: text.to_owned(), problem };
        if text.len() > MAX_LENGTH {
            return Err(fail(format!("is longer than {MAX_LENGTH} bytes")));
        }
        let alternatives = expand(text).map_err(fail)?;
        let paths = alternatives.iter().map(|path| parse_path(path)).collect::<Result<_, _>>().map_err(fail)?;
        Ok(Pattern { text: text.into(), paths })
    }

    /// The pattern as the profile spells it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many paths its braces expand to, and how many of them have wildcards.
    pub(crate) fn count(&self) -> (usize, usize) {
        let wild = self.paths.iter().filter(|path| matches!(path, Alternative::Wild(_))).count();
        (self.paths.len(), wild)
    }
}

/// Whether the patterns of one run are few enough.
pub(crate) fn check_count<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> Result<(), TooManyPatterns> {
    let (mut all, mut wild) = (0_usize, 0_usize);
    for pattern in patterns {
        let (paths, wildcards) = pattern.count();
        all += paths;
        wild += wildcards;
    }
    match () {
        () if wild > MOST_WILDCARDS => Err(TooManyPatterns::Wildcards(wild)),
        () if all > MOST_PATHS => Err(TooManyPatterns::Paths(all)),
        () => Ok(()),
    }
}

impl Compiled {
    /// Prepares patterns for matching; their places among these are their numbers.
    pub(crate) fn new<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> Result<Compiled, TooManyPatterns> {
        let mut literals: NameMap<Box<str>, Vec<PatternNumber>> = NameMap::default();
        let mut wild = Vec::new();
        let mut paths = 0_usize;
        for (place, pattern) in patterns.enumerate() {
            let number = PatternNumber::try_from(place).map_err(|_| TooManyPatterns::Paths(place))?;
            paths += pattern.paths.len();
            if paths > MOST_PATHS {
                return Err(TooManyPatterns::Paths(paths));
            }
            for path in &pattern.paths {
                match path {
                    Alternative::Wild(path) => wild.push((path, number)),
                    Alternative::Literal(name) => {
                        let numbers = literals.entry(name.clone()).or_default();
                        if numbers.last() != Some(&number) {
                            numbers.push(number);
                        }
                    }
                }
            }
        }
        if wild.len() > MOST_WILDCARDS {
            return Err(TooManyPatterns::Wildcards(wild.len()));
        }
        let count = wild.len();
        let tree = Tree::new(wild.into_iter()).map_err(|_| TooManyPatterns::Wildcards(count))?;
        Ok(Compiled { literals, tree })
    }

    /// The numbers of all patterns that match the folded in-tar path, in ascending order.
    fn find(&self, folded: &str) -> Vec<PatternNumber> {
        let mut found = self.literals.get(folded).cloned().unwrap_or_default();
        if !self.tree.is_empty() {
            let mut step = Step::default();
            let mut places = Vec::new();
            self.tree.start(&mut places);
            let mut passed = 0;
            for component in folded.split('/') {
                let last = places.len();
                self.tree.step(&mut places, passed..last, component, &mut step);
                passed = last;
            }
            self.tree.ending_at(&places[passed..], &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl PatternSet {
    /// Takes patterns together. Fails only when they are too many.
    pub fn new(patterns: Vec<Pattern>) -> Result<PatternSet, TooManyPatterns> {
        check_count(patterns.iter())?;
        Ok(PatternSet { patterns: patterns.into(), compiled: OnceLock::new() })
    }

    /// Reads patterns.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<PatternSet, PatternError> {
        let patterns = texts.iter().map(|text| Pattern::parse(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        PatternSet::new(patterns).map_err(|error| PatternError {
            pattern: texts.first().map(|text| text.as_ref().to_owned()).unwrap_or_default(),
            problem: format!("and those beside it are too many: {error}"),
        })
    }

    /// Prepared when the first name is matched: the patterns of rules are matched all together, and never by themselves.
    fn compiled(&self) -> &Compiled {
        // The patterns were counted when the set was made.
        self.compiled.get_or_init(|| Compiled::new(self.patterns.iter()).unwrap_or_default())
    }

    /// Whether any pattern matches the folded in-tar path, such as `FILES/WINDOWS/TEMP` or `UTILITYVM`
    /// (see [`crate::layer::FoldedPath`]).
    pub fn is_match(&self, folded: &str) -> bool {
        self.matches(folded).is_some()
    }

    /// The number of the first pattern that matches the folded in-tar path.
    pub fn matches(&self, folded: &str) -> Option<PatternNumber> {
        self.compiled().find(folded).first().copied()
    }

    /// Adds the numbers of all patterns that match the folded in-tar path, in ascending order.
    pub fn matches_into(&self, folded: &str, numbers: &mut Vec<PatternNumber>) {
        numbers.extend(self.compiled().find(folded));
    }

    /// How many patterns the set has.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether the set has no pattern, and so matches nothing.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The patterns, in the order of their numbers.
    pub fn patterns(&self) -> &NumberedVec<PatternNumber, Pattern> {
        &self.patterns
    }
}

/// Expands braces: `a{b,c}` to `ab` and `ac`. A group without a comma stays as it is.
fn expand(text: &str) -> Result<Vec<String>, String> {
    let mut results = vec![String::new()];
    let mut rest = text;
    while let Some(start) = find_outside_sets(rest, |character| matches!(character, '{' | '}')) {
        let (before, group) = rest.split_at(start);
        if group.starts_with('}') {
            return Err("has a `}` without a `{`; write `[}]` for the character".to_owned());
        }
        let (branches, after) = expand_group(group)?;
        if results.len() * branches.len() > MAX_ALTERNATIVES {
            return Err(format!("expands to more than {MAX_ALTERNATIVES} paths"));
        }
        results = append_each(&results, &branches.iter().map(|branch| format!("{before}{branch}")).collect::<Vec<_>>());
        rest = after;
    }
    Ok(append_each(&results, &[rest.to_owned()]))
}

/// Expands the group that `text` begins with, and gives what stands behind it.
fn expand_group(text: &str) -> Result<(Vec<String>, &str), String> {
    let mut depth = 0_usize;
    let mut start = 1;
    let mut parts = Vec::new();
    let mut position = 0;
    while let Some(found) = find_outside_sets(&text[position..], |character| matches!(character, '{' | '}' | ',')) {
        let at = position + found;
        position = at + 1;
        match text.as_bytes()[at] {
            b'{' => depth += 1,
            b',' if depth == 1 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            b'}' if depth == 1 => {
                let last = &text[start..at];
                let after = &text[at + 1..];
                if parts.is_empty() {
                    return Ok((expand(last)?.iter().map(|inner| format!("{{{inner}}}")).collect(), after));
                }
                parts.push(last);
                let mut branches = Vec::new();
                for part in parts {
                    branches.extend(expand(part)?);
                }
                return Ok((branches, after));
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    Err("has a `{` without a `}`; write `[{]` for the character".to_owned())
}

/// The position of the first character that is wanted and does not stand inside `[…]`.
fn find_outside_sets(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut position = 0;
    while let Some(character) = text[position..].chars().next() {
        if wanted(character) {
            return Some(position);
        }
        position += match character {
            '[' => set_end(&text[position..]).unwrap_or(1),
            other => other.len_utf8(),
        };
    }
    None
}

fn append_each(starts: &[String], ends: &[String]) -> Vec<String> {
    starts.iter().flat_map(|start| ends.iter().map(move |end| format!("{start}{end}"))).collect()
}

/// One path without alternatives, over folded in-tar names.
fn parse_path(path: &str) -> Result<Alternative, String> {
    let (utility_vm, path) = split_root(path)?;
    let path = path.strip_suffix(['/', '\\']).unwrap_or(path);
    if path.is_empty() {
        return match utility_vm {
            true => Ok(Alternative::Literal("UTILITYVM".into())),
            false => Err("names no file or directory".to_owned()),
        };
    }
    let root = if utility_vm { "UTILITYVM/FILES" } else { "FILES" };
    let component = |text: &str| match text {
        "" => Err("has two separators in a row".to_owned()),
        "." | ".." => Err(format!("has a component `{text}`; a pattern is a path below C:\\")),
        "**" => Ok(Part::Deep),
        _ => Component::parse(text).map(Part::Component),
    };
    let parts = path.split(['/', '\\']).map(component).collect::<Result<Vec<_>, _>>()?;
    let mut name = String::from(root);
    for part in &parts {
        let Part::Component(Component::Literal(text)) = part else {
            let above = root.split('/').map(|text| Part::Component(Component::Literal(text.to_owned())));
            return Ok(Alternative::Wild(Path { parts: above.chain(parts).collect() }));
        };
        name.push('/');
        name.push_str(text);
    }
    Ok(Alternative::Literal(name.into()))
}

/// Takes `C:\`, `\` or `UtilityVM:\` off the front; tells whether it was the last.
fn split_root(path: &str) -> Result<(bool, &str), String> {
    let (utility_vm, rest) = match path.split_once(':') {
        Some((root, rest)) if root.eq_ignore_ascii_case("UtilityVM") => (true, rest),
        Some((root, rest)) if root.eq_ignore_ascii_case("C") => (false, rest),
        Some((root, _)) if root.len() == 1 => return Err("is on another drive; an image has C: only".to_owned()),
        // Any other colon is reported where it stands.
        _ => return Ok((false, path.strip_prefix(['/', '\\']).unwrap_or(path))),
    };
    match rest.strip_prefix(['/', '\\']) {
        Some(rest) => Ok((utility_vm, rest)),
        None if rest.is_empty() => Ok((utility_vm, rest)),
        None => Err("lacks the `\\` behind the colon".to_owned()),
    }
}

#[cfg(test)]
mod tests;
