//! Rules about the order of entries: what must be there before what, and what there may be once only.

use crate::layer::entry::ATTRIBUTE_DIRECTORY;
use crate::layer::{EntryKind, LayerNumber, NameId, Tree};

use super::context::{Context, Layer};
use super::finding::{Finding, Findings};
use super::{Rule, Severity};

pub(super) const ROOTS: Rule = Rule {
    name: "layer-roots",
    summary: "Every layer has a directory `Files`, and every layer but the base layer a directory `Hives`",
    source: "hcsshim#1688, ko#374, rules_docker#488, go-containerregistry#1111; BuildKit util/winlayers/differ.go",
    check: roots,
};

fn roots(context: &Context, found: &mut Findings) {
    for layer in &context.layers {
        let needed: &[_] = if layer.number == LayerNumber::BASE {
            &[("Files", "FILES")]
        } else {
            &[("Files", "FILES"), ("Hives", "HIVES")]
        };
        for (name, folded) in needed {
            if layer.get(folded).is_none_or(|entry| entry.kind != EntryKind::Directory) {
                let message = format!("the layer has no entry for the directory `{name}`");
                let host = "The system cannot find the path specified. (0x3)";
                found.push(Finding::error(message).in_layer(layer.number).host(host));
            }
        }
    }
}

pub(super) const PARENTS: Rule = Rule {
    name: "parents-first",
    summary: "The directory of every entry is an entry of the same layer and comes before it",
    source: "hcsshim internal/wclayer/baselayerwriter.go, legacy.go, internal/safefile/safeopen.go; hcsshim#1688",
    check: parents,
};

fn parents(context: &Context, found: &mut Findings) {
    for (layer, number, entry) in context.entries() {
        // Hosts make a file of a global header, too.
        if !entry.is_name() && entry.kind != GLOBAL_HEADER {
            continue;
        }
        let Some(parent) = context.subject.stack.names().parent(layer.name(number)) else { continue };
        let problem = match layer.find(parent) {
            None => "its directory is not an entry of the layer",
            Some(directory) if directory > number => "it comes before its directory",
            Some(directory) if layer.entries[directory].kind != EntryKind::Directory => {
                let message = "it lies below something that is not a directory";
                let host = "A reparse point was encountered while traversing the path. (0x1126)";
                found.push(Finding::error(message).at(layer.number, entry).host(host));
                continue;
            }
            Some(_) => continue,
        };
        found.push(
            Finding::new(missing_parent(context, layer, parent), problem.into())
                .at(layer.number, entry)
                .host("Failed to safefile.OpenRelative ... The system cannot find the path specified. (0x3)"),
        );
    }
}

/// Upper layers begin with a copy of the utility VM below, so that a directory may be there without an entry
/// (hcsshim `internal/wclayer/legacy.go`: `initUtilityVM`).
fn missing_parent(context: &Context, layer: &Layer, parent: NameId) -> Severity {
    let in_utility_vm = context.subject.stack.names().text(parent).starts_with("UTILITYVM/");
    let inherited = in_utility_vm && context.utility_vm_below_has(layer.number, parent);
    if inherited { Severity::Warning } else { Severity::Error }
}

pub(super) const DUPLICATES: Rule = Rule {
    name: "unique-names",
    summary: "No two entries of a layer have the same name, also not in different case",
    source: "OCI image specification layer.md; tar-split tar/storage/packer.go; NTFS names have no case",
    check: duplicates,
};

fn duplicates(context: &Context, found: &mut Findings) {
    for layer in &context.layers {
        for &(later, first) in &layer.duplicates {
            let (later, first) = (&layer.entries[later], &layer.entries[first]);
            let message = match later.path == first.path {
                true => String::from("the name occurs twice in the layer"),
                false => format!("the name is the same to Windows as `{}`", first.path),
            };
            found.push(Finding::error(message).at(layer.number, later).host("The file exists. (0x50)"));
        }
    }
}

pub(super) const KINDS: Rule = Rule {
    name: "entry-types",
    summary: "Entries are files, hard links, symbolic links and directories (typeflags 0, 1, 2 and 5)",
    source: "hcsshim pkg/ociwclayer/import.go; go-winio backuptar/tar.go",
    check: kinds,
};

fn kinds(context: &Context, found: &mut Findings) {
    for (layer, _, entry) in context.entries() {
        if entry.kind == GLOBAL_HEADER {
            let message = "hosts make an empty file of this global PAX header, and take no notice of what it says";
            found.push(Finding::warning(message).at(layer.number, entry));
        } else if let EntryKind::Other(typeflag) = entry.kind {
            let message = format!(
                "hosts would take the typeflag `{}` for an ordinary file",
                char::from(typeflag).escape_default()
            );
            found.push(Finding::error(message).at(layer.number, entry));
        }
    }
}

/// A global PAX header: it is meant for all entries behind it, and Go hands it out as an entry of its own.
const GLOBAL_HEADER: EntryKind = EntryKind::Other(b'g');

pub(super) const TAR_END: Rule = Rule {
    name: "tar-end",
    summary: "The tar of a layer goes to the end of its last entry's padding",
    source: "Go archive/tar reader.go: Next, which takes an end in the padding for the end of the archive; umoci#436, #534",
    check: tar_end,
};

fn tar_end(context: &Context, found: &mut Findings) {
    for (number, index) in context.subject.stack.layers().numbered() {
        if index.entries_end > index.unpacked_size.into() {
            let message =
                "the tar ends before the padding of its last entry: hosts read it, and other programs may not";
            let finding = Finding::warning(message);
            found.push(match index.entries.last() {
                Some(last) => finding.at(number, last),
                None => finding.in_layer(number),
            });
        }
    }
}

pub(super) const DIRECTORY_BIT: Rule = Rule {
    name: "directory-attribute",
    summary: "The directory bit of MSWINDOWS.fileattr is set for directories and for nothing else",
    source: "hcsshim internal/wclayer/baselayerwriter.go: the bit and not the typeflag makes a directory",
    check: directory_bit,
};

fn directory_bit(context: &Context, found: &mut Findings) {
    for (layer, _, entry) in context.entries() {
        // Without the record, the typeflag decides.
        let bit = entry.attributes.map(|attributes| attributes & ATTRIBUTE_DIRECTORY != 0);
        let finding = match (entry.kind, bit) {
            (EntryKind::Directory, Some(false)) => {
                Finding::error("MSWINDOWS.fileattr says that this directory is a file: it lacks 0x10")
            }
            (EntryKind::File, Some(true)) => {
                Finding::error("MSWINDOWS.fileattr says that this file is a directory: it has 0x10")
            }
            (EntryKind::Junction, Some(false) | None) => {
                Finding::warning("MSWINDOWS.fileattr lacks 0x10, so that hosts make a file of this junction")
            }
            _ => continue,
        };
        found.push(finding.at(layer.number, entry));
    }
}

/// Whether an entry lies below `Files` or below `UtilityVM/Files`, spelled like this.
pub(super) fn in_file_tree(name: &str) -> bool {
    ["Files/", "UtilityVM/Files/"].iter().any(|root| name.strip_prefix(root).is_some_and(|rest| !rest.is_empty()))
}

/// Whether an entry belongs to the utility VM.
pub(super) fn in_utility_vm(entry: &crate::layer::Entry) -> bool {
    entry.path.tree() == Tree::UtilityVm
}
