//! What a build and a plan of one have to show alike: sizes before and after, and what each rule saves.

use super::{Cell, Column, Kind, Table, Tile, column, minor};
use crate::bytes::{ByteSize, change};
use crate::ledger::{Kept, Rule};
use crate::report::kept::words;

/// The tiles on what became of an image: sizes before and after.
pub(in crate::report) fn size_tiles(compressed: (u64, u64), unpacked: (u64, u64), entries: (u64, u64)) -> Vec<Tile> {
    let tile = |label, (before, after): (u64, u64)| Tile {
        label,
        value: change(before, after).into(),
        note: format!("{} before, {} after", ByteSize(before), ByteSize(after)),
    };
    vec![
        tile("Compressed", compressed),
        tile("Unpacked", unpacked),
        Tile {
            label: "Entries",
            value: change(entries.0, entries.1).into(),
            note: format!("{} before, {} after", entries.0, entries.1),
        },
    ]
}

/// The table of what became of each layer.
pub(in crate::report) fn layer_table(rows: Vec<Vec<Cell>>, is_estimate: bool) -> Table {
    Table {
        title: "Layers",
        note: if is_estimate { "Compressed sizes after a build are estimates." } else { "" },
        columns: vec![
            column("Layer", Kind::Text),
            minor("What happens", Kind::Text),
            minor("Entries before", Kind::Count),
            minor("Entries after", Kind::Count),
            minor("Unpacked before", Kind::Bytes),
            minor("Unpacked after", Kind::Bytes),
            column("Compressed before", Kind::Bytes),
            column("Compressed after", Kind::Bytes),
        ],
        rows,
    }
}

/// The table of what the rules save that remove anything; the largest first.
pub(in crate::report) fn rule_table(rules: &[Rule]) -> Table {
    let mut rules: Vec<&Rule> = rules.iter().filter(|rule| rule.entries > 0).collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.compressed));
    let row = |rule: &Rule| {
        let why = match &rule.price {
            Some(price) => format!("{}. Price: {price}", rule.reason),
            None => rule.reason.clone(),
        };
        let words = [rule.rule.as_str().into(), why.into()];
        let numbers: [Cell; 5] = [
            rule.entries.into(),
            rule.kept_by_links.into(),
            rule.unpacked.into(),
            rule.alone.into(),
            rule.compressed.into(),
        ];
        words.into_iter().chain(numbers).collect()
    };
    let rows = rules.into_iter().map(row).collect();
    Table {
        title: "Savings by rule",
        note: "Linked: names of files that stay under other names, so that removing them frees nothing. \
            Unpacked: bytes freed, each credited to the rule that removes the last name of its file. \
            Alone: bytes that would come back if this rule alone were missing. \
            Compressed bytes are estimates, by where the data lay.",
        columns: vec![
            column("Rule", Kind::Text),
            minor("Why", Kind::Text),
            minor("Entries", Kind::Count),
            minor("Linked", Kind::Count),
            minor("Unpacked", Kind::Bytes),
            minor("Alone", Kind::Bytes),
            column("Compressed", Kind::Bar),
        ],
        rows,
    }
}

/// The table of what stays although a rule would remove it.
pub(in crate::report) fn kept_table(kept: &[Kept]) -> Table {
    let row = |kept: &Kept| vec![kept.path.as_str().into(), kept.rule.as_str().into(), words(&kept.reason).into()];
    let rows = kept.iter().map(row).collect();
    let columns: Vec<Column> =
        vec![column("Name", Kind::Path), minor("Rule", Kind::Text), column("Why it stays", Kind::Text)];
    Table { title: "Stays although a rule would remove it", note: "", columns, rows }
}
