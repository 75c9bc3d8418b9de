//! From a base image and rules to the layers of the result: the middle of a build.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::Surroundings;
use super::base::BaseImage;
use super::failure::WouldNotImport;
use crate::image::media_type::Compression;
use crate::image::{Config, Document, Index, Manifest};
use crate::layer::{EntryId, LayerIndex, LayerStack};
use crate::plan::{LayerLimit, LayerPlan, Plan, plan};
use crate::printer::Printer;
use crate::profile::RuleSet;
use crate::progress::Stage;
use crate::rewrite::additions::Additions;
use crate::rewrite::output::{DEFAULT_GZIP_LEVEL, DEFAULT_ZSTD_LEVEL};
use crate::rewrite::{LayerWriter, Settings, Spool, read_back, rewrite_layer};
use crate::store::Temporary;
use crate::transport::Image;
use crate::verify::{Finding, ImageFacts, Severity, Subject, verify};

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
    fn for_source(self, source: Compression) -> Settings {
        let (compression, default) = match self.compression.unwrap_or(source) {
            Compression::Zstd => (Compression::Zstd, DEFAULT_ZSTD_LEVEL),
            Compression::Gzip | Compression::None => (Compression::Gzip, DEFAULT_GZIP_LEVEL),
        };
        let Encoding { recompress, threads, read_back, .. } = self;
        Settings { compression, level: self.level.unwrap_or(default), recompress, threads, read_back }
    }
}

/// A layer of the result.
pub(super) struct ResultLayer {
    pub(super) index: Arc<LayerIndex>,
    /// Where its blob is, if it is new; a layer that was reused is at the source.
    pub(super) path: Option<PathBuf>,
    /// Whether a rewritten one was thrown away because it was larger.
    pub(super) would_have_grown: bool,
}

/// The layers of the result, and the plan that made them.
pub(super) struct Slimmed {
    pub(super) plan: Plan,
    pub(super) layers: Vec<ResultLayer>,
}

/// Refuses an image that a Windows host would not import even as it is.
pub(super) fn check_base(base: &BaseImage<'_>, printer: &Printer) -> Result<()> {
    let findings = verify_image(&base.stack, &base.image.config, &base.image.manifest, base.image.index_entry());
    for finding in findings.iter().filter(|finding| finding.severity == Severity::Warning) {
        printer.detail(&format!("verify: {}", crate::report::verify::line(finding)));
    }
    let errors = errors_in(findings);
    if errors.is_empty() {
        return Ok(());
    }
    Err(WouldNotImport { what: format!("the base image `{}`", base.image.reference), findings: errors }.into())
}

/// The families of Microsoft's base images, by the names of their repositories.
const FAMILIES: [&str; 4] = ["nanoserver", "servercore", "server", "windows"];

/// What profiles say they are meant for and this image is not.
pub(super) fn fit_warnings(rules: &RuleSet, image: &Image) -> Vec<String> {
    let mut warnings = Vec::new();
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

/// Rewrites what the rules touch. A layer that would become larger is left as it is, and the plan made anew around it.
pub(super) async fn slim(
    base: &BaseImage<'_>,
    rules: &RuleSet,
    encoding: Encoding,
    time: u64,
    surroundings: &Surroundings,
) -> Result<Slimmed> {
    let additions = Additions::collect(&rules.adds, &base.stack)?;
    let count = base.stack.layers().len();
    let mut limits = vec![LayerLimit::Free; count];
    // What a layer became under an earlier plan serves again if the new plan does the same to it and needs no more of it.
    let mut done: Vec<Option<(LayerPlan, ResultLayer)>> = (0..count).map(|_| None).collect();
    let directory = surroundings.store.temporary_directory()?;
    let mut spool = Spool::create(directory.path().join("set-aside"))?;
    let plan = loop {
        let plan = plan(&base.stack, rules, &limits)?;
        let sources = plan.sources();
        let mut grown = None;
        for (layer, done) in done.iter_mut().enumerate() {
            let wanted = &plan.layers[layer];
            let has_all = sources[layer].iter().all(|&entry| spool.has(EntryId { layer: layer as u32, entry }));
            let is_done = has_all && done.as_ref().is_some_and(|(before, _)| before.actions == wanted.actions);
            if wanted.is_untouched() || is_done {
                continue;
            }
            let result = rewrite(base, &plan, layer, encoding, &mut spool, surroundings).await?;
            if result.index.stored_size > base.stack.layers()[layer].stored_size {
                grown = Some(layer);
                break;
            }
            *done = Some((wanted.clone(), result));
        }
        let Some(layer) = grown else { break plan };
        anyhow::ensure!(
            limits[layer] != LayerLimit::Untouched,
            "layer {layer} was rewritten although it is to stay as it is; this is a mistake in winslim, please report it",
        );
        limits[layer] = match limits[layer] {
            LayerLimit::Free if plan.takes_from_below(layer) => LayerLimit::NoPromotion,
            _ => LayerLimit::Untouched,
        };
        tracing::info!(layer, limit = ?limits[layer], "the rewritten layer is larger than it was; planning around it");
    };
    let mut layers = Vec::new();
    for (layer, done) in done.into_iter().enumerate() {
        let would_have_grown = limits[layer] == LayerLimit::Untouched;
        layers.push(match done {
            Some((_, result)) if !plan.layers[layer].is_untouched() => result,
            _ => ResultLayer { index: Arc::clone(&base.stack.layers()[layer]), path: None, would_have_grown },
        });
    }
    if !additions.is_empty() {
        let settings = encoding.for_source(Compression::None);
        let mut writer = LayerWriter::new(surroundings.store.temporary()?, settings)?;
        let layer = tokio::task::block_in_place(|| {
            additions.write(&mut writer, time)?;
            let (file, index) = writer.finish()?;
            publish(file, index, settings, surroundings)
        })?;
        layers.push(layer);
    }
    Ok(Slimmed { plan, layers })
}

async fn rewrite(
    base: &BaseImage<'_>,
    plan: &Plan,
    layer: usize,
    encoding: Encoding,
    spool: &mut Spool,
    surroundings: &Surroundings,
) -> Result<ResultLayer> {
    let descriptor = &base.image.manifest.layers[layer];
    let blob = base.blob(layer).await?;
    let settings = encoding.for_source(base.stack.layers()[layer].compression);
    let writer = LayerWriter::new(surroundings.store.temporary()?, settings)?;
    let task = base.progress().start(Stage::Rewrite, &descriptor.digest.short(), descriptor.size);
    tokio::task::block_in_place(|| {
        let (file, index) =
            rewrite_layer(&blob.path, &base.stack, plan, layer, spool, writer, |bytes| task.advance(bytes))
                .with_context(|| format!("cannot rewrite layer {layer} ({})", descriptor.digest))?;
        task.finish();
        publish(file, index, settings, surroundings)
    })
}

/// Stores a new layer; if that is asked for, it is read back first.
///
/// Its index is not stored: it knows less of the blob than one that reading it gives.
fn publish(file: Temporary, index: LayerIndex, settings: Settings, surroundings: &Surroundings) -> Result<ResultLayer> {
    if settings.read_back {
        read_back(file.path(), &index)?;
    }
    let path = surroundings.store.publish(file, &index.digest)?;
    Ok(ResultLayer { index: Arc::new(index), path: Some(path), would_have_grown: false })
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
