//! Rules about `UtilityVM`, the small virtual machine for Hyper-V isolation: there entirely, or not at all.

use crate::layer::{Entry, EntryKind, EntryNumber, LayerNumber, LayerPath};

use super::context::{Context, Layer, Target};
use super::finding::{Finding, Findings};
use super::order::{in_file_tree, in_utility_vm};
use super::{Rule, Severity, hives};

/// The base layer, if it has anything of a utility VM.
fn base_with_utility_vm<'c, 'a>(context: &'c Context<'a>) -> Option<&'c Layer<'a>> {
    context.base().filter(|layer| layer.touches_utility_vm())
}

/// A finding about a path that is no entry.
fn at_path(finding: Finding, layer: LayerNumber, path: &str) -> Finding {
    Finding { layer: Some(layer), path: Some(LayerPath::new(path)), ..finding }
}

pub(super) const DIRECTORIES: Rule = Rule {
    name: "utility-vm-directories",
    summary: "`UtilityVM`, and in the base layer `UtilityVM/Files`, are directories and come before what lies in them",
    source: "hcsshim internal/wclayer/baselayerwriter.go: Add, Close; legacy.go: Add",
    check: directories,
};

fn directories(context: &Context, found: &mut Findings) {
    if let Some(base) = base_with_utility_vm(context) {
        for (name, folded) in [("UtilityVM", "UTILITYVM"), ("UtilityVM/Files", "UTILITYVM/FILES")] {
            let directory = base.get(folded).filter(|entry| entry.kind == EntryKind::Directory);
            if directory.is_none_or(|entry| entry.path.as_str().trim_end_matches('/') != name) {
                let message = "the layer has parts of a utility VM and no directory of exactly this name";
                found.push(at_path(Finding::error(message), LayerNumber::BASE, name));
            }
        }
    }
    for layer in context.upper() {
        // A whiteout in the utility VM makes the directory as well (legacy.go: Remove).
        let first = layer.entries.iter().find(|entry| {
            in_utility_vm(entry) && (entry.kind != EntryKind::Whiteout || in_file_tree(entry.path.as_str()))
        });
        let Some(first) = first else { continue };
        let is_root = first.path.as_str() == "UtilityVM" && first.kind == EntryKind::Directory;
        if !is_root && first.kind != EntryKind::Whiteout {
            let message = "the directory `UtilityVM` must be an entry and come before what lies in it";
            found.push(Finding::error(message).at(layer.number, first).host("missing UtilityVM directory"));
        }
    }
}

pub(super) const CONTENTS: Rule = Rule {
    name: "utility-vm-contents",
    summary: "`UtilityVM` contains `Files` and nothing else",
    source: "hcsshim internal/wclayer/legacy.go: Add",
    check: contents,
};

fn contents(context: &Context, found: &mut Findings) {
    for (layer, _, entry) in context.entries() {
        if !in_utility_vm(entry) || !entry.is_name() {
            continue;
        }
        let name = entry.path.as_str().trim_end_matches('/');
        if name != "UtilityVM" && name != "UtilityVM/Files" && !in_file_tree(name) {
            let severity = if layer.number == LayerNumber::BASE { Severity::Warning } else { Severity::Error };
            let finding = Finding::new(severity, String::from("only `UtilityVM/Files` may lie in `UtilityVM`"));
            found.push(finding.at(layer.number, entry).host("invalid UtilityVM layer"));
        }
    }
}

pub(super) const BELOW: Rule = Rule {
    name: "utility-vm-below",
    summary: "A layer that changes the utility VM lies directly on a layer that has one",
    source: "hcsshim internal/wclayer/legacy.go: initUtilityVM",
    check: below,
};

fn below(context: &Context, found: &mut Findings) {
    for (below, layer) in context.layers.iter().zip(context.upper()) {
        if let Some(entry) = layer.entries.iter().find(|entry| in_utility_vm(entry))
            && !below.touches_utility_vm()
        {
            let message = "the layer changes the utility VM, and the layer directly below has none";
            let host = "cloning the parent utility VM image failed";
            found.push(Finding::error(message).at(layer.number, entry).host(host));
        }
    }
}

/// The boot store, as spelled and folded.
const BOOT_STORE_FILE: (&str, &str) =
    ("UtilityVM/Files/EFI/Microsoft/Boot/BCD", "UTILITYVM/FILES/EFI/MICROSOFT/BOOT/BCD");

pub(super) const BOOT_STORE: Rule = Rule {
    name: "boot-store",
    summary: "A utility VM has a valid boot store, `EFI/Microsoft/Boot/BCD`",
    source: "hcsshim internal/wclayer/converttobaselayer.go; pkg/ociwclayer/import.go",
    check: boot_store,
};

fn boot_store(context: &Context, found: &mut Findings) {
    let Some(base) = base_with_utility_vm(context) else { return };
    let (name, folded) = BOOT_STORE_FILE;
    let Some(entry) = base.get(folded) else {
        let host = "ProcessUtilityVMImage failed: The system cannot find the path specified. (0x3)";
        let message = "the boot store is missing: keep the utility VM whole, or remove it from every layer";
        found.push(at_path(Finding::error(message).host(host), LayerNumber::BASE, name));
        return;
    };
    let host = "The registry could not read in, or write out, or flush, one of the files (0x3f8)";
    if entry.kind == EntryKind::File && entry.size == 0 {
        found.push(Finding::error("the boot store is empty").at(LayerNumber::BASE, entry).host(host));
    } else if let Some(problem) = hives::problem(entry) {
        found.push(Finding::error(problem).at(LayerNumber::BASE, entry).host(host));
    }
    if entry.path.as_str() != name {
        let message = format!("Docker and containerd know the boot store only by the name `{name}`");
        found.push(Finding::warning(message).at(LayerNumber::BASE, entry));
    }
}

pub(super) const BOOT_STORE_LINKS: Rule = Rule {
    name: "boot-store-links",
    summary: "The boot store and its logs are no hard links and have none: hosts change them in place",
    source: "hcsshim pkg/ociwclayer/import.go: mutatedFiles; internal/wclayer/cim/common.go",
    check: boot_store_links,
};

fn boot_store_links(context: &Context, found: &mut Findings) {
    let changed = |layer: &Layer, number: EntryNumber| {
        let rest = context.subject.stack.names().text(layer.name(number)).strip_prefix(BOOT_STORE_FILE.1);
        rest.is_some_and(|rest| ["", ".LOG", ".LOG1", ".LOG2"].contains(&rest))
    };
    for (layer, links) in context.layers.iter().zip(&context.links) {
        for &(number, target) in links {
            let to_it = match target {
                Target::Same { entry, .. } => changed(layer, entry),
                Target::Below { id, .. } => context.layers.get(id.layer).is_some_and(|at| changed(at, id.entry)),
                Target::NotThere(_) | Target::Missed(_) | Target::Nothing => false,
            };
            let finding = if changed(layer, number) {
                Finding::error("hosts change this file in place, so that it must not be a hard link")
            } else if to_it {
                Finding::warning("hosts change the target of this hard link in place, and this file with it")
            } else {
                continue;
            };
            found.push(finding.at(layer.number, &layer.entries[number]));
        }
    }
}

pub(super) const COMPLETE: Rule = Rule {
    name: "utility-vm-complete",
    summary: "A utility VM has what it needs to start",
    source: "hcsshim internal/wclayer/cim/common.go: the files of the utility VM that hosts look for",
    check: complete,
};

fn complete(context: &Context, found: &mut Findings) {
    let Some(base) = base_with_utility_vm(context) else { return };
    for name in [
        "UtilityVM/Files/EFI/Microsoft/Boot/bootmgfw.efi",
        "UtilityVM/Files/Windows/System32/config/SOFTWARE",
        "UtilityVM/Files/Windows/System32/config/SYSTEM",
    ] {
        let file = |entry: &Entry| matches!(entry.kind, EntryKind::File | EntryKind::HardLink);
        if !base.get(LayerPath::new(name).fold().as_str()).is_some_and(file) {
            let message = "the utility VM lacks this file: containers with Hyper-V isolation would not start; keep the \
                           utility VM whole, or remove it from every layer";
            found.push(at_path(Finding::warning(message), LayerNumber::BASE, name));
        }
    }
}
