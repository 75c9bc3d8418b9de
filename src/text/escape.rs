//! Which characters show as themselves, and how all others are spelled out.

use std::borrow::Cow;

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

pub(super) fn push_escaped(shown: &mut String, character: char) {
    match character {
        _ if is_printable(character) => shown.push(character),
        '\n' | '\r' | '\t' => shown.extend(character.escape_default()),
        _ => shown.extend(character.escape_unicode()),
    }
}

pub(super) fn is_ascii_printable(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
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
    use super::*;

    #[test]
    fn the_table_is_in_order_and_has_what_the_standard_library_knows() {
        assert!(HIDDEN.windows(2).all(|pair| pair[0].1 < pair[1].0) && HIDDEN.iter().all(|(from, to)| from <= to));
        for character in '\0'..=char::MAX {
            if character != ' ' && (character.is_control() || character.is_whitespace()) {
                assert!(!is_printable(character), "{character:?}");
            }
        }
    }
}
