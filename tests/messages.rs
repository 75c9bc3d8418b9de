//! The page on failures and the code: every message of the code is on `docs/when-something-fails.md`.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its sources has failed")]

#[path = "support/sources.rs"]
mod sources;

use std::fs;
use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use regex::Regex;
use sources::sources;

const PAGE: &str = "docs/when-something-fails.md";

/// What stands before the literal of a message.
const BEFORE: &str = r"(?:#\[error\(|\bbail!\(|\banyhow!\(|\bUsage\((?:format!\()?|context\((?:\|\|\s*\{?\s*format!\(\s*)?|\.(?:warn|fail)\((?:&format!\()?)\s*";

/// What stands before the text of an event, in the file of the engine's events.
const BEFORE_EVENT: &str = r"write!\(\s*f,\s*";

/// The literals of messages in a source file, before its tests.
fn messages(file: &Path, source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let literal = |before: &str| Regex::new(&format!(r#"(?s){before}"((?:[^"\\]|\\.)*)""#)).unwrap();
    static MESSAGE: OnceLock<Regex> = OnceLock::new();
    static EVENT: OnceLock<Regex> = OnceLock::new();
    let literal = match file.ends_with("engine/event.rs") {
        true => EVENT.get_or_init(|| literal(BEFORE_EVENT)),
        false => MESSAGE.get_or_init(|| literal(BEFORE)),
    };
    static CONTINUED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\\n\s*").unwrap());
    let text = |literal: &str| CONTINUED.replace_all(literal, "").replace("\\\"", "\"").replace("\\n", " ");
    literal.captures_iter(code).map(|found| text(&found[1])).collect()
}

/// The longest part of a message that is the same each time; nothing if all of it comes from elsewhere.
fn fixed_part(message: &str) -> Option<String> {
    let values = Regex::new(r"\{[^{}]*\}").unwrap();
    // Doubled braces stand for themselves.
    let message = message.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let literal = |part: &str| part.replace('\u{1}', "{").replace('\u{2}', "}");
    let parts = values
        .split(&message)
        .map(|part| plain(&literal(part)).trim_matches([' ', ':', ';', ',', '.', '(', ')']).to_owned());
    parts.max_by_key(String::len).filter(|part| part.len() > 3)
}

/// Text without marks and line breaks.
fn plain(text: &str) -> String {
    text.replace(['`', '*'], "").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_message_is_on_the_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = plain(&fs::read_to_string(page).unwrap());
    let (mut missing, mut count) = (Vec::new(), 0);
    for (file, source) in sources() {
        for message in messages(&file, &source) {
            let Some(part) = fixed_part(&message) else { continue };
            count += 1;
            if !page.contains(&part) {
                missing.push(format!("src/{}: `{message}`: `{part}` is not there", file.display()));
            }
        }
    }
    assert!(count > 80, "only {count} messages were found; this test does not look for them as they are written now");
    assert!(
        missing.is_empty(),
        "{PAGE} does not know these messages. For each, add its text, with … for what varies, what it means and what to do, in \
         the section of its exit code:\n{}",
        missing.join("\n")
    );
}

#[test]
fn the_fixed_part_of_a_message_is_found() {
    for (message, part) in [
        ("cannot {action}: {registry} answered {answer}", Some("answered")),
        ("the pattern `{pattern}` {problem}", Some("the pattern")),
        ("nothing matches {}, though it says `match = \"x\"`", Some("though it says match = \"x\"")),
        ("put `{{tag}}` into {target}", Some("put {tag} into")),
        ("{0}", None),
        ("{path}: {error}", None),
    ] {
        assert_eq!(fixed_part(message).as_deref(), part, "{message}");
    }
    assert_eq!(
        messages(Path::new("x.rs"), "bail!(\n  \"one \\\n   two\");\n#[error(transparent)]\nUsage(format!(\"a\"))"),
        ["one two", "a"]
    );
}
