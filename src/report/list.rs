//! The entries of an image one by one.

use std::borrow::Cow;
use std::panic::resume_unwind;
use std::{iter, thread};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::Report;
use super::page::Page;
use super::table::Table;
use crate::bytes::ByteSize;
use crate::inspect::{Listed, SizeModel};
use crate::layer::path::push_windows_name;
use crate::layer::{EntryId, EntryKind, LayerPath};
use crate::text::{Shown, escape as visible};

/// A listing.
#[derive(Debug)]
pub struct ListReport<'a> {
    model: &'a SizeModel<'a>,
    entries: Vec<EntryId>,
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
    pub fn new(model: &'a SizeModel<'a>, entries: Vec<EntryId>) -> ListReport<'a> {
        ListReport { model, entries }
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn rows(&self) -> impl Iterator<Item = Listed<'_>> {
        self.entries.iter().map(|&entry| self.model.listed(entry))
    }

    /// A line for each entry.
    fn lines(&self, entries: &[EntryId]) -> String {
        let mut text = String::with_capacity(entries.len() * 160);
        let (mut number, mut size) = (itoa::Buffer::new(), [0; ByteSize::LONGEST]);
        for &entry in entries {
            let listed = self.model.listed(entry);
            text.push(listed.letter());
            text.extend(listed.attributes());
            right(&mut text, 6, number.format(u32::from(listed.id.layer)));
            right(&mut text, 7, number.format(listed.names));
            right(&mut text, 10, ByteSize(listed.length()).text(&mut size));
            right(&mut text, 12, ByteSize(listed.size.compressed).text(&mut size));
            right(&mut text, 8, &hidden(&listed));
            text.push_str("  ");
            push_name(&mut text, &listed.entry.path);
            match (listed.holder, &listed.entry.link) {
                (Some(holder), _) => {
                    text.push_str(" -> ");
                    push_name(&mut text, &holder.path);
                }
                (None, Some(link)) => {
                    text.push_str(" -> ");
                    text.push_str(&visible(link));
                }
                (None, None) => {}
            }
            text.push('\n');
        }
        text
    }

    fn json_row(&self, listed: &Listed<'_>) -> Row {
        let target = match listed.entry.kind {
            EntryKind::Symlink | EntryKind::Junction => listed.entry.link.as_deref().map(str::to_owned),
            _ => None,
        };
        Row {
            path: listed.entry.path.to_windows(),
            kind: kind(listed.entry.kind),
            layer: listed.id.layer.into(),
            size: listed.length(),
            compressed: listed.size.compressed,
            attributes: listed.entry.attributes,
            component: self.model.component_name(listed.size.component).to_owned(),
            names: listed.names,
            holder: listed.holder.map(|holder| holder.path.to_windows()),
            target,
            hidden_by: listed.hidden_by.map(u32::from),
            dead: listed.dead,
        }
    }
}

impl Serialize for ListReport<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.rows().map(|listed| self.json_row(&listed)).collect();
        Listing { schema: 1, entries }.serialize(serializer)
    }
}

impl Report for ListReport<'_> {
    fn page(&self) -> Page {
        let mut table = Table::new(&["name", "kind", "layer", "size", "compressed", "hidden"], &[2, 3, 4]);
        for listed in self.rows() {
            table.row([
                listed.entry.path.to_windows(),
                kind(listed.entry.kind).to_owned(),
                listed.id.layer.to_string(),
                ByteSize(listed.length()).to_string(),
                ByteSize(listed.size.compressed).to_string(),
                hidden(&listed).into_owned(),
            ]);
        }
        let mut page = Page::new(format!("{} entries", self.entries.len()));
        page.table(table);
        page
    }

    fn to_text(&self) -> Shown {
        Shown::concat(self.text_parts())
    }

    /// One line for each entry, made by hand: a table of a hundred thousand rows takes seconds to be laid out.
    fn text_parts(&self) -> Box<dyn Iterator<Item = Shown> + '_> {
        let header = "kind  layer  names      size  compressed  hidden  name\n".to_owned();
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let parts = self.entries.chunks(PART * threads).map(move |entries| {
            thread::scope(|scope| {
                let parts: Vec<_> = entries.chunks(PART).map(|part| scope.spawn(|| self.lines(part))).collect();
                let joined = parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic)));
                joined.collect::<String>()
            })
        });
        Box::new(iter::once(header).chain(parts).map(Shown::of_escaped))
    }
}

/// How many rows one thread makes at a time.
const PART: usize = 4_000;

/// Appends ASCII text behind spaces.
fn right(text: &mut String, width: usize, shown: &str) {
    text.extend(iter::repeat_n(' ', width.saturating_sub(shown.len())));
    text.push_str(shown);
}

/// Appends a name as on Windows.
fn push_name(text: &mut String, path: &LayerPath) {
    match visible(path.as_str()) {
        Cow::Borrowed(name) => push_windows_name(text, name),
        Cow::Owned(_) => text.push_str(&visible(&path.to_windows())),
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
