//! Who may use whom: the modules of the library, and the ones that each may name in its `use crate::` lines.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its sources has failed")]

#[path = "support/sources.rs"]
mod sources;

use std::collections::BTreeSet;
use std::path::Path;

use sources::sources;

/// A module, and what it may use besides itself. Ground first; nothing may use what comes later in a circle.
const ALLOWED: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("numbered", &[]),
    ("position", &[]),
    ("error", &[]),
    ("fault", &["error", "text"]),
    ("progress", &[]),
    ("durable", &[]),
    ("temporary", &["durable"]),
    ("image", &[]),
    ("gzip", &["error", "position"]),
    ("hive", &[]),
    ("layer", &["error", "gzip", "hive", "image", "numbered", "position"]),
    ("windows", &["image", "layer", "numbered"]),
    ("store", &["error", "image", "temporary"]),
    ("transport", &["durable", "error", "image", "progress", "store", "temporary"]),
    ("config", &["fault", "transport"]),
    ("inspect", &["layer", "numbered", "position", "windows"]),
    ("profile", &["error", "fault", "image", "layer", "numbered", "text", "windows"]),
    ("build_file", &["fault", "image", "inspect", "profile", "transport"]),
    ("lock", &["error", "fault", "image", "profile", "text", "windows"]),
    ("plan", &["layer", "numbered", "profile", "windows"]),
    ("verify", &["hive", "image", "layer", "numbered", "windows"]),
    (
        "rewrite",
        &["error", "gzip", "hive", "image", "layer", "numbered", "plan", "position", "profile", "store", "windows"],
    ),
    ("ledger", &["image", "layer", "numbered", "plan", "profile"]),
    (
        "report",
        &[
            "hive", "image", "inspect", "layer", "ledger", "lock", "numbered", "plan", "profile", "text", "verify",
            "windows",
        ],
    ),
    (
        "engine",
        &[
            "error",
            "gzip",
            "hive",
            "image",
            "layer",
            "ledger",
            "numbered",
            "plan",
            "profile",
            "progress",
            "rewrite",
            "store",
            "temporary",
            "text",
            "transport",
            "verify",
            "windows",
        ],
    ),
    ("log", &["printer", "text"]),
    ("printer", &["error", "progress", "text"]),
    ("cli", &["windows"]),
    (
        "commands",
        &[
            "build_file",
            "cli",
            "config",
            "durable",
            "engine",
            "error",
            "fault",
            "hive",
            "image",
            "inspect",
            "layer",
            "ledger",
            "lock",
            "log",
            "numbered",
            "plan",
            "printer",
            "profile",
            "progress",
            "report",
            "rewrite",
            "store",
            "temporary",
            "text",
            "transport",
            "verify",
            "windows",
        ],
    ),
];

#[test]
fn modules_use_only_what_they_may() {
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        let module = file.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["main", "lib"].contains(&module.as_str()) || is_test(&file) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: no rule says what `{module}` may use", file.display()));
            continue;
        };
        for used in used_modules(&source) {
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: `{module}` may not use `{used}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rules_have_no_circles() {
    for (place, (module, allowed)) in ALLOWED.iter().enumerate() {
        for used in *allowed {
            let other = ALLOWED.iter().position(|(name, _)| name == used);
            assert!(other.is_some_and(|other| other != place), "`{module}` may use `{used}`, which is not there");
            assert!(!reaches(used, module, &mut BTreeSet::new()), "`{module}` and `{used}` may use each other");
        }
    }
}

fn reaches(from: &str, to: &str, seen: &mut BTreeSet<String>) -> bool {
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == from) else { return false };
    seen.insert(from.to_owned()) && allowed.iter().any(|next| *next == to || reaches(next, to, seen))
}

/// The modules that the code before a file's tests names.
fn used_modules(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let mut used = BTreeSet::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for rest in line.split("crate::").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            used.insert(name);
        }
    }
    used.remove("");
    used
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part.to_str().is_some_and(|part| part.trim_end_matches(".rs") == "tests"))
}
