//! Values in, text out: what commands show, for people, for the summary of a CI job, and as JSON.

pub mod bytes;
pub mod cache;
pub mod diff;
pub mod host;
pub mod html;
pub mod inspect;
pub mod ledger;
pub mod list;
pub mod lock;
mod page;
pub mod plan;
pub mod schema;
mod table;
pub mod verify;

use serde::Serialize;

/// Something that is shown, in every format that all reports have.
pub trait Report {
    /// For people at a terminal: within 80 columns wherever names allow it, with styles.
    fn to_text(&self) -> String;
    /// The same in parts, for texts that are too long to be made before the first line is shown.
    fn text_parts(&self) -> Box<dyn Iterator<Item = String> + '_> {
        Box::new(std::iter::once(self.to_text()))
    }
    /// For the summary of a CI job.
    fn to_markdown(&self) -> String;
    /// For programs.
    fn to_json(&self) -> String;
    /// For a browser: one whole file; nothing if this report has no such page.
    fn to_html(&self) -> Option<String> {
        None
    }
}

/// A report as indented JSON with a newline at its end.
fn json(report: &impl Serialize) -> String {
    #[expect(clippy::unwrap_used, reason = "only maps with keys that are no strings fail, and reports have none")]
    let mut text = serde_json::to_string_pretty(report).unwrap();
    text.push('\n');
    text
}
