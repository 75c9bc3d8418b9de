//! What a registry answers reaches no terminal and no log as it is.

use serde_json::json;
use winslim::text::is_printable;

use crate::http::{Response, Server};
use crate::support::Sandbox;

/// What only a hostile author writes: escape sequences, line ends, commands to CI systems, markup, a title for the terminal.
const HOSTILE: &str = "\x1b[2J\r::set-output name=x::y\n::error::z\n##vso[task.x]\n\u{a0}::debug::w\n```\n# image verified\n\
    \u{9b}31m\x07\u{202e}</script><script>alert(1)</script><!--[x](http://example.com) @someone \x1b]0;t\x07\x08\x7f";

/// Judges an output: printable characters and line ends alone, and no line that a CI system takes for a command.
#[track_caller]
fn is_escaped(what: &str, text: &str) {
    assert!(text.chars().all(|c| c == '\n' || is_printable(c)), "{what}: {text:?}");
    let is_command = |line: &str| line.trim_start().starts_with("::") || line.trim_start().starts_with("##vso[");
    assert!(!text.lines().any(is_command), "{what}: {text}");
}

#[test]
fn a_registry_cannot_write_into_a_log() {
    let answers = Server::start(|_, request| {
        let body = json!({ "errors": [{ "code": HOSTILE, "message": HOSTILE, "detail": HOSTILE }] }).to_string();
        match request.target.as_str() {
            "/v2/" => Response::new(200, "{}"),
            target if target.contains("index") => Response::new(200, json!({ "mediaType": HOSTILE }).to_string())
                .with("Content-Type", "application/vnd.oci.image.index.v1+json"),
            _ => Response::new(400, body).with("Warning", "299 - \"\u{202e}\u{85}\""),
        }
    });
    let sandbox = Sandbox::new();
    for tag in ["missing", "index"] {
        let image = format!("{}/x:{tag}", answers.address());
        for log in [&["-vv"][..], &["--log-format", "json", "-vv"], &["-q"]] {
            let outcome = sandbox.winslim(&[&["inspect", &image][..], log].concat());
            assert_eq!(outcome.code, 1, "{outcome:#?}");
            is_escaped(tag, &outcome.stdout);
            is_escaped(tag, &outcome.stderr);
        }
    }
}
