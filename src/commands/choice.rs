//! What to type when a tag has images for several versions of Windows: commands that can be pasted.

use std::fmt;

use super::causes::causes;
use crate::image::select::{Offered, SelectError};
use crate::text::escape;
use crate::transport::TransportError;

/// Where the choice is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// With this option of the command.
    Option(&'static str),
    /// In the build file.
    BuildFile,
}

/// There are several images, and this is how to choose one.
#[derive(Debug)]
pub(super) struct Choices {
    problem: String,
    lines: Vec<String>,
}

impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.problem))?;
        for line in &self.lines {
            write!(f, "\n{}", escape(line))?;
        }
        Ok(())
    }
}

impl std::error::Error for Choices {}

/// Adds to the error of an ambiguous tag what to type instead; other errors stay as they are.
pub(super) fn explain(error: impl Into<anyhow::Error>, place: Where) -> anyhow::Error {
    let error = error.into();
    let ambiguous = causes(&error).find_map(|cause| match cause.downcast_ref() {
        Some(TransportError::Select { error: SelectError::Ambiguous { offered }, .. }) => Some(offered),
        _ => None,
    });
    let Some(offered) = ambiguous else { return error };
    let typed: Option<Vec<String>> = std::env::args_os().skip(1).map(|word| word.into_string().ok()).collect();
    let lines = lines(offered, place, &typed.unwrap_or_default());
    if lines.is_empty() { error } else { Choices { problem: error.to_string(), lines }.into() }
}

/// A line for each choice; `typed` are the arguments of this run.
fn lines(offered: &[Offered], place: Where, typed: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for request in offered.iter().filter_map(|offered| offered.request.as_ref()) {
        let line = match place {
            Where::BuildFile => format!("platform = \"{request}\""),
            Where::Option(option) => command(typed, option, &request.to_string()),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// The command that was typed, with an option set to a value.
fn command(typed: &[String], option: &str, value: &str) -> String {
    let mut words: Vec<String> = vec!["winslim".to_owned()];
    let end = typed.iter().position(|word| word == "--").unwrap_or(typed.len());
    let mut before = typed[..end].iter();
    while let Some(word) = before.next() {
        if word == option {
            before.next();
        } else if !word.strip_prefix(option).is_some_and(|rest| rest.starts_with('=')) {
            words.push(quoted(word));
        }
    }
    words.extend([option.to_owned(), value.to_owned()]);
    words.extend(typed[end..].iter().map(|word| quoted(word)));
    words.join(" ")
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn typed(words: &[&str], option: &str) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        command(&words, option, "windows/amd64:10.0.17763")
    }

    #[test]
    fn a_command_is_what_was_typed_with_the_choice() {
        for (words, option, expected) in [
            (
                &["inspect", "oci:a b:t"][..],
                "--platform",
                "winslim inspect 'oci:a b:t' --platform windows/amd64:10.0.17763",
            ),
            (
                &["ls", "r.example/x", "--platform", "windows/amd64", "--", "-x'y"],
                "--platform",
                r"winslim ls r.example/x --platform windows/amd64:10.0.17763 -- '-x'\''y'",
            ),
            (
                &["diff", "a", "b", "--platform-before=x", "--platform-after", "z"],
                "--platform-before",
                "winslim diff a b --platform-after z --platform-before windows/amd64:10.0.17763",
            ),
        ] {
            assert_eq!(typed(words, option), expected);
        }
    }

    #[test]
    fn each_choice_is_named_once() {
        let offered = |request: Option<&str>| Offered {
            digest: Digest::of(b"x"),
            platform: "x".to_owned(),
            request: request.map(|request| request.parse().unwrap()),
        };
        let offered =
            [offered(Some("windows/amd64:10.0.17763")), offered(Some("windows/amd64:10.0.17763")), offered(None)];
        assert_eq!(lines(&offered, Where::BuildFile, &[]), ["platform = \"windows/amd64:10.0.17763\""]);
    }
}
