//! The import rules of Windows hosts, held against base images and results.

use std::sync::Arc;

use super::base::BaseImage;
use super::error::WouldNotImport;
use super::event::Event;
use super::result::ResultLayer;
use super::session::Session;
use crate::image::document::DocumentError;
use crate::image::{Config, Document, Index, IndexEntry, Manifest};
use crate::layer::LayerStack;
use crate::verify::{Finding, ImageFacts, Severity, Subject, verify};

/// Refuses an image that a Windows host would not import even as it is. Warnings are events.
///
/// # Errors
/// With what a host would refuse.
pub fn check_base(base: &BaseImage<'_>, session: &Session) -> Result<(), WouldNotImport> {
    let findings = verify_image(&base.stack, &base.image.config, &base.image.manifest, base.image.index_entry());
    for finding in findings.iter().filter(|finding| finding.severity == Severity::Warning) {
        session.tell(&Event::BaseFinding(finding));
    }
    refuse(findings, || format!("the base image `{}`", base.image.reference))
}

/// Refuses a result that a Windows host would not import.
pub(super) fn check_result(
    layers: &[ResultLayer],
    config: &Config,
    manifest: &Manifest,
    index: Option<&Document>,
) -> Result<Result<(), WouldNotImport>, DocumentError> {
    let stack = LayerStack::new(layers.iter().map(|layer| Arc::clone(&layer.index)).collect());
    let index = index.cloned().map(Index::parse).transpose()?;
    let entry = index.as_ref().and_then(|index| index.entries.first());
    Ok(refuse(verify_image(&stack, config, manifest, entry), || "the slimmed image".to_owned()))
}

/// Returns the findings of all import rules on an image.
pub fn verify_image(
    stack: &LayerStack,
    config: &Config,
    manifest: &Manifest,
    index_entry: Option<&IndexEntry>,
) -> Vec<Finding> {
    verify(&Subject { stack, image: ImageFacts::of(config, manifest, index_entry) })
}

fn refuse(mut findings: Vec<Finding>, what: impl FnOnce() -> String) -> Result<(), WouldNotImport> {
    findings.retain(|finding| finding.severity == Severity::Error);
    if findings.is_empty() { Ok(()) } else { Err(WouldNotImport { what: what(), findings }) }
}
