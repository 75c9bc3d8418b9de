//! Rules about whiteouts.

use crate::layer::{Entry, EntryKind, EntryNumber, LayerNumber, NameId};

use super::context::{Context, Layer};
use super::finding::{Finding, Findings};
use super::order::{in_file_tree, in_utility_vm};
use super::{Rule, Severity};

/// The whiteouts of the upper layers whose target can be told, with the target.
fn whiteouts<'c>(context: &'c Context) -> impl Iterator<Item = (&'c Layer<'c>, EntryNumber, &'c Entry, NameId)> {
    context.upper().iter().flat_map(|layer| {
        layer
            .entries
            .numbered()
            .filter(|(_, entry)| entry.whiteout_target().is_some())
            .map(move |(number, entry)| (layer, number, entry, layer.name(number)))
    })
}

pub(super) const BASE: Rule = Rule {
    name: "no-whiteouts-in-base",
    summary: "The base layer has no whiteouts",
    source: "hcsshim internal/wclayer/baselayerwriter.go: Remove",
    check: base,
};

fn base(context: &Context, found: &mut Findings) {
    for entry in context.base().into_iter().flat_map(|layer| layer.entries) {
        if matches!(entry.kind, EntryKind::Whiteout | EntryKind::OpaqueWhiteout) {
            let message = "a base layer has nothing below it that a whiteout could delete";
            found.push(Finding::error(message).at(LayerNumber::BASE, entry).host("base layer cannot have tombstones"));
        }
    }
}

pub(super) const OPAQUE: Rule = Rule {
    name: "no-opaque-whiteouts",
    summary: "No layer has opaque whiteouts, `.wh..wh..opq`",
    source: "hcsshim pkg/ociwclayer/import.go: hosts delete a file `.wh..opq`, which there is not",
    check: opaque,
};

fn opaque(context: &Context, found: &mut Findings) {
    for (layer, _, entry) in context.entries() {
        if entry.kind == EntryKind::OpaqueWhiteout {
            let message = "hosts do not know opaque whiteouts: what lies below stays; write one whiteout for each name";
            found.push(Finding::error(message).at(layer.number, entry));
        }
    }
}

pub(super) const PLACES: Rule = Rule {
    name: "whiteout-places",
    summary: "Whiteouts name something below `Files` or `UtilityVM/Files`",
    source: "hcsshim internal/wclayer/legacy.go: Remove",
    check: places,
};

fn places(context: &Context, found: &mut Findings) {
    for layer in context.upper() {
        for entry in layer.entries.iter().filter(|entry| entry.kind == EntryKind::Whiteout) {
            let target = entry.whiteout_target().unwrap_or_default();
            let name = target.rsplit('/').next().unwrap_or_default();
            if ["", ".", ".."].contains(&name) {
                found.push(Finding::error("the whiteout names nothing to delete").at(layer.number, entry));
            } else if !in_file_tree(&target) {
                let message = "the whiteout lies outside `Files` and `UtilityVM/Files`";
                found.push(Finding::error(message).at(layer.number, entry).host("invalid tombstone <name>"));
            }
        }
    }
}

pub(super) const CONTRADICTIONS: Rule = Rule {
    name: "whiteout-or-entry",
    summary: "No layer both contains a name and has a whiteout for it",
    source: "hcsshim internal/wclayer/importlayer.go: whiteouts are carried out after the layer's files are there",
    check: contradictions,
};

fn contradictions(context: &Context, found: &mut Findings) {
    for (layer, number, entry, target) in whiteouts(context) {
        let Some(other) = layer.find(target) else { continue };
        // Whiteouts in the utility VM are carried out on the spot: to delete and then to add is possible there.
        let possible = in_utility_vm(entry) && other > number;
        let severity = if possible { Severity::Warning } else { Severity::Error };
        let message = "the layer also contains what this whiteout deletes";
        found.push(Finding::new(severity, message.into()).at(layer.number, entry));
    }
}

pub(super) const UTILITY_VM_TARGETS: Rule = Rule {
    name: "utility-vm-whiteout-targets",
    summary: "What a whiteout deletes from the utility VM is in the utility VM below",
    source: "hcsshim internal/wclayer/legacy.go: Remove",
    check: utility_vm_targets,
};

fn utility_vm_targets(context: &Context, found: &mut Findings) {
    for (layer, _, entry, target) in whiteouts(context) {
        let in_utility_vm = context.subject.stack.names().text(target).starts_with("UTILITYVM/FILES/");
        if in_utility_vm && !context.utility_vm_below_has(layer.number, target) {
            let message = "the utility VM below does not have what this whiteout deletes";
            let host = "The system cannot find the file specified. (0x2)";
            found.push(Finding::error(message).at(layer.number, entry).host(host));
        }
    }
}

pub(super) const DIRECTORIES: Rule = Rule {
    name: "whiteout-directories",
    summary: "The directory in which a whiteout deletes is an entry of the same layer",
    source: "inferred from hcsshim internal/wclayer/importlayer.go: a directory without an entry is not laid over",
    check: directories,
};

fn directories(context: &Context, found: &mut Findings) {
    for (layer, _, entry, target) in whiteouts(context) {
        let names = context.subject.stack.names();
        let Some(directory) = names.parent(target) else { continue };
        let directory = layer.find(directory).map(|number| &layer.entries[number]);
        let there = directory.is_some_and(|entry| entry.kind == EntryKind::Directory);
        if names.text(target).starts_with("FILES/") && !there {
            let message = "its directory is not an entry of the layer: the whiteout may do nothing";
            found.push(Finding::warning(message).at(layer.number, entry));
        }
    }
}
