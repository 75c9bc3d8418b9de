//! One component of a pattern with wildcards, and whether a component of a name fits it.

use crate::layer::path::upper_case;
use crate::layer::spelling::{SPELLED_BYTE, is_spelled_byte};

/// The length of the `[…]` that `text` begins with. A `]` in the first place is a member of the set.
pub(super) fn set_end(text: &str) -> Option<usize> {
    let negation = usize::from(text[1..].starts_with(['!', '^']));
    let first = 1 + negation;
    let member = text.get(first..)?.chars().next()?.len_utf8();
    Some(first + member + text[first + member..].find(']')? + 1)
}

/// A component with wildcards, over folded names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Glob {
    pieces: Vec<Piece>,
}

/// What a component consists of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Piece {
    /// These characters.
    Text(String),
    /// `*`: any characters.
    Any,
    /// `?`: one character.
    One,
    /// `[…]`: one character that is in one of the ranges, or in none of them.
    Set { negated: bool, ranges: Vec<(char, char)> },
}

/// A component as a pattern has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Component {
    /// It has no wildcards; this is its folded text.
    Literal(String),
    /// It has wildcards.
    Glob(Glob),
}

impl Component {
    /// Reads a component. The error is the end of the sentence "the pattern `…` …".
    pub(super) fn parse(text: &str) -> Result<Component, String> {
        if text.contains("**") {
            return Err("has `**` beside other characters; it must be a whole component".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let mut length = character.len_utf8();
            match character {
                '*' => pieces.push(Piece::Any),
                '?' => pieces.push(Piece::One),
                '[' => {
                    length = set_end(rest)
                        .ok_or("has a `[` without a `]` in the same component; write `[[]` for the character")?;
                    match parse_set(&rest[1..length - 1])? {
                        // `[{]` is a character, and can be looked up like any other.
                        Piece::Set { negated: false, ranges } if matches!(ranges[..], [(first, last)] if first == last) =>
                        {
                            push_literal(&mut pieces, ranges[0].0);
                        }
                        set => pieces.push(set),
                    }
                }
                ':' => return Err("has a `:`; an alternate data stream goes and stays with its file".to_owned()),
                // A byte that is not UTF-8, as listings spell it.
                '<' if is_spelled_byte(rest) => {
                    length = SPELLED_BYTE;
                    rest.chars().take(length).for_each(|character| push_literal(&mut pieces, upper_case(character)));
                }
                '<' | '>' | '|' | '"' => return Err(format!("has a `{character}`, which no Windows name has")),
                _ if character.is_control() => {
                    let problem = "has a control character, as `\\t` is between double quotes in TOML; write paths between single quotes";
                    return Err(problem.to_owned());
                }
                _ => push_literal(&mut pieces, upper_case(character)),
            }
            rest = &rest[length..];
        }
        Ok(match &mut pieces[..] {
            [] => Component::Literal(String::new()),
            [Piece::Text(text)] => Component::Literal(std::mem::take(text)),
            _ => Component::Glob(Glob { pieces }),
        })
    }
}

fn push_literal(pieces: &mut Vec<Piece>, character: char) {
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push(character),
        _ => pieces.push(Piece::Text(character.to_string())),
    }
}

/// `members` is what stands between the brackets.
fn parse_set(members: &str) -> Result<Piece, String> {
    let (negated, members) = match members.strip_prefix(['!', '^']) {
        Some(members) => (true, members),
        None => (false, members),
    };
    let mut ranges = Vec::new();
    let mut characters = members.chars().peekable();
    while let Some(first) = characters.next() {
        let mut last = first;
        let mut ahead = characters.clone();
        if ahead.next() == Some('-')
            && let Some(end) = ahead.next()
        {
            last = end;
            characters = ahead;
        }
        let (folded_first, folded_last) = (upper_case(first), upper_case(last));
        if folded_first > folded_last {
            return Err(format!("has the range `{first}-{last}`, whose end comes before its beginning"));
        }
        ranges.push((folded_first, folded_last));
    }
    Ok(Piece::Set { negated, ranges })
}

impl Piece {
    /// Whether the piece stands for one character, and for this one.
    fn takes(&self, character: char) -> bool {
        match self {
            Piece::One => true,
            Piece::Set { negated, ranges } => {
                ranges.iter().any(|&(first, last)| (first..=last).contains(&character)) != *negated
            }
            Piece::Text(_) | Piece::Any => false,
        }
    }
}

impl Glob {
    /// The longest text that every fitting component contains, if there is any.
    pub(super) fn longest_text(&self) -> Option<&str> {
        let texts = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.max_by_key(|text| text.len())
    }

    /// Whether a folded component fits. Takes at most as many steps as the lengths of both multiplied.
    pub(super) fn fits(&self, text: &str) -> bool {
        let (mut piece, mut at) = (0, 0);
        // Where to go on when what follows the last `*` does not fit: the piece behind it, and the text that it leaves.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let next = text[at..].chars().next();
            match (self.pieces.get(piece), next) {
                (None, None) => return true,
                (Some(Piece::Any), _) => {
                    piece += 1;
                    retry = Some((piece, at));
                    continue;
                }
                (Some(Piece::Text(literal)), _) if text[at..].starts_with(literal) => {
                    at += literal.len();
                    piece += 1;
                    continue;
                }
                (Some(one), Some(character)) if one.takes(character) => {
                    at += character.len_utf8();
                    piece += 1;
                    continue;
                }
                _ => {}
            }
            let Some((behind, left)) = retry else { return false };
            let Some(skipped) = text[left..].chars().next() else { return false };
            at = left + skipped.len_utf8();
            piece = behind;
            retry = Some((behind, at));
        }
    }
}
