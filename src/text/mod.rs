//! Text that others wrote, made safe to show: the only place that decides what may reach a terminal, a log, a page or a file.
//!
//! Names of files, documents of images, answers of registries and profiles from pull requests may hold anything: escape
//! sequences that clear a screen, line ends that forge a line of a log, bidirectional overrides that reverse a name, zero-width
//! characters that make two names look alike. Everything that winslim writes passes through [`Shown`], whose constructors
//! escape such characters, and whatever writes takes nothing else.

mod json;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde_json::{Map, Value};

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

/// Returns a text with everything that is not printable spelled out, in one line: `\u{202e}`, `\n`.
///
/// So is what makes a line a command to a CI system: `##` anywhere (Azure Pipelines `##vso[`, TeamCity, GitHub's older `##[`),
/// and `::` in front (GitHub Actions).
///
/// Backslashes stay as they are, because names on Windows are full of them. So this is for showing, not for reading back.
pub fn escape(text: &str) -> Cow<'_, str> {
    // Almost every text is like that; a search that ends early is slower.
    let begins_command = text.trim_start_matches(|c| c == ' ' || !is_printable(c)).starts_with("::");
    let is_command = begins_command || text.contains("##");
    if !is_command && (is_ascii_printable(text) || text.chars().all(is_printable)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut before = None;
    // Of the two colons in front, and of any two `#`, the second one is spelled out.
    let mut in_front = begins_command;
    for character in text.chars() {
        let is_second = before == Some(character) && (character == '#' || character == ':' && in_front);
        match is_second {
            true => shown.extend(character.escape_unicode()),
            false => push_escaped(&mut shown, character),
        }
        in_front &= before != Some(':');
        before = Some(character);
    }
    Cow::Owned(shown)
}

fn push_escaped(shown: &mut String, character: char) {
    match character {
        _ if is_printable(character) => shown.push(character),
        '\n' | '\r' | '\t' => shown.extend(character.escape_default()),
        _ => shown.extend(character.escape_unicode()),
    }
}

fn is_ascii_printable(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
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

/// Returns `true` if a character shows as itself and as nothing else: no control, format or separator character but the
/// blank, nothing that readers ignore, nothing that looks like a blank.
pub fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    let code = u32::from(character);
    let at = HIDDEN.partition_point(|&(first, _)| first <= code);
    at == 0 || HIDDEN[at - 1].1 < code
}

/// Characters beyond ASCII that do not show, in order: the general categories Cc, Cf, Zs, Zl and Zp, the property
/// Default_Ignorable_Code_Point, noncharacters (Unicode 16, `UnicodeData.txt` and `DerivedCoreProperties.txt`), and U+2800, a
/// blank of another name.
const HIDDEN: &[(u32, u32)] = &[
    (0x80, 0xa0),
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x115f, 0x1160),
    (0x1680, 0x1680),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x2000, 0x200f),
    (0x2028, 0x202f),
    (0x205f, 0x206f),
    (0x2800, 0x2800),
    (0x3000, 0x3000),
    (0x3164, 0x3164),
    (0xfdd0, 0xfdef),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0xfffe, 0xffff),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

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
    fn the_table_is_in_order_and_has_what_the_standard_library_knows() {
        assert!(HIDDEN.windows(2).all(|pair| pair[0].1 < pair[1].0) && HIDDEN.iter().all(|(from, to)| from <= to));
        for character in '\0'..=char::MAX {
            if character != ' ' && (character.is_control() || character.is_whitespace()) {
                assert!(!is_printable(character), "{character:?}");
            }
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
