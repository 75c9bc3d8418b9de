//! Which names the rules remove, and which stay all the same.

use std::collections::BTreeSet;

use serde::Serialize;

use super::matcher::{Verdict, Verdicts};
use super::pinned::Pinned;
use crate::layer::{EntryKind, LayerNumber, LayerStack, NameId, Names};
use crate::numbered::NumberedVec;
use crate::profile::{RuleNumber, RuleSet};
use crate::windows::protected;

/// Something that stays although a rule would remove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name, as on Windows.
    pub path: String,
    /// The number of the first rule that would remove it.
    pub rule: RuleNumber,
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
        layer: LayerNumber,
    },
    /// The UtilityVM goes as a whole or not at all, and something else in it has to stay.
    UtilityVm,
}

/// The names that go, and what people want to know about the selection.
#[derive(Debug)]
pub(super) struct Selection {
    /// For each name, the first rule that removes it. Directories are removed even if something below them stays; so are
    /// names that only a whiteout has.
    removed: NumberedVec<NameId, Option<Removed>>,
    pub(super) kept: Vec<Kept>,
    pub(super) warnings: Vec<String>,
}

/// Which rule removes a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Removed {
    /// The first one.
    rule: RuleNumber,
    /// Whether no rule would without it.
    alone: bool,
}

impl Selection {
    /// The first rule that removes a name.
    pub(super) fn rule_for(&self, name: NameId) -> Option<RuleNumber> {
        self.removed[name].map(|removed| removed.rule)
    }

    /// Whether no rule would remove the name without the first one that does.
    pub(super) fn is_by_one_rule(&self, name: NameId) -> bool {
        self.removed[name].is_some_and(|removed| removed.alone)
    }
}

/// Looks at every name of the image.
pub(super) fn select(stack: &LayerStack, rules: &RuleSet, verdicts: &Verdicts, pinned: &Pinned) -> Selection {
    let names = stack.names();
    let mut selection = Selection { removed: names.each(None), kept: Vec::new(), warnings: Vec::new() };
    let whole_vm = whole_utility_vm(stack, rules, verdicts, pinned, &mut selection);
    for name in names.all() {
        let verdict = verdicts.of(name);
        let text = names.text(name);
        let whole_vm = whole_vm.filter(|_| is_in_utility_vm(text));
        let Some(rule) = verdict.rule else { continue };
        let stays = || why_it_stays(rules, verdict, pinned, name, text);
        let reason = match whole_vm {
            Some(WholeVm::Goes { rule, alone }) => {
                let alone = alone && (verdict.rule_without(rule).is_none() || stays().is_some());
                selection.removed[name] = Some(Removed { rule, alone });
                continue;
            }
            Some(WholeVm::Stays) => continue,
            None => stays(),
        };
        match reason {
            None => selection.removed[name] = Some(Removed { rule, alone: verdict.second.is_none() }),
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
    let rule = &rules.keeps[verdict.keep?];
    Some(KeepReason::KeepRule { profile: rule.profile.clone() })
}

/// A rule that takes files out of the UtilityVM takes the risk that it does not start; people should know.
fn warn_of_partial_utility_vm(names: &Names, rules: &RuleSet, selection: &mut Selection) {
    let in_vm = names.all().filter(|&name| selection.rule_for(name).is_some() && is_in_utility_vm(names.text(name)));
    let numbers: BTreeSet<RuleNumber> = in_vm.filter_map(|name| selection.rule_for(name)).collect();
    for number in numbers {
        selection.warnings.push(format!(
            "rule `{}` removes a part of the UtilityVM; hosts still choose it for Hyper-V isolation, and it may not start",
            rules.removes[number].full_id(),
        ));
    }
}

/// What becomes of a UtilityVM that a rule removes as a whole.
#[derive(Debug, Clone, Copy)]
enum WholeVm {
    Goes {
        rule: RuleNumber,
        /// Whether no other rule removes all of it.
        alone: bool,
    },
    Stays,
}

/// Whether a rule removes the whole UtilityVM, and whether that can be done.
///
/// An empty or half-removed one is worse than none: the host selects it and then fails
/// (hcsshim `internal/uvmfolder/locate.go`).
fn whole_utility_vm(
    stack: &LayerStack,
    rules: &RuleSet,
    verdicts: &Verdicts,
    pinned: &Pinned,
    selection: &mut Selection,
) -> Option<WholeVm> {
    let names = stack.names();
    let roots = ["UTILITYVM", "UTILITYVM/FILES"];
    let verdict_of = |text| names.find(text).map(|name| verdicts.of(name));
    let rule = roots.iter().filter_map(|text| verdict_of(text)?.rule).next()?;
    let alone = roots.iter().all(|text| verdict_of(text).and_then(|verdict| verdict.rule_without(rule)).is_none());
    let stays = |name| verdicts.of(name).keep.is_some() || pinned.layer_for(name).is_some();
    let kept = names.all().filter(|&name| is_in_utility_vm(names.text(name)) && stays(name));
    let kept = kept.filter_map(|name| Some(stack.entry(*names.entries(name).first()?).path.to_windows())).min();
    let Some(kept) = kept else { return Some(WholeVm::Goes { rule, alone }) };
    selection.kept.push(Kept { path: String::from("UtilityVM:\\"), rule, reason: KeepReason::UtilityVm });
    selection.warnings.push(format!(
        "the UtilityVM stays: rule `{}` removes it, but `{kept}` has to stay, and a part of it is worse than none",
        rules.removes[rule].full_id(),
    ));
    Some(WholeVm::Stays)
}

fn is_in_utility_vm(folded: &str) -> bool {
    folded == "UTILITYVM" || folded.starts_with("UTILITYVM/")
}
