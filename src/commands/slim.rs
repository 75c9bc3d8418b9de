//! From a base image and rules to the layers of the result: the middle of a build.

use std::sync::Arc;

use anyhow::Result;

use super::Surroundings;
use super::base::BaseImage;
use super::build_cache::Cache;
use super::early_push::Outbox;
use super::failure::WouldNotImport;
use super::rewriter::{Rewriter, Rewritten, publish};
use crate::image::media_type::Compression;
use crate::image::{Config, Digest, Document, Index, Manifest};
use crate::layer::{LayerIndex, LayerStack};
use crate::plan::{LayerLimit, Plan, lost_programs, plan};
use crate::printer::Printer;
use crate::profile::RuleSet;
use crate::rewrite::additions::Additions;
use crate::rewrite::cache::key;
use crate::rewrite::output::{DEFAULT_GZIP_LEVEL, DEFAULT_ZSTD_LEVEL};
use crate::rewrite::{LayerWriter, Settings};
use crate::transport::{Artifacts, Image, LocalBlob};
use crate::verify::{Finding, ImageFacts, REGISTRY_VERSION, Severity, Subject, verify};
use crate::windows::program::Start;

/// How new layers are encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoding {
    /// The format that was asked for; without one a layer keeps the format that it has.
    pub(super) compression: Option<Compression>,
    /// The level that was asked for.
    pub(super) level: Option<u32>,
    /// Whether what stays is compressed again too.
    pub(super) recompress: bool,
    /// How many threads compress.
    pub(super) threads: usize,
    /// Whether new layers are read back as a whole.
    pub(super) read_back: bool,
}

impl Encoding {
    /// The settings for a layer that was compressed like this.
    pub(super) fn for_source(self, source: Compression) -> Settings {
        let (compression, default) = match self.compression.unwrap_or(source) {
            Compression::Zstd => (Compression::Zstd, DEFAULT_ZSTD_LEVEL),
            Compression::Gzip | Compression::None => (Compression::Gzip, DEFAULT_GZIP_LEVEL),
        };
        let Encoding { recompress, threads, read_back, .. } = self;
        Settings { compression, level: self.level.unwrap_or(default), recompress, threads, read_back }
    }
}

/// A layer of the result.
#[derive(Clone)]
pub(super) struct ResultLayer {
    pub(super) index: Arc<LayerIndex>,
    pub(super) place: Place,
    /// What a cache keeps it under, if it was rewritten.
    pub(super) key: Option<Digest>,
    /// Whether a rewritten one was thrown away because it was larger.
    pub(super) would_have_grown: bool,
}

/// Where the blob of a layer of the result is.
#[derive(Clone)]
pub(super) enum Place {
    /// It was reused, and is where the image came from.
    Source,
    /// It is new, and this file of the store.
    Store(LocalBlob),
    /// It is new, and in this cache.
    Cache(Arc<Artifacts>),
}

impl ResultLayer {
    /// Whether the base image does not have it.
    pub(super) fn is_new(&self) -> bool {
        !matches!(self.place, Place::Source)
    }
}

/// The layers of the result, and the plan that made them.
pub(super) struct Slimmed {
    pub(super) plan: Plan,
    pub(super) layers: Vec<ResultLayer>,
    /// How far the layers may change, and what a cache keeps that under, if some may not change freely.
    pub(super) limits: Option<(Digest, Vec<LayerLimit>)>,
}

/// Refuses an image that a Windows host would not import even as it is.
pub(super) fn check_base(base: &BaseImage<'_>, printer: &Printer) -> Result<()> {
    let findings = verify_image(&base.stack, &base.image.config, &base.image.manifest, base.image.index_entry());
    for finding in findings.iter().filter(|finding| finding.severity == Severity::Warning) {
        let line = crate::report::verify::line(finding);
        match finding.rule {
            REGISTRY_VERSION => printer.warn(&line),
            _ => printer.detail(&format!("verify: {line}")),
        }
    }
    let errors = errors_in(findings);
    if errors.is_empty() {
        return Ok(());
    }
    Err(WouldNotImport { what: format!("the base image `{}`", base.image.reference), findings: errors }.into())
}

/// The families of Microsoft's base images, by the names of their repositories.
const FAMILIES: [&str; 4] = ["nanoserver", "servercore", "server", "windows"];

/// What profiles say they are meant for and this image is not, and what of the image the result will not repeat.
pub(super) fn fit_warnings(rules: &RuleSet, image: &Image, stack: &LayerStack, plan: &Plan) -> Vec<String> {
    let mut warnings = lost_programs(stack, rules, plan, &Start::of(&image.config));
    let (steps, layers) = (&image.config.history, image.manifest.layers.len());
    let told = steps.iter().filter(|step| !step.empty_layer).count();
    if !steps.is_empty() && told != layers {
        warnings.push(format!(
            "the history of the image tells of {told} layers, and there are {layers}: the history of the result is made to fit"
        ));
    }
    let build = image.config.platform().version().map(|version| version.build());
    // A repository of another name may hold anything; only Microsoft's names tell the family.
    let family = image.reference.short_name().filter(|name| FAMILIES.contains(name));
    for profile in &rules.profiles {
        if let Some(build) = build
            && !profile.builds.is_empty()
            && !profile.builds.contains(&build)
        {
            let builds: Vec<String> = profile.builds.iter().map(u32::to_string).collect();
            let name = &profile.name;
            warnings.push(format!(
                "profile `{name}` is meant for Windows build {}, and this is {build}",
                builds.join(", ")
            ));
        }
        if let Some(family) = family
            && !profile.bases.is_empty()
            && !profile.bases.iter().any(|base| base == family)
        {
            warnings.push(format!(
                "profile `{}` is meant for {}, and this is {family}",
                profile.name,
                profile.bases.join(", ")
            ));
        }
    }
    warnings
}

/// Rewrites what the rules touch, and gives what is finished to the outbox. A layer that would become larger is left as it is,
/// and the plan made anew around it.
pub(super) async fn slim(
    base: &BaseImage<'_>,
    rules: &RuleSet,
    outbox: Outbox,
    encoding: Encoding,
    time: u64,
    cache: &Cache<'_>,
    surroundings: &Surroundings,
) -> Result<Slimmed> {
    let additions = Additions::collect(&rules.adds, &base.stack)?;
    let count = base.stack.layers().len();
    let mut plan = self::plan(&base.stack, rules, &[])?;
    let mut rewriter = Rewriter::new(base, outbox, encoding, cache, surroundings)?;
    let limits_key = key::of_limits(&base.stack, &plan, &rewriter.settings);
    let mut limits = base.stack.layers().same_length(LayerLimit::Free);
    let known = cache.limits(&limits_key, count).await?;
    if let Some(known) = &known {
        tracing::info!(limits = ?known, "an earlier build tried how far the layers may change");
        plan = self::plan(&base.stack, rules, known)?;
        limits = known.clone().into();
    }
    let mut layers = loop {
        let layer = match rewriter.layers(&plan).await? {
            Rewritten::Layers(layers) => break layers,
            Rewritten::Grown(layer) => layer,
        };
        anyhow::ensure!(
            limits[layer] != LayerLimit::Untouched,
            "layer {layer} was rewritten although it is to stay as it is; this is a mistake in winslim, please report it",
        );
        limits[layer] = match limits[layer] {
            LayerLimit::Free if plan.takes_from_below(layer) => LayerLimit::NoPromotion,
            _ => LayerLimit::Untouched,
        };
        tracing::info!(%layer, limit = ?limits[layer], "the rewritten layer is larger than it was; planning around it");
        plan = self::plan(&base.stack, rules, limits.as_slice())?;
    };
    for (layer, limit) in layers.iter_mut().zip(&limits) {
        layer.would_have_grown = *limit == LayerLimit::Untouched;
    }
    let limits = limits.iter().any(|limit| *limit != LayerLimit::Free).then(|| (limits_key, limits.into_vec()));
    if let Some((key, limits)) = &limits
        && known.as_ref() != Some(limits)
    {
        cache.keep_limits(key, limits)?;
    }
    if !additions.is_empty() {
        let settings = encoding.for_source(Compression::None);
        let mut writer = LayerWriter::new(surroundings.store.temporary()?, settings)?;
        let layer = tokio::task::block_in_place(|| {
            additions.write(&mut writer, time)?;
            let (file, index) = writer.finish()?;
            publish(file, index, settings, None, surroundings)
        })?;
        layers.push(layer);
        rewriter.outbox.take(&layers);
    }
    Ok(Slimmed { plan, layers, limits })
}

/// Refuses a result that a Windows host would not import.
pub(super) fn check_result(
    layers: &[ResultLayer],
    config: &Config,
    manifest: &Manifest,
    index: Option<&Document>,
) -> Result<()> {
    let stack = LayerStack::new(layers.iter().map(|layer| Arc::clone(&layer.index)).collect());
    let index = index.cloned().map(Index::parse).transpose()?;
    let entry = index.as_ref().and_then(|index| index.entries.first());
    let errors = errors_in(verify_image(&stack, config, manifest, entry));
    if errors.is_empty() {
        return Ok(());
    }
    Err(WouldNotImport { what: "the slimmed image".to_owned(), findings: errors }.into())
}

/// The findings of all import rules on an image.
pub(super) fn verify_image(
    stack: &LayerStack,
    config: &Config,
    manifest: &Manifest,
    index_entry: Option<&crate::image::IndexEntry>,
) -> Vec<Finding> {
    verify(&Subject { stack, image: ImageFacts::of(config, manifest, index_entry) })
}

fn errors_in(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect()
}
