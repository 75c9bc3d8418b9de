//! What a build file names, on this machine and at its sources: by tag, or by the digest that a lock pins.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::choice::Where;
use super::image;
use super::surroundings::Surroundings;
use crate::build_file::{Base, BuildFile};
use crate::engine::FoundImage;
use crate::lock::{self, Inputs, LockedBase, Named, Pin};
use crate::profile::{self, RuleSet};

/// A base image that is to be built, with its profiles.
pub(super) struct Wanted {
    pub(super) base: Base,
    pub(super) rules: RuleSet,
    pub(super) inputs: Inputs,
}

/// Where the lock of a build file is: beside it.
pub(super) fn lock_path(build_file: &Path) -> PathBuf {
    build_file.with_extension("lock")
}

/// The bases of a build file with what their profiles say; `profiles`, if there are any, take the place of the file's.
pub(super) fn wanted(file: &BuildFile, profiles: &[String], allowed: &[PathBuf]) -> Result<Vec<Wanted>> {
    file.bases.iter().map(|base| wanted_base(file, base, profiles, allowed)).collect()
}

fn wanted_base(file: &BuildFile, base: &Base, profiles: &[String], allowed: &[PathBuf]) -> Result<Wanted> {
    let mut rules = match profiles {
        [] => profile::load_allowing(Some(&file.directory), &base.profiles, allowed)
            .with_context(|| format!("cannot load the profiles of `{}`", base.image))?,
        profiles => profile::load_allowing(None, profiles, allowed)?,
    };
    if let Some(shadowed) = file.shadowed {
        rules.shadowed = shadowed;
    }
    let mut sources = Vec::new();
    for add in &rules.adds {
        let path = add.source.strip_prefix(&file.directory).unwrap_or(&add.source);
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        sources.push(Named { name: parts.join("/"), digest: lock::source_digest(&add.source)? });
    }
    let platform = base.platform.as_ref().map(ToString::to_string);
    let inputs = Inputs::new(base.image.clone(), platform, &rules, sources);
    Ok(Wanted { base: base.clone(), rules, inputs })
}

/// Finds a base image by what is locked of it or, if nothing is, by its name; `place` is where a user chooses one of several.
pub(super) async fn find<'a>(
    base: &Base,
    locked: Option<&LockedBase>,
    place: Where,
    surroundings: &'a Surroundings,
) -> Result<FoundImage<'a>> {
    let platform = base.platform.as_ref();
    let Some(LockedBase { pin, .. }) = locked else {
        return image::find(&base.reference, platform, place, surroundings).await;
    };
    let pinned = base.reference.at_digest(pin.root());
    let found = image::find(&pinned, platform, place, surroundings).await;
    let mut found = found.with_context(|| {
        format!(
            "cannot find what `{}` is locked to; if it is gone, `winslim lock --update` follows the tag",
            base.image
        )
    })?;
    let manifest = found.image.manifest.document.digest();
    if manifest != pin.manifest {
        bail!(
            "`{}` is locked to the image {}, and `{pinned}` has the image {manifest}; `winslim lock --update` follows the tag",
            base.image,
            pin.manifest,
        );
    }
    // What is said of the base must not depend on how it was found.
    found.image.reference = base.reference.clone();
    Ok(found)
}

/// The pin of an image that was found.
pub(super) fn pin(found: &FoundImage<'_>) -> Pin {
    let image = &found.image;
    let index = image.index.as_ref().map(|index| index.document.digest());
    Pin::of(index, &image.manifest, &image.config)
}
