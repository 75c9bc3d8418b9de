//! A build: images are found, slimmed and delivered, several at a time.

use futures_util::future::try_join_all;

use super::attach::{Attachment, attach};
use super::base::FoundImage;
use super::built::Built;
use super::cache::Cache;
use super::error::EngineError;
use super::event::Event;
use super::ledger::ledger;
use super::make::{early_targets, make_all};
use super::options::Options;
use super::present;
use super::push::push;
use super::result::Documents;
use super::session::Session;
use super::targets::{self, Group};
use crate::image::Document;
use crate::ledger::Ledger;
use crate::profile::RuleSet;
use crate::transport::{Reference, Target, TransportError};

/// One image to slim.
pub struct Job<'a> {
    /// The base image.
    pub found: FoundImage<'a>,
    /// What to do to it.
    pub rules: &'a RuleSet,
    /// Where the result goes. Jobs with one target become one index.
    pub target: Reference,
}

/// Slimmed images that Windows hosts would import, on their way to their targets.
pub struct Build<'a> {
    options: Options,
    cache: &'a Cache<'a>,
    session: &'a Session,
    groups: Vec<Group>,
    targets: Vec<Target>,
    results: Vec<Built<'a>>,
}

/// What a build delivered.
#[derive(Debug)]
pub struct Delivery {
    /// The ledger of each job, in their order.
    pub ledgers: Vec<Ledger>,
    /// What each target is called now: `repository@sha256:…`, or a layout or archive with its tag and digest.
    pub tagged: Vec<String>,
}

impl<'a> Build<'a> {
    /// Slims images. Nothing at the targets leads to the results yet.
    ///
    /// # Errors
    /// If the targets contradict each other or refuse, or an image cannot be fetched, slimmed or imported by a host.
    pub async fn make(
        jobs: Vec<Job<'a>>,
        options: Options,
        cache: &'a Cache<'a>,
        session: &'a Session,
    ) -> Result<Build<'a>, EngineError> {
        let bases: Vec<_> = jobs.iter().map(|job| (&job.found, &job.target)).collect();
        let groups = targets::groups(&bases, options.append)?;
        let mut targets = Vec::new();
        for group in &groups {
            targets.push(Target::open(&group.reference, &session.registry).await?);
        }
        let early = match options.send_early {
            true => early_targets(jobs.len(), &groups, &targets),
            false => vec![None; jobs.len()],
        };
        let bases = jobs.into_iter().map(|job| (job.found, job.rules)).collect();
        let results = make_all(bases, &early, &options, cache, session)?;
        drop(early);
        Ok(Build { options, cache, session, groups, targets, results })
    }

    /// The slimmed images, in the order of their jobs.
    pub fn results(&self) -> &[Built<'a>] {
        &self.results
    }

    /// Puts everything at the targets: layers and documents first, then the ledgers, the tags last. Then it fills the caches.
    ///
    /// # Errors
    /// If a target fails or refuses. Its tag leads to what it led to before, unless the failure came after the tag moved.
    pub async fn deliver(self) -> Result<Delivery, EngineError> {
        let Build { options, cache, session, groups, targets, mut results } = self;
        for (group, target) in groups.iter().zip(&targets) {
            try_join_all(group.members.iter().map(|&member| push(&results[member], target, session))).await?;
            targets::share_index(group, &mut results);
        }
        let ledgers = attach_ledgers(&options, &groups, &targets, &results, session).await?;
        let mut tagged = Vec::new();
        for (group, target) in groups.iter().zip(targets) {
            // All members have the same root.
            if let Some(&member) = group.members.first() {
                if options.tag_children {
                    tag_children(group, &target, &results).await?;
                }
                let Built { base, documents, .. } = &results[member];
                let joined = join(group, &results, options.append, session).await?;
                let root = joined.as_ref().unwrap_or_else(|| documents.root());
                let platform = base.platform_of(root, &documents.config);
                tagged.push(target.tag(root, platform.as_ref()).await?);
            }
            target.finish(&*session.progress).await?;
        }
        for group in &groups {
            for &member in &group.members {
                cache.save(&results[member].base.stack, &results[member].slimmed, &group.reference).await;
            }
        }
        Ok(Delivery { ledgers, tagged })
    }
}

/// Makes the ledgers of all results, in their order, and attaches each to its image, unless the options forbid it.
async fn attach_ledgers(
    options: &Options,
    groups: &[Group],
    targets: &[Target],
    results: &[Built<'_>],
    session: &Session,
) -> Result<Vec<Ledger>, EngineError> {
    let mut ledgers = Vec::new();
    for (number, built) in results.iter().enumerate() {
        let places = groups.iter().zip(targets);
        for (group, target) in places.filter(|(group, _)| group.members.contains(&number)) {
            let Built { base, rules, slimmed, documents, .. } = built;
            let mut ledger = ledger(base, rules, slimmed, documents, &group.reference, options.time);
            if options.append {
                // The index changes with each build that adds to it.
                ledger.result.index = None;
            }
            if documents.changed && options.attach {
                // An image that did not change has no build to record.
                let subject = &documents.manifest.document;
                attach(subject, &[Attachment::ledger(&ledger)], target, session).await?;
            }
            ledgers.push(ledger);
        }
    }
    Ok(ledgers)
}

/// Looks at what the tag of a target leads to, right before it is moved: with `append`, the index with the results in it; without,
/// a warning about images that the tag does not lead to any more. Registries cannot move a tag only if nobody else has moved it,
/// so two builds that add to one tag at the same moment can still lose one of the results.
async fn join(
    group: &Group,
    built: &[Built<'_>],
    append: bool,
    session: &Session,
) -> Result<Option<Document>, EngineError> {
    let present = match present::read(&group.reference, session).await {
        Ok(present) => present,
        Err(error) if append => return Err(EngineError::Append { target: group.reference.to_string(), error }),
        Err(error) => {
            tracing::info!(reason = %error, "what the tag leads to now is not known");
            None
        }
    };
    let Some(present) = present else { return Ok(None) };
    let others = present.others(group, built);
    if append {
        return Ok((!others.is_empty()).then(|| present.joined(group, built)));
    }
    if !others.is_empty() {
        session.tell(&Event::Replaced { target: group.reference.to_string(), platforms: others });
    }
    Ok(None)
}

/// Gives each image a tag of its own, such as `TAG-windows-17763`, so that what cleans up untagged manifests keeps it.
async fn tag_children(group: &Group, target: &Target, built: &[Built<'_>]) -> Result<(), TransportError> {
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
