//! Patterns of profiles: which files and directories of a Windows tree a rule means.
//!
//! A pattern is a Windows path below `C:\`, with `/` or `\` between its components and without regard to case. `*`
//! stands for any characters of one component, `?` for one character, `[a-z]` and `[!a-z]` for one character of a set,
//! `{a,b}` for either text; `**` as a whole component stands for any number of components (at the end: for at least
//! one). Braces without a comma inside are plain characters, as in the names of catalog directories. `C:\` or `\` may
//! stand in front; `UtilityVM:\` in front addresses the tree of the utility VM, and alone all of it.
//!
//! A pattern that names a directory matches the directory only: whoever asks for an entry asks for the directories
//! above it as well.

use regex::{RegexSet, RegexSetBuilder};

use crate::layer::path::upper_case;

/// The longest pattern in bytes; a path on NTFS rarely has more than 260 characters.
const MAX_LENGTH: usize = 1024;

/// The most patterns that the braces of one pattern may expand to.
const MAX_ALTERNATIVES: usize = 256;

/// How much memory in bytes the compiled form of one set may take.
const MAX_COMPILED: usize = 64 << 20;

/// A pattern that cannot be, with the reason as the end of the sentence "the pattern `…` …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` {problem}")]
pub struct PatternError {
    pattern: String,
    problem: String,
}

/// One pattern, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    regex: String,
}

/// Several patterns that are matched together, in one pass over a path.
#[derive(Debug, Clone)]
pub struct PatternSet {
    patterns: Vec<Pattern>,
    regexes: RegexSet,
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        let fail = |problem: String| PatternError { pattern: text.to_owned(), problem };
        if text.len() > MAX_LENGTH {
            return Err(fail(format!("is longer than {MAX_LENGTH} bytes")));
        }
        let alternatives = expand(text).map_err(fail)?;
        let regexes = alternatives.iter().map(|path| path_regex(path)).collect::<Result<Vec<_>, _>>().map_err(fail)?;
        Ok(Pattern { text: text.to_owned(), regex: format!("(?s)^(?:{})$", regexes.join("|")) })
    }

    /// The pattern as the profile spells it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PatternSet {
    /// Prepares patterns for matching. Fails only when they are too many to compile.
    pub fn new(patterns: Vec<Pattern>) -> Result<PatternSet, PatternError> {
        let regexes = RegexSetBuilder::new(patterns.iter().map(|pattern| &pattern.regex))
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .build()
            .map_err(|_| PatternError {
                pattern: patterns.first().map(|pattern| pattern.text.clone()).unwrap_or_default(),
                problem: "and those beside it are too many or too complicated; split the rule".to_owned(),
            })?;
        Ok(PatternSet { patterns, regexes })
    }

    /// Reads and prepares patterns.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<PatternSet, PatternError> {
        PatternSet::new(texts.iter().map(|text| Pattern::parse(text.as_ref())).collect::<Result<_, _>>()?)
    }

    /// Whether any pattern matches the folded in-tar path, such as `FILES/WINDOWS/TEMP` or `UTILITYVM`
    /// (see [`crate::layer::FoldedPath`]). Cheaper than [`PatternSet::matches`].
    pub fn is_match(&self, folded: &str) -> bool {
        self.regexes.is_match(folded)
    }

    /// The number of the first pattern that matches the folded in-tar path.
    pub fn matches(&self, folded: &str) -> Option<usize> {
        // Almost every path matches nothing, and finding that out is cheaper than finding out which.
        if !self.regexes.is_match(folded) {
            return None;
        }
        self.regexes.matches(folded).iter().next()
    }

    /// Adds the numbers of all patterns that match the folded in-tar path, in ascending order.
    pub fn matches_into(&self, folded: &str, numbers: &mut Vec<usize>) {
        if self.regexes.is_match(folded) {
            numbers.extend(self.regexes.matches(folded).iter());
        }
    }

    /// How many patterns the set has.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether the set has no pattern, and so matches nothing.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The patterns, in the order of their numbers.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }
}

/// Expands braces: `a{b,c}` to `ab` and `ac`. A group without a comma stays as it is.
fn expand(text: &str) -> Result<Vec<String>, String> {
    let mut results = vec![String::new()];
    let mut rest = text;
    while let Some(start) = find_outside_sets(rest, |character| matches!(character, '{' | '}')) {
        let (before, group) = rest.split_at(start);
        if group.starts_with('}') {
            return Err("has a `}` without a `{`; write `[}]` for the character".to_owned());
        }
        let (branches, after) = expand_group(group)?;
        if results.len() * branches.len() > MAX_ALTERNATIVES {
            return Err(format!("expands to more than {MAX_ALTERNATIVES} paths"));
        }
        results = append_each(&results, &branches.iter().map(|branch| format!("{before}{branch}")).collect::<Vec<_>>());
        rest = after;
    }
    Ok(append_each(&results, &[rest.to_owned()]))
}

/// Expands the group that `text` begins with, and gives what stands behind it.
fn expand_group(text: &str) -> Result<(Vec<String>, &str), String> {
    let mut depth = 0_usize;
    let mut start = 1;
    let mut parts = Vec::new();
    let mut position = 0;
    while let Some(found) = find_outside_sets(&text[position..], |character| matches!(character, '{' | '}' | ',')) {
        let at = position + found;
        position = at + 1;
        match text.as_bytes()[at] {
            b'{' => depth += 1,
            b',' if depth == 1 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            b'}' if depth == 1 => {
                let last = &text[start..at];
                let after = &text[at + 1..];
                if parts.is_empty() {
                    return Ok((expand(last)?.iter().map(|inner| format!("{{{inner}}}")).collect(), after));
                }
                parts.push(last);
                let mut branches = Vec::new();
                for part in parts {
                    branches.extend(expand(part)?);
                }
                return Ok((branches, after));
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    Err("has a `{` without a `}`; write `[{]` for the character".to_owned())
}

/// The position of the first character that is wanted and does not stand inside `[…]`.
fn find_outside_sets(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut position = 0;
    while let Some(character) = text[position..].chars().next() {
        if wanted(character) {
            return Some(position);
        }
        position += match character {
            '[' => set_end(&text[position..]).unwrap_or(1),
            other => other.len_utf8(),
        };
    }
    None
}

/// The length of the `[…]` that `text` begins with. A `]` in the first place is a member of the set.
fn set_end(text: &str) -> Option<usize> {
    let negation = usize::from(text[1..].starts_with(['!', '^']));
    let first = 1 + negation;
    let member = text.get(first..)?.chars().next()?.len_utf8();
    Some(first + member + text[first + member..].find(']')? + 1)
}

fn append_each(starts: &[String], ends: &[String]) -> Vec<String> {
    starts.iter().flat_map(|start| ends.iter().map(move |end| format!("{start}{end}"))).collect()
}

/// The regular expression for one path without alternatives, over folded in-tar names.
fn path_regex(path: &str) -> Result<String, String> {
    let (utility_vm, path) = split_root(path)?;
    let path = path.strip_suffix(['/', '\\']).unwrap_or(path);
    if path.is_empty() {
        return if utility_vm { Ok("UTILITYVM".to_owned()) } else { Err("names no file or directory".to_owned()) };
    }
    let mut regex = String::from(if utility_vm { "UTILITYVM/FILES" } else { "FILES" });
    let mut components = path.split(['/', '\\']).peekable();
    while let Some(component) = components.next() {
        match component {
            "" => return Err("has two separators in a row".to_owned()),
            "." | ".." => return Err(format!("has a component `{component}`; a pattern is a path below C:\\")),
            "**" if components.peek().is_none() => regex.push_str("/.+"),
            "**" => regex.push_str("(?:/[^/]+)*"),
            _ => {
                regex.push('/');
                component_regex(component, &mut regex)?;
            }
        }
    }
    Ok(regex)
}

/// Takes `C:\`, `\` or `UtilityVM:\` off the front; tells whether it was the last.
fn split_root(path: &str) -> Result<(bool, &str), String> {
    let (utility_vm, rest) = match path.split_once(':') {
        Some((root, rest)) if root.eq_ignore_ascii_case("UtilityVM") => (true, rest),
        Some((root, rest)) if root.eq_ignore_ascii_case("C") => (false, rest),
        Some((root, _)) if root.len() == 1 => return Err("is on another drive; an image has C: only".to_owned()),
        // Any other colon is reported where it stands.
        _ => return Ok((false, path.strip_prefix(['/', '\\']).unwrap_or(path))),
    };
    match rest.strip_prefix(['/', '\\']) {
        Some(rest) => Ok((utility_vm, rest)),
        None if rest.is_empty() => Ok((utility_vm, rest)),
        None => Err("lacks the `\\` behind the colon".to_owned()),
    }
}

fn component_regex(component: &str, regex: &mut String) -> Result<(), String> {
    if component.contains("**") {
        return Err("has `**` beside other characters; it must be a whole component".to_owned());
    }
    let mut rest = component;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        match character {
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                length = set_end(rest)
                    .ok_or("has a `[` without a `]` in the same component; write `[[]` for the character")?;
                set_regex(&rest[1..length - 1], regex)?;
            }
            ':' => return Err("has a `:`; an alternate data stream goes and stays with its file".to_owned()),
            '<' | '>' | '|' | '"' => return Err(format!("has a `{character}`, which no Windows name has")),
            _ if character.is_control() => {
                let problem = "has a control character, as `\\t` is between double quotes in TOML; write paths between single quotes";
                return Err(problem.to_owned());
            }
            _ => push_literal(upper_case(character), regex),
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// `members` is what stands between the brackets.
fn set_regex(members: &str, regex: &mut String) -> Result<(), String> {
    let (negation, members) = match members.strip_prefix(['!', '^']) {
        Some(members) => ("^", members),
        None => ("", members),
    };
    // Whatever the set says, it never matches the separator.
    regex.push_str("[[");
    regex.push_str(negation);
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
        push_member(folded_first, regex);
        regex.push('-');
        push_member(folded_last, regex);
    }
    regex.push_str("]&&[^/]]");
    Ok(())
}

fn push_literal(character: char, regex: &mut String) {
    regex.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
}

fn push_member(character: char, regex: &mut String) {
    regex.push_str(&format!("\\x{{{:x}}}", u32::from(character)));
}

#[cfg(test)]
mod tests;
