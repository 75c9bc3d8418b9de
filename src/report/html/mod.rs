//! A report as one HTML file, to be looked at in a browser, sent around, or kept beside a build.
//!
//! The page itself is always the same; what it shows is one JSON text in it. It loads nothing from anywhere. Names come from
//! images and are not trusted: the script makes text of them, never HTML, and the page's policy lets nothing run but that script.

pub mod inspect;
pub mod ledger;
pub(super) mod savings;
mod tree;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use tree::Tree;

use crate::text::Shown;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What a page shows, from top to bottom.
#[derive(Debug, Default, Serialize)]
pub(super) struct Document {
    /// What it is about.
    pub(super) title: String,
    /// What else there is to say of that.
    pub(super) lines: Vec<String>,
    /// The numbers that matter most.
    pub(super) tiles: Vec<Tile>,
    /// What people should know.
    pub(super) warnings: Vec<String>,
    /// Bars below each other, to the same scale. A table says the same.
    pub(super) bars: Vec<Bar>,
    /// The directories, as a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tree: Option<Tree>,
    /// Tables that can be sorted; the page leaves out those without rows.
    pub(super) tables: Vec<Table>,
}

/// A number that matters.
#[derive(Debug, Serialize)]
pub(super) struct Tile {
    pub(super) label: &'static str,
    pub(super) value: Cell,
    pub(super) note: String,
}

/// Sizes in a row.
#[derive(Debug, Serialize)]
pub(super) struct Bar {
    pub(super) label: &'static str,
    pub(super) parts: Vec<Part>,
}

/// A size in a bar.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) label: String,
    /// Bytes.
    pub(super) size: u64,
    /// Bytes of these that are dead.
    pub(super) dead: u64,
}

/// A table; the page sorts it, and shows the first rows until it is asked for more.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) note: &'static str,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// What a column holds.
#[derive(Debug, Serialize)]
pub(super) struct Column {
    pub(super) label: &'static str,
    pub(super) kind: Kind,
    /// Whether a narrow screen leaves it out.
    pub(super) minor: bool,
}

/// How the cells of a column are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// As it is.
    Text,
    /// A name from an image.
    Path,
    /// The name of a component, with its colour in the picture.
    Component,
    /// A number.
    Count,
    /// A number of bytes.
    Bytes,
    /// A number of bytes, with a bar of that length.
    Bar,
}

/// What a cell holds.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Cell {
    /// A word.
    Text(String),
    /// A number, by which the table can be sorted.
    Number(i64),
}

impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Number(number)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

/// A column that is always shown.
pub(super) const fn column(label: &'static str, kind: Kind) -> Column {
    Column { label, kind, minor: false }
}

/// A column that a narrow screen leaves out.
pub(super) const fn minor(label: &'static str, kind: Kind) -> Column {
    Column { label, kind, minor: true }
}

impl Document {
    /// The page, as the text of an HTML file.
    pub(super) fn to_html(&self) -> Shown {
        let json = Shown::visible_json(self);
        // Names come last, so that nothing in them is taken for a place to fill in.
        let fixed = PAGE
            .replace("%STYLE_HASH%", &hash(STYLE))
            .replace("%SCRIPT_HASH%", &hash(SCRIPT))
            .replace("%STYLE%", STYLE)
            .replace("%SCRIPT%", SCRIPT);
        Shown::of_escaped(fixed.replace("%DATA%", &inside_script(&json)))
    }
}

/// JSON as it can stand inside `<script>`: without `</script` and `<!--`, which would end or change that element wherever
/// they stand. JSON has `<` only in texts.
fn inside_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// The source expression of an inline text in a content security policy.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_data() {
        let title = "<img src=x onerror=alert(1)></script><!-- %STYLE% %DATA%".to_owned();
        let page = Document { title: title.clone(), ..Document::default() }.to_html();
        assert_eq!(page.matches("</script").count(), 2, "the data's and the script's own");
        assert!(!page.contains("<img") && !page.contains("<!--"));
        let (_, data) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        let value: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(value["title"], title);
    }

    #[test]
    fn the_page_is_whole_and_loads_nothing() {
        let page = Document::default().to_html();
        for place in
            ["%STYLE%", "%SCRIPT%", "%DATA%", "%STYLE_HASH%", "%SCRIPT_HASH%", "http:", "https:", "//cdn", "@import"]
        {
            assert!(!page.contains(place), "{place}");
        }
        assert!(page.starts_with("<!doctype html>"));
        for unsafe_word in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "DOMParser"] {
            assert!(!SCRIPT.contains(unsafe_word), "{unsafe_word}");
        }
        assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    }

    /// How much two colours stand out from each other, as the accessibility guidelines (WCAG 2, 1.4.3) count it.
    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |colour: &str| -> f64 {
            let channel = |at| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn all_text_can_be_read_in_both_schemes() {
        let (light, dark) = STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
        for scheme in [light, dark.split_once("* {").unwrap().0] {
            let colour = |name: &str| {
                let (_, rest) = scheme.split_once(&format!("--{name}: ")).unwrap();
                rest.split_once(';').unwrap().0
            };
            let cells: Vec<String> = (0..12).map(|number| format!("c{number}")).collect();
            let below_text =
                ["page", "card", "fill", "fill2", "warn"].into_iter().chain(cells.iter().map(String::as_str));
            let pairs = below_text.map(|below| ("text", below)).chain([
                ("soft", "page"),
                ("soft", "card"),
                ("accent", "page"),
                ("accent", "card"),
                ("card", "accent"),
            ]);
            for (text, below) in pairs {
                let contrast = contrast(colour(text), colour(below));
                assert!(contrast >= 4.5, "{text} on {below}: {contrast}");
            }
        }
    }
}
