//! The ledger of a build.

use super::base::BaseImage;
use super::documents::{TOOL, rfc3339};
use super::fit::fit_warnings;
use super::result::{Documents, ResultLayer, Slimmed};
use crate::image::Document;
use crate::layer::{LayerIndex, LayerNumber};
use crate::ledger::{
    Base, Keep, Kept, Layer, LayerOutcome, LayerState, Ledger, Outcome, Profile, Pull, Role, Rule, SCHEMA, Totals,
};
use crate::numbered::NumberedVec;
use crate::plan::OutputNumber;
use crate::profile::RuleSet;
use crate::transport::Reference;

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

fn layers(base: &BaseImage<'_>, slimmed: &Slimmed, documents: &Documents) -> NumberedVec<OutputNumber, Layer> {
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
