//! The page on a build: what it made of each layer, and what each rule saved.

use super::savings::{kept_table, layer_table, rule_table, size_tiles};
use super::{Bar, Cell, Document, Part, Tile};
use crate::bytes::ByteSize;
use crate::ledger::{Layer, Ledger};
use crate::plan::OutputNumber;
use crate::text::Shown;

/// The page on a build, as the text of an HTML file.
pub fn page(ledger: &Ledger) -> Shown {
    let version = ledger.base.os_version.as_deref().unwrap_or("without a version");
    let profiles: Vec<&str> = ledger.profiles.iter().map(|profile| profile.name.as_str()).collect();
    let part = |(number, layer): (OutputNumber, &Layer), size| Part { label: name(number, layer), size, dead: 0 };
    let layers = || ledger.layers.numbered();
    let before = layers().filter_map(|it| it.1.before.as_ref().map(|before| part(it, before.compressed))).collect();
    let after = layers().map(|it| part(it, it.1.after.compressed)).collect();
    Document {
        title: ledger.base.reference.clone(),
        lines: vec![
            format!("Windows {version}, slimmed with {}", profiles.join(", ")),
            format!("{}, {}", ledger.result.reference, ledger.result.manifest),
        ],
        tiles: tiles(ledger),
        warnings: ledger.warnings.clone(),
        bars: vec![Bar { label: "before", parts: before }, Bar { label: "after", parts: after }],
        tree: None,
        tables: vec![
            layer_table(layers().map(|(number, layer)| layer_row(number, layer)).collect(), false),
            rule_table(&ledger.rules),
            kept_table(&ledger.kept),
        ],
    }
    .to_html()
}

fn tiles(ledger: &Ledger) -> Vec<Tile> {
    let (totals, pull) = (&ledger.totals, &ledger.pull);
    let size = |bytes| ByteSize(bytes).to_string();
    let mut tiles = size_tiles(
        (totals.compressed_before, totals.compressed_after),
        (totals.unpacked_before, totals.unpacked_after),
        (totals.entries_before, totals.entries_after),
    );
    tiles.push(Tile {
        label: "Pull",
        value: size(pull.node_with_base).into(),
        note: format!("by a node that has the base; {} by one that has nothing", size(pull.empty_node)),
    });
    tiles
}

fn name(number: OutputNumber, layer: &Layer) -> String {
    format!("{number} {}", layer.role.word())
}

fn layer_row(number: OutputNumber, layer: &Layer) -> Vec<Cell> {
    let before = |size: fn(&crate::ledger::LayerState) -> u64| layer.before.as_ref().map_or(0, size);
    vec![
        name(number, layer).into(),
        layer.outcome.words().into(),
        before(|state| state.entries).into(),
        layer.after.entries.into(),
        before(|state| state.unpacked).into(),
        layer.after.unpacked.into(),
        before(|state| state.compressed).into(),
        layer.after.compressed.into(),
    ]
}
