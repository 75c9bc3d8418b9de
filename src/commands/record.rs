//! What is said of a build: the new documents of the image, and the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::Surroundings;
use super::base::BaseImage;
use super::slim::{ResultLayer, Slimmed, fit_warnings};
use crate::image::edit::{
    ConfigEdit, EMPTY_CONFIG, ImageSettings, LayerSource, ManifestEdit, NewIndexEntry, edit_config, edit_manifest,
    make_index, make_referrer,
};
use crate::image::{Config, Descriptor, Digest, Document, HistoryEntry, Manifest, media_type};
use crate::layer::{LayerIndex, LayerNumber};
use crate::ledger::{
    Base, Keep, Kept, Layer, LayerOutcome, LayerState, Ledger, MEDIA_TYPE, Outcome, Profile, Pull, Role, Rule, SCHEMA,
    Tool, Totals,
};
use crate::profile::RuleSet;
use crate::report::Report;
use crate::transport::{LocalBlob, Reference, Target, TransportError};

const TOOL: Tool = Tool { name: "winslim", version: env!("CARGO_PKG_VERSION") };

/// The annotation that says what became of the UtilityVM of the base image.
pub(super) const UTILITY_VM: &str = "io.github.winslim.utility-vm";
/// The value of [`UTILITY_VM`] if it is gone; otherwise there is no such annotation.
pub(super) const REMOVED: &str = "removed";

/// Whether a base layer has a UtilityVM: something in it, and not the empty directory alone.
pub(super) fn has_utility_vm(base: &LayerIndex) -> bool {
    const INSIDE: &str = "UtilityVM/Files/";
    let is_inside =
        |name: &str| name.get(..INSIDE.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(INSIDE));
    base.entries.iter().any(|entry| is_inside(entry.path.as_str()))
}

/// The documents of the result.
pub(super) struct Documents {
    pub(super) config: Config,
    pub(super) manifest: Manifest,
    pub(super) index: Option<Document>,
    /// Whether they are others than the base's.
    pub(super) changed: bool,
}

impl Documents {
    /// What the target's tag leads to.
    pub(super) fn root(&self) -> &Document {
        self.index.as_ref().unwrap_or(&self.manifest.document)
    }
}

/// Makes the documents of the result. Where nothing changes they are the base's, byte for byte.
pub(super) fn documents(
    base: &BaseImage<'_>,
    rules: &RuleSet,
    slimmed: &Slimmed,
    time: Option<u64>,
) -> Result<Documents> {
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
    let config = Config::parse(edit_config(&image.config, &edit)).context("the new config cannot be read back")?;
    let layers = slimmed.layers.iter().enumerate().map(|(number, layer)| match layer.is_new() {
        false => LayerSource::Kept(number),
        true => LayerSource::New(descriptor(&layer.index)),
    });
    let manifest = edit_manifest(
        &image.manifest,
        &ManifestEdit {
            config: Descriptor::of(&config.document),
            layers: layers.collect(),
            annotations: annotations(base, rules, slimmed),
        },
    );
    let manifest = Manifest::parse(manifest).context("the new manifest cannot be read back")?;
    // A single image needs no index of its own, whose only child registries would clean up as untagged.
    let index = image.index.is_some().then(|| index_of(&manifest.document, &config, base));
    Ok(Documents { config, manifest, index, changed })
}

fn index_of(manifest: &Document, config: &Config, base: &BaseImage<'_>) -> Document {
    make_index(&[NewIndexEntry { manifest, config, base: base.image.index_entry() }])
}

/// How a manifest points to a new layer.
pub(super) fn descriptor(index: &LayerIndex) -> Descriptor {
    Descriptor {
        media_type: media_type::layer_media_type(index.compression).to_owned(),
        digest: index.digest,
        size: index.stored_size,
        urls: Vec::new(),
    }
}

/// One line for each layer that is new, behind those of the base image.
fn history(base: &BaseImage<'_>, rules: &RuleSet, slimmed: &Slimmed, time: Option<u64>) -> Result<Vec<HistoryEntry>> {
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

fn rfc3339(seconds: u64) -> Result<String> {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).context("SOURCE_DATE_EPOCH is no time that a calendar has")?;
    Ok(time.to_string())
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

/// Makes the ledger of a build.
pub(super) fn ledger(
    base: &BaseImage<'_>,
    rules: &RuleSet,
    slimmed: &Slimmed,
    documents: &Documents,
    target: &Reference,
    time: Option<u64>,
) -> Ledger {
    let config = &base.image.config;
    let version = config.platform().version();
    let layers = layers(base, slimmed, documents);
    let mut warnings = slimmed.plan.warnings.clone();
    warnings.extend(fit_warnings(rules, &base.image, &base.stack, &slimmed.plan));
    for (number, layer) in slimmed.layers.iter().enumerate().filter(|(_, layer)| layer.would_have_grown) {
        let digest = layer.index.digest.short();
        warnings.push(format!("layer {number} ({digest}) stays as it is: rewritten, it would have become larger"));
    }
    Ledger {
        schema: SCHEMA,
        tool: TOOL,
        created: time.and_then(|time| rfc3339(time).ok()),
        base: Base {
            reference: base.image.reference.to_string(),
            index: base.image.index.as_ref().map(|index| index.document.digest()),
            manifest: base.image.manifest.document.digest(),
            os_version: config.os_version.clone(),
            build: version.map(|version| version.build()),
            revision: version.map(|version| version.revision()),
            os_features: config.os_features.clone(),
        },
        result: Outcome {
            reference: target.to_string(),
            index: documents.index.as_ref().map(Document::digest),
            manifest: documents.manifest.document.digest(),
            config: documents.config.document.digest(),
        },
        profiles: rules
            .profiles
            .iter()
            .map(|profile| Profile { name: profile.name.clone(), digest: profile.digest, risk: profile.risk.as_str() })
            .collect(),
        profile_digest: rules.digest(),
        totals: Totals::of(&layers),
        pull: Pull::of(&layers),
        layers,
        rules: Rule::all(rules, &slimmed.plan),
        keeps: Keep::all(&slimmed.plan),
        kept: Kept::all(rules, &slimmed.plan),
        warnings,
    }
}

fn layers(base: &BaseImage<'_>, slimmed: &Slimmed, documents: &Documents) -> Vec<Layer> {
    let mut created_by = base.image.config.history.iter().filter(|line| !line.empty_layer).map(|line| &line.created_by);
    let types_before: Vec<&str> = base.image.manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
    let types_after: Vec<&str> = documents.manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
    let record = |(place, layer): (usize, &ResultLayer)| {
        let source = LayerNumber::try_from(place).ok();
        let before = source.and_then(|number| Some((number, base.stack.layers().get(number)?)));
        let said = created_by.next().and_then(|text| text.as_deref());
        let plan = before.and_then(|(number, _)| slimmed.plan.layers.get(number));
        let summary = plan.filter(|_| layer.is_new()).map(|layer| &layer.summary);
        Layer {
            role: before.map_or(Role::Added, |(number, _)| Role::of(number, said)),
            outcome: match (before, layer.is_new()) {
                (None, _) => LayerOutcome::Added,
                (Some(_), true) => LayerOutcome::Rewritten,
                (Some(_), false) if layer.would_have_grown => LayerOutcome::KeptSmaller,
                (Some(_), false) => LayerOutcome::Reused,
            },
            before: before.map(|(_, before)| state(before, types_before[place])),
            after: state(&layer.index, types_after[place]),
            promoted: summary.map_or(0, |summary| summary.promoted),
            retargeted: summary.map_or(0, |summary| summary.retargeted),
        }
    };
    slimmed.layers.iter().enumerate().map(record).collect()
}

fn state(index: &LayerIndex, media_type: &str) -> LayerState {
    LayerState {
        digest: index.digest,
        diff_id: index.diff_id,
        media_type: media_type.to_owned(),
        compressed: index.stored_size,
        unpacked: index.data_size(),
        tar: index.unpacked_size,
        entries: index.entries.len() as u64,
    }
}

/// Puts the config at the target.
pub(super) async fn push_config(
    base: &BaseImage<'_>,
    documents: &Documents,
    target: &Target,
    surroundings: &Surroundings,
) -> Result<()> {
    put_bytes(documents.config.document.bytes(), base, target, surroundings).await.context("cannot push the config")?;
    Ok(())
}

/// Attaches the ledger to the pushed image. A registry that refuses it gets the image all the same; what it says is a warning.
pub(super) async fn attach(
    ledger: &Ledger,
    documents: &Documents,
    base: &BaseImage<'_>,
    target: &Target,
    surroundings: &Surroundings,
) -> Result<()> {
    let text = ledger.to_json();
    let subject = &documents.manifest.document;
    let attached = async {
        let digest = put_bytes(text.as_bytes(), base, target, surroundings).await?;
        put_bytes(EMPTY_CONFIG, base, target, surroundings).await?;
        let blob = Descriptor { media_type: MEDIA_TYPE.to_owned(), digest, size: text.len() as u64, urls: Vec::new() };
        target.put_referrer(subject, &make_referrer(subject, MEDIA_TYPE, &blob)).await
    };
    match attached.await {
        Err(TransportError::Registry(refusal)) if refusal.is_refusal() => {
            surroundings.printer.warn(&format!(
                "the ledger is not attached to the image: {refusal}; --no-attach does without, and --ledger FILE writes it"
            ));
            Ok(())
        }
        attached => attached.context("cannot attach the ledger to the image"),
    }
}

async fn put_bytes(
    bytes: &[u8],
    base: &BaseImage<'_>,
    target: &Target,
    surroundings: &Surroundings,
) -> Result<Digest, TransportError> {
    let (digest, path) = surroundings.store.lend(bytes)?;
    let blob = LocalBlob::in_store(path, true);
    target.put_blob(&digest, bytes.len() as u64, &blob, None, base.progress()).await?;
    Ok(digest)
}
