//! `winslim copy`: a tag as it is, from one place to another.

use anyhow::{Context, Result};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::choice::{self, Where};
use super::failure::ForeignRefused;
use super::surroundings::Surroundings;
use crate::cli::Copy;
use crate::error::ExitStatus;
use crate::progress::Progress;
use crate::text::Shown;
use crate::transport::registry::RegistryError;
use crate::transport::{Contents, LocalBlob, Part, PartRole, Reference, Source, Target, TransportError};

/// How many blobs are copied at once.
const AT_ONCE: usize = 4;

pub(super) async fn run(arguments: Copy, surroundings: &Surroundings) -> Result<ExitStatus> {
    let reference: Reference = arguments.image.reference.parse()?;
    let platform = arguments.image.platform.as_deref().map(str::parse).transpose()?;
    let source = Source::open(&reference, &surroundings.session.registry, &surroundings.session.store).await?;
    let destination: Reference = arguments.target.parse()?;
    let target = Target::open(&destination, &surroundings.session.registry).await?;
    let mut contents = match &platform {
        None => source.contents().await?,
        Some(_) => {
            let image = source.resolve(platform.as_ref()).await;
            let image = image.map_err(|error| choice::explain(error, Where::Option("--platform")))?;
            source.contents_of(&image).await?
        }
    };
    if let Err(error) = source.add_referrers(&mut contents).await {
        surroundings.printer.warn(&format!("what refers to the image, such as its ledger, is not copied: {error}"));
    }
    // Only the index of a layout says what machines a manifest is for.
    let listed = match destination {
        Reference::Registry(_) => None,
        _ => source.listed_platform(&contents.root).await?,
    };
    if arguments.distributable {
        make_distributable(&mut contents, surroundings)?;
    }
    let refused = |error: TransportError| match error {
        TransportError::Registry(RegistryError::Refused { .. })
            if contents.has_foreign_layers() && !arguments.distributable =>
        {
            anyhow::Error::new(ForeignRefused(error))
        }
        error => error.into(),
    };
    let progress = surroundings.printer.progress();
    let job = Job { source: &source, target: &target, reference: &reference, progress: &*progress, surroundings };
    // Configs last: a copy that fails at a layer leaves nothing behind that is only there for its sake.
    let (configs, others): (Vec<&Part>, Vec<&Part>) =
        contents.parts.iter().partition(|part| part.role == PartRole::Config);
    for parts in [others, configs] {
        stream::iter(parts.into_iter().map(|part| job.copy(part)))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
    }
    for document in &contents.documents {
        target.put_document(document).await.map_err(refused)?;
    }
    if !contents.referrers.is_empty() {
        target.put_document(&contents.root).await.map_err(refused)?;
    }
    for (subject, referrer) in &contents.referrers {
        if let Err(error) = target.put_referrer(subject, referrer).await {
            let digest = referrer.digest();
            surroundings.printer.warn(&format!("the image is copied without {digest}, which refers to it: {error}"));
        }
    }
    let result = target.tag(&contents.root, listed.as_ref()).await.map_err(refused)?;
    target.finish(&*progress).await?;
    surroundings.printer.result(&Shown::line(&result))?;
    Ok(ExitStatus::Done)
}

/// Makes foreign layers plain ones, and prints what that changes.
fn make_distributable(contents: &mut Contents, surroundings: &Surroundings) -> Result<()> {
    let before = contents.root.digest();
    let left_out = contents.make_distributable().context("cannot make the foreign layers plain ones")?;
    let after = contents.root.digest();
    if after != before {
        surroundings
            .printer
            .say(&format!("foreign layers become plain ones: the image is {after} instead of {before}"));
    }
    if left_out > 0 {
        surroundings.printer.warn(&format!(
            "the image is copied without {left_out} documents that refer to its old digests, such as signatures"
        ));
    }
    Ok(())
}

/// What copying a blob needs.
struct Job<'a> {
    source: &'a Source,
    target: &'a Target,
    reference: &'a Reference,
    progress: &'a dyn Progress,
    surroundings: &'a Surroundings,
}

impl Job<'_> {
    /// Lets the target have a blob. Only one that it lacks, and that its registry cannot mount, is brought here.
    async fn copy(&self, part: &Part) -> Result<()> {
        let what = match part.role {
            PartRole::Config => "the config".to_owned(),
            PartRole::Layer(number) => format!("layer {number}"),
            PartRole::Other => format!("the blob {}", part.descriptor.digest),
        };
        let from = match self.reference {
            Reference::Registry(from) => Some(from),
            _ => None,
        };
        let (digest, size) = (&part.descriptor.digest, part.descriptor.size);
        let taken = self.target.take_blob(digest, size, from).await;
        if taken.with_context(|| format!("cannot push {what}"))?.is_some() {
            return Ok(());
        }
        let blob = self.fetch(part).await.with_context(|| format!("cannot get {what} of `{}`", self.reference))?;
        let put = self.target.put_blob(digest, size, &blob, None, self.progress).await;
        put.with_context(|| format!("cannot push {what}"))?;
        Ok(())
    }

    async fn fetch(&self, part: &Part) -> Result<LocalBlob> {
        let store = &self.surroundings.session.store;
        if part.role != PartRole::Config || matches!(self.reference, Reference::Layout(_)) {
            return Ok(self.source.fetch(&part.descriptor, store, self.progress).await?);
        }
        let (_, path) = store.lend(&self.source.small_blob(&part.descriptor).await?)?;
        Ok(LocalBlob::in_store(path, true))
    }
}
