//! The new documents of an image.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::base::BaseImage;
use super::error::EngineError;
use super::result::{Documents, ResultLayer, Slimmed};
use crate::image::edit::{
    ConfigEdit, ImageSettings, LayerSource, ManifestEdit, NewIndexEntry, edit_config, edit_manifest, make_index,
};
use crate::image::{Config, Descriptor, Document, HistoryEntry, Manifest, media_type};
use crate::layer::LayerIndex;
use crate::ledger::Tool;
use crate::profile::RuleSet;
use crate::transport::Reference;

pub(super) const TOOL: Tool = Tool { name: "winslim", version: env!("CARGO_PKG_VERSION") };

/// The annotation that says what became of the UtilityVM of the base image.
pub const UTILITY_VM: &str = "io.github.winslim.utility-vm";
/// The value of [`UTILITY_VM`] if it is gone; otherwise there is no such annotation.
pub const REMOVED: &str = "removed";

/// Returns `true` if a base layer has a UtilityVM: something in it, and not the empty directory alone.
pub fn has_utility_vm(base: &LayerIndex) -> bool {
    const INSIDE: &str = "UtilityVM/Files/";
    let is_inside =
        |name: &str| name.get(..INSIDE.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(INSIDE));
    base.entries.iter().any(|entry| is_inside(entry.path.as_str()))
}

/// Makes the documents of the result. Where nothing changes they are the base's, byte for byte.
pub(super) fn documents(
    base: &BaseImage<'_>,
    rules: &RuleSet,
    slimmed: &Slimmed,
    time: Option<u64>,
) -> Result<Documents, EngineError> {
    let image = &base.image;
    let is_foreign = |layer: &Descriptor| media_type::is_foreign(&layer.media_type) || !layer.urls.is_empty();
    let has_new_layers = slimmed.layers.iter().any(ResultLayer::is_new);
    let changed =
        has_new_layers || rules.image != ImageSettings::default() || image.manifest.layers.iter().any(is_foreign);
    if !changed {
        let index = match (image.own_index(), &image.index) {
            (Some(index), _) => Some(index.document.clone()),
            (None, Some(_)) => Some(index_of(&image.manifest.document, &image.config, base)),
            (None, None) => None,
        };
        return Ok(Documents { config: image.config.clone(), manifest: image.manifest.clone(), index, changed });
    }
    let edit = ConfigEdit {
        diff_ids: has_new_layers.then(|| slimmed.layers.iter().map(|layer| layer.index.diff_id).collect()),
        history: history(base, rules, slimmed, time)?,
        settings: rules.image.clone(),
    };
    let config = Config::parse(edit_config(&image.config, &edit))
        .map_err(|error| EngineError::NewDocument { what: "config", error })?;
    let layers = slimmed.layers.iter().enumerate().map(|(number, layer)| match layer.is_new() {
        false => LayerSource::Kept(number),
        true => LayerSource::New(layer.descriptor()),
    });
    let manifest = edit_manifest(
        &image.manifest,
        &ManifestEdit {
            config: Descriptor::of(&config.document),
            layers: layers.collect(),
            annotations: annotations(base, rules, slimmed),
        },
    );
    let manifest = Manifest::parse(manifest).map_err(|error| EngineError::NewDocument { what: "manifest", error })?;
    // A single image needs no index of its own, whose only child registries would clean up as untagged.
    let index = image.index.is_some().then(|| index_of(&manifest.document, &config, base));
    Ok(Documents { config, manifest, index, changed })
}

fn index_of(manifest: &Document, config: &Config, base: &BaseImage<'_>) -> Document {
    make_index(&[NewIndexEntry { manifest, config, base: base.image.index_entry() }])
}

/// One line for each layer that is new, behind those of the base image.
fn history(
    base: &BaseImage<'_>,
    rules: &RuleSet,
    slimmed: &Slimmed,
    time: Option<u64>,
) -> Result<Vec<HistoryEntry>, EngineError> {
    let config = &base.image.config;
    if config.history.is_empty() {
        // Lines that count as layers must be as many as the layers are; an image without any stays without.
        return Ok(Vec::new());
    }
    let created = match time {
        Some(time) => Some(rfc3339(time)?),
        None => config.created.clone(),
    };
    let names = profile_names(rules);
    let mut lines = Vec::new();
    let sources = base.stack.layers().iter().map(Some).chain(std::iter::repeat(None));
    let layers = slimmed.layers.iter().zip(sources).enumerate();
    for (number, (layer, before)) in layers.filter(|(_, (layer, _))| layer.is_new()) {
        let (created_by, empty_layer) = match before {
            Some(before) => (format!("winslim: rewrite layer {number} ({}) with {names}", before.digest), true),
            None => (format!("winslim: add the files of {names}"), false),
        };
        let comment = Some(format!("{} {}, diff ID {}", TOOL.name, TOOL.version, layer.index.diff_id));
        lines.push(HistoryEntry { created: created.clone(), created_by: Some(created_by), comment, empty_layer });
    }
    Ok(lines)
}

fn profile_names(rules: &RuleSet) -> String {
    rules.profiles.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Returns a time as RFC 3339 writes it.
pub(super) fn rfc3339(seconds: u64) -> Result<String, EngineError> {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map(|time| time.to_string()).ok_or(EngineError::Time(seconds))
}

fn annotations(base: &BaseImage<'_>, rules: &RuleSet, slimmed: &Slimmed) -> BTreeMap<String, String> {
    let image = &base.image;
    let digest = image.index.as_ref().map_or(image.manifest.document.digest(), |index| index.document.digest());
    let before: u64 = base.stack.layers().iter().map(|layer| layer.stored_size).sum();
    let after: u64 = slimmed.layers.iter().map(|layer| layer.index.stored_size).sum();
    let mut annotations = BTreeMap::from([
        ("org.opencontainers.image.base.digest".to_owned(), digest.to_string()),
        ("io.github.winslim.version".to_owned(), TOOL.version.to_owned()),
        ("io.github.winslim.profiles".to_owned(), profile_names(rules)),
        ("io.github.winslim.profiles.digest".to_owned(), rules.digest().to_string()),
        ("io.github.winslim.size.before".to_owned(), before.to_string()),
        ("io.github.winslim.size.after".to_owned(), after.to_string()),
    ]);
    if let Some(version) = &image.config.os_version {
        annotations.insert("io.github.winslim.os.version".to_owned(), version.clone());
    }
    let has = |index: Option<&Arc<LayerIndex>>| index.is_some_and(|index| has_utility_vm(index));
    if has(base.stack.layers().first()) && !has(slimmed.layers.first().map(|layer| &layer.index)) {
        annotations.insert(UTILITY_VM.to_owned(), REMOVED.to_owned());
    }
    // A path on this machine would mean nothing to others, and would make the digest depend on it.
    if let Reference::Registry(reference) = &image.reference {
        annotations.insert("org.opencontainers.image.base.name".to_owned(), reference.to_string());
    }
    annotations
}
