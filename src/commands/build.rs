//! `winslim build`: pull, slim, verify, push, record.

use std::path::PathBuf;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;

use super::causes::causes;
use super::choice::Where;
use super::failure::Usage;
use super::order::{self, FileName, Order};
use super::output::{check_file, write_file};
use super::pins;
use super::surroundings::Surroundings;
use crate::build_file::Values;
use crate::cli;
use crate::engine::{Build, Built, Cache, Delivery, FoundImage, Job, Options, UnusableCache};
use crate::error::ExitStatus;
use crate::inspect::SizeModel;
use crate::inspect::policy::{Condition, Facts};
use crate::ledger::Ledger;
use crate::lock::{Lock, LockedBase};
use crate::printer;
use crate::report::Report;
use crate::report::html;
use crate::report::inspect::show;
use crate::report::ledger::events;
use crate::text::Shown;
use crate::transport::RegistryReference;

/// A cache that cannot be read costs time and nothing else: then the build is done without it.
pub(super) async fn run(arguments: cli::Build, surroundings: &Surroundings) -> Result<ExitStatus> {
    let repository = |text: &String| RegistryReference::parse_repository(text);
    let from = arguments.cache_from.iter().map(repository).collect::<Result<Vec<_>, _>>()?;
    let to = arguments.cache_to.as_ref().map(repository).transpose()?;
    let result = run_with(&arguments, &from, to.as_ref(), surroundings).await;
    let unusable = result.as_ref().err().and_then(|error| causes(error).find(|cause| cause.is::<UnusableCache>()));
    let Some(warning) = unusable.map(ToString::to_string) else { return result };
    surroundings.printer.warn(&warning);
    run_with(&arguments, &[], to.as_ref(), surroundings).await
}

async fn run_with(
    arguments: &cli::Build,
    cache_from: &[RegistryReference],
    cache_to: Option<&RegistryReference>,
    surroundings: &Surroundings,
) -> Result<ExitStatus> {
    let order = order::order(arguments, &surroundings.allowed)?;
    let locked = order.lock.as_ref().and_then(|locked| locked.lock.as_ref());
    // What is to be checked in full is made anew.
    let reads = !order.encoding.read_back;
    let session = &surroundings.session;
    let cache = Cache::open(cache_from, cache_to, reads, session)?;
    let place = if order.lock.is_some() { Where::BuildFile } else { Where::Option("--platform") };
    let finds = order
        .bases
        .iter()
        .map(|wanted| pins::find(&wanted.base, locked.and_then(|lock| lock.base(&wanted.inputs)), place, surroundings));
    let found = try_join_all(finds).await?;
    let lock = lock_of(&order, &found);
    let files = Files::of(&order, &found)?;
    let mut jobs = Vec::new();
    for (found, wanted) in found.into_iter().zip(&order.bases) {
        let target = order.target.reference(&values(&found))?;
        jobs.push(Job { found, rules: &wanted.rules, target });
    }
    let options = Options {
        encoding: order.encoding,
        time: order.time,
        append: order.append,
        tag_children: order.tag_children,
        attach: order.attach,
        // Conditions are judged before anything is pushed.
        send_early: order.conditions.is_empty(),
    };
    let build = Build::make(jobs, options, &cache, session).await?;
    if !meets_policy(&order.conditions, build.results(), surroundings) {
        return Ok(ExitStatus::Policy);
    }
    let Delivery { ledgers, tagged } = build.deliver().await?;
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
    surroundings.printer.result(&Shown::concat(tagged.iter().map(|name| Shown::line(name))))?;
    Ok(ExitStatus::Done)
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

/// Whether no condition is met; says which are.
fn meets_policy(conditions: &[Condition], built: &[Built<'_>], surroundings: &Surroundings) -> bool {
    let mut meets = true;
    for built in built.iter().filter(|_| !conditions.is_empty()) {
        let stack = built.stack();
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
