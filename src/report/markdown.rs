//! Text in Markdown.

use crate::text::escape;

/// Text that means nothing but itself in Markdown, wherever in a line it is: no markup, no link, no mention, no heading.
pub(super) fn markdown(text: &str) -> String {
    let text = escape(text);
    let mut escaped = String::with_capacity(text.len() + 8);
    // What begins a list, a heading or a rule does so at the beginning of a line only.
    let number = text.bytes().take_while(u8::is_ascii_digit).count();
    for (at, character) in text.char_indices() {
        let rest = &text[at + character.len_utf8()..];
        let is_markup = match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '@' | '$' => true,
            '-' | '+' => at == 0 && rest.starts_with([' ', '-']),
            '=' => at == 0,
            '.' | ')' => {
                number > 0 && at == number && (rest.is_empty() || rest.starts_with(' '))
                    || at >= 3 && text.as_bytes()[at - 3..at].eq_ignore_ascii_case(b"www")
            }
            ':' => rest.starts_with("//"),
            _ => false,
        };
        if is_markup {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_means_nothing_but_itself() {
        for (text, expected) in [
            ("1. a", "1\\. a"),
            ("- a-b", "\\- a-b"),
            ("---", "\\---"),
            ("-", "-"),
            ("10.0.17763.1", "10.0.17763.1"),
            ("# a @b $c$", "\\# a \\@b \\$c\\$"),
            ("http://a.b www.c", "http\\://a.b www\\.c"),
            ("…x.y é….z", "…x.y é….z"),
            ("<b>&amp;|~`", "\\<b\\>\\&amp;\\|\\~\\`"),
            ("\u{202e}", "\\\\u{202e}"),
        ] {
            assert_eq!(markdown(text), expected);
        }
    }
}
