//! Text that others wrote, made safe to show: the only place that decides what may reach a terminal, a log, a page or a file.
//!
//! Names of files, documents of images, answers of registries and profiles from pull requests may hold anything: escape
//! sequences that clear a screen, line ends that forge a line of a log, bidirectional overrides that reverse a name, zero-width
//! characters that make two names look alike. Everything that winslim writes passes through [`Shown`], whose constructors
//! escape such characters, and whatever writes takes nothing else.

mod escape;
mod json;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde_json::{Map, Value};

use escape::push_escaped;
pub use escape::{escape, is_printable};
use json::{json, visible_json};

/// Something that happened, for logs that programs read.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened, as a word: `layer`, `rule`.
    pub name: &'static str,
    /// The numbers and names that belong to it.
    pub fields: Map<String, Value>,
}

/// Text that may go out: to a terminal, a pipe, a log or a file.
///
/// It consists of printable characters, line ends, tabs, and styles for a terminal (`ESC [ … m`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// One line, with a line end behind it. Line ends in the text are escaped.
    pub fn line(text: &str) -> Shown {
        Shown(escape(text).into_owned() + "\n")
    }

    /// The lines of a text that is shown as it is, such as a profile; what else is not printable is escaped.
    pub fn lines(text: &str) -> Shown {
        let mut shown = String::with_capacity(text.len());
        for line in text.lines() {
            shown.push_str(&escape(&line.replace('\t', "    ")));
            shown.push('\n');
        }
        Shown(shown)
    }

    /// A value as indented JSON. Whatever does not show is a JSON escape (`\u202e`), so that a program reads the very text.
    pub fn json(value: &impl serde::Serialize) -> Shown {
        Shown(json(value))
    }

    /// A value as JSON in one line, for a log.
    pub fn json_line(value: &impl serde::Serialize) -> Shown {
        Shown(json::line(value))
    }

    /// A value as JSON in one line, for the script of a page. Whatever does not show is spelled out within the texts (`\u{202e}`).
    pub fn visible_json(value: &impl serde::Serialize) -> Shown {
        Shown(visible_json(value))
    }

    /// A text whose parts were escaped one by one, so that its line ends, tabs and styles are meant. Anything else that is not
    /// printable is escaped all the same.
    pub fn of_escaped(text: String) -> Shown {
        if is_plain(&text) {
            return Shown(text);
        }
        let mut shown = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(character) = rest.chars().next() {
            let style = style_length(rest);
            let length = style.max(character.len_utf8());
            match character {
                '\n' | '\t' => shown.push(character),
                _ if style > 0 => shown.push_str(&rest[..style]),
                _ => push_escaped(&mut shown, character),
            }
            rest = &rest[length..];
        }
        Shown(shown)
    }

    /// The text without its styles, for a file.
    pub fn without_styles(&self) -> Cow<'_, str> {
        if !self.0.contains('\x1b') {
            return Cow::Borrowed(&self.0);
        }
        Cow::Owned(anstream::adapter::strip_str(&self.0).to_string())
    }

    /// Several texts, one behind the other.
    pub fn concat(parts: impl IntoIterator<Item = Shown>) -> Shown {
        Shown(parts.into_iter().map(|part| part.0).collect())
    }
}

impl Deref for Shown {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~' | b'\n'))
}

/// The length of a style for a terminal (SGR: `ESC [`, digits and semicolons, `m`) at the beginning of a text; 0 if there is none.
fn style_length(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\x1b[") else { return 0 };
    let parameters = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if rest.as_bytes().get(parameters) == Some(&b'm') { 2 + parameters + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whatever_does_not_show_is_spelled_out() {
        for (text, shown) in [
            ("Windows\\System32", "Windows\\System32"),
            ("Größe 日本 ไทย e\u{301} \u{1f600}", "Größe 日本 ไทย e\u{301} \u{1f600}"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a::b C#", "a::b C#"),
            (" ::set-output::", " :\\u{3a}set-output::"),
            ("\r::x", "\\r:\\u{3a}x"),
            ("a ###vso[x] ##[y]", "a #\\u{23}\\u{23}vso[x] #\\u{23}[y]"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{85}\u{9b}31m\u{7f}", "\\u{85}\\u{9b}31m\\u{7f}"),
            ("a\u{a0}b\u{2028}c\u{2029}d\u{3000}", "a\\u{a0}b\\u{2028}c\\u{2029}d\\u{3000}"),
            ("gpj\u{202e}exe\u{2066}", "gpj\\u{202e}exe\\u{2066}"),
            ("x\u{200b}y\u{2060}z\u{feff}\u{ad}\u{180e}", "x\\u{200b}y\\u{2060}z\\u{feff}\\u{ad}\\u{180e}"),
            ("\u{e0041}\u{3164}\u{115f}\u{2800}\u{fe0f}", "\\u{e0041}\\u{3164}\\u{115f}\\u{2800}\\u{fe0f}"),
        ] {
            assert_eq!(escape(text), shown);
            assert_eq!(&*Shown::line(text), format!("{shown}\n"));
        }
    }

    #[test]
    fn styles_and_lines_that_are_meant_stay() {
        let text = "\x1b[1mbold\x1b[0m\n\t\x1b[2J\x1b[38;5;1m\x1b]0;title\x07\x1b[\r";
        let expected = "\x1b[1mbold\x1b[0m\n\t\\u{1b}[2J\x1b[38;5;1m\\u{1b}]0;title\\u{7}\\u{1b}[\\r";
        let shown = Shown::of_escaped(text.to_owned());
        assert_eq!(&*shown, expected);
        assert_eq!(shown.without_styles(), "bold\n\t\\u{1b}[2J\\u{1b}]0;title\\u{7}\\u{1b}[\\r");
        assert_eq!(&*Shown::lines("a\r\nb\tc\x1b"), "a\nb    c\\u{1b}\n");
    }

    proptest! {
        #[test]
        fn nothing_gets_through(text in any::<String>()) {
            let is_safe = |text: &str| text.chars().all(|c| is_printable(c) || c == '\n' || c == '\t');
            prop_assert!(escape(&text).chars().all(is_printable));
            prop_assert!(is_safe(&Shown::of_escaped(text.clone()).without_styles()));
            prop_assert!(is_safe(&Shown::lines(&text)));
            prop_assert_eq!(Shown::line(&text).matches('\n').count(), 1);
        }
    }
}
