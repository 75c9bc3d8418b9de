//! The block of rooms in ARCHITECTURE.md, and the files that documents name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use regex::Regex;

const WIDTH: usize = 120;

/// Draws who uses whom: the rooms that the most others are built on last, and what each uses after it.
pub fn draw(rooms: &BTreeMap<String, BTreeMap<String, BTreeSet<PathBuf>>>) -> String {
    let mut heights: BTreeMap<&str, usize> = BTreeMap::new();
    // Every round settles at least one more room if no rooms use each other.
    for _ in rooms {
        for (room, used) in rooms {
            let below = used.keys().filter_map(|used| heights.get(used.as_str())).max();
            heights.insert(room, below.map_or(0, |below| (below + 1).min(rooms.len())));
        }
    }
    let mut order: Vec<&String> = rooms.keys().collect();
    order.sort_by_key(|room| (std::cmp::Reverse(heights[room.as_str()]), room.as_str()));
    let indent = rooms.keys().map(String::len).max().unwrap_or_default() + 2;
    let mut drawn = String::new();
    for room in order {
        let mut line = format!("{room:indent$}");
        if rooms[room].is_empty() {
            line.push('-');
        }
        for used in rooms[room].keys() {
            if line.len() + used.len() > WIDTH {
                _ = writeln!(drawn, "{}", line.trim_end());
                line = " ".repeat(indent);
            }
            line.push_str(used);
            line.push(' ');
        }
        _ = writeln!(drawn, "{}", line.trim_end());
    }
    drawn
}

/// The block in a document.
pub fn find(document: &str) -> Option<String> {
    let (_, rest) = document.split_once("```rooms\n")?;
    Some(rest.split_once("```")?.0.to_owned())
}

/// The lines of two blocks that are only in one of them.
pub fn differences(drawn: &str, right: &str) -> String {
    let only = |mark: &str, one: &str, other: &str| -> String {
        one.lines().filter(|line| !other.lines().any(|other| other == *line)).fold(String::new(), |mut text, line| {
            _ = writeln!(text, "{mark} {line}");
            text
        })
    };
    only("-", drawn, right) + &only("+", right, drawn)
}

/// The files and directories of the repository that a document names in backticks or links to.
pub fn paths(document: &str) -> BTreeSet<String> {
    let named = Regex::new(
        r"`((?:src|tests|docs|profiles|benches|fuzz|ci|\.ci|testdata|examples)/[^` \n]*|[A-Za-z0-9_.-]+\.(?:rs|md))`",
    )
    .expect("a regular expression");
    let linked = Regex::new(r"\]\(([^):#]+)\)").expect("a regular expression");
    let found = named.captures_iter(document).chain(linked.captures_iter(document));
    found.map(|found| found[1].to_owned()).collect()
}
