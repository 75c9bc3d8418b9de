//! What the rules say of every name of an image, found in one walk through its tree of names.

use std::collections::BTreeSet;
use std::ops::Range;

use super::PlanError;
use crate::layer::{NameId, Names};
use crate::numbered::NumberedVec;
use crate::profile::pattern::{Compiled, Place, Step};
use crate::profile::{KeepNumber, Pattern, PatternNumber, PatternSet, RuleNumber, RuleSet};

/// What a pattern belongs to.
#[derive(Debug, Clone, Copy)]
enum Owner {
    Paths(RuleNumber),
    Except(RuleNumber),
    Keep(KeepNumber),
}

/// The patterns of all rules together, so that each name is looked at once.
#[derive(Debug)]
pub(super) struct Matcher<'r> {
    patterns: NumberedVec<PatternNumber, &'r Pattern>,
    owners: NumberedVec<PatternNumber, Owner>,
    compiled: Compiled,
}

/// What the rules say of one name, its directories considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Verdict {
    /// The first rule that removes it.
    pub(super) rule: Option<RuleNumber>,
    /// The rule that would remove it without that one.
    pub(super) second: Option<RuleNumber>,
    /// The first keep rule that names it.
    pub(super) keep: Option<KeepNumber>,
}

impl Verdict {
    /// The first rule that removes the name when one is left out.
    pub(super) fn rule_without(&self, left_out: RuleNumber) -> Option<RuleNumber> {
        if self.rule == Some(left_out) { self.second } else { self.rule }
    }
}

/// What the rules say of every name, and which of their patterns match nothing.
#[derive(Debug)]
pub(super) struct Verdicts {
    of: NumberedVec<NameId, Verdict>,
    /// For each pattern, whether it matches anything.
    matched: NumberedVec<PatternNumber, bool>,
}

/// The patterns of rules that match nothing, as the profiles spell them.
#[derive(Debug, Default)]
pub(super) struct Silent {
    /// For each rule that removes: what its paths and its exceptions do not match, and whether any of its paths matches.
    pub(super) removes: NumberedVec<RuleNumber, SilentRule>,
    /// For each rule that keeps.
    pub(super) keeps: NumberedVec<KeepNumber, SilentRule>,
}

/// The patterns of one rule that match nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct SilentRule {
    pub(super) paths: Vec<String>,
    pub(super) except: Vec<String>,
    pub(super) any_matched: bool,
}

/// The most patterns of one rule that an error shows.
const MOST_SHOWN: usize = 5;

impl Silent {
    /// The required rules that matched nothing, with their patterns.
    pub(super) fn required(&self, rules: &RuleSet) -> Vec<String> {
        let removes = rules.removes.iter().zip(&self.removes);
        let removes = removes.map(|(rule, silent)| (rule.required, format!("rule `{}`", rule.full_id()), silent));
        let keeps = rules.keeps.iter().zip(&self.keeps);
        let keeps = keeps.map(|(rule, silent)| (rule.required, format!("a keep rule of `{}`", rule.profile), silent));
        let missing = removes.chain(keeps).filter(|(required, _, silent)| *required && !silent.any_matched);
        missing
            .map(|(_, rule, silent)| {
                let shown: Vec<&str> = silent.paths.iter().take(MOST_SHOWN).map(String::as_str).collect();
                let more = if silent.paths.len() > MOST_SHOWN { ", …" } else { "" };
                format!("{rule} (`{}`{more})", shown.join("`, `"))
            })
            .collect()
    }
}

impl<'r> Matcher<'r> {
    pub(super) fn new(rules: &'r RuleSet) -> Result<Matcher<'r>, PlanError> {
        let mut patterns = NumberedVec::new();
        let mut owners = NumberedVec::new();
        let mut add = |set: &'r PatternSet, owner: Owner| {
            patterns.extend(set.patterns());
            owners.extend(set.patterns().iter().map(|_| owner));
        };
        let too_many = |_| PlanError::TooManyRules;
        u32::try_from(rules.removes.len().max(rules.keeps.len())).map_err(too_many)?;
        for (number, rule) in rules.removes.numbered() {
            add(&rule.paths, Owner::Paths(number));
            add(&rule.except, Owner::Except(number));
        }
        for (number, rule) in rules.keeps.numbered() {
            add(&rule.paths, Owner::Keep(number));
        }
        let compiled = Compiled::new(patterns.iter().copied())?;
        Ok(Matcher { patterns, owners, compiled })
    }

    /// Looks at every name of an image.
    pub(super) fn verdicts(&self, rules: &RuleSet, names: &Names) -> Verdicts {
        let mut walk = Walk::new(self, rules, names);
        let children = Children::of(names);
        for root in children.below(None) {
            walk.tree(root, &children);
        }
        walk.verdicts
    }

    /// The patterns that match nothing.
    pub(super) fn silent(&self, rules: &RuleSet, verdicts: &Verdicts) -> Silent {
        let mut silent = Silent {
            removes: rules.removes.same_length(SilentRule::default()),
            keeps: rules.keeps.same_length(SilentRule::default()),
        };
        for ((owner, pattern), &matched) in self.owners.iter().zip(&self.patterns).zip(&verdicts.matched) {
            let (rule, is_path) = match owner {
                Owner::Paths(rule) => (&mut silent.removes[*rule], true),
                Owner::Except(rule) => (&mut silent.removes[*rule], false),
                Owner::Keep(keep) => (&mut silent.keeps[*keep], true),
            };
            match (is_path, matched) {
                (true, true) => rule.any_matched = true,
                (true, false) => rule.paths.push(pattern.as_str().to_owned()),
                (false, true) => {}
                (false, false) => rule.except.push(pattern.as_str().to_owned()),
            }
        }
        silent
    }
}

impl Verdicts {
    pub(super) fn of(&self, name: NameId) -> Verdict {
        self.of[name]
    }
}

/// The names that lie directly in each name.
struct Children {
    first: NumberedVec<NameId, Option<NameId>>,
    next: NumberedVec<NameId, Option<NameId>>,
    first_root: Option<NameId>,
}

impl Children {
    fn of(names: &Names) -> Children {
        let mut children = Children { first: names.each(None), next: names.each(None), first_root: None };
        for name in names.all().rev() {
            let first = match names.parent(name) {
                Some(directory) => &mut children.first[directory],
                None => &mut children.first_root,
            };
            children.next[name] = first.replace(name);
        }
        children
    }

    fn below(&self, directory: Option<NameId>) -> impl Iterator<Item = NameId> {
        let first = match directory {
            Some(directory) => self.first[directory],
            None => self.first_root,
        };
        std::iter::successors(first, |&name| self.next[name])
    }
}

/// A walk through the names: what holds for a directory is noted when it is entered, and taken back when it is left.
struct Walk<'a> {
    matcher: &'a Matcher<'a>,
    names: &'a Names,
    /// For each name that is spelled out in a pattern: its place, and the pattern; sorted.
    literal: Vec<(NameId, PatternNumber)>,
    verdicts: Verdicts,
    active: Active,
    /// Where the patterns with wildcards are in their tree, for each directory that the walk is in.
    places: Vec<Place>,
    /// The patterns that match the directories that the walk is in.
    patterns: Vec<PatternNumber>,
    /// For each pattern, whether it is among these.
    holds: NumberedVec<PatternNumber, bool>,
    step: Step,
}

/// A directory that the walk is in.
struct Level {
    next_child: Option<NameId>,
    places: Range<usize>,
    patterns: usize,
    verdict: Verdict,
}

impl<'a> Walk<'a> {
    fn new(matcher: &'a Matcher<'a>, rules: &RuleSet, names: &'a Names) -> Walk<'a> {
        let found = matcher.compiled.literals.iter().filter_map(|(text, patterns)| Some((names.find(text)?, patterns)));
        let mut literal: Vec<_> =
            found.flat_map(|(name, patterns)| patterns.iter().map(move |&pattern| (name, pattern))).collect();
        literal.sort_unstable();
        Walk {
            matcher,
            names,
            literal,
            verdicts: Verdicts { of: names.each(Verdict::default()), matched: matcher.owners.same_length(false) },
            active: Active::new(rules),
            places: Vec::new(),
            patterns: Vec::new(),
            holds: matcher.owners.same_length(false),
            step: Step::default(),
        }
    }

    fn tree(&mut self, root: NameId, children: &Children) {
        self.places.clear();
        self.matcher.compiled.tree.start(&mut self.places);
        let above = Level { next_child: None, places: 0..self.places.len(), patterns: 0, verdict: Verdict::default() };
        let mut levels = vec![self.enter(root, &above, children)];
        while let Some(level) = levels.last_mut() {
            match level.next_child {
                Some(child) => {
                    level.next_child = children.next[child];
                    let entered = self.enter(child, level, children);
                    levels.push(entered);
                }
                None => {
                    self.leave(level.places.start, level.patterns);
                    levels.pop();
                }
            }
        }
    }

    fn enter(&mut self, name: NameId, above: &Level, children: &Children) -> Level {
        let (places, patterns) = (self.places.len(), self.patterns.len());
        if !above.places.is_empty() {
            let component = self.names.last_component(name);
            let tree = &self.matcher.compiled.tree;
            tree.step(&mut self.places, above.places.clone(), component, &mut self.step);
        }
        let first = self.literal.partition_point(|(known, _)| *known < name);
        let literal = self.literal[first..].iter().take_while(|(known, _)| *known == name);
        let found = self.step.found.drain(..).chain(literal.map(|(_, pattern)| *pattern));
        // What holds for a directory need not be found again below it.
        self.patterns.extend(found.filter(|pattern| !std::mem::replace(&mut self.holds[*pattern], true)));
        let mut verdict = above.verdict;
        if self.patterns.len() > patterns {
            for &pattern in &self.patterns[patterns..] {
                self.verdicts.matched[pattern] = true;
                self.active.enter(self.matcher.owners[pattern]);
            }
            verdict = self.active.verdict();
        }
        self.verdicts.of[name] = verdict;
        Level { next_child: children.first[name], places: places..self.places.len(), patterns, verdict }
    }

    fn leave(&mut self, places: usize, patterns: usize) {
        self.places.truncate(places);
        for pattern in self.patterns.drain(patterns..) {
            self.holds[pattern] = false;
            self.active.leave(self.matcher.owners[pattern]);
        }
    }
}

/// The rules that hold where the walk is.
struct Active {
    /// For each rule, how many of its paths match, and how many of its exceptions.
    removes: NumberedVec<RuleNumber, (u32, u32)>,
    keeps: NumberedVec<KeepNumber, u32>,
    removing: BTreeSet<RuleNumber>,
    keeping: BTreeSet<KeepNumber>,
}

impl Active {
    fn new(rules: &RuleSet) -> Active {
        Active {
            removes: rules.removes.same_length((0, 0)),
            keeps: rules.keeps.same_length(0),
            removing: BTreeSet::new(),
            keeping: BTreeSet::new(),
        }
    }

    fn enter(&mut self, owner: Owner) {
        self.count(owner, |count| *count += 1);
    }

    fn leave(&mut self, owner: Owner) {
        self.count(owner, |count| *count -= 1);
    }

    fn count(&mut self, owner: Owner, change: impl Fn(&mut u32)) {
        match owner {
            Owner::Paths(rule) => change(&mut self.removes[rule].0),
            Owner::Except(rule) => change(&mut self.removes[rule].1),
            Owner::Keep(keep) => {
                let count = &mut self.keeps[keep];
                change(count);
                match count {
                    0 => self.keeping.remove(&keep),
                    _ => self.keeping.insert(keep),
                };
                return;
            }
        }
        let (Owner::Paths(rule) | Owner::Except(rule)) = owner else { return };
        match self.removes[rule] {
            (1.., 0) => self.removing.insert(rule),
            _ => self.removing.remove(&rule),
        };
    }

    fn verdict(&self) -> Verdict {
        let mut removing = self.removing.iter().copied();
        Verdict { rule: removing.next(), second: removing.next(), keep: self.keeping.first().copied() }
    }
}
