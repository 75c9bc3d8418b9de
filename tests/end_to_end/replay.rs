//! The history of a tag, month by month: what `lock --check` says at each step is held against the history itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::generator::layout::{Blob, Format, WrittenLayer, write_documents};
use crate::generator::{Image, Version};
use crate::support::Sandbox;

/// One state of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Revision {
    date: String,
    manifest: String,
    /// Digests and sizes, the base first.
    layers: Vec<(String, u64)>,
    /// The revision of Windows, where it is known.
    revision: Option<u32>,
    /// The article about its update, where it is known.
    article: Option<String>,
}

fn digest_of(text: &str) -> String {
    let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Reads a table with columns for the date, the manifest, base and delta with their sizes, and `REVISION ARTICLE`.
fn read_table(text: &str) -> Vec<Revision> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').map(str::trim).collect();
        let cell = |number: usize| cells.get(number).copied().unwrap_or_default();
        let layers = [(2, 3), (4, 5)].into_iter().filter(|&(digest, _)| cell(digest).starts_with("sha256:"));
        let mut layers: Vec<(String, u64)> =
            layers.map(|(digest, size)| (cell(digest).to_owned(), cell(size).parse().unwrap_or(1))).collect();
        if layers.is_empty() {
            // Nothing is known but that it was an image.
            layers.push((digest_of(cell(1)), 1));
        }
        let mut words = cell(6).split_whitespace();
        Revision {
            date: cell(0).to_owned(),
            manifest: cell(1).to_owned(),
            layers,
            revision: words.next().and_then(|word| word.parse().ok()),
            article: words.find(|word| word.starts_with("KB")).map(str::to_owned),
        }
    };
    text.lines().skip(1).filter(|line| !line.trim().is_empty()).map(row).collect()
}

/// Lets the tag lead to a revision. Its layers are not there: only documents are read.
fn publish(sandbox: &Sandbox, revision: &Revision, build: u32) {
    let directory = sandbox.path("history");
    fs::create_dir_all(&directory).expect("the sandbox can be written to");
    fs::remove_file(directory.join("index.json")).ok();
    let layer = |(digest, size): &(String, u64)| WrittenLayer {
        blob: Blob { digest: digest.clone(), size: *size },
        diff_id: digest_of(&format!("unpacked {digest}")),
        unpacked: 2 * size,
    };
    let version = Version {
        os_version: revision.revision.map(|revision| format!("10.0.{build}.{revision}")).unwrap_or_default(),
        created: format!("{}T00:00:00Z", revision.date),
        history: revision.layers.iter().map(|(digest, _)| format!("{digest} of {}", revision.manifest)).collect(),
    };
    let image = Image { layers: Vec::new(), versions: vec![version] };
    let layers = revision.layers.iter().map(layer).collect();
    let format = Format { tag: "tag".to_owned(), ..Format::default() };
    write_documents(&image, layers, &format, &directory).expect("the sandbox can be written to");
}

/// What `lock --check` says, and whether its exit code fits.
fn report(sandbox: &Sandbox) -> Value {
    let outcome = sandbox.winslim(&["lock", "--check", "--format", "json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:#?}"));
    assert_eq!(outcome.code, if report["drifted"] == true { 4 } else { 0 }, "{outcome:#?}");
    assert_eq!(outcome.stderr.contains("went back"), report["warnings"] != Value::Array(Vec::new()), "{outcome:#?}");
    report
}

fn direction(before: &Revision, after: &Revision) -> &'static str {
    match (before.revision, after.revision) {
        (Some(before), Some(after)) if before < after => "forward",
        (Some(before), Some(after)) if before > after => "back",
        (Some(_), Some(_)) => "same-version",
        _ => "unknown",
    }
}

/// Holds the report of a step against the two revisions.
fn check_step(report: &Value, before: &Revision, after: &Revision) {
    let base = &report["bases"][0];
    let step = format!("{} → {}: {report:#}", before.date, after.date);
    if before == after {
        assert_eq!(report["drifted"], false, "{step}");
        return;
    }
    let moved = &base["moved"];
    assert_eq!(moved["direction"], direction(before, after), "{step}");
    let digests =
        |revision: &Revision| revision.layers.iter().map(|(digest, _)| digest.clone()).collect::<BTreeSet<_>>();
    let (old, new) = (digests(before), digests(after));
    let said = |state: &str| {
        let layers = moved["layers"].as_array().expect("layers").iter().filter(|layer| layer["state"] == state);
        layers.map(|layer| layer["digest"].as_str().expect("a digest").to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(said("same"), &old & &new, "{step}");
    assert_eq!(said("new"), &new - &old, "{step}");
    assert_eq!(said("gone"), &old - &new, "{step}");
    let fresh: u64 = after.layers.iter().filter(|(digest, _)| !old.contains(digest)).map(|(_, size)| size).sum();
    assert_eq!(moved["newBytes"], fresh, "{step}");
    for (said, revision) in [(&moved["before"], before), (&moved["after"], after)] {
        assert_eq!(said["revision"].as_u64(), revision.revision.map(u64::from), "{step}");
        if let Some(article) = &revision.article {
            assert_eq!(said["update"], **article, "{step}");
        }
    }
}

/// Walks through a history forward, with a lock that follows after each step, and at each step looks back too.
fn replay(history: &[Revision], build: u32) -> Vec<String> {
    let sandbox = Sandbox::new();
    let text = "target = \"oci:slim\"\nprofiles = [\"safe\"]\n[[base]]\nimage = \"oci:history:tag\"\n";
    sandbox.file("winslim.toml", text);
    publish(&sandbox, &history[0], build);
    sandbox.winslim(&["lock"]).done();
    let mut seen = Vec::new();
    for pair in history.windows(2) {
        let [before, after] = pair else { continue };
        publish(&sandbox, after, build);
        let forward = report(&sandbox);
        check_step(&forward, before, after);
        let moved = &forward["bases"][0]["moved"];
        seen.push(format!(
            "{} → {}: {}, {} → {}, {} new bytes",
            before.date,
            after.date,
            moved["direction"],
            moved["before"]["osVersion"],
            moved["after"]["osVersion"],
            moved["newBytes"],
        ));
        sandbox.winslim(&["lock", "--update"]).done();
        check_step(&report(&sandbox), after, after);
        publish(&sandbox, before, build);
        check_step(&report(&sandbox), after, before);
        // The lock still leads to the new one, and to nothing else.
        sandbox.winslim(&["lock"]).done();
        publish(&sandbox, after, build);
        check_step(&report(&sandbox), after, after);
    }
    seen
}

const MADE: &str = "\
date\tmanifest\tbase\tsize\tdelta\tsize\tupdate
2025-08-12\tm1\tbase-one\t1720\tdelta-august\t490\t7678 KB5063877
2025-09-09\tm2\tbase-one\t1720\tdelta-september\t508\t7792 KB5065428
2025-10-14\tm3\tbase-two\t1749\t\t\t7919 KB5066586
2025-10-15\tm4\tbase-two\t1749\t\t\t7919 KB5066586
2025-10-24\tm5\tbase-two\t1749\tdelta-out-of-band\t29\t7922 KB5070883
2025-10-27\tm3\tbase-two\t1749\t\t\t7919 KB5066586
2025-11-11\tm6\tbase-two\t1749\tdelta-november\t233\t
2025-12-09\tm7\tbase-two\t1749\tdelta-december\t258\t8146 KB5071544
";

#[test]
fn a_history_is_told_step_by_step() {
    let words =
        |word: &str| if word.contains("base-") || word.contains("delta-") { digest_of(word) } else { word.to_owned() };
    let lines = MADE.lines().map(|line| line.split('\t').map(words).collect::<Vec<_>>().join("\t"));
    let history = read_table(&lines.collect::<Vec<_>>().join("\n"));
    assert_eq!(history.len(), 8);
    let seen = replay(&history, 17763);
    assert!(seen[1].contains("1749 new bytes"), "a new base: {seen:#?}");
    assert!(seen[2].contains("\"same-version\"") && seen[2].contains(" 0 new bytes"), "built again: {seen:#?}");
    assert!(seen[4].contains("\"back\""), "withdrawn: {seen:#?}");
}

/// With `WINSLIM_FIXTURES=DIR`, replays the tables `*-history.tsv` of that directory; without it there is nothing to do.
#[test]
fn real_histories_are_told_step_by_step() {
    let Some(directory) = std::env::var_os("WINSLIM_FIXTURES") else { return };
    let directory = Path::new(&directory);
    let mut files: Vec<_> = fs::read_dir(directory).expect("WINSLIM_FIXTURES is a directory").flatten().collect();
    files.retain(|file| file.file_name().to_string_lossy().ends_with("-history.tsv"));
    files.sort_by_key(fs::DirEntry::file_name);
    assert!(!files.is_empty(), "there is no *-history.tsv in {}", directory.display());
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        let build = match &name {
            name if name.contains("2022") => 20348,
            name if name.contains("2025") => 26100,
            _ => 17763,
        };
        let mut history = read_table(&fs::read_to_string(file.path()).expect("a table"));
        if build != 17763 {
            // The tables tell the revisions of Windows Server 2019 alone, also beside images of other builds.
            history.iter_mut().for_each(|revision| (revision.revision, revision.article) = (None, None));
        }
        let seen = replay(&history, build);
        assert_eq!(seen.len() + 1, history.len(), "{name}");
    }
}
