//! Tables without lines: columns apart by spaces, numbers to the right. In Markdown: tables as the web shows them.

use anstyle::{Effects, Style};
use comfy_table::CellAlignment;
use comfy_table::presets::NOTHING;

use super::markdown::markdown as escaped;
use crate::text::escape as visible;

/// A header and rows below it.
#[derive(Debug)]
pub(super) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// The columns whose cells stand to the right.
    right: Vec<usize>,
}

const HEADER: Style = Style::new().effects(Effects::BOLD);

impl Table {
    /// A table without rows.
    pub(super) fn new(header: &[&'static str], right: &[usize]) -> Table {
        Table { header: header.to_vec(), rows: Vec::new(), right: right.to_vec() }
    }

    /// Adds a row with a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The table as lines for a terminal.
pub(super) fn text(table: &Table) -> String {
    let mut laid_out = comfy_table::Table::new();
    laid_out.load_style(NOTHING).set_header(table.header.clone());
    for row in &table.rows {
        laid_out.add_row(row.iter().map(|cell| visible(cell)));
    }
    for &column in &table.right {
        if let Some(column) = laid_out.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for (number, line) in laid_out.lines().enumerate() {
        let line = line.trim_end();
        let line = line.strip_prefix(' ').unwrap_or(line);
        match number {
            0 => text += &format!("  {HEADER}{line}{HEADER:#}\n"),
            _ => text += &format!("  {line}\n"),
        }
    }
    text
}

/// The table in Markdown.
pub(super) fn markdown(table: &Table) -> String {
    let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
    let mut text = line(&mut table.header.iter().map(|cell| escaped(cell)));
    let rule = |column| if table.right.contains(&column) { "---:" } else { "---" };
    text += &line(&mut (0..table.header.len()).map(|column| rule(column).to_owned()));
    for row in &table.rows {
        text += &line(&mut row.iter().map(|cell| escaped(cell)));
    }
    text
}
