//! Slimming several images side by side, while what is done already goes to its target.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::base::FoundImage;
use super::built::Built;
use super::cache::Cache;
use super::check::{check_base, check_result};
use super::documents::documents;
use super::early_push::{self, Outbox};
use super::encoding::Encoding;
use super::error::EngineError;
use super::options::Options;
use super::session::Session;
use super::slim::slim;
use super::targets::Group;
use crate::profile::RuleSet;
use crate::rewrite::additions::DEFAULT_TIME;
use crate::transport::{Reference, Target};

/// How many base images are slimmed at once.
const AT_ONCE: usize = 3;

/// Where new layers of each base may go before everything is rewritten: to registries alone.
pub(super) fn early_targets<'a>(count: usize, groups: &[Group], targets: &'a [Target]) -> Vec<Option<&'a Target>> {
    let mut early = vec![None; count];
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
pub(super) fn make_all<'a>(
    bases: Vec<(FoundImage<'a>, &'a RuleSet)>,
    early_targets: &[Option<&Target>],
    options: &Options,
    cache: &'a Cache<'a>,
    session: &Session,
) -> Result<Vec<Built<'a>>, EngineError> {
    let workers = bases.len().min(AT_ONCE);
    // They share the processors; the result does not depend on how many threads compress.
    let encoding = Encoding { threads: options.encoding.threads.div_ceil(workers.max(1)), ..options.encoding };
    let (outboxes, lanes): (Vec<_>, Vec<_>) = early_targets.iter().map(|target| early_push::lane(*target)).unzip();
    let queue = Mutex::new(bases.into_iter().zip(outboxes).enumerate().collect::<VecDeque<_>>());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    // What is being slimmed goes on, at least to the end of the layer, and nothing new is begun.
    let begin_nothing = || queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let failed = Notify::new();
    let runtime = Handle::current();
    let work = || {
        let mut done = Vec::new();
        while let Some((number, ((found, rules), outbox))) = next() {
            let result = runtime.block_on(make_one(found, rules, outbox, encoding, options.time, cache, session));
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
            let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<(usize, Result<Built<'a>, EngineError>)>>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let sent = runtime.block_on(early_push::send(lanes, &failed, session));
            if sent.is_err() {
                begin_nothing();
            }
            (sent, workers.into_iter().flat_map(join).collect::<Vec<_>>())
        })
    });
    let sent = sent?;
    // Those that only stopped do not know why, so the others come first.
    done.sort_by_key(|(number, result)| (matches!(result, Err(EngineError::Stopped)), *number));
    let built: Vec<Built<'a>> = done.into_iter().map(|(_, result)| result).collect::<Result<_, _>>()?;
    Ok(built.into_iter().zip(sent).map(|(built, sent)| Built { sent, ..built }).collect())
}

/// Slims one base image.
async fn make_one<'a>(
    found: FoundImage<'a>,
    rules: &'a RuleSet,
    outbox: Outbox,
    encoding: Encoding,
    time: Option<u64>,
    cache: &'a Cache<'a>,
    session: &Session,
) -> Result<Built<'a>, EngineError> {
    let base = found.index(Some(cache)).await?;
    check_base(&base, session)?;
    let slimmed = slim(&base, rules, outbox, encoding, time.unwrap_or(DEFAULT_TIME), cache, session).await?;
    let documents = documents(&base, rules, &slimmed, time)?;
    check_result(&slimmed.layers, &documents.config, &documents.manifest, documents.index.as_ref())
        .map_err(|error| EngineError::NewDocument { what: "index", error })??;
    Ok(Built { base, rules, slimmed, documents, sent: BTreeSet::new() })
}
