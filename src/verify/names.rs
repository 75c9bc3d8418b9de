//! Rules about the names of entries.
//!
//! They look at odd names only: a new rule must find nothing in what `plain` calls a plain name.

use crate::layer::EntryKind;
use crate::layer::scan::utf16_length;
use crate::layer::spelling::bytes_of;
use crate::windows::names::is_device;

use super::context::Context;
use super::finding::{Finding, Findings};
use super::{Rule, Severity};

pub(super) const RELATIVE: Rule = Rule {
    name: "relative-names",
    summary: "Names are relative, without a drive letter and without `..`",
    source: "hcsshim internal/safefile/safeopen.go: ntRelativePath",
    check: relative,
};

fn relative(context: &Context, found: &mut Findings) {
    for (layer, entry) in context.odd_names() {
        let name = entry.path.as_str();
        let bytes = name.as_bytes();
        let problem = if name.starts_with(['/', '\\']) {
            "the name is absolute"
        } else if bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.get(1) == Some(&b':') {
            "the name begins with a drive letter"
        } else if name.contains("..") && name.split(['/', '\\']).any(|component| component == "..") {
            "the name leads out of its directory by `..`"
        } else {
            continue;
        };
        found.push(Finding::error(problem).at(layer.number, entry).host("expected relative path"));
    }
}

pub(super) const CLEAN: Rule = Rule {
    name: "clean-names",
    summary: "Names have no `./` in front and no empty or `.` component",
    source: "hcsshim internal/wclayer/baselayerwriter.go and legacy.go, which compare names as they stand",
    check: clean,
};

fn clean(context: &Context, found: &mut Findings) {
    for (layer, entry) in context.odd_names() {
        // An absolute name or a separator at the end is the matter of other rules.
        let name = entry.path.as_str().trim_start_matches('/').trim_end_matches('/');
        if name.split('/').any(|component| component.is_empty() || component == ".") {
            let message = "the name is empty or has an empty or `.` component; hosts compare some names as they stand";
            found.push(Finding::error(message).at(layer.number, entry));
        }
    }
}

pub(super) const TRAILING_SEPARATORS: Rule = Rule {
    name: "trailing-separators",
    summary: "Names of directories do not end with a separator",
    source: "hcsshim internal/wclayer/baselayerwriter.go (`UtilityVM\\Files`), legacy.go (`UtilityVM`)",
    check: trailing_separators,
};

fn trailing_separators(context: &Context, found: &mut Findings) {
    for (layer, entry) in context.odd_names() {
        let name = entry.path.as_str();
        if !name.ends_with(['/', '\\']) {
            continue;
        }
        let finding = match name.trim_end_matches('/') {
            "UtilityVM" | "UtilityVM/Files" => Finding::error(
                "the name ends with a separator; hosts compare this one as it stands and would not see the utility VM",
            )
            .host("missing UtilityVM directory"),
            _ => Finding::warning("the name ends with a separator"),
        };
        found.push(finding.at(layer.number, entry));
    }
}

pub(super) const BACKSLASHES: Rule = Rule {
    name: "backslashes",
    summary: "Names are separated by `/`, not by `\\`",
    source: "hcsshim pkg/ociwclayer/import.go: names are compared in the form with `/`",
    check: backslashes,
};

fn backslashes(context: &Context, found: &mut Findings) {
    for (layer, entry) in context.odd_names() {
        if entry.path.as_str().contains('\\') {
            let message = "the name contains a backslash, which Windows takes for a separator";
            found.push(Finding::warning(message).at(layer.number, entry));
        }
    }
}

pub(super) const CHARACTERS: Rule = Rule {
    name: "name-characters",
    summary: "Names have no control character and none of `< > : \" | ? *`",
    source: "hcsshim internal/safefile/safeopen.go (`:`); NTFS, \"Naming Files, Paths, and Namespaces\"",
    check: characters,
};

fn characters(context: &Context, found: &mut Findings) {
    for (layer, entry) in context.odd_names() {
        // The colon in front of a stream's name is the matter of the rule about streams.
        let name = entry.stream_owner().unwrap_or(entry.path.as_str());
        let bad = |byte: &u8| matches!(byte, ..b' ' | b'<' | b'>' | b':' | b'"' | b'|' | b'?' | b'*');
        let Some(&bad) = bytes_of(name).iter().find(|byte| bad(byte)) else { continue };
        let host = match bad {
            b':' => "path contains invalid character `:`",
            _ => "The filename, directory name, or volume label syntax is incorrect. (0x7b)",
        };
        let message = format!("the name contains {:?}, which no file name on Windows can have", char::from(bad));
        found.push(Finding::error(message).at(layer.number, entry).host(host));
    }
}

pub(super) const ENDINGS: Rule = Rule {
    name: "name-endings",
    summary: "No component of a name ends with a dot or a space",
    source: "Microsoft, \"Naming Files, Paths, and Namespaces\"",
    check: endings,
};

fn endings(context: &Context, found: &mut Findings) {
    for (layer, entry) in context.odd_names() {
        let odd = |component: &str| component.ends_with(['.', ' ']) && component != "." && component != "..";
        if entry.path.as_str().split(['/', '\\']).any(odd) {
            let message = "a component of the name ends with a dot or a space; most Windows programs cannot open it";
            found.push(Finding::warning(message).at(layer.number, entry));
        }
    }
}

pub(super) const DEVICES: Rule = Rule {
    name: "device-names",
    summary: "No name is that of a device, such as `NUL` or `COM1.txt`",
    source: "Microsoft, \"Naming Files, Paths, and Namespaces\"",
    check: devices,
};

fn devices(context: &Context, found: &mut Findings) {
    for (layer, entry) in context.odd_names() {
        let name = entry.stream_owner().unwrap_or(entry.path.as_str()).trim_end_matches(['/', '\\']);
        // A directory of such a name is an entry of its own, so the last component is enough.
        if is_device(name.rsplit(['/', '\\']).next().unwrap_or(name)) {
            let message = "the name is that of a device; most Windows programs cannot open the file";
            found.push(Finding::warning(message).at(layer.number, entry));
        }
    }
}

pub(super) const LENGTHS: Rule = Rule {
    name: "name-lengths",
    summary: "Components have at most 255 UTF-16 units, names at most 32,766",
    source: "NTFS; hcsshim internal/winapi/utils.go: NewUnicodeString, which counts the NUL at the end",
    check: lengths,
};

fn lengths(context: &Context, found: &mut Findings) {
    // Each byte that is not UTF-8 becomes a unit; it is spelled with four characters.
    let longer = |text: &str, limit: usize| text.len() > limit && utf16_length(&bytes_of(text)) > limit;
    for (layer, entry) in context.odd_names() {
        let name = entry.path.as_str();
        if !longer(name, 255) {
            continue;
        }
        let file = entry.stream_owner().unwrap_or(name);
        let message = if file.split('/').any(|component| longer(component, 255)) {
            "a component of the name is longer than 255 UTF-16 units"
        } else if longer(name, 32_766) {
            "the name is longer than 32,766 UTF-16 units"
        } else {
            continue;
        };
        let host = "The filename or extension is too long. (0xce)";
        found.push(Finding::error(message).at(layer.number, entry).host(host));
    }
}

pub(super) const RESERVED_SUFFIX: Rule = Rule {
    name: "reserved-suffix",
    summary: "No name ends with `.$wcidirs$`",
    source: "hcsshim internal/wclayer/legacy.go: the metadata of directory NAME goes into NAME.$wcidirs$",
    check: reserved_suffix,
};

fn reserved_suffix(context: &Context, found: &mut Findings) {
    for (layer, entry) in context.odd_names() {
        if entry.path.fold().as_str().ends_with(".$WCIDIRS$") {
            let message = "the name ends with `.$wcidirs$`, where hosts keep the metadata of a directory";
            found.push(Finding::error(message).at(layer.number, entry).host("The file exists. (0x50)"));
        }
    }
}

pub(super) const TOP_LEVEL: Rule = Rule {
    name: "top-level-names",
    summary: "At the top there are `Files`, `Hives` and `UtilityVM`, spelled like this, and nothing else",
    source: "hcsshim internal/wclayer/legacy.go, baselayerwriter.go; computestorage/helpers.go",
    check: top_level,
};

/// What hosts themselves put beside `Files` (hcsshim `internal/wclayer/legacy.go`, `pkg/ociwclayer/import.go`).
const MADE_BY_HOSTS: [&str; 9] = [
    "layout",
    "tombstones.txt",
    "blank.vhdx",
    "blank-base.vhdx",
    "sandbox.vhdx",
    "bcd.bak",
    "bcd.log.bak",
    "bcd.log1.bak",
    "bcd.log2.bak",
];

fn top_level(context: &Context, found: &mut Findings) {
    const NAMES: [&str; 3] = ["Files", "Hives", "UtilityVM"];
    for (layer, entry) in context.odd_names() {
        let top = entry.path.as_str().split('/').next().unwrap_or_default();
        let whiteout = matches!(entry.kind, EntryKind::Whiteout | EntryKind::OpaqueWhiteout);
        // Names without a top are the matter of other rules, and so are whiteouts at the top.
        if NAMES.contains(&top) || ["", ".", ".."].contains(&top) || top.contains(['\\', ':']) || whiteout {
            continue;
        }
        let (severity, message) = if let Some(name) = NAMES.iter().find(|name| name.eq_ignore_ascii_case(top)) {
            (Severity::Error, format!("`{top}` must be spelled `{name}`"))
        } else if MADE_BY_HOSTS.iter().any(|name| name.eq_ignore_ascii_case(top)) {
            (Severity::Error, format!("`{top}` is made by hosts and must not be in a layer"))
        } else {
            (Severity::Warning, format!("`{top}` has no meaning in a Windows layer"))
        };
        found.push(Finding::new(severity, message).at(layer.number, entry));
    }
}
