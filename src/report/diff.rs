//! What two images have different, as text, Markdown and JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::Report;
use super::inspect::shorten;
use super::page::Page;
use super::table::Table;
use crate::bytes::{ByteSize, change};
use crate::inspect::{Diff, Sizes};

/// The differences of two images.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffReport {
    /// The version of this form: 1. Fields are only ever added to a version.
    schema: u32,
    /// The first image.
    before: Side,
    /// The second image.
    after: Side,
    /// The parts of Windows whose sizes differ, the greatest difference first.
    components: Vec<ComponentRow>,
    /// Names that only the second image has.
    added: Vec<NameRow>,
    /// Names that only the first image has.
    removed: Vec<NameRow>,
    /// Names of other content, kind or target. Contents are compared by length and checksum.
    changed: Vec<NameRow>,
    /// Names of which nothing but the attributes or the security descriptor differs.
    metadata: Vec<NameRow>,
    #[serde(skip)]
    top: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Side {
    /// The image, as it was asked for.
    reference: String,
    /// Its sizes.
    totals: Sizes,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ComponentRow {
    /// What it is called.
    name: String,
    /// In the first image.
    before: Sizes,
    /// In the second image.
    after: Sizes,
}

#[derive(Debug, Serialize, JsonSchema)]
struct NameRow {
    /// The name, as on Windows.
    path: String,
    /// The part of Windows that it belongs to.
    component: String,
    /// The length in the first image, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    /// The length in the second image, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
}

impl DiffReport {
    /// The report on what the images named so have different. Text names `top` files of each kind, all if it is 0.
    pub fn new(before: String, after: String, diff: Diff, top: usize) -> DiffReport {
        let mut report = DiffReport {
            schema: 1,
            before: Side { reference: before, totals: diff.totals.0 },
            after: Side { reference: after, totals: diff.totals.1 },
            components: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
            changed: Vec::new(),
            metadata: Vec::new(),
            top: if top == 0 { usize::MAX } else { top },
        };
        let components = diff.components.into_iter().filter(|component| component.before != component.after);
        report.components = components
            .map(|component| ComponentRow { name: component.name, before: component.before, after: component.after })
            .collect();
        for change in diff.changes {
            let list = match (change.before, change.after) {
                (None, _) => &mut report.added,
                (_, None) => &mut report.removed,
                _ if change.metadata_only => &mut report.metadata,
                _ => &mut report.changed,
            };
            let (path, component) = (change.path, change.component);
            list.push(NameRow { path, component, before: change.before, after: change.after });
        }
        report
    }
}

impl Report for DiffReport {
    fn page(&self) -> Page {
        let mut page = Page::new(format!("{} → {}", self.before.reference, self.after.reference));
        let names = |count: usize| if count == 1 { "name" } else { "names" };
        page.line(format!(
            "{} {} added, {} removed, {} changed, {} with other attributes or security, as containers see it",
            self.added.len(),
            names(self.added.len()),
            self.removed.len(),
            self.changed.len(),
            self.metadata.len()
        ));
        let mut table =
            Table::new(&["component", "unpacked", "after", "compressed", "after", "change"], &[1, 2, 3, 4, 5]);
        let total = (String::from("total"), self.before.totals, self.after.totals);
        let rows = self.components.iter().map(|row| (shorten(&row.name, 22), row.before, row.after));
        for (name, before, after) in rows.take(self.top).chain([total]) {
            let sizes = [before.unpacked, after.unpacked, before.compressed, after.compressed];
            let [unpacked, unpacked_after, compressed, compressed_after] = sizes.map(|size| ByteSize(size).to_string());
            let change = change(before.compressed, after.compressed);
            table.row([name, unpacked, unpacked_after, compressed, compressed_after, change]);
        }
        page.table(table);
        for (heading, rows, line) in [
            ("Added", &self.added, line as fn(&NameRow) -> String),
            ("Removed", &self.removed, line),
            ("Changed", &self.changed, line),
            ("Other attributes or security", &self.metadata, |row| row.path.clone()),
        ] {
            if rows.is_empty() {
                continue;
            }
            let mut items: Vec<String> = rows.iter().take(self.top).map(line).collect();
            if rows.len() > items.len() {
                items.push(format!("and {} more", rows.len() - items.len()));
            }
            page.heading(heading).list(items);
        }
        page
    }
}

fn line(row: &NameRow) -> String {
    let size = |size: Option<u64>| ByteSize(size.unwrap_or(0));
    match (row.before, row.after) {
        (Some(_), Some(_)) => format!("{} → {}  {}", size(row.before), size(row.after), row.path),
        _ => format!("{:>8}  {}", size(row.before.or(row.after)), row.path),
    }
}
