//! A plan, as text, Markdown and JSON.

use serde::Serialize;

use super::Report;
use super::html::{self, savings};
use super::kept::words;
use super::page::Page;
use super::table::Table;
use crate::bytes::{ByteSize, change, signed};
use crate::image::Config;
use crate::layer::{EntryId, LayerNumber, LayerStack};
use crate::ledger::{Keep, Kept, Role, Rule};
use crate::plan::{Action, Cause, LayerSummary, Plan};
use crate::profile::{RuleSet, builtin};
use crate::text::Shown;

/// What a plan says, ready to be shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// The base image, as it was asked for.
    reference: String,
    /// The version of Windows in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    os_version: Option<String>,
    /// The profiles, in the order in which they count.
    profiles: Vec<String>,
    layers: Vec<LayerRow>,
    rules: Vec<Rule>,
    keeps: Vec<Keep>,
    /// What stays although a rule would remove it.
    kept: Vec<Kept>,
    warnings: Vec<String>,
    /// What happens to each entry that does not stay as it is.
    changes: Vec<Change>,
    /// What is added to the image.
    additions: Vec<Addition>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerRow {
    layer: LayerNumber,
    role: Role,
    touched: bool,
    entries_before: u64,
    entries_after: u64,
    unpacked_before: u64,
    unpacked_after: u64,
    compressed_before: u64,
    /// An estimate, by where the bytes of the entries lie in the blob.
    compressed_after: u64,
    promoted: u64,
    retargeted: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    layer: LayerNumber,
    path: String,
    action: &'static str,
    /// The rule that removes it, or why else it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// The name that it gets its data from, or points to.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<String>,
}

#[derive(Debug, Serialize)]
struct Addition {
    profile: String,
    target: String,
}

impl PlanReport {
    /// Collects what there is to say. `added` are the paths on Windows of what each rule adds, in their order.
    pub fn new(
        reference: &str,
        config: &Config,
        rules: &RuleSet,
        plan: &Plan,
        added: &[String],
        warnings: Vec<String>,
    ) -> PlanReport {
        let mut said = config.history.iter().filter(|line| !line.empty_layer).map(|line| line.created_by.as_deref());
        PlanReport {
            reference: reference.to_owned(),
            os_version: config.os_version.clone(),
            profiles: rules.profiles.iter().map(|profile| profile.name.clone()).collect(),
            layers: plan
                .layers
                .numbered()
                .map(|(number, layer)| layer_row(number, said.next().flatten(), !layer.is_untouched(), &layer.summary))
                .collect(),
            rules: Rule::all(rules, plan),
            keeps: Keep::all(plan),
            kept: Kept::all(rules, plan),
            warnings,
            changes: Vec::new(),
            additions: rules
                .adds
                .iter()
                .zip(added)
                .map(|(add, target)| Addition { profile: add.profile.clone(), target: target.clone() })
                .collect(),
        }
    }

    /// The page for a browser, as the text of an HTML file.
    pub fn to_html(&self) -> Shown {
        self.document().to_html()
    }

    /// Adds what happens to each entry, which only JSON shows: there may be hundreds of thousands.
    pub fn with_changes(self, stack: &LayerStack, rules: &RuleSet, plan: &Plan) -> PlanReport {
        PlanReport { changes: changes(stack, rules, plan), ..self }
    }

    fn document(&self) -> html::Document {
        let version = self.os_version.as_deref().unwrap_or("without a version");
        let bar = |label, size: fn(&LayerRow) -> u64| {
            let part = |row| html::Part { label: layer_name(row), size: size(row), dead: 0 };
            html::Bar { label, parts: self.layers.iter().map(part).collect() }
        };
        let sum = |size: fn(&LayerRow) -> u64| self.layers.iter().map(size).sum::<u64>();
        html::Document {
            title: self.reference.clone(),
            lines: vec![format!("Windows {version}, planned with {}", self.profiles.join(", "))],
            tiles: savings::size_tiles(
                (sum(|row| row.compressed_before), sum(|row| row.compressed_after)),
                (sum(|row| row.unpacked_before), sum(|row| row.unpacked_after)),
                (sum(|row| row.entries_before), sum(|row| row.entries_after)),
            ),
            warnings: self.warnings.clone(),
            bars: vec![bar("before", |row| row.compressed_before), bar("after", |row| row.compressed_after)],
            tree: None,
            tables: vec![
                savings::layer_table(self.layers.iter().map(LayerRow::cells).collect(), true),
                savings::rule_table(&self.rules),
                savings::kept_table(&self.kept),
            ],
        }
    }

    fn layer_table(&self, page: &mut Page) {
        let mut table = Table::new(&["layer", "now", "after", "change", "entries", ""], &[1, 2, 3, 4]);
        let mut row = |name: String, before: u64, after: u64, entries: String, note: String| {
            let now = ByteSize(before).to_string();
            table.row([name, now, format!("~{}", ByteSize(after)), change(before, after), entries, note]);
        };
        let (mut before, mut after) = (0, 0);
        for layer in &self.layers {
            before += layer.compressed_before;
            after += layer.compressed_after;
            let entries = format!("{} of {}", layer.entries_after, layer.entries_before);
            let note = match (layer.touched, layer.promoted, layer.retargeted) {
                (false, ..) => "stays as it is".to_owned(),
                (true, 0, 0) => String::new(),
                (true, promoted, retargeted) => format!("{promoted} promoted, {retargeted} retargeted"),
            };
            row(layer_name(layer), layer.compressed_before, layer.compressed_after, entries, note);
        }
        row("total".to_owned(), before, after, String::new(), String::new());
        page.table(table);
    }

    fn rule_table(&self, page: &mut Page) {
        let mut table = Table::new(&["rule", "entries", "linked", "unpacked", "compressed"], &[1, 2, 3, 4]);
        for rule in self.rules.iter().filter(|rule| rule.entries > 0) {
            table.row([
                rule.rule.clone(),
                rule.entries.to_string(),
                rule.kept_by_links.to_string(),
                signed(rule.unpacked),
                format!("~{}", ByteSize(rule.compressed)),
            ]);
        }
        if table.is_empty() {
            page.paragraph("No rule removes anything.");
            return;
        }
        page.table(table);
        page.note("linked: names of files that stay under other names, so that removing them frees nothing");
    }
}

impl LayerRow {
    fn cells(&self) -> Vec<html::Cell> {
        let sizes = [
            self.entries_before,
            self.entries_after,
            self.unpacked_before,
            self.unpacked_after,
            self.compressed_before,
            self.compressed_after,
        ];
        let outcome = if self.touched { "would be rewritten" } else { "stays as it is" };
        let words = [layer_name(self).into(), outcome.into()];
        words.into_iter().chain(sizes.map(html::Cell::from)).collect()
    }
}

fn layer_name(row: &LayerRow) -> String {
    format!("{} {}", row.layer, row.role.word())
}

/// The single entries are in the JSON only.
impl Report for PlanReport {
    fn page(&self) -> Page {
        let version = self.os_version.as_deref().unwrap_or("without a version");
        let mut page = Page::new(format!("{} (Windows {version})", self.reference));
        page.line(format!("with {}", self.profiles.join(", ")));
        self.layer_table(&mut page);
        self.rule_table(&mut page);
        let kept = |kept: &Kept| format!("{} ({}): {}", kept.path, kept.rule, words(&kept.reason));
        let adds = |addition: &Addition| format!("{} ({})", addition.target, addition.profile);
        for (heading, items) in [
            ("Patterns that match nothing", silent_patterns(&self.rules, &self.keeps)),
            ("Stays although a rule would remove it", self.kept.iter().map(kept).collect()),
            ("Adds", self.additions.iter().map(adds).collect()),
        ] {
            if !items.is_empty() {
                page.heading(heading).list(items);
            }
        }
        page
    }
}

/// The patterns that match nothing in the image, with the rules that have them.
fn silent_patterns(rules: &[Rule], keeps: &[Keep]) -> Vec<String> {
    let paths =
        rules.iter().flat_map(|rule| rule.without_match.iter().map(|pattern| format!("{}: {pattern}", rule.rule)));
    let in_vain = InVain::of(rules, keeps);
    let built_in = (in_vain.built_in > 0)
        .then(|| format!("{} patterns of built-in profiles that keep files of other images", in_vain.built_in));
    paths.chain(in_vain.own).chain(built_in).collect()
}

/// Exceptions and keep rules that match nothing. A mistake in one of them breaks programs.
pub(super) struct InVain {
    /// Those of the user's own profiles, each with its rule.
    pub(super) own: Vec<String>,
    /// How many the built-in profiles have: they name what other versions of Windows need.
    pub(super) built_in: usize,
}

impl InVain {
    /// Collects them.
    pub(super) fn of(rules: &[Rule], keeps: &[Keep]) -> InVain {
        let except = rules.iter().flat_map(|rule| {
            let profile = rule.rule.split('/').next().unwrap_or_default();
            let line = |pattern| (profile, format!("{}, except: {pattern}", rule.rule));
            rule.except_without_match.iter().map(line).collect::<Vec<_>>()
        });
        let keeps = keeps.iter().flat_map(|keep| {
            let line = |pattern| (keep.profile.as_str(), format!("{}, keep: {pattern}", keep.profile));
            keep.without_match.iter().map(line).collect::<Vec<_>>()
        });
        let is_built_in = |profile: &str| builtin::ALL.iter().any(|known| known.name == profile);
        let (built_in, own): (Vec<_>, Vec<_>) = except.chain(keeps).partition(|(profile, _)| is_built_in(profile));
        InVain { own: own.into_iter().map(|(_, line)| line).collect(), built_in: built_in.len() }
    }
}

fn layer_row(layer: LayerNumber, said: Option<&str>, touched: bool, summary: &LayerSummary) -> LayerRow {
    LayerRow {
        layer,
        role: Role::of(layer, said),
        touched,
        entries_before: summary.entries_before,
        entries_after: summary.entries_after,
        unpacked_before: summary.unpacked_before,
        unpacked_after: summary.unpacked_after,
        compressed_before: summary.compressed_before,
        compressed_after: summary.compressed_after,
        promoted: summary.promoted,
        retargeted: summary.retargeted,
    }
}

fn changes(stack: &LayerStack, rules: &RuleSet, plan: &Plan) -> Vec<Change> {
    let name = |id: EntryId| stack.entry(id).path.to_windows();
    let mut changes = Vec::new();
    for (number, layer) in plan.layers.numbered() {
        for (at, action) in layer.actions.numbered() {
            let (word, rule, other) = match *action {
                Action::Keep => continue,
                Action::Remove(Cause::Rule(rule)) => ("remove", Some(rules.removes[rule].full_id()), None),
                Action::Remove(Cause::Shadowed) => ("remove", Some("shadowed by a layer above".to_owned()), None),
                Action::Remove(Cause::Whiteout) => ("remove", Some("deletes nothing any more".to_owned()), None),
                Action::Retarget(to) => ("retarget", None, Some(name(to))),
                Action::Promote(from) => ("promote", None, Some(name(from))),
            };
            changes.push(Change { layer: number, path: name(EntryId::new(number, at)), action: word, rule, other });
        }
    }
    changes
}
