//! What is different from a lock, as text, Markdown and JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::Report;
use super::page::Page;
use super::table::Table;
use crate::bytes::ByteSize;
use crate::lock::Drift;
use crate::lock::drift::{BaseDrift, Change, ChangeKind, Direction, LayerState, Move, Place, Release, WENT_BACK};

/// What is different from a lock.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftReport {
    /// The lock.
    lock: String,
    /// Whether anything is different, or not known.
    drifted: bool,
    /// Whether the lock was written, so that it is as the build file now.
    written: bool,
    #[serde(flatten)]
    drift: Drift,
    /// What people should know.
    warnings: Vec<String>,
}

impl DriftReport {
    /// The report on a lock, which `lock` names. If it is `written`, it is as it was before.
    pub fn new(lock: String, drift: Drift, written: bool) -> DriftReport {
        DriftReport { lock, drifted: !drift.is_none(), written, warnings: drift.warnings().collect(), drift }
    }

    fn title(&self) -> String {
        let DriftReport { lock, written, drift, .. } = self;
        let different = drift.bases.iter().filter(|base| !base.is_none()).count();
        let all = match drift.bases.len() {
            1 => "1 base".to_owned(),
            all => format!("{all} bases"),
        };
        match (self.drifted, written) {
            (false, _) => format!("{lock}: everything is as locked"),
            (true, false) => format!("{lock}: {different} of {all} not as locked"),
            (true, true) => format!("{lock}: written, with changes to {different} of {all}"),
        }
    }
}

impl Report for DriftReport {
    fn page(&self) -> Page {
        let mut page = Page::new(self.title());
        if let Some(version) = &self.drift.locked_by {
            page.line(format!("The lock was written by winslim {version}, and this is {}.", crate::lock::TOOL));
        }
        for base in self.drift.bases.iter().filter(|base| !base.is_none()) {
            page.heading(name(base));
            page.list(differences(base));
            if let Some(moved) = base.moved.as_ref().filter(|moved| moved.direction != Direction::SameImage) {
                page.table(layers(moved));
            }
        }
        page
    }
}

/// What is different, a line each, without what the tags lead to.
pub fn lines(drift: &Drift) -> Vec<String> {
    let tool = drift
        .locked_by
        .iter()
        .map(|version| format!("it was written by winslim {version}, and this is {}", crate::lock::TOOL));
    let bases = drift
        .bases
        .iter()
        .flat_map(|base| differences(base).into_iter().map(move |difference| format!("{}: {difference}", name(base))));
    tool.chain(bases).collect()
}

fn name(base: &BaseDrift) -> String {
    match &base.platform {
        Some(platform) => format!("{} ({platform})", base.image),
        None => base.image.clone(),
    }
}

fn differences(base: &BaseDrift) -> Vec<String> {
    let mut lines = Vec::new();
    match base.place {
        Place::Both => {}
        Place::NotLocked => lines.push("is not in the lock".to_owned()),
        Place::OnlyLocked => lines.push("is in the lock, and no longer in the build file".to_owned()),
    }
    if let Some(problem) = &base.unknown {
        lines.push(format!("the tag cannot be looked up: {problem}"));
    }
    if let Some(moved) = &base.moved {
        lines.push(movement(moved));
        if moved.direction != Direction::SameImage {
            lines.push(pull(moved));
        }
    }
    lines.extend(base.profiles.iter().map(|change| difference("profile", change)));
    lines.extend(base.sources.iter().map(|change| difference("source", change)));
    lines
}

fn difference(what: &str, change: &Change) -> String {
    let happened = match change.kind {
        ChangeKind::Changed => "has changed",
        ChangeKind::Added => "is new",
        ChangeKind::Removed => "is gone",
        ChangeKind::Reordered => "counts at another place than before",
    };
    format!("{what} `{}` {happened}", change.name)
}

fn movement(moved: &Move) -> String {
    let (before, after) = (release(&moved.before), release(&moved.after));
    match moved.direction {
        Direction::Forward => format!("the tag moved from {before} to {after}"),
        Direction::Back => format!("the tag went back from {before} to {after}: {WENT_BACK}"),
        Direction::SameVersion => format!("the tag leads to another image of {after}"),
        Direction::SameImage => "the tag leads to another index with the same image".to_owned(),
        Direction::Unknown => format!("the tag leads to another image: from {before} to {after}"),
    }
}

/// A version with what is known of its update: `10.0.17763.8511 (KB5078752, 2026-03-10)`.
fn release(release: &Release) -> String {
    let version = release.os_version.as_deref().unwrap_or("a version that it does not tell");
    let known: Vec<&str> = [&release.update, &release.released].into_iter().flatten().map(String::as_str).collect();
    if known.is_empty() { version.to_owned() } else { format!("{version} ({})", known.join(", ")) }
}

fn pull(moved: &Move) -> String {
    let new = moved.layers.iter().filter(|layer| layer.state == LayerState::New).count();
    let all = new + moved.layers.iter().filter(|layer| layer.state == LayerState::Same).count();
    let are = if new == 1 { "is" } else { "are" };
    let (before, after) = (ByteSize(moved.before.compressed), ByteSize(moved.after.compressed));
    format!(
        "{new} of its {all} layers {are} new, {}; the image has {after}, and had {before}",
        ByteSize(moved.new_bytes)
    )
}

fn layers(moved: &Move) -> Table {
    let mut table = Table::new(&["layer", "digest", "size", ""], &[0, 2]);
    for layer in &moved.layers {
        let state = match layer.state {
            LayerState::Same => "as locked",
            LayerState::New => "new",
            LayerState::Gone => "gone",
        };
        let digest = layer.digest.trim_start_matches("sha256:").chars().take(12).collect();
        table.row([layer.layer.to_string(), digest, ByteSize(layer.size).to_string(), state.to_owned()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;
    use crate::lock::{Inputs, Layer, Lock, LockedBase, Named, Pin};

    fn pin(version: &str, delta: &str, size: u64) -> Pin {
        let layer = |content: &str, size| Layer { digest: Digest::of(content.as_bytes()), size };
        Pin {
            index: None,
            manifest: Digest::of(version.as_bytes()),
            os_version: Some(version.to_owned()),
            layers: vec![layer("base", 1_749_538_666), layer(delta, size)],
        }
    }

    fn inputs(profile: &str) -> Inputs {
        let profiles = vec![Named { name: "mine".to_owned(), digest: Digest::of(profile.as_bytes()) }];
        let image = "mcr.microsoft.com/windows/servercore:ltsc2019".to_owned();
        Inputs { image, platform: None, profiles, sources: Vec::new() }
    }

    fn report(before: Pin, after: Pin) -> DriftReport {
        let lock = Lock::new(vec![LockedBase { inputs: inputs("1"), pin: before }]);
        DriftReport::new("winslim.lock".to_owned(), Drift::new(&lock, &[(inputs("2"), Some(after))]), false)
    }

    #[test]
    fn a_month_is_told() {
        let report = report(pin("10.0.17763.8389", "feb", 368_683_400), pin("10.0.17763.8511", "mar", 464_484_510));
        let text = anstream::adapter::strip_str(&report.to_text()).to_string();
        assert_eq!(
            text,
            "winslim.lock: 1 of 1 base not as locked\n\nmcr.microsoft.com/windows/servercore:ltsc2019:\n  \
             the tag moved from 10.0.17763.8389 (KB5075904, 2026-02-10) to 10.0.17763.8511 (KB5078752, 2026-03-10)\n  \
             1 of its 2 layers is new, 464 MB; the image has 2.21 GB, and had 2.12 GB\n  profile `mine` has changed\n\n  \
             layer  digest           size\n      \
             0  0c8c2cbd4d27  1.75 GB  as locked\n      1  DIGESTOFMAR_   464 MB  new\n      1  DIGESTOFFEB_   369 MB  gone\n"
                .replace("0c8c2cbd4d27", &Digest::of(b"base").short())
                .replace("DIGESTOFMAR_", &Digest::of(b"mar").short())
                .replace("DIGESTOFFEB_", &Digest::of(b"feb").short())
        );
        let markdown = report.to_markdown();
        assert!(markdown.starts_with("## winslim.lock: 1 of 1 base not as locked\n"), "{markdown}");
        assert!(markdown.contains("| 1 | ") && markdown.contains("| 464 MB | new |"), "{markdown}");
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["bases"][0]["moved"]["newBytes"], 464_484_510);
        assert_eq!((&json["drifted"], &json["written"]), (&true.into(), &false.into()));
    }

    #[test]
    fn lines_say_all_but_the_layers() {
        let report = report(pin("10.0.17763.8511", "mar", 2), pin("10.0.17763.8389", "feb", 1));
        let lines = lines(&report.drift);
        assert_eq!(lines.len(), 3, "{lines:?}");
        let back = "the tag went back from 10.0.17763.8511 (KB5078752, 2026-03-10) to";
        assert!(lines.iter().any(|line| line.contains(back)), "{lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("mcr.microsoft.com/windows/servercore:ltsc2019: ")));
    }
}
