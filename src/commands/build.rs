//! `winslim build`: pull, slim, verify, push, record.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::base::{BaseImage, FoundImage};
use super::build_cache::{Cache, UnusableCache};
use super::choice::Where;
use super::early_push::{self, Outbox, Stopped};
use super::failure::Usage;
use super::order::{self, FileName, Order};
use super::push::push;
use super::record::{self, Documents};
use super::slim::{self, Encoding, Slimmed};
use super::targets::{self, Group};
use super::{Surroundings, check_file, pins, present, write_file};
use crate::build_file::Values;
use crate::cli;
use crate::error::ExitStatus;
use crate::image::{Digest, Document};
use crate::inspect::SizeModel;
use crate::inspect::policy::{Condition, Facts};
use crate::layer::LayerStack;
use crate::ledger::Ledger;
use crate::lock::{Lock, LockedBase};
use crate::printer;
use crate::profile::RuleSet;
use crate::report::Report;
use crate::report::html;
use crate::report::inspect::show;
use crate::report::ledger::events;
use crate::rewrite::additions::DEFAULT_TIME;
use crate::text::Shown;
use crate::transport::{Reference, Target};

/// How many base images are slimmed at once.
const AT_ONCE: usize = 3;

/// A cache that cannot be read costs time and nothing else: then the build is done without it.
pub(super) async fn run(arguments: cli::Build, surroundings: &Surroundings) -> Result<ExitStatus> {
    let result = run_with(&arguments, &arguments.cache_from, surroundings).await;
    let unusable = result.as_ref().err().and_then(|error| error.chain().find(|cause| cause.is::<UnusableCache>()));
    let Some(warning) = unusable.map(ToString::to_string) else { return result };
    surroundings.printer.warn(&warning);
    run_with(&arguments, &[], surroundings).await
}

async fn run_with(arguments: &cli::Build, cache_from: &[String], surroundings: &Surroundings) -> Result<ExitStatus> {
    let order = order::order(arguments, &surroundings.allowed)?;
    let locked = order.lock.as_ref().and_then(|locked| locked.lock.as_ref());
    // What is to be checked in full is made anew.
    let reads = !order.encoding.read_back;
    let cache = Cache::open(cache_from, arguments.cache_to.as_deref(), reads, surroundings)?;
    let place = if order.lock.is_some() { Where::BuildFile } else { Where::Option("--platform") };
    let finds = order
        .bases
        .iter()
        .map(|wanted| pins::find(&wanted.base, locked.and_then(|lock| lock.base(&wanted.inputs)), place, surroundings));
    let found = try_join_all(finds).await?;
    let lock = lock_of(&order, &found);
    let files = Files::of(&order, &found)?;
    let groups = targets::groups(&order.target, &found)?;
    if let Some(group) = groups.iter().find(|group| order.append && matches!(group.reference, Reference::OciArchive(_)))
    {
        let text = format!("an archive is written as a whole, so nothing can be added to `{}`", group.reference);
        return Err(Usage(text).into());
    }
    let mut targets = Vec::new();
    for group in &groups {
        targets.push(Target::open(&group.reference, &surroundings.registry).await?);
    }

    let early_targets = early_targets(&order, &groups, &targets);
    let mut built = build_all(found, &early_targets, &order, &cache, surroundings)?;
    if !meets_policy(&order.conditions, &built, surroundings) {
        return Ok(ExitStatus::Policy);
    }
    for (group, target) in groups.iter().zip(&targets) {
        try_join_all(group.members.iter().map(|&member| push(&built[member], target, surroundings))).await?;
        targets::share_index(group, &mut built);
    }
    let ledgers = attach_ledgers(&order, &groups, &targets, &built, surroundings).await?;
    let mut results = Vec::new();
    for (group, target) in groups.iter().zip(targets) {
        // All members have the same root.
        if let Some(&member) = group.members.first() {
            if order.tag_children {
                tag_children(group, &target, &built).await?;
            }
            let Built { base, documents, .. } = &built[member];
            let joined = join(group, &built, order.append, surroundings).await?;
            let root = joined.as_ref().unwrap_or_else(|| documents.root());
            let platform = base.platform_of(root, &documents.config);
            results.push(Shown::line(&target.tag(root, platform.as_ref()).await?));
        }
        target.finish(&*surroundings.progress).await?;
    }
    for (group, member) in groups.iter().flat_map(|group| group.members.iter().map(move |&member| (group, member))) {
        cache.save(&built[member].base, &built[member].slimmed, &group.reference).await;
    }
    files.write(&ledgers)?;
    if let (Some(locked), Some(lock)) = (&order.lock, lock)
        && locked.lock.as_ref() != Some(&lock)
    {
        let path = locked.path.display();
        if locked.is_kept_up {
            write_file(&locked.path, &Shown::of_escaped(lock.to_toml()))
                .context("everything is pushed, but the lock cannot be written")?;
            surroundings.printer.say(&format!("wrote `{path}`"));
        } else {
            surroundings.printer.detail(&format!("`{path}` stays as it is: --profile overrides the build file"));
        }
    }
    for ledger in &ledgers {
        for warning in &ledger.warnings {
            surroundings.printer.warn(warning);
        }
        surroundings.printer.say_report(&ledger.to_text(), &events(ledger));
    }
    surroundings.printer.result(&Shown::concat(results))?;
    Ok(ExitStatus::Done)
}

/// Looks at what the tag of a target leads to, right before it is moved: with `append`, the index with the results in it; without,
/// a warning about images that the tag does not lead to any more. Registries cannot move a tag only if nobody else has moved it,
/// so two builds that add to one tag at the same moment can still lose one of the results.
async fn join(
    group: &Group,
    built: &[Built<'_>],
    append: bool,
    surroundings: &Surroundings,
) -> Result<Option<Document>> {
    let present = match present::read(&group.reference, surroundings).await {
        Ok(present) => present,
        Err(error) if append => {
            return Err(error.context(format!("cannot add to what `{}` leads to", group.reference)));
        }
        Err(error) => {
            tracing::info!(reason = format!("{error:#}"), "what the tag leads to now is not known");
            None
        }
    };
    let Some(present) = present else { return Ok(None) };
    let others = present.others(group, built);
    if append {
        return Ok((!others.is_empty()).then(|| present.joined(group, built)));
    }
    if !others.is_empty() {
        let (target, others) = (&group.reference, others.join(", "));
        surroundings.printer.warn(&format!(
            "`{target}` does not lead to the images for {others} any more; with --append they would stay"
        ));
    }
    Ok(None)
}

/// Gives each image a tag of its own, such as `TAG-windows-17763`, so that what cleans up untagged manifests keeps it.
async fn tag_children(group: &Group, target: &Target, built: &[Built<'_>]) -> Result<()> {
    let Some(tag) = group.reference.tag() else { return Ok(()) };
    for &member in &group.members {
        let Documents { config, manifest, .. } = &built[member].documents;
        let platform = config.platform();
        let Some(version) = platform.version() else { continue };
        let architecture = match platform.architecture.as_str() {
            "amd64" => String::new(),
            other => format!("-{other}"),
        };
        let child = format!("{tag}-windows-{}{architecture}", version.build());
        target.tag_child(&manifest.document, &child).await?;
    }
    Ok(())
}

/// A slimmed image that a Windows host would import, ready to be pushed.
pub(super) struct Built<'a> {
    pub(super) base: BaseImage<'a>,
    pub(super) slimmed: Slimmed,
    pub(super) documents: Documents,
    /// The layers that went to the target while others were being rewritten.
    pub(super) sent: BTreeSet<Digest>,
}

/// The lock that the images which were found make; only a build file has one.
fn lock_of(order: &Order, found: &[FoundImage<'_>]) -> Option<Lock> {
    order.lock.as_ref()?;
    let base = |(wanted, found): (&pins::Wanted, &FoundImage<'_>)| LockedBase {
        inputs: wanted.inputs.clone(),
        pin: pins::pin(found),
    };
    Some(Lock::new(order.bases.iter().zip(found).map(base).collect()))
}

/// Where new layers of each base may go before everything is rewritten: to registries alone, and nowhere if there are
/// conditions, which are judged before anything is pushed.
fn early_targets<'a>(order: &Order, groups: &[Group], targets: &'a [Target]) -> Vec<Option<&'a Target>> {
    let mut early = vec![None; order.bases.len()];
    if !order.conditions.is_empty() {
        return early;
    }
    let registries = groups.iter().zip(targets).filter(|(group, _)| matches!(group.reference, Reference::Registry(_)));
    for (group, target) in registries {
        for &member in &group.members {
            early[member] = Some(target);
        }
    }
    early
}

/// Slims all base images, several at a time, each on a thread of its own. What is new goes to the base's early target, if it
/// has one, as soon as it is made.
fn build_all<'a>(
    found: Vec<FoundImage<'a>>,
    early_targets: &[Option<&Target>],
    order: &Order,
    cache: &'a Cache<'a>,
    surroundings: &Surroundings,
) -> Result<Vec<Built<'a>>> {
    let workers = found.len().min(AT_ONCE);
    // They share the processors; the result does not depend on how many threads compress.
    let encoding = Encoding { threads: order.encoding.threads.div_ceil(workers.max(1)), ..order.encoding };
    let (outboxes, lanes): (Vec<_>, Vec<_>) = early_targets.iter().map(|target| early_push::lane(*target)).unzip();
    let queue = Mutex::new(found.into_iter().zip(outboxes).enumerate().collect::<VecDeque<_>>());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    // What is being slimmed goes on, at least to the end of the layer, and nothing new is begun.
    let begin_nothing = || queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let failed = Notify::new();
    let runtime = Handle::current();
    let work = || {
        let mut done = Vec::new();
        while let Some((number, (found, outbox))) = next() {
            let rules = &order.bases[number].rules;
            let result = runtime.block_on(build(found, rules, outbox, encoding, order.time, cache, surroundings));
            if result.is_err() {
                begin_nothing();
                failed.notify_one();
            }
            done.push((number, result));
        }
        done
    };
    let (sent, mut done) = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<(usize, Result<Built<'a>>)>>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let sent = runtime.block_on(early_push::send(lanes, &failed, surroundings));
            if sent.is_err() {
                begin_nothing();
            }
            (sent, workers.into_iter().flat_map(join).collect::<Vec<_>>())
        })
    });
    let sent = sent?;
    // Whoever only stopped does not know why, so the others come first.
    done.sort_by_key(|(number, result)| (result.as_ref().is_err_and(|error| error.is::<Stopped>()), *number));
    let built: Vec<Built<'a>> = done.into_iter().map(|(_, result)| result).collect::<Result<_>>()?;
    Ok(built.into_iter().zip(sent).map(|(built, sent)| Built { sent, ..built }).collect())
}

/// Slims one base image.
async fn build<'a>(
    found: FoundImage<'a>,
    rules: &RuleSet,
    outbox: Outbox,
    encoding: Encoding,
    time: Option<u64>,
    cache: &'a Cache<'a>,
    surroundings: &Surroundings,
) -> Result<Built<'a>> {
    let base = found.index(Some(cache)).await?;
    slim::check_base(&base, &surroundings.printer)?;
    let slimmed = slim::slim(&base, rules, outbox, encoding, time.unwrap_or(DEFAULT_TIME), cache, surroundings).await?;
    let documents = record::documents(&base, rules, &slimmed, time)?;
    slim::check_result(&slimmed.layers, &documents.config, &documents.manifest, documents.index.as_ref())?;
    Ok(Built { base, slimmed, documents, sent: BTreeSet::new() })
}

/// Whether no condition is met; says which are.
fn meets_policy(conditions: &[Condition], built: &[Built<'_>], surroundings: &Surroundings) -> bool {
    let mut meets = true;
    for built in built.iter().filter(|_| !conditions.is_empty()) {
        let stack = LayerStack::new(built.slimmed.layers.iter().map(|layer| Arc::clone(&layer.index)).collect());
        let facts = Facts {
            totals: SizeModel::new(&stack).totals(),
            unpacked_above_base: stack.layers().iter().skip(1).map(|layer| layer.data_size()).sum(),
            compressed_before: Some(built.base.stack.layers().iter().map(|layer| layer.stored_size).sum()),
        };
        let judged = conditions.iter().map(|condition| (condition, condition.judge(&facts)));
        let broken: Vec<String> = judged
            .filter(|(_, verdict)| verdict.failed)
            .map(|(condition, verdict)| format!("{condition} (it is {})", show(verdict.value)))
            .collect();
        if !broken.is_empty() {
            let reference = &built.base.image.reference;
            let text = format!("`{reference}`, slimmed, does not meet the policy: {}", broken.join(", "));
            surroundings.printer.fail(&printer::Failure {
                message: &text,
                hint: Some("nothing was pushed"),
                status: Some(ExitStatus::Policy),
                ..printer::Failure::default()
            });
            meets = false;
        }
    }
    meets
}

/// Makes the ledgers of all builds, in the order of the bases, and attaches each to its image, unless the order forbids it.
async fn attach_ledgers(
    order: &Order,
    groups: &[Group],
    targets: &[Target],
    built: &[Built<'_>],
    surroundings: &Surroundings,
) -> Result<Vec<Ledger>> {
    let mut ledgers = Vec::new();
    for (number, built) in built.iter().enumerate() {
        let places = groups.iter().zip(targets);
        for (group, target) in places.filter(|(group, _)| group.members.contains(&number)) {
            let Built { base, slimmed, documents, .. } = built;
            let rules = &order.bases[number].rules;
            let mut ledger = record::ledger(base, rules, slimmed, documents, &group.reference, order.time);
            if order.append {
                // The index changes with each build that adds to it.
                ledger.result.index = None;
            }
            if documents.changed && order.attach {
                // An image that did not change has no build to record.
                record::attach(&ledger, documents, base, target, surroundings).await?;
            }
            ledgers.push(ledger);
        }
    }
    Ok(ledgers)
}

/// The files that tell of the builds, each for the bases in their order.
struct Files {
    ledgers: Vec<PathBuf>,
    summaries: Vec<PathBuf>,
    reports: Vec<PathBuf>,
}

impl Files {
    /// Finds out where they go, before any work.
    fn of(order: &Order, found: &[FoundImage<'_>]) -> Result<Files> {
        let names = |name: &Option<FileName>| -> Result<Vec<PathBuf>> {
            let Some(name) = name else { return Ok(Vec::new()) };
            found.iter().map(|found| name.path(&values(found))).collect()
        };
        let files =
            Files { ledgers: names(&order.ledger)?, summaries: names(&order.summary)?, reports: names(&order.report)? };
        // Summaries of several bases can stand in one file, one below the other.
        for (what, paths) in [("ledgers", &files.ledgers), ("reports", &files.reports)] {
            if let Some(path) =
                paths.iter().enumerate().find(|(at, path)| paths[..*at].contains(path)).map(|(_, path)| path)
            {
                let text = format!(
                    "the {what} of several bases would be written to `{}`; put `{{build}}` or `{{tag}}` into the name",
                    path.display()
                );
                return Err(Usage(text).into());
            }
        }
        for (what, paths) in [("ledger", &files.ledgers), ("summary", &files.summaries), ("report", &files.reports)] {
            for path in paths {
                check_file(path).with_context(|| format!("cannot write the {what} to `{}`", path.display()))?;
            }
        }
        Ok(files)
    }

    fn write(&self, ledgers: &[Ledger]) -> Result<()> {
        for (path, ledger) in self.ledgers.iter().zip(ledgers) {
            write_file(path, &ledger.to_json()).context("the image is pushed, but the ledger cannot be written")?;
        }
        let mut written: Vec<&PathBuf> = Vec::new();
        for path in &self.summaries {
            if written.contains(&path) {
                continue;
            }
            let parts = self.summaries.iter().zip(ledgers).filter(|(other, _)| *other == path);
            let mut summary = Shown::default();
            for (number, (_, ledger)) in parts.enumerate() {
                let between = if number > 0 { Shown::line("") } else { Shown::default() };
                summary = Shown::concat([summary, between, ledger.to_markdown()]);
            }
            write_file(path, &summary).context("the image is pushed, but the summary cannot be written")?;
            written.push(path);
        }
        for (path, page) in self.reports.iter().zip(ledgers.iter().map(html::ledger::page)) {
            write_file(path, &page).context("the image is pushed, but the report cannot be written")?;
        }
        Ok(())
    }
}

/// What placeholders stand for with a base image.
pub(super) fn values<'a>(found: &'a FoundImage<'_>) -> Values<'a> {
    Values { tag: found.image.reference.tag(), os_version: found.image.config.platform().version() }
}
