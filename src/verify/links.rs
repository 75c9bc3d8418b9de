//! Rules about links.

use crate::layer::path::NameMap;
use crate::layer::{EntryId, EntryKind, LayerNumber};

use super::Rule;
use super::context::{Context, Target};
use super::finding::{Finding, Findings};
use super::order::in_file_tree;

pub(super) const HAVE_TARGETS: Rule = Rule {
    name: "links-have-targets",
    summary: "Every link says what it links to",
    source: "hcsshim pkg/ociwclayer/import.go; go-winio reparse.go",
    check: have_targets,
};

fn have_targets(context: &Context, found: &mut Findings) {
    for (layer, _, entry) in context.entries() {
        let link = matches!(entry.kind, EntryKind::HardLink | EntryKind::Symlink | EntryKind::Junction);
        if link && entry.link.as_deref().is_none_or(str::is_empty) {
            found.push(Finding::error("the link has no target").at(layer.number, entry));
        }
    }
}

pub(super) const TARGETS: Rule = Rule {
    name: "link-targets",
    summary: "The target of a hard link comes before it in its layer, or is a file of a layer below",
    source: "hcsshim internal/wclayer/baselayerwriter.go and legacy.go: AddLink",
    check: targets,
};

fn targets(context: &Context, found: &mut Findings) {
    for (layer, links) in context.layers.iter().zip(&context.links) {
        let base = layer.number == LayerNumber::BASE;
        for &(number, target) in links {
            let entry = &layer.entries[number];
            let Some(text) = entry.link.as_deref() else { continue };
            let message = match target {
                Target::Same { .. } | Target::Below { .. } => continue,
                Target::NotThere(_) => format!(
                    "`{text}`, which this hard link points to, is not in the utility VM when hosts come to the link: the \
                     layer's entry `UtilityVM` must come before it, and the layer must not delete the target"
                ),
                Target::Nothing if base => format!("the layer has no `{text}`, which this hard link points to"),
                Target::Nothing => {
                    format!("neither this layer nor one below has `{text}`, which this hard link points to")
                }
                Target::Missed(other) if other == number => String::from("the hard link points to itself"),
                Target::Missed(other) if other > number => {
                    format!("`{text}`, which this hard link points to, comes later in the layer")
                }
                Target::Missed(other) => format!(
                    "the layer has `{}` and no layer below has it: the target `{text}` must be spelled the same",
                    layer.entries[other].path
                ),
            };
            let host = match base {
                true => "The system cannot find the file specified. (0x2)",
                false => "failed to find link target for '<name>' -> '<target>'",
            };
            found.push(Finding::error(message).at(layer.number, entry).host(host));
        }
    }
}

pub(super) const TARGET_KINDS: Rule = Rule {
    name: "link-target-kinds",
    summary: "Hard links point to files",
    source: "hcsshim internal/safefile/safeopen.go: LinkRelative; NTFS has hard links of files only",
    check: target_kinds,
};

fn target_kinds(context: &Context, found: &mut Findings) {
    for (layer, links) in context.layers.iter().zip(&context.links) {
        for &(number, target) in links {
            let target = match target {
                Target::Same { entry, .. } => &layer.entries[entry],
                Target::Below { id, .. } => context.entry(id),
                Target::NotThere(_) | Target::Missed(_) | Target::Nothing => continue,
            };
            let (what, host) = match target.kind {
                EntryKind::File | EntryKind::HardLink => continue,
                EntryKind::Directory => ("a directory", "Access is denied. (0x5)"),
                EntryKind::Symlink => ("a symbolic link", "A reparse point was encountered (0x1126)"),
                EntryKind::Junction => ("a junction", "A reparse point was encountered (0x1126)"),
                EntryKind::Stream => ("an alternate data stream", "path contains invalid character `:`"),
                _ => ("something that is not a file", "Access is denied. (0x5)"),
            };
            let message = format!("the hard link points to `{}`, which is {what}", target.path);
            found.push(Finding::error(message).at(layer.number, &layer.entries[number]).host(host));
        }
    }
}

pub(super) const SPELLING: Rule = Rule {
    name: "link-spelling",
    summary: "Hard links spell a target in their own layer as the target is spelled",
    source: "hcsshim internal/wclayer/legacy.go: AddLink; internal/wclayer/cim/block_cim_writer.go",
    check: spelling,
};

fn spelling(context: &Context, found: &mut Findings) {
    for (layer, links) in context.layers.iter().zip(&context.links) {
        for &(number, target) in links {
            let message = match target {
                Target::Same { entry, exact: false } => format!(
                    "the hard link spells its target differently from `{}`, which not every host forgives",
                    layer.entries[entry].path
                ),
                Target::Below { id, missed: Some(missed) } => format!(
                    "hosts take the target from layer {} and not `{}` of this layer, which comes later or is spelled \
                     differently",
                    id.layer, layer.entries[missed].path
                ),
                _ => continue,
            };
            found.push(Finding::warning(message).at(layer.number, &layer.entries[number]));
        }
    }
}

pub(super) const PLACES: Rule = Rule {
    name: "link-places",
    summary: "Above the base layer, hard links and their targets lie below `Files` or `UtilityVM/Files`",
    source: "hcsshim internal/wclayer/legacy.go: AddLink",
    check: places,
};

fn places(context: &Context, found: &mut Findings) {
    for layer in context.upper() {
        for entry in layer.entries.iter().filter(|entry| entry.kind == EntryKind::HardLink) {
            let target = entry.link.as_deref().unwrap_or_default();
            if !in_file_tree(entry.path.as_str()) || !in_file_tree(target.trim_start_matches("./")) {
                let message =
                    format!("the hard link or its target `{target}` lies outside `Files` and `UtilityVM/Files`");
                found.push(Finding::error(message).at(layer.number, entry).host("invalid hard link in layer"));
            }
        }
    }
}

pub(super) const COUNTS: Rule = Rule {
    name: "link-counts",
    summary: "A file has at most 1,023 names beside its first one",
    source: "NTFS: 1,024 names for a file; Windows-Containers#38",
    check: counts,
};

/// How many hard links a file can have on NTFS beside its first name.
const MOST_LINKS: u32 = 1_023;

fn counts(context: &Context, found: &mut Findings) {
    // The file that each link is a name of. Targets come before their links, so that one pass is enough.
    let mut files: NameMap<EntryId, EntryId> = NameMap::default();
    let mut counts: NameMap<EntryId, u32> = NameMap::default();
    for (layer, links) in context.layers.iter().zip(&context.links) {
        let id = |entry| EntryId { layer: layer.number, entry };
        for &(number, target) in links {
            let target = match target {
                Target::Same { entry, .. } => id(entry),
                Target::Below { id, .. } => id,
                Target::NotThere(_) | Target::Missed(_) | Target::Nothing => continue,
            };
            let file = *files.get(&target).unwrap_or(&target);
            files.insert(id(number), file);
            let count = counts.entry(file).or_insert(0);
            *count += 1;
            if *count == MOST_LINKS + 1 {
                let message = format!("the file has more than {MOST_LINKS} hard links, and NTFS does not take more");
                let host = "An attempt was made to create more links on a file than the file system supports. (0x476)";
                found.push(Finding::warning(message).at(file.layer, context.entry(file)).host(host));
            }
        }
    }
}
