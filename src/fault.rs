//! What is wrong in a TOML file that people write, told with file, line, column and the line itself.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use crate::error::{IoContext, PathError};
use crate::text::{escape, is_printable};

/// The largest file that people write, in bytes.
pub const MAX_SIZE: u64 = 1 << 20;

/// Why the text of a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The file cannot be read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The file is not text.
    #[error("`{0}` is not text in UTF-8; save it in that encoding")]
    NotText(String),
    /// The file is larger than anything that people write by hand.
    #[error("`{0}` is larger than {limit} KiB; is it the right file?", limit = .1 >> 10)]
    TooLarge(String, u64),
}

/// Reads the text of a file; `action` is the verb for errors, such as `read the profile`.
pub fn read_text(action: &'static str, path: &Path) -> Result<String, TextError> {
    read_text_up_to(MAX_SIZE, action, path)
}

/// The same for a file that may be larger.
pub fn read_text_up_to(limit: u64, action: &'static str, path: &Path) -> Result<String, TextError> {
    let mut bytes = Vec::new();
    let file = open_file(path).context_path(action, path)?;
    file.take(limit + 1).read_to_end(&mut bytes).context_path(action, path)?;
    let name = || path.display().to_string();
    if bytes.len() as u64 > limit {
        return Err(TextError::TooLarge(name(), limit));
    }
    String::from_utf8(bytes).map_err(|_| TextError::NotText(name()))
}

/// Opens a file to read it. What is no file is refused before it is opened: a pipe would wait for ever for somebody to write
/// to it, and a device may never end.
pub fn open_file(path: &Path) -> io::Result<File> {
    let metadata = path.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe or a device, and not a file"));
    }
    File::open(path)
}

/// A wrong place in a file.
///
/// Shown as the place, what is wrong there, and the line with the place marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    text: String,
    width: usize,
}

/// The text of a file together with the name under which people know it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The file, as it was named.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

impl Source<'_> {
    /// A fault at a range of bytes of the text.
    pub fn fault(&self, span: Range<usize>, message: impl Into<String>) -> Box<Fault> {
        let start = self.text.floor_char_boundary(span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let column = self.text[line_start..start].chars().count();
        let end =
            self.text.floor_char_boundary(span.end).clamp(start, line_start.saturating_add(line.len()).max(start));
        Box::new(Fault {
            file: escape(self.name).into_owned(),
            line: before.matches('\n').count() + 1,
            column: column + 1,
            message: escape(&message.into()).into_owned(),
            text: aligned(line),
            width: self.text[start..end].chars().count().max(1),
        })
    }

    /// A fault that the TOML reader found, in words for people.
    pub fn toml_fault(&self, error: &toml::de::Error) -> Box<Fault> {
        self.fault(error.span().unwrap_or(0..0), reword(error.message()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.text)?;
        write!(f, "{margin} | {}{}", " ".repeat(self.column - 1), "^".repeat(self.width))
    }
}

impl std::error::Error for Fault {}

/// A line in which each character takes its place, so that the mark below it stays where it belongs.
fn aligned(line: &str) -> String {
    let place = |character| match character {
        '\t' => ' ',
        _ if is_printable(character) => character,
        _ => '\u{fffd}',
    };
    line.chars().map(place).collect()
}

/// Turns the messages of serde and of the TOML reader into sentences, with a suggestion for a misspelt word.
fn reword(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next().unwrap_or_default();
    for (start, what) in [("unknown field ", "key"), ("unknown variant ", "value")] {
        if message.starts_with(start) {
            let known: Vec<&str> = quoted.collect();
            return match nearest(word, known.iter().copied()) {
                Some(near) => format!("unknown {what} `{word}`; did you mean `{near}`?"),
                None => format!("unknown {what} `{word}`; here stands one of `{}`", known.join("`, `")),
            };
        }
    }
    if message.starts_with("missing field ") {
        return format!("the key `{word}` is missing");
    }
    if message.starts_with("missing escaped value") || message.starts_with("too few unicode value digits") {
        return "`\\` begins an escape between double quotes; write Windows paths between single quotes".to_owned();
    }
    // A list was given; serde counts its elements before it looks at them.
    if message.starts_with("invalid length ") {
        return "this is of the wrong type: a list, where a table is expected".to_owned();
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        let expected = match expected {
            "a sequence" => "a list",
            "u32" | "i64" => "a whole number",
            "a map" => "a table",
            other if other.starts_with("struct ") => "a table",
            other => other,
        };
        return format!("this is of the wrong type: {found}, where {expected} is expected");
    }
    message.to_owned()
}

/// The word that was most likely meant, if one is near enough.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Range<usize>) -> String {
        Source { name: "x.toml", text }.fault(span, "is wrong").to_string()
    }

    #[test]
    fn the_place_is_marked() {
        assert_eq!(
            shown("a = 1\r\nbc = 'é' # é\r\n", 12..16),
            "x.toml:2:6: is wrong\n  |\n2 | bc = 'é' # é\n  |      ^^^"
        );
        assert_eq!(shown("\ta = 1", 1..2), "x.toml:1:2: is wrong\n  |\n1 |  a = 1\n  |  ^");
    }

    #[test]
    fn no_span_makes_it_panic() {
        for text in ["", "\n", "é", "a\nb", "\u{1b}[2J"] {
            for start in 0..6 {
                for end in 0..6 {
                    let shown = shown(text, start..end);
                    assert!(shown.contains('^') && !shown.contains('\u{1b}'), "{text:?} {start} {end}");
                }
            }
        }
    }

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        for (word, expected) in [("pathes", Some("paths")), ("pahts", Some("paths")), ("zzz", None), ("", None)] {
            assert_eq!(nearest(word, ["id", "paths", "except"].into_iter()), expected, "{word}");
        }
    }
}
