//! A ledger in short, for people who look at a build.

use serde_json::{Value, json};

use super::Report;
use super::kept::words;
use super::page::Page;
use super::plan::InVain;
use super::table::Table;
use crate::bytes::{ByteSize, change, signed};
use crate::ledger::{Layer, Ledger};
use crate::plan::OutputNumber;
use crate::text::Event;

/// The most rules, by what they saved, that the summary shows.
const MOST_RULES: usize = 12;

/// The most names of what stays that the summary shows.
const MOST_NAMES: usize = 8;

/// What a build did: layers, rules, and what nodes pull.
impl Report for Ledger {
    fn page(&self) -> Page {
        let profiles: Vec<&str> = self.profiles.iter().map(|profile| profile.name.as_str()).collect();
        let version = self.base.os_version.as_deref().unwrap_or("without a version");
        let mut page = Page::new(format!("{} (Windows {version})", self.base.reference));
        page.line(format!("slimmed with {}", profiles.join(", ")));
        page.table(layers(self));
        rules(self, &mut page);
        let pull = &self.pull;
        page.paragraph(format!(
            "A node without the base pulls {} instead of {}; one that has it pulls {}.",
            ByteSize(pull.empty_node),
            ByteSize(pull.empty_node_original),
            ByteSize(pull.node_with_base),
        ));
        silent_rules(self, &mut page);
        kept_names(self, &mut page);
        page
    }
}

/// What a build did, for logs that programs read: the image, its layers, and the rules that removed something.
pub fn events(ledger: &Ledger) -> Vec<Event> {
    let event = |name, fields: Value| Event { name, fields: fields.as_object().cloned().unwrap_or_default() };
    let totals = &ledger.totals;
    let image = json!({
        "image": ledger.base.reference,
        "osVersion": ledger.base.os_version,
        "result": ledger.result.reference,
        "digest": ledger.result.manifest,
        "before": totals.compressed_before,
        "after": totals.compressed_after,
        "unpackedBefore": totals.unpacked_before,
        "unpackedAfter": totals.unpacked_after,
    });
    let layers = ledger.layers.numbered().map(|(number, layer)| {
        let before = layer.before.as_ref().map_or(0, |before| before.compressed);
        let after = &layer.after;
        let fields = json!({ "layer": number, "before": before, "after": after.compressed, "digest": after.digest });
        event("layer", fields)
    });
    let rules = ledger.rules.iter().filter(|rule| rule.entries > 0).map(|rule| {
        let fields = json!({
            "rule": rule.rule,
            "entries": rule.entries,
            "unpacked": rule.unpacked,
            "compressed": rule.compressed,
        });
        event("rule", fields)
    });
    std::iter::once(event("slimmed", image)).chain(layers).chain(rules).collect()
}

fn layers(ledger: &Ledger) -> Table {
    let mut table = Table::new(&["layer", "before", "after", "change", "unpacked", "after", ""], &[1, 2, 3, 4, 5]);
    for (number, layer) in ledger.layers.numbered() {
        table.row(row(number, layer));
    }
    let totals = &ledger.totals;
    table.row([
        "total".to_owned(),
        ByteSize(totals.compressed_before).to_string(),
        ByteSize(totals.compressed_after).to_string(),
        change(totals.compressed_before, totals.compressed_after),
        ByteSize(totals.unpacked_before).to_string(),
        ByteSize(totals.unpacked_after).to_string(),
        String::new(),
    ]);
    table
}

fn row(number: OutputNumber, layer: &Layer) -> [String; 7] {
    let (compressed, unpacked) = layer.before.as_ref().map_or((0, 0), |before| (before.compressed, before.unpacked));
    [
        format!("{number} {}", layer.role.word()),
        ByteSize(compressed).to_string(),
        ByteSize(layer.after.compressed).to_string(),
        if layer.before.is_some() { change(compressed, layer.after.compressed) } else { String::new() },
        ByteSize(unpacked).to_string(),
        ByteSize(layer.after.unpacked).to_string(),
        layer.outcome.words().to_owned(),
    ]
}

fn rules(ledger: &Ledger, page: &mut Page) {
    let mut rules: Vec<_> = ledger.rules.iter().filter(|rule| rule.entries > 0).collect();
    rules.sort_by_key(|rule| (std::cmp::Reverse(rule.compressed), &rule.rule));
    let hidden = rules.len().saturating_sub(MOST_RULES);
    let mut table = Table::new(&["rule", "entries", "unpacked", "compressed"], &[1, 2, 3]);
    for rule in rules.iter().take(MOST_RULES) {
        table.row([
            rule.rule.clone(),
            rule.entries.to_string(),
            signed(rule.unpacked),
            format!("~{}", ByteSize(rule.compressed)),
        ]);
    }
    if !table.is_empty() {
        page.table(table);
    }
    if hidden > 0 {
        page.note(format!("and {hidden} rules that saved less"));
    }
}

/// The rules that found nothing to remove, by name: people must see that a rule does nothing.
fn silent_rules(ledger: &Ledger, page: &mut Page) {
    let silent: Vec<&str> =
        ledger.rules.iter().filter(|rule| rule.entries == 0).map(|rule| rule.rule.as_str()).collect();
    if !silent.is_empty() {
        page.line(format!("Removed nothing: {}.", silent.join(", ")));
    }
    let in_vain = InVain::of(&ledger.rules, &ledger.keeps).own;
    for text in in_vain.iter().take(MOST_NAMES) {
        page.line(format!("Matches nothing: {text}"));
    }
    if in_vain.len() > MOST_NAMES {
        let hidden = in_vain.len() - MOST_NAMES;
        page.line(format!("and {hidden} more patterns match nothing; `winslim plan` and the ledger list them."));
    }
}

/// What stays although a rule would remove it, by name as far as there is room.
fn kept_names(ledger: &Ledger, page: &mut Page) {
    for kept in ledger.kept.iter().take(MOST_NAMES) {
        page.line(format!("Stays: {} ({}): {}", kept.path, kept.rule, words(&kept.reason)));
    }
    let hidden = ledger.kept.len().saturating_sub(MOST_NAMES);
    if hidden > 0 {
        page.line(format!("and {hidden} more names stay; `winslim plan` and the ledger list them."));
    }
}
