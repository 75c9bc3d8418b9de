//! Values in, text out: what commands show, for people, for the summary of a CI job, and as JSON.

pub mod cache;
pub mod diff;
pub mod host;
pub mod html;
pub mod inspect;
mod kept;
pub mod ledger;
pub mod list;
pub mod lock;
mod markdown;
mod page;
pub mod plan;
pub mod schema;
mod table;
pub mod verify;

use serde::Serialize;

use page::Page;

use crate::text::Shown;

/// Something that is shown, in every format that all reports have.
pub trait Report: Serialize {
    /// What it says to people.
    fn page(&self) -> Page;
    /// For people at a terminal: within 80 columns wherever names allow it, with styles.
    fn to_text(&self) -> Shown {
        self.page().to_text()
    }
    /// The same in parts, for texts that are too long to be made before the first line is shown.
    fn text_parts(&self) -> Box<dyn Iterator<Item = Shown> + '_> {
        Box::new(std::iter::once(self.to_text()))
    }
    /// For the summary of a CI job.
    fn to_markdown(&self) -> Shown {
        self.page().to_markdown()
    }
    /// For programs: indented, with a newline at its end.
    fn to_json(&self) -> Shown
    where
        Self: Sized,
    {
        Shown::json(self)
    }
}
