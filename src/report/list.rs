//! The entries of an image one by one.

use std::borrow::Cow;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::Report;
use super::bytes::ByteSize;
use super::page::{Page, visible};
use super::table::Table;
use crate::inspect::{Listed, SizeModel};
use crate::layer::EntryKind;

/// A listing.
#[derive(Debug)]
pub struct ListReport<'a> {
    model: &'a SizeModel<'a>,
    rows: Vec<Listed<'a>>,
}

/// A listing, as JSON has it: an object with one list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing {
    /// The version of this form: 1. Fields are only ever added to a version.
    schema: u32,
    /// The entries, a directory right before what is in it.
    entries: Vec<Row>,
}

/// An entry.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// Its name, as on Windows.
    path: String,
    /// `file`, `directory`, `hard-link`, `symlink`, `junction`, `stream`, `whiteout` or `other`.
    kind: &'static str,
    /// The layer that has it; 0 is the base layer.
    layer: u32,
    /// The length of the file in bytes; that of a hard link is that of the file.
    size: u64,
    /// Bytes of the compressed layer that the entry takes, its headers included.
    compressed: u64,
    /// Win32 file attributes, if recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<u32>,
    /// The part of Windows that it belongs to.
    component: String,
    /// How many names the file has; 1 for what is no link and has none to it.
    names: usize,
    /// The name that holds the data, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    /// The target of a symbolic link or junction.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// The layer that replaces or deletes the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_by: Option<u32>,
    /// Whether no container sees the data, under no name.
    dead: bool,
}

impl<'a> ListReport<'a> {
    /// The report on these entries.
    pub fn new(model: &'a SizeModel<'a>, rows: Vec<Listed<'a>>) -> ListReport<'a> {
        ListReport { model, rows }
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn json_row(&self, listed: &Listed<'_>) -> Row {
        let target = match listed.entry.kind {
            EntryKind::Symlink | EntryKind::Junction => listed.entry.link.as_deref().map(str::to_owned),
            _ => None,
        };
        Row {
            path: listed.entry.path.to_windows(),
            kind: kind(listed.entry.kind),
            layer: listed.id.layer,
            size: listed.length(),
            compressed: listed.size.compressed,
            attributes: listed.entry.attributes,
            component: self.model.component_name(listed.size.component).to_owned(),
            names: listed.names,
            holder: listed.holder.map(|holder| holder.path.to_windows()),
            target,
            hidden_by: listed.hidden_by,
            dead: listed.dead,
        }
    }
}

impl Report for ListReport<'_> {
    /// One line for each entry, made by hand: a table of a hundred thousand rows takes seconds to be laid out.
    fn to_text(&self) -> String {
        let mut text = String::from("kind  layer  names      size  compressed  hidden  name\n");
        for listed in &self.rows {
            let (length, compressed) = (ByteSize(listed.length()), ByteSize(listed.size.compressed));
            let hidden = hidden(listed);
            text.push(listed.letter());
            text.extend(listed.attributes());
            let (layer, names) = (listed.id.layer, listed.names);
            // Writing to a string cannot fail.
            let _ = write!(text, " {layer:>5}  {names:>5}  {length:>8}  {compressed:>10}  {hidden:>6}  ");
            text.push_str(&visible(&listed.entry.path.to_windows()));
            let target = match (listed.holder, &listed.entry.link) {
                (Some(holder), _) => Some(Cow::Owned(holder.path.to_windows())),
                (None, link) => link.as_deref().map(Cow::Borrowed),
            };
            if let Some(target) = target {
                text.push_str(" -> ");
                text.push_str(&visible(&target));
            }
            text.push('\n');
        }
        text
    }

    fn to_markdown(&self) -> String {
        let mut table = Table::new(&["name", "kind", "layer", "size", "compressed", "hidden"], &[2, 3, 4]);
        for listed in &self.rows {
            table.row([
                listed.entry.path.to_windows(),
                kind(listed.entry.kind).to_owned(),
                listed.id.layer.to_string(),
                ByteSize(listed.length()).to_string(),
                ByteSize(listed.size.compressed).to_string(),
                hidden(listed).into_owned(),
            ]);
        }
        let mut page = Page::new(format!("{} entries", self.rows.len()));
        page.table(table);
        page.to_markdown()
    }

    fn to_json(&self) -> String {
        let entries = self.rows.iter().map(|listed| self.json_row(listed)).collect();
        super::json(&Listing { schema: 1, entries })
    }
}

/// The layer that hides a name; in parentheses if its data is needed all the same.
fn hidden(listed: &Listed<'_>) -> Cow<'static, str> {
    match (listed.hidden_by, listed.dead) {
        (None, _) => "-".into(),
        (Some(by), false) => format!("({by})").into(),
        (Some(by), true) => by.to_string().into(),
    }
}

fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Directory => "directory",
        EntryKind::File => "file",
        EntryKind::HardLink => "hard-link",
        EntryKind::Symlink => "symlink",
        EntryKind::Junction => "junction",
        EntryKind::Stream => "stream",
        EntryKind::Whiteout | EntryKind::OpaqueWhiteout => "whiteout",
        EntryKind::Other(_) => "other",
    }
}
