//! The import rules of Windows hosts: would containerd and Docker on Windows take this image?
//!
//! Each rule is one function and stands in [`RULES`] with the public source that it was read from. What a source states
//! or a report shows is an error; what is only inferred from one is a warning. Rules look at layer indexes and at facts
//! from the image's documents: no layer is read again.

pub mod choice;
mod context;
mod documents;
mod finding;
mod hives;
mod links;
mod names;
mod order;
mod plain;
mod program;
mod records;
mod rule;
mod streams;
mod subject;
mod unicode;
mod utility_vm;
mod whiteouts;

#[cfg(test)]
mod tests;

use context::Context;
use finding::Findings;
pub use finding::{Finding, Severity};
pub use hives::REGISTRY_VERSION;
pub use rule::Rule;
pub use subject::{ImageFacts, Subject};

/// Every rule, in the order in which findings are listed.
pub static RULES: &[Rule] = &[
    names::RELATIVE,
    names::CLEAN,
    names::TRAILING_SEPARATORS,
    names::BACKSLASHES,
    names::CHARACTERS,
    names::ENDINGS,
    names::DEVICES,
    names::LENGTHS,
    names::RESERVED_SUFFIX,
    unicode::UNICODE,
    names::TOP_LEVEL,
    order::ROOTS,
    order::PARENTS,
    order::DUPLICATES,
    order::KINDS,
    order::TAR_END,
    order::DIRECTORY_BIT,
    records::RECORDS,
    records::SECURITY,
    links::HAVE_TARGETS,
    links::TARGETS,
    links::TARGET_KINDS,
    links::SPELLING,
    links::PLACES,
    links::COUNTS,
    whiteouts::BASE,
    whiteouts::OPAQUE,
    whiteouts::PLACES,
    whiteouts::CONTRADICTIONS,
    whiteouts::UTILITY_VM_TARGETS,
    whiteouts::DIRECTORIES,
    hives::NO_DELTAS_IN_BASE,
    hives::PRESENT,
    hives::VALID,
    hives::CLEAN,
    hives::DELTA_NAMES,
    hives::DELTAS_VALID,
    hives::VERSION,
    utility_vm::DIRECTORIES,
    utility_vm::CONTENTS,
    utility_vm::BELOW,
    utility_vm::BOOT_STORE,
    utility_vm::BOOT_STORE_LINKS,
    utility_vm::COMPLETE,
    streams::OWNERS,
    documents::PLATFORM,
    documents::OS_VERSION,
    documents::INDEX_PLATFORM,
    documents::LAYER_COUNT,
    documents::DIFF_IDS,
    documents::BLOBS,
    documents::HISTORY,
    documents::MEDIA_TYPES_KNOWN,
    documents::COMPRESSION,
    documents::FOREIGN_LAYERS,
    documents::LICENCE,
    program::PROGRAM,
];

/// Checks an image against all [`RULES`].
///
/// The findings come in the order of the rules, within a rule in the order of the image. A rule that is broken more than
/// 20 times ends with one finding that counts the rest, as an error if one of the rest is.
pub fn verify(subject: &Subject) -> Vec<Finding> {
    let context = Context::new(subject);
    let mut findings = Vec::new();
    for rule in RULES {
        let mut found = Findings::new(rule.name);
        (rule.check)(&context, &mut found);
        findings.extend(found.finish());
    }
    findings
}
