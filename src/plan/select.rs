//! Which names the rules remove, and which stay all the same.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;

use super::{LayerLimit, PlanError};
use crate::layer::path::NameMap;
use crate::layer::{EntryId, EntryKind, LayerStack, NameId, Names, Tree};
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
    names: NameMap<NameId, usize>,
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
                let id = EntryId::new(number, at);
                // What a whiteout deletes may go without it, but the utility VM's fail the import when it is not there.
                if entry.whiteout_target().is_none() || entry.path.tree() == Tree::UtilityVm {
                    pinned.pin(stack.names().of(id), number);
                }
                if let Some(target) = stack.links().target(id) {
                    pinned.pin(stack.names().of(target), number);
                }
            }
        }
        pinned
    }

    pub(super) fn pin(&mut self, name: NameId, layer: usize) {
        self.names.entry(name).or_insert(layer);
    }

    pub(super) fn layer_for(&self, name: NameId) -> Option<usize> {
        self.names.get(&name).copied()
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
#[derive(Debug)]
pub(super) struct Selection {
    /// For each name, the first rule that removes it. Directories are removed even if something below them stays; so are
    /// names that only a whiteout has.
    removed: Vec<Option<u16>>,
    pub(super) kept: Vec<Kept>,
    pub(super) warnings: Vec<String>,
    /// For each rule, the texts of its patterns that match nothing.
    pub(super) without_match: Vec<Vec<String>>,
    /// For each rule, whether any of its patterns matches.
    matched: Vec<bool>,
}

impl Selection {
    /// The first rule that removes a name.
    pub(super) fn rule_for(&self, name: NameId) -> Option<u16> {
        self.removed[name.place()]
    }

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
    let names = stack.names();
    let verdicts = Verdicts::find(matcher, names);
    let mut selection = Selection {
        removed: vec![None; names.count()],
        kept: Vec::new(),
        warnings: Vec::new(),
        without_match: Vec::new(),
        matched: Vec::new(),
    };
    let whole_vm = whole_utility_vm(stack, rules, &verdicts, pinned, &mut selection);
    for name in names.all() {
        let verdict = verdicts.of(name);
        let Some(rule) = verdict.rule else { continue };
        let text = names.text(name);
        let whole_vm = whole_vm.filter(|_| is_in_utility_vm(text));
        let reason = match whole_vm {
            Some(WholeVm::Goes(rule)) => {
                selection.removed[name.place()] = Some(rule);
                continue;
            }
            Some(WholeVm::Stays) => continue,
            None => why_it_stays(rules, verdict, pinned, name, text),
        };
        match reason {
            None => selection.removed[name.place()] = Some(rule),
            Some(reason) => {
                let Some(&last) = names.entries(name).last() else { continue };
                let entry = stack.entry(last);
                // A directory stays with what is in it; only that is worth telling.
                if entry.kind != EntryKind::Directory {
                    selection.kept.push(Kept { path: entry.path.to_windows(), rule, reason });
                }
            }
        }
    }
    selection.kept.sort_by(|one, other| one.path.cmp(&other.path));
    verdicts.report(rules, &mut selection);
    if whole_vm.is_none() {
        warn_of_partial_utility_vm(names, rules, &mut selection);
    }
    selection
}

/// Why a name stays that a rule would remove.
fn why_it_stays(rules: &RuleSet, verdict: Verdict, pinned: &Pinned, name: NameId, text: &str) -> Option<KeepReason> {
    if let Some(layer) = pinned.layer_for(name) {
        return Some(KeepReason::Growth { layer });
    }
    if let Some(why) = protected::protected(text) {
        return Some(KeepReason::Protected { why });
    }
    let rule = &rules.keeps[usize::from(verdict.keep?)];
    Some(KeepReason::KeepRule { profile: rule.profile.clone() })
}

/// A rule that takes files out of the UtilityVM takes the risk that it does not start; people should know.
fn warn_of_partial_utility_vm(names: &Names, rules: &RuleSet, selection: &mut Selection) {
    let in_vm = names.all().filter(|&name| selection.rule_for(name).is_some() && is_in_utility_vm(names.text(name)));
    let numbers: BTreeSet<u16> = in_vm.filter_map(|name| selection.rule_for(name)).collect();
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
    verdicts: &Verdicts<'_>,
    pinned: &Pinned,
    selection: &mut Selection,
) -> Option<WholeVm> {
    let names = stack.names();
    let rule_for = |text| names.find(text).and_then(|name| verdicts.of(name).rule);
    let rule = rule_for("UTILITYVM").or_else(|| rule_for("UTILITYVM/FILES"))?;
    let stays = |name| verdicts.of(name).keep.is_some() || pinned.layer_for(name).is_some();
    let kept = names.all().filter(|&name| is_in_utility_vm(names.text(name)) && stays(name));
    let kept = kept.filter_map(|name| Some(stack.entry(*names.entries(name).first()?).path.to_windows())).min();
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

/// What the rules say of every name.
struct Verdicts<'a> {
    matcher: &'a Matcher,
    /// Sets of patterns that match a name or a directory above it, with what they come to; the first one is empty.
    sets: Vec<(Vec<u16>, Verdict)>,
    /// The number of the set of each name.
    set_of: Vec<u32>,
    /// For each pattern, whether it matches anything.
    matched: Vec<bool>,
}

impl<'a> Verdicts<'a> {
    fn find(matcher: &'a Matcher, names: &Names) -> Verdicts<'a> {
        let mut verdicts = Verdicts {
            matcher,
            sets: vec![(Vec::new(), Verdict::default())],
            set_of: Vec::with_capacity(names.count()),
            matched: vec![false; matcher.owners.len()],
        };
        let mut found = Vec::new();
        for name in names.all() {
            let inherited = names.parent(name).map_or(0, |directory| verdicts.set_of[directory.place()]);
            found.clear();
            matcher.patterns.matches_into(names.text(name), &mut found);
            let set = if found.is_empty() { inherited } else { verdicts.add_set(inherited, &found) };
            verdicts.set_of.push(set);
        }
        verdicts
    }

    /// Adds the set of what a directory inherits and what matches a name itself.
    fn add_set(&mut self, inherited: u32, found: &[usize]) -> u32 {
        let mut patterns = self.sets[inherited as usize].0.clone();
        for &pattern in found {
            self.matched[pattern] = true;
            patterns.push(pattern as u16);
        }
        // Names that one pattern matches come together.
        if let Some((last, _)) = self.sets.last()
            && *last == patterns
        {
            return self.sets.len() as u32 - 1;
        }
        let verdict = self.verdict(&patterns);
        self.sets.push((patterns, verdict));
        self.sets.len() as u32 - 1
    }

    fn of(&self, name: NameId) -> Verdict {
        self.sets[self.set_of[name.place()] as usize].1
    }

    fn verdict(&self, patterns: &[u16]) -> Verdict {
        let mut verdict = Verdict::default();
        for &pattern in patterns {
            match self.matcher.owners[usize::from(pattern)] {
                Owner::Keep(keep) => verdict.keep = Some(verdict.keep.map_or(keep, |first| first.min(keep))),
                Owner::Paths(rule)
                    if verdict.rule.is_none_or(|first| rule < first) && !self.is_excepted(patterns, rule) =>
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
