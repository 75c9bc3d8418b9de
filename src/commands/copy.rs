//! `winslim copy`: an image as it is, from one place to another.

use anyhow::{Context, Result};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::Surroundings;
use crate::cli::Copy;
use crate::error::ExitStatus;
use crate::image::edit::{NewIndexEntry, make_index};
use crate::text::Shown;
use crate::transport::{LocalBlob, Reference, Source, Target};

/// How many layers are copied at once.
const AT_ONCE: usize = 4;

pub(super) async fn run(arguments: Copy, surroundings: &Surroundings) -> Result<ExitStatus> {
    let reference: Reference = arguments.image.reference.parse()?;
    let platform = arguments.image.platform.as_deref().map(str::parse).transpose()?;
    let source = Source::open(&reference, &surroundings.registry, &surroundings.store).await?;
    let target = Target::open(&arguments.target.parse()?, &surroundings.registry).await?;
    let image = source.resolve(platform.as_ref()).await?;
    let progress = surroundings.printer.progress();
    let progress = &*progress;
    let from = match &image.reference {
        Reference::Registry(from) => Some(from),
        _ => None,
    };
    let name = &arguments.image.reference;
    let copies = image.manifest.layers.iter().enumerate().map(|(number, layer)| {
        let (source, target) = (&source, &target);
        async move {
            let blob = source.fetch(layer, &surroundings.store, progress).await;
            let blob = blob.with_context(|| format!("cannot get layer {number} of `{name}`"))?;
            let put = target.put_blob(&layer.digest, layer.size, &blob, from, progress).await;
            put.with_context(|| format!("cannot push layer {number}"))?;
            anyhow::Ok(())
        }
    });
    stream::iter(copies).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let config = &image.config.document;
    let digest = surroundings.store.put(config.bytes())?;
    let blob = LocalBlob::in_store(surroundings.store.blob_path(&digest), true);
    target.put_blob(&digest, config.size(), &blob, from, progress).await.context("cannot push the config")?;
    let manifest = &image.manifest.document;
    let root = match &image.index {
        None => manifest.clone(),
        Some((index, _)) if index.entries.len() == 1 => index.document.clone(),
        Some(_) => make_index(&[NewIndexEntry { manifest, config: &image.config, base: image.index_entry() }]),
    };
    if root.digest() != manifest.digest() {
        target.put_document(manifest).await?;
    }
    let result = target.tag(&root, source.platform_of(&root, &image.config).as_ref()).await?;
    target.finish(progress).await?;
    surroundings.printer.result(&Shown::line(&result))?;
    Ok(ExitStatus::Done)
}
