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
mod streams;
mod unicode;
mod utility_vm;
mod whiteouts;

#[cfg(test)]
mod tests;

use crate::image::{Config, Descriptor, Digest, IndexEntry, Manifest, Platform};
use crate::layer::LayerStack;
use crate::windows::program::Start;

use context::Context;
use finding::Findings;
pub use finding::{Finding, Severity};
pub use hives::REGISTRY_VERSION;

/// What is verified: an image as its layers and documents describe it.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Its layers.
    pub stack: &'a LayerStack,
    /// What manifest, config and index say.
    pub image: ImageFacts,
}

/// What the documents of an image say about it.
#[derive(Debug, Clone)]
pub struct ImageFacts {
    /// The platform in the config.
    pub platform: Platform,
    /// `rootfs.diff_ids` of the config.
    pub diff_ids: Vec<Digest>,
    /// The layers in the manifest.
    pub layers: Vec<Descriptor>,
    /// How many entries of the config's history made a layer (`empty_layer` is not true); nothing without a history.
    pub history: Option<usize>,
    /// The platform that the index gives for the manifest; nothing if there is no index or no platform in it.
    pub index_platform: Option<Platform>,
    /// What a container starts.
    pub start: Start,
}

impl ImageFacts {
    /// What these documents say; the index entry is the one that leads to the manifest, if there is one.
    pub fn of(config: &Config, manifest: &Manifest, index_entry: Option<&IndexEntry>) -> ImageFacts {
        let made_layers = config.history.iter().filter(|step| !step.empty_layer).count();
        ImageFacts {
            platform: config.platform(),
            diff_ids: config.diff_ids.clone(),
            layers: manifest.layers.clone(),
            history: (!config.history.is_empty()).then_some(made_layers),
            index_platform: index_entry.and_then(|entry| entry.platform.clone()),
            start: Start::of(config),
        }
    }
}

/// One import rule.
pub struct Rule {
    /// Its name in kebab case, as findings quote it.
    pub name: &'static str,
    /// What it asks for, in one sentence.
    pub summary: &'static str,
    /// The public source that it was read from.
    pub source: &'static str,
    check: fn(&Context, &mut Findings),
}

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
