//! Which names the rules remove, and which stay all the same.

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

use serde::Serialize;

use super::{LayerLimit, PlanError};
use crate::layer::path::NameMap;
use crate::layer::{EntryKind, FoldedPath, LayerStack, Tree};
use crate::profile::{PatternSet, RuleSet};
use crate::windows::protected;

/// Something that stays although a rule would remove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name, as on Windows.
    pub path: String,
    /// The number of the first rule that would remove it.
    pub rule: u16,
    /// Why it stays.
    pub reason: KeepReason,
}

/// Why something stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum KeepReason {
    /// No profile can remove it.
    Protected {
        /// What it is needed for.
        why: &'static str,
    },
    /// A keep rule of a profile names it.
    KeepRule {
        /// The profile that has the rule.
        profile: String,
    },
    /// Removing it would make a layer larger than it is, by moving data there or by compressing it again.
    Growth {
        /// The number of the layer.
        layer: usize,
    },
    /// The UtilityVM goes as a whole or not at all, and something else in it has to stay.
    UtilityVm,
}

/// Names that have to stay for the sake of a layer, with the number of that layer.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    names: NameMap<FoldedPath, usize>,
    /// Layers that stay as they are.
    untouched: HashSet<usize>,
}

impl Pinned {
    /// What has to stay so that the layers that may not change need not.
    pub(super) fn by_limits(stack: &LayerStack, limits: &[LayerLimit]) -> Pinned {
        let mut pinned = Pinned::default();
        for (number, layer) in stack.layers().iter().enumerate() {
            if limits[number] != LayerLimit::Untouched {
                continue;
            }
            pinned.untouched.insert(number);
            for (at, entry) in layer.entries.iter().enumerate() {
                pinned.pin(entry.path.fold(), number);
                if let Some(target) = stack.links().target(crate::layer::EntryId::new(number, at)) {
                    pinned.pin(stack.entry(target).path.fold(), number);
                }
                // The utility VM's whiteouts fail the import when their target is not there.
                if let Some(target) = entry.whiteout_target()
                    && entry.path.tree() == Tree::UtilityVm
                {
                    pinned.pin(FoldedPath::new(&target), number);
                }
            }
        }
        pinned
    }

    pub(super) fn pin(&mut self, name: FoldedPath, layer: usize) {
        self.names.entry(name).or_insert(layer);
    }

    pub(super) fn layer_for(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    pub(super) fn is_untouched(&self, layer: usize) -> bool {
        self.untouched.contains(&layer)
    }
}

/// What a pattern of the matcher belongs to.
#[derive(Debug, Clone, Copy)]
enum Owner {
    Paths(u16),
    Except(u16),
    Keep(u16),
}

/// The patterns of all rules, compiled into one set, so that each name is looked at once.
#[derive(Debug)]
pub(super) struct Matcher {
    patterns: PatternSet,
    owners: Vec<Owner>,
}

impl Matcher {
    pub(super) fn new(rules: &RuleSet) -> Result<Matcher, PlanError> {
        let mut patterns = Vec::new();
        let mut owners = Vec::new();
        let mut add = |set: &PatternSet, owner: Owner| {
            patterns.extend(set.patterns().iter().cloned());
            owners.resize(patterns.len(), owner);
        };
        for (number, rule) in rules.removes.iter().enumerate() {
            add(&rule.paths, Owner::Paths(number as u16));
            add(&rule.except, Owner::Except(number as u16));
        }
        for (number, rule) in rules.keeps.iter().enumerate() {
            add(&rule.paths, Owner::Keep(number as u16));
        }
        let patterns = PatternSet::new(patterns).map_err(|error| PlanError::Patterns(error.to_string()))?;
        Ok(Matcher { patterns, owners })
    }
}

/// What the rules say of one name, its directories considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Verdict {
    /// The first rule that removes it.
    rule: Option<u16>,
    /// The first keep rule that names it.
    keep: Option<u16>,
}

/// The names that go, and what people want to know about the selection.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// Folded names that the rules remove, with the first rule that does. Directories are among them even if something
    /// below them stays; so are names that only a whiteout has.
    pub(super) removed: NameMap<FoldedPath, u16>,
    pub(super) kept: Vec<Kept>,
    pub(super) warnings: Vec<String>,
    /// For each rule, the texts of its patterns that match nothing.
    pub(super) without_match: Vec<Vec<String>>,
    /// For each rule, whether any of its patterns matches.
    matched: Vec<bool>,
}

impl Selection {
    /// The required rules that matched nothing, with their patterns.
    pub(super) fn required_without_match(&self, rules: &RuleSet) -> Vec<String> {
        let matches = self.matched.iter().zip(&self.without_match);
        let missing = rules.removes.iter().zip(matches).filter(|(rule, (matched, _))| rule.required && !**matched);
        missing
            .map(|(rule, (_, patterns))| format!("rule `{}` (`{}`)", rule.full_id(), patterns.join("`, `")))
            .collect()
    }
}

/// Looks at every name of the image.
pub(super) fn select(stack: &LayerStack, rules: &RuleSet, matcher: &Matcher, pinned: &Pinned) -> Selection {
    let mut names = Verdicts::new(matcher);
    let mut selection = Selection::default();
    let whole_vm = whole_utility_vm(stack, rules, &mut names, pinned, &mut selection);
    for (path, entries) in stack.names().sorted() {
        let verdict = names.verdict(path.as_str());
        let Some(rule) = verdict.rule else { continue };
        let in_vm = is_in_utility_vm(path.as_str());
        let reason = if in_vm && let Some(whole) = whole_vm {
            match whole {
                WholeVm::Goes(rule) => {
                    selection.removed.insert(path.clone(), rule);
                    continue;
                }
                WholeVm::Stays => None,
            }
        } else if let Some(layer) = pinned.layer_for(path.as_str()) {
            Some(KeepReason::Growth { layer })
        } else if let Some(why) = protected::protected(path.as_str()) {
            Some(KeepReason::Protected { why })
        } else {
            verdict.keep.map(|keep| KeepReason::KeepRule { profile: rules.keeps[usize::from(keep)].profile.clone() })
        };
        match reason {
            None if in_vm && matches!(whole_vm, Some(WholeVm::Stays)) => {}
            None => drop(selection.removed.insert(path.clone(), rule)),
            Some(reason) => {
                let entry = stack.entry(entries[entries.len() - 1]);
                // A directory stays with what is in it; only that is worth telling.
                if entry.kind != EntryKind::Directory {
                    selection.kept.push(Kept { path: entry.path.to_windows(), rule, reason });
                }
            }
        }
    }
    for layer in stack.layers() {
        for target in layer.entries.iter().filter_map(|entry| entry.whiteout_target()) {
            let target = FoldedPath::new(&target);
            let verdict = names.verdict(target.as_str());
            let stays = verdict.keep.is_some()
                || protected::protected(target.as_str()).is_some()
                || pinned.layer_for(target.as_str()).is_some();
            match (whole_vm.filter(|_| is_in_utility_vm(target.as_str())), verdict.rule) {
                (Some(WholeVm::Goes(rule)), _) => drop(selection.removed.insert(target, rule)),
                (None, Some(rule)) if !stays => drop(selection.removed.entry(target).or_insert(rule)),
                _ => {}
            }
        }
    }
    names.report(rules, &mut selection);
    if whole_vm.is_none() {
        warn_of_partial_utility_vm(rules, &mut selection);
    }
    selection
}

/// A rule that takes files out of the UtilityVM takes the risk that it does not start; people should know.
fn warn_of_partial_utility_vm(rules: &RuleSet, selection: &mut Selection) {
    let in_vm = selection.removed.iter().filter(|(path, _)| is_in_utility_vm(path.as_str()));
    let numbers: BTreeSet<u16> = in_vm.map(|(_, &rule)| rule).collect();
    for number in numbers {
        selection.warnings.push(format!(
            "rule `{}` removes a part of the UtilityVM; hosts still choose it for Hyper-V isolation, and it may not start",
            rules.removes[usize::from(number)].full_id(),
        ));
    }
}

/// What becomes of a UtilityVM that a rule removes as a whole.
#[derive(Debug, Clone, Copy)]
enum WholeVm {
    Goes(u16),
    Stays,
}

/// Whether a rule removes the whole UtilityVM, and whether that can be done.
///
/// An empty or half-removed one is worse than none: the host selects it and then fails
/// (hcsshim `internal/uvmfolder/locate.go`).
fn whole_utility_vm(
    stack: &LayerStack,
    rules: &RuleSet,
    names: &mut Verdicts<'_>,
    pinned: &Pinned,
    selection: &mut Selection,
) -> Option<WholeVm> {
    let rule = names.verdict("UTILITYVM").rule.or(names.verdict("UTILITYVM/FILES").rule)?;
    let kept = stack.names().sorted().find_map(|(path, entries)| {
        let verdict = names.verdict(path.as_str());
        let stays = verdict.keep.is_some() || pinned.layer_for(path.as_str()).is_some();
        (is_in_utility_vm(path.as_str()) && stays).then(|| stack.entry(entries[0]).path.to_windows())
    });
    let Some(kept) = kept else { return Some(WholeVm::Goes(rule)) };
    selection.kept.push(Kept { path: String::from("UtilityVM:\\"), rule, reason: KeepReason::UtilityVm });
    selection.warnings.push(format!(
        "the UtilityVM stays: rule `{}` removes it, but `{kept}` has to stay, and a part of it is worse than none",
        rules.removes[usize::from(rule)].full_id(),
    ));
    Some(WholeVm::Stays)
}

fn is_in_utility_vm(folded: &str) -> bool {
    folded == "UTILITYVM" || folded.starts_with("UTILITYVM/")
}

/// Finds verdicts, and remembers those of directories for what is in them.
struct Verdicts<'a> {
    matcher: &'a Matcher,
    /// The patterns that match a directory or one above it.
    directories: NameMap<Box<str>, Rc<[u16]>>,
    matched: Vec<bool>,
    found: Vec<usize>,
}

impl<'a> Verdicts<'a> {
    fn new(matcher: &'a Matcher) -> Verdicts<'a> {
        let matched = vec![false; matcher.owners.len()];
        Verdicts { matcher, directories: NameMap::default(), matched, found: Vec::new() }
    }

    fn verdict(&mut self, path: &str) -> Verdict {
        let patterns = self.patterns(path);
        let mut verdict = Verdict::default();
        for &pattern in patterns.iter() {
            match self.matcher.owners[usize::from(pattern)] {
                Owner::Keep(keep) => verdict.keep = Some(verdict.keep.map_or(keep, |first| first.min(keep))),
                Owner::Paths(rule)
                    if verdict.rule.is_none_or(|first| rule < first) && !self.is_excepted(&patterns, rule) =>
                {
                    verdict.rule = Some(rule);
                }
                Owner::Paths(_) | Owner::Except(_) => {}
            }
        }
        verdict
    }

    fn is_excepted(&self, patterns: &[u16], rule: u16) -> bool {
        let is_exception =
            |&pattern: &u16| matches!(self.matcher.owners[usize::from(pattern)], Owner::Except(of) if of == rule);
        patterns.iter().any(is_exception)
    }

    /// The patterns that match a name or a directory above it.
    fn patterns(&mut self, path: &str) -> Rc<[u16]> {
        let inherited = match path.rfind('/') {
            Some(end) => self.directory_patterns(&path[..end]),
            None => Rc::default(),
        };
        self.found.clear();
        self.matcher.patterns.matches_into(path, &mut self.found);
        if self.found.is_empty() {
            return inherited;
        }
        for &pattern in &self.found {
            self.matched[pattern] = true;
        }
        inherited.iter().copied().chain(self.found.iter().map(|&pattern| pattern as u16)).collect()
    }

    fn directory_patterns(&mut self, path: &str) -> Rc<[u16]> {
        if let Some(patterns) = self.directories.get(path) {
            return Rc::clone(patterns);
        }
        let patterns = self.patterns(path);
        self.directories.insert(path.into(), Rc::clone(&patterns));
        patterns
    }

    /// Tells which rules and patterns matched nothing.
    fn report(&self, rules: &RuleSet, selection: &mut Selection) {
        selection.matched = vec![false; rules.removes.len()];
        selection.without_match = vec![Vec::new(); rules.removes.len()];
        for (number, owner) in self.matcher.owners.iter().enumerate() {
            if let Owner::Paths(rule) = owner {
                if self.matched[number] {
                    selection.matched[usize::from(*rule)] = true;
                } else {
                    let text = self.matcher.patterns.patterns()[number].as_str().to_owned();
                    selection.without_match[usize::from(*rule)].push(text);
                }
            }
        }
    }
}
