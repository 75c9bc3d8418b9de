//! The rule about alternate data streams.

use crate::layer::EntryKind;

use super::Rule;
use super::context::Context;
use super::finding::{Finding, Findings};

pub(super) const OWNERS: Rule = Rule {
    name: "streams-behind-owners",
    summary: "Alternate data streams follow the file or directory that they belong to",
    source: "go-winio backuptar/tar.go: WriteBackupStreamFromTarFile; hcsshim internal/safefile/safeopen.go",
    check: owners,
};

fn owners(context: &Context, found: &mut Findings) {
    for layer in &context.layers {
        // The owner that streams may have at this place.
        let mut owner = None;
        for entry in layer.entries {
            if entry.kind != EntryKind::Stream {
                let may_own =
                    !matches!(entry.kind, EntryKind::HardLink | EntryKind::Whiteout | EntryKind::OpaqueWhiteout);
                owner = may_own.then(|| entry.path.as_str());
            } else if owner.is_none() || entry.stream_owner() != owner {
                let message = "the stream does not follow the file that it belongs to";
                found.push(Finding::error(message).at(layer.number, entry).host("path contains invalid character `:`"));
            }
        }
    }
}
