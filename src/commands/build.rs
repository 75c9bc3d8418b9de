//! `winslim build`: pull, slim, verify, push, record.

use anyhow::{Context, Result};

use super::base::{self, BaseImage, FoundImage};
use super::build_cache::Cache;
use super::failure::Usage;
use super::record::{self, Documents};
use super::slim::{self, Encoding, Place, ResultLayer, Slimmed};
use super::{Surroundings, write_file};
use crate::cli::{Build, CompressionFormat, Verification};
use crate::error::ExitStatus;
use crate::image::media_type::Compression;
use crate::profile::{self, RuleSet};
use crate::report;
use crate::rewrite::additions::DEFAULT_TIME;
use crate::transport::{Delivered, Reference, Target};

pub(super) async fn run(arguments: Build, surroundings: &Surroundings) -> Result<ExitStatus> {
    let encoding = encoding(&arguments)?;
    let time = source_date_epoch()?;
    let rules = profile::load(&arguments.profiles)?;
    let reference: Reference = arguments.target.parse()?;
    let target = Target::open(&reference, &surroundings.registry).await?;
    // What is to be checked in full is made anew.
    let reads = arguments.verify != Verification::Full;
    let cache = Cache::open(&arguments.cache_from, arguments.cache_to.as_deref(), reads, surroundings)?;
    let image: Reference = arguments.image.reference.parse()?;
    let platform = arguments.image.platform.as_deref().map(str::parse).transpose()?;
    let found = base::find(&image, platform.as_ref(), surroundings).await?;
    let built = build(found, rules, encoding, time, &cache, surroundings).await?;

    push(&built, &target, surroundings).await?;
    let ledger = record::ledger(&built.base, &built.rules, &built.slimmed, &built.documents, &reference, time);
    if built.documents.changed {
        // An image that did not change has no build to record.
        record::attach(&ledger, &built.documents, &built.base, &target, surroundings).await?;
    }
    let result = target.tag(built.documents.root()).await?;
    target.finish(&*surroundings.progress).await?;
    cache.save(&built.base, &built.slimmed, &reference).await;
    if let Some(file) = &arguments.ledger {
        write_file(file, &ledger.to_json()).context("the image is pushed, but the ledger cannot be written")?;
    }
    if let Some(file) = &arguments.summary {
        let summary = report::ledger::to_markdown(&ledger);
        write_file(file, &summary).context("the image is pushed, but the summary cannot be written")?;
    }
    if let Some(file) = &arguments.report {
        let page = report::html::ledger::page(&ledger);
        write_file(file, &page).context("the image is pushed, but the report cannot be written")?;
    }
    for warning in &ledger.warnings {
        surroundings.printer.warn(warning);
    }
    surroundings.printer.say(report::ledger::to_text(&ledger).trim_end());
    surroundings.printer.result(&format!("{result}\n"))?;
    Ok(ExitStatus::Done)
}

/// A slimmed image that a Windows host would import, ready to be pushed.
struct Built<'a> {
    base: BaseImage<'a>,
    rules: RuleSet,
    slimmed: Slimmed,
    documents: Documents,
}

/// Slims one base image.
async fn build<'a>(
    found: FoundImage<'a>,
    rules: RuleSet,
    encoding: Encoding,
    time: Option<u64>,
    cache: &'a Cache<'a>,
    surroundings: &Surroundings,
) -> Result<Built<'a>> {
    let base = found.index(Some(cache)).await?;
    slim::check_base(&base, &surroundings.printer)?;
    let slimmed = slim::slim(&base, &rules, encoding, time.unwrap_or(DEFAULT_TIME), cache, surroundings).await?;
    let documents = record::documents(&base, &rules, &slimmed, time)?;
    slim::check_result(&slimmed.layers, &documents.config, &documents.manifest, documents.index.as_ref())?;
    Ok(Built { base, rules, slimmed, documents })
}

/// Puts everything at the target that the image consists of. Nothing leads there yet.
async fn push(built: &Built<'_>, target: &Target, surroundings: &Surroundings) -> Result<()> {
    push_layers(&built.base, &built.slimmed.layers, target, surroundings).await?;
    record::push_config(&built.base, &built.documents, target, surroundings).await?;
    Ok(target.put_document(&built.documents.manifest.document).await?)
}

/// Puts the layers at the target. A layer that is not on this machine comes here only if the target cannot have it otherwise.
async fn push_layers(
    base: &BaseImage<'_>,
    layers: &[ResultLayer],
    target: &Target,
    surroundings: &Surroundings,
) -> Result<()> {
    for (number, layer) in layers.iter().enumerate() {
        let delivered = push_layer(base, number, layer, target, surroundings);
        let delivered = delivered.await.with_context(|| format!("cannot push layer {number}"))?;
        tracing::info!(layer = number, digest = %layer.index.digest, ?delivered, "layer is at the target");
    }
    Ok(())
}

async fn push_layer(
    base: &BaseImage<'_>,
    number: usize,
    layer: &ResultLayer,
    target: &Target,
    surroundings: &Surroundings,
) -> Result<Delivered> {
    let (digest, size) = (&layer.index.digest, layer.index.stored_size);
    let mount_from = match (&layer.place, &base.image.reference) {
        (Place::Source, Reference::Registry(from)) => Some(from),
        (Place::Cache(cache), _) => Some(cache.name()),
        _ => None,
    };
    let path = match &layer.place {
        Place::Store(path) => path.clone(),
        place => {
            if let Some(delivered) = target.take_blob(digest, size, mount_from).await? {
                return Ok(delivered);
            }
            match place {
                Place::Cache(cache) => {
                    let blob = record::descriptor(&layer.index);
                    cache.fetch(&blob, &surroundings.store, base.progress()).await?
                }
                _ => base.blob(number).await?.path.clone(),
            }
        }
    };
    Ok(target.put_blob(digest, size, &path, None, base.progress()).await?)
}

fn encoding(arguments: &Build) -> Result<Encoding> {
    let (compression, levels) = match arguments.compression {
        None => (None, 0..=9),
        Some(CompressionFormat::Gzip) => (Some(Compression::Gzip), 0..=9),
        Some(CompressionFormat::Zstd) => (Some(Compression::Zstd), 1..=22),
    };
    if let Some(level) = arguments.level
        && !levels.contains(&level)
    {
        let (least, most) = levels.into_inner();
        return Err(Usage(format!("--level {level} is not between {least} and {most}")).into());
    }
    let threads = match arguments.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    Ok(Encoding {
        compression,
        level: arguments.level,
        recompress: arguments.recompress,
        threads,
        read_back: arguments.verify == Verification::Full,
    })
}

/// The time that `SOURCE_DATE_EPOCH` asks for, in seconds since 1970
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
fn source_date_epoch() -> Result<Option<u64>> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => {
                Err(Usage(format!("SOURCE_DATE_EPOCH is `{text}`, and not a number of seconds since 1970")).into())
            }
        },
        Err(_) => Ok(None),
    }
}
