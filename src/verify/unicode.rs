//! The rule about names that are not UTF-8: NTFS has names of 16-bit units, and hosts turn bytes into such units.

use std::collections::HashMap;

use crate::layer::path::upper_case;
use crate::layer::spelling::bytes_of;
use crate::layer::{Entry, EntryKind, EntryNumber};

use super::context::{Context, Layer};
use super::finding::{Finding, Findings};
use super::{Rule, Severity};

pub(super) const UNICODE: Rule = Rule {
    name: "unicode-names",
    summary: "Names are UTF-8, and no two become the same when hosts turn them into UTF-16",
    source: "Go syscall/wtf8_windows.go; hcsshim internal/safefile/safeopen.go: openRelativeInternal, LinkRelative",
    check: unicode,
};

/// What stands for a byte that is not UTF-8.
const REPLACEMENT: u16 = 0xfffd;

fn unicode(context: &Context, found: &mut Findings) {
    for layer in &context.layers {
        let mut seen = [Seen::default(), Seen::default()];
        for (at, entry) in layer.odd().filter(|(_, entry)| entry.path.as_str().contains('<')) {
            let bytes = bytes_of(entry.path.as_str());
            if std::str::from_utf8(&bytes).is_ok() {
                continue;
            }
            let [new, old] = [true, false].map(|keeps| units(&bytes, keeps));
            let finding = describe(&bytes, entry);
            let clash = seen[0].clash(layer, at, &new).map(|other| (Severity::Error, other));
            let old_clash = seen[1].clash(layer, at, &old).map(|other| (Severity::Warning, other));
            let finding = match clash.or(old_clash) {
                Some((severity, other)) => Finding::new(
                    severity,
                    format!(
                        "to {} this name is the same as `{}`, because bytes that are not UTF-8 become U+FFFD",
                        if severity == Severity::Error { "hosts" } else { "hosts built with Go before 1.21" },
                        layer.entries[other].path,
                    ),
                )
                .host("The file exists. (0x50)"),
                None => finding,
            };
            found.push(finding.at(layer.number, entry));
        }
    }
}

/// What is wrong with one name.
fn describe(bytes: &[u8], entry: &Entry) -> Finding {
    let last = bytes.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if entry.kind == EntryKind::HardLink && units(last, true) != units(last, false) {
        return Finding::error("hosts give this hard link another name: it has half of a surrogate pair");
    }
    if units(bytes, true).contains(&REPLACEMENT) {
        Finding::warning("the name is not UTF-8: hosts make U+FFFD of each byte that is not")
    } else {
        Finding::warning("the name has half of a surrogate pair, which hosts built with Go before 1.21 do not keep")
    }
}

/// The names of a layer that are not UTF-8, as a host sees them.
#[derive(Default)]
struct Seen(HashMap<Vec<u16>, EntryNumber>);

impl Seen {
    /// An entry before this one, or with a sound name, that has the same name to the host.
    fn clash(&mut self, layer: &Layer, at: EntryNumber, units: &[u16]) -> Option<EntryNumber> {
        let sound = String::from_utf16(units).ok().and_then(|name| layer.find_folded(&name));
        let before = *self.0.entry(folded(units)).or_insert(at);
        sound.or((before != at).then_some(before))
    }
}

/// The name as Go makes it of bytes: since version 1.21 halves of surrogate pairs stay what they are.
fn units(bytes: &[u8], keeps_surrogates: bool) -> Vec<u16> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((_, behind)) = rest.split_first() {
        if let (true, Some(unit)) = (keeps_surrogates, surrogate(rest)) {
            units.push(unit);
            rest = &rest[3..];
            continue;
        }
        let Some(chunk) = rest.utf8_chunks().next() else { break };
        if chunk.valid().is_empty() {
            units.push(REPLACEMENT);
            rest = behind;
        } else {
            units.extend(chunk.valid().encode_utf16());
            rest = &rest[chunk.valid().len()..];
        }
    }
    units
}

/// Half of a surrogate pair, encoded as if it were a character.
fn surrogate(bytes: &[u8]) -> Option<u16> {
    match bytes {
        &[0xed, middle @ 0xa0..=0xbf, last @ 0x80..=0xbf, ..] => {
            Some(0xd000 | u16::from(middle & 0x3f) << 6 | u16::from(last & 0x3f))
        }
        _ => None,
    }
}

/// The units in upper case, so that names that NTFS takes for the same are the same.
fn folded(units: &[u16]) -> Vec<u16> {
    let mut folded = Vec::with_capacity(units.len());
    for character in char::decode_utf16(units.iter().copied()) {
        match character {
            Ok(character) => folded.extend(upper_case(character).encode_utf16(&mut [0; 2]).iter()),
            Err(alone) => folded.push(alone.unpaired_surrogate()),
        }
    }
    folded
}
