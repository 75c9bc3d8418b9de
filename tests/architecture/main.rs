//! The code against the picture in ARCHITECTURE.md: who uses whom, from room to room and from file to file.
//!
//! A room is a module of `src/lib.rs`. The picture is the block that begins with "```rooms". What it does not show, no room may
//! use.

mod picture;
mod tree;
mod uses;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use tree::Tree;
use uses::{Uses, circles};

/// Crates that only some rooms may use, so that the library stays without a terminal and mostly without waiting.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("anyhow", &["commands"]),
    ("clap", &["cli", "commands"]),
    ("indicatif", &["printer", "progress"]),
    ("reqwest", &["transport"]),
    ("tokio", &["commands", "engine", "transport"]),
];

/// Rooms that never lead to others, whatever lies between: deciding needs no I/O, transport knows nothing of what is in layers, and
/// the library shows nothing.
const NEVER: &[(&str, &[&str])] = &[
    ("plan", &["store", "temporary", "transport", "rewrite"]),
    ("verify", &["store", "temporary", "transport", "rewrite"]),
    ("inspect", &["store", "temporary", "transport", "rewrite"]),
    ("transport", &["layer", "profile", "windows"]),
    ("engine", &["cli", "commands", "log", "printer", "report"]),
];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

static USES: LazyLock<Uses> = LazyLock::new(|| Uses::of(&Tree::read(top(), "src/lib.rs")));

fn document() -> String {
    fs::read_to_string(top().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md can be read")
}

#[test]
fn rooms_use_what_the_picture_shows() {
    let right = picture::draw(&USES.rooms);
    let drawn = picture::find(&document());
    assert!(
        drawn.as_deref() == Some(right.as_str()),
        "the block of rooms in ARCHITECTURE.md is not what the code says.\n\
         Is each new arrow one that the house should have? If so, the block is now:\n\n{right}\nWhat differs:\n{}",
        picture::differences(drawn.as_deref().unwrap_or_default(), &right)
    );
}

#[test]
fn no_rooms_use_each_other() {
    let rooms = USES.rooms.iter().map(|(room, used)| {
        let used = used
            .iter()
            .map(|(used, files)| (used.into(), files.iter().map(|file| file.display().to_string()).collect()))
            .collect();
        (room.into(), used)
    });
    let circles = circles(&rooms.collect());
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn no_files_use_each_other() {
    let circles = circles(&USES.files);
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn rooms_stay_apart() {
    for (room, others) in NEVER {
        let (mut seen, mut next) = (BTreeSet::new(), vec![*room]);
        while let Some(room) = next.pop() {
            next.extend(USES.rooms[room].keys().map(String::as_str).filter(|used| seen.insert(*used)));
        }
        for other in *others {
            assert!(USES.rooms.contains_key(*other), "there is no room `{other}`");
            assert!(!seen.contains(other), "`{room}` uses `{other}`, directly or through others");
        }
    }
}

#[test]
fn crates_are_used_only_where_they_may_be() {
    let mut wrong = Vec::new();
    for (file, names) in &USES.elsewhere {
        let room = file.iter().nth(1).and_then(|part| part.to_str()).unwrap_or_default().trim_end_matches(".rs");
        for (name, rooms) in ONLY_IN {
            if names.contains(*name) && !rooms.contains(&room) {
                wrong.push(format!("{}: `{room}` may not use the crate `{name}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The circles in a crate of these files.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    for (file, code) in files {
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, code).expect("a file");
    }
    circles(&Uses::of(&Tree::read(directory.path(), "lib.rs")).files)
}

#[test]
fn circles_are_found_where_they_are() {
    let cases = [
        ("pub mod child; pub use child::Thing; pub struct Base;", "use super::Base; pub struct Thing(Base);", false),
        ("pub mod child; use child::Thing; pub struct Base; fn f(_: Thing) {}", "pub struct Thing(super::Base);", true),
        (
            "pub mod child; pub use child::*; pub struct Base; fn f() { println!(\"{}\", Thing::new()) }",
            "use crate::a::Base; pub struct Thing(Base);",
            true,
        ),
        (
            "pub mod child; pub struct Base; #[cfg(test)] mod tests { use super::child::Thing; }",
            "use super::Base; pub struct Thing(Base);",
            false,
        ),
        (
            "pub mod child; pub struct Base(#[serde(with = \"child::Thing\")] u8);",
            "pub struct Thing(crate::b::Base);",
            true,
        ),
    ];
    for (parent, child, is_circle) in cases {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", parent),
            ("a/child.rs", child),
            ("b.rs", "pub use crate::a::Base;"),
        ];
        let found = circles_of(&files);
        assert_eq!(!found.is_empty(), is_circle, "{parent}\n{child}\n{found:?}");
    }
}

#[test]
fn the_files_that_documents_name_exist() {
    let mut missing = Vec::new();
    let mut named = BTreeSet::new();
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/release.md"] {
        let text = fs::read_to_string(top().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
        for path in picture::paths(&text) {
            if !top().join(&path).exists() {
                missing.push(format!("{document}: `{path}` does not exist"));
            }
            named.insert(path);
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(
        named.len() > 40,
        "only {} paths were found in the documents: are they still written in backticks?",
        named.len()
    );
}
