//! Rules about registry hives.

use crate::hive::{BaseBlock, RegistryVersion};
use crate::image::OsVersion;
use crate::layer::{Entry, EntryKind, EntryNumber, FoldedPath, LayerNumber, LayerPath, Tree};
use crate::windows::builds::FIRST_WITH_CHECKED_HIVES;

use super::context::{Context, Layer};
use super::documents::build;
use super::finding::{Finding, Findings};
use super::{Rule, Severity};

/// Where the hives of a base layer lie, as spelled and folded.
const CONFIG: [(&str, &str); 5] = [
    ("Files/Windows/System32/config/DEFAULT", "FILES/WINDOWS/SYSTEM32/CONFIG/DEFAULT"),
    ("Files/Windows/System32/config/SAM", "FILES/WINDOWS/SYSTEM32/CONFIG/SAM"),
    ("Files/Windows/System32/config/SECURITY", "FILES/WINDOWS/SYSTEM32/CONFIG/SECURITY"),
    ("Files/Windows/System32/config/SOFTWARE", "FILES/WINDOWS/SYSTEM32/CONFIG/SOFTWARE"),
    ("Files/Windows/System32/config/SYSTEM", "FILES/WINDOWS/SYSTEM32/CONFIG/SYSTEM"),
];

/// The deltas of upper layers, folded (hcsshim `internal/wclayer/cim/common.go`).
const DELTAS: [&str; 5] = [
    "HIVES/DEFAULTUSER_DELTA",
    "HIVES/SAM_DELTA",
    "HIVES/SECURITY_DELTA",
    "HIVES/SOFTWARE_DELTA",
    "HIVES/SYSTEM_DELTA",
];

/// What a host says when a layer comes on top of a base layer with bad hives.
pub(super) const CORRUPT: &str = "The configuration registry database is corrupt (0x3f1)";

pub(super) const NO_DELTAS_IN_BASE: Rule = Rule {
    name: "no-hive-deltas-in-base",
    summary: "The base layer has nothing named `Hives`",
    source: "hcsshim computestorage/helpers.go, internal/wclayer/cim/process.go: hosts make `Hives` themselves",
    check: no_deltas_in_base,
};

fn no_deltas_in_base(context: &Context, found: &mut Findings) {
    for entry in context.base().into_iter().flat_map(|layer| layer.entries) {
        if entry.path.tree() == Tree::Hives {
            let message = "hosts make `Hives` of a base layer themselves, from the hives in `config`";
            found.push(Finding::error(message).at(LayerNumber::BASE, entry));
        }
    }
}

pub(super) const PRESENT: Rule = Rule {
    name: "hives-present",
    summary: "The base layer has the hives DEFAULT, SAM, SECURITY, SOFTWARE and SYSTEM as files",
    source: "hcsshim internal/wclayer/cim/process.go; hcsshim#2226",
    check: present,
};

fn present(context: &Context, found: &mut Findings) {
    let Some(base) = context.base() else { return };
    for (name, folded) in CONFIG {
        match base.get(folded) {
            Some(entry) if entry.kind == EntryKind::File => {}
            Some(entry) if entry.kind == EntryKind::HardLink => {
                // The CIM writers refuse a hard link of this name (internal/wclayer/cim/common.go).
                found.push(
                    Finding::warning("the hive is a hard link, which not every host takes")
                        .at(LayerNumber::BASE, entry),
                );
            }
            other => {
                let what = if other.is_none() { "is missing" } else { "is not a file" };
                let host = "ProcessBaseLayer failed: The system cannot find the path specified. (0x3)";
                let finding = Finding::error(format!("the hive {what}")).in_layer(LayerNumber::BASE).host(host);
                found.push(Finding { path: Some(LayerPath::new(name)), ..finding });
            }
        }
    }
}

/// The hives of a base layer that are files.
fn config<'c>(context: &'c Context) -> impl Iterator<Item = &'c Entry> {
    let file = |(_, folded)| context.base()?.get(folded).filter(|entry| entry.kind == EntryKind::File);
    CONFIG.into_iter().filter_map(file)
}

pub(super) const VALID: Rule = Rule {
    name: "hives-valid",
    summary: "The hives of the base layer are whole; only before Windows Server 2025 they may be empty files",
    source: "New-HostProcessBaseImage.ps1 of windows-host-process-containers-base-image; hcsshim#901, moby#44992",
    check: valid,
};

fn valid(context: &Context, found: &mut Findings) {
    for entry in config(context) {
        let finding = if entry.size == 0 {
            let checked = build(context.subject).is_some_and(|build| build >= FIRST_WITH_CHECKED_HIVES);
            let severity = if checked { Severity::Error } else { Severity::Warning };
            Finding::new(severity, String::from("the hive is empty: no layer can be put on top of this one"))
        } else if let Some(problem) = problem(entry) {
            Finding::error(problem)
        } else {
            continue;
        };
        found.push(finding.at(LayerNumber::BASE, entry).host(CORRUPT));
    }
}

/// What is wrong with a hive, by the head that the index keeps of it; nothing if it keeps none.
pub(super) fn problem(entry: &Entry) -> Option<String> {
    let head = entry.head.as_deref()?;
    match BaseBlock::parse(head) {
        Err(error) => Some(format!("this is not a registry hive: {error}")),
        Ok(block) if entry.size < 4096 + u64::from(block.bins_size) => {
            Some(format!("the hive is cut off: it has {} bytes, and {} of hive bins", entry.size, block.bins_size))
        }
        Ok(_) => None,
    }
}

pub(super) const CLEAN: Rule = Rule {
    name: "hives-clean",
    summary: "The hives of the base layer were written completely",
    source: "github.com/msuhanov/regf, \"Dirty hive\"",
    check: clean,
};

fn clean(context: &Context, found: &mut Findings) {
    for entry in config(context) {
        let block = entry.head.as_deref().and_then(|head| BaseBlock::parse(head).ok());
        if block.is_some_and(|block| !block.is_clean()) {
            let message = "the hive was not written completely: it is good only together with its logs";
            found.push(Finding::warning(message).at(LayerNumber::BASE, entry));
        }
    }
}

/// The entries below `Hives` in the upper layers, with their folded path.
fn below_hives<'c>(context: &'c Context) -> impl Iterator<Item = (&'c Layer<'c>, &'c Entry, FoldedPath)> {
    let names = context.subject.stack.names();
    context.upper().iter().flat_map(move |layer| {
        let below = move |number: EntryNumber| names.text(layer.name(number)).starts_with("HIVES/");
        let entries = layer.entries.numbered().filter(move |(number, _)| below(*number));
        entries.map(move |(_, entry)| (layer, entry, entry.path.fold()))
    })
}

pub(super) const DELTA_NAMES: Rule = Rule {
    name: "hive-delta-names",
    summary: "`Hives` has files named after the five hives, such as `System_Delta`, and nothing else",
    source: "hcsshim internal/wclayer/cim/common.go",
    check: delta_names,
};

fn delta_names(context: &Context, found: &mut Findings) {
    for (layer, entry, folded) in below_hives(context) {
        if !DELTAS.contains(&folded.as_str()) {
            found.push(Finding::warning("no Windows host reads this from `Hives`").at(layer.number, entry));
        } else if entry.kind != EntryKind::File {
            found.push(Finding::warning("the delta of a hive should be a file").at(layer.number, entry));
        }
    }
}

pub(super) const DELTAS_VALID: Rule = Rule {
    name: "hive-deltas-valid",
    summary: "Deltas are whole differencing hives: format version 1.6, with layered keys",
    source: "github.com/msuhanov/regf, \"Layered keys\"",
    check: deltas_valid,
};

fn deltas_valid(context: &Context, found: &mut Findings) {
    for (layer, entry, folded) in below_hives(context) {
        if !DELTAS.contains(&folded.as_str()) || entry.kind != EntryKind::File {
            continue;
        }
        let block = entry.head.as_deref().map(BaseBlock::parse);
        let finding = if entry.size == 0 {
            Finding::warning("the delta is empty")
        } else if let Some(problem) = problem(entry) {
            Finding::error(problem).host(CORRUPT)
        } else if let Some(Ok(block)) = block
            && !block.is_differencing()
        {
            Finding::warning("this is a hive, but not a differencing one (version 1.6 with layered keys)")
        } else {
            continue;
        };
        found.push(finding.at(layer.number, entry));
    }
}

pub(super) const VERSION: Rule = Rule {
    name: REGISTRY_VERSION,
    summary: "The registry says the same version of Windows as the config",
    source: "containerd/platforms: hosts choose by `os.version`, and what runs is what is in the layers",
    check: version,
};

/// The name of the rule that holds the registry against the config.
pub const REGISTRY_VERSION: &str = "registry-version";

fn version(context: &Context, found: &mut Findings) {
    let layers = context.subject.stack.layers();
    // Without one of the deltas, what the others say may be out of date.
    let is_unread = |layer: &&Layer| {
        layers.get(layer.number).is_none_or(|index| index.registry.is_none())
            && layer.get("HIVES/SOFTWARE_DELTA").is_some_and(|entry| entry.kind == EntryKind::File)
    };
    if context.upper().iter().any(|layer| is_unread(&layer)) {
        return;
    }
    let registry = RegistryVersion::of_layers(layers.iter().filter_map(|index| index.registry.as_ref()));
    let claimed = context.subject.image.platform.os_version.as_deref();
    let (Some(registry), Some(text)) = (registry, claimed) else { return };
    let Ok(claimed) = text.parse::<OsVersion>() else { return };
    let differs = |said: Option<u32>, claimed: u32| said.is_some_and(|said| said != claimed);
    if differs(registry.build, claimed.build()) || differs(registry.revision, claimed.revision()) {
        let said = [registry.build, registry.revision].map(|said| said.map_or("?".to_owned(), |said| said.to_string()));
        let message = format!(
            "the registry in the layers is that of build {}, revision {}, and the config says {text}: hosts choose by the config",
            said[0], said[1]
        );
        found.push(Finding::warning(message));
    }
}
