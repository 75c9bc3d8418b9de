//! Rules about the `MSWINDOWS.*` records of entries: what hosts cannot read, and what is missing.

use crate::layer::records::Oddity;
use crate::layer::{EntryKind, EntryNumber};

use super::Rule;
use super::context::Context;
use super::finding::{Finding, Findings};
use super::order::in_file_tree;

pub(super) const RECORDS: Rule = Rule {
    name: "windows-records",
    summary: "Attributes, times, security descriptors and extended attributes are written as hosts read them",
    source: "go-winio backuptar/tar.go, strconv.go and ea.go",
    check: records,
};

fn records(context: &Context, found: &mut Findings) {
    for (number, index) in context.subject.stack.layers().numbered() {
        for remark in &index.remarks {
            let (message, host) = match remark.what {
                Oddity::Attributes => {
                    ("MSWINDOWS.fileattr is not a decimal number of 32 bits", "strconv.ParseUint: invalid syntax")
                }
                Oddity::CreationTime => {
                    ("LIBARCHIVE.creationtime is not a time in seconds", "archive/tar: invalid tar header")
                }
                Oddity::SecurityDescriptor => {
                    ("MSWINDOWS.rawsd is not base64 of the standard alphabet with padding", "illegal base64 data")
                }
                Oddity::Sddl => ("MSWINDOWS.sd is not a security descriptor in SDDL", "convert <sddl>: invalid"),
                Oddity::ExtendedAttribute => (
                    "a record MSWINDOWS.xattr.* is not base64 of the standard alphabet with padding, or its name or value \
                     is longer than 255 or 65,535 bytes",
                    "illegal base64 data",
                ),
                Oddity::OldSecurityDescriptor => continue,
            };
            let Some(entry) = index.entries.get(remark.entry) else { continue };
            found.push(Finding::error(message).at(number, entry).host(host));
        }
    }
}

pub(super) const SECURITY: Rule = Rule {
    name: "security-descriptors",
    summary: "Files have a security descriptor",
    source: "buildpacks/imgutil#47, #52; buildpacks/lifecycle#343; ko-build/ko#374",
    check: security,
};

fn security(context: &Context, found: &mut Findings) {
    for (number, index) in context.subject.stack.layers().numbered() {
        let has_remark = |at: EntryNumber| {
            let remark = index.remarks.binary_search_by_key(&at, |remark| remark.entry);
            // Whatever is said of it: a descriptor of the old form, or one that cannot be read.
            remark.is_ok()
        };
        let mut bare = index.entries.numbered().filter(|(at, entry)| {
            let is_file = entry.kind == EntryKind::File && in_file_tree(entry.path.as_str());
            is_file && entry.security.is_none() && !has_remark(*at)
        });
        let Some((_, first)) = bare.next() else { continue };
        let files = match bare.count() {
            0 => "this file has".to_owned(),
            others => format!("this file and {others} others of the layer have"),
        };
        let message = format!(
            "{files} no security descriptor (MSWINDOWS.rawsd): under containerd, users such as ContainerUser cannot open them"
        );
        found.push(Finding::warning(message).at(number, first));
    }
}
