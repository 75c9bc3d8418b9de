//! JSON whose texts are printable: for programs, which get back what was written, and for pages, which show it spelled out.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

use super::escape::{is_ascii_printable, is_printable};

/// Returns a value as indented JSON with a newline at its end. Whatever does not show is a JSON escape (`\u202e`), so that a
/// program reads the very text, and a terminal shows nothing but printable characters.
pub(super) fn json(value: &impl Serialize) -> String {
    let mut text = written(value, Programs { layout: PrettyFormatter::new() });
    text.push('\n');
    text
}

/// Returns a value as JSON in one line, for the script of a page. Whatever does not show is spelled out within the texts
/// (`\u{202e}`), because the page shows them as they are.
pub(super) fn visible_json(value: &impl Serialize) -> String {
    written(value, Pages)
}

/// Returns a value as JSON in one line, with a newline at its end, for a log. Escaped as in [`json`].
pub(super) fn line(value: &impl Serialize) -> String {
    let mut text = written(value, Programs { layout: CompactFormatter });
    text.push('\n');
    text
}

fn written(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    #[expect(clippy::unwrap_used, reason = "only maps with keys that are no strings fail, and nothing here has such")]
    value.serialize(&mut serializer).unwrap();
    #[expect(clippy::unwrap_used, reason = "the formatters write texts in UTF-8")]
    String::from_utf8(bytes).unwrap()
}

/// Writes what programs read, laid out as `layout` does.
struct Programs<F> {
    layout: F,
}

impl<F: Formatter> Formatter for Programs<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        escaped(writer, fragment, |writer, character| {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))
        })
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.layout.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.layout.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_object_value(writer)
    }
}

/// Writes what a page shows.
struct Pages;

impl Formatter for Pages {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        escaped(writer, fragment, |writer, character| write!(writer, "\\\\u{{{:x}}}", u32::from(character)))
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::Quote => writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => writer.write_all(b"\\\\"),
            CharEscape::Solidus => writer.write_all(b"/"),
            CharEscape::LineFeed => writer.write_all(b"\\\\n"),
            CharEscape::CarriageReturn => writer.write_all(b"\\\\r"),
            CharEscape::Tab => writer.write_all(b"\\\\t"),
            CharEscape::Backspace => writer.write_all(b"\\\\u{8}"),
            CharEscape::FormFeed => writer.write_all(b"\\\\u{c}"),
            CharEscape::AsciiControl(byte) => write!(writer, "\\\\u{{{byte:x}}}"),
        }
    }
}

/// Writes a text; what does not show is written by `escape`.
fn escaped<W: ?Sized + Write>(
    writer: &mut W,
    text: &str,
    escape: impl Fn(&mut W, char) -> io::Result<()>,
) -> io::Result<()> {
    if is_ascii_printable(text) && !text.contains("##") {
        return writer.write_all(text.as_bytes());
    }
    let mut before = None;
    for character in text.chars() {
        // Two of them make a line a command to Azure Pipelines, wherever they are.
        let is_second = character == '#' && before == Some('#');
        before = Some(character);
        match is_printable(character) && !is_second {
            true => writer.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?,
            false => escape(writer, character)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::text::escape;

    #[test]
    fn programs_read_the_very_text_and_pages_show_it() {
        let value = json!({ "a\u{202e}": ["x\u{1b}\n\u{e0041}\"\\é##", {}, []], "n": 1 });
        assert_eq!(line(&value), "{\"a\\u202e\":[\"x\\u001b\\n\\udb40\\udc41\\\"\\\\é#\\u0023\",{},[]],\"n\":1}\n");
        assert_eq!(visible_json(&value), r#"{"a\\u{202e}":["x\\u{1b}\\n\\u{e0041}\"\\é#\\u{23}",{},[]],"n":1}"#);
        // The layout is that of serde_json.
        let plain = json!({ "a": [1, { "b": null }], "c": {}, "d": [] });
        assert_eq!(super::json(&plain), serde_json::to_string_pretty(&plain).unwrap() + "\n");
    }

    proptest! {
        #[test]
        fn json_reads_back(text in any::<String>()) {
            let value = Value::from(text.clone());
            let written = super::json(&value);
            prop_assert!(written.trim_end_matches('\n').chars().all(is_printable));
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value.clone());
            let shown: String = serde_json::from_str(&visible_json(&value)).unwrap();
            prop_assert_eq!(shown, escape(&format!("x{text}"))[1..].to_owned());
        }
    }
}
