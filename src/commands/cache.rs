//! `winslim cache`: what is in the cache, making it smaller, and checking it.

use std::fs::File;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use jiff::{Span, SpanRelativeTo};

use super::failure::Usage;
use super::output::deliver;
use super::surroundings::{Surroundings, size};
use crate::cli::{Cache, Prune};
use crate::error::{ExitStatus, IoContext};
use crate::layer::LayerIndex;
use crate::layer::index::VERSION;
use crate::layer::seek_points::{self, SeekPoints};
use crate::printer::Printer;
use crate::report::cache::{CacheContents, CacheDamage, CachePruned, Damaged, Files};
use crate::rewrite::cache::{CacheEntry, key};
use crate::store::{Kind, Limits, Store, Stored, actual_digest};
use crate::transport::layout::clean::{Cleaned, clean};
use crate::transport::{LocalReference, Reference};

/// Deletes what nothing in a layout leads to; needs no cache.
pub(super) fn clean_layout(layout: &str, arguments: &Prune, printer: &Printer) -> Result<ExitStatus> {
    let Reference::Layout(LocalReference { path, tag: None, digest: None }) = layout.parse()? else {
        return Err(Usage(format!(
            "`{layout}` is not oci:DIRECTORY; only OCI image layouts can be cleaned, as a whole"
        ))
        .into());
    };
    let Cleaned { files, bytes, left } = clean(&path, arguments.dry_run)?;
    let report = CachePruned::new(path.display().to_string(), (files, bytes), (0, 0), left);
    deliver(&arguments.output, printer, &report.dry_run(arguments.dry_run))?;
    Ok(ExitStatus::Done)
}

pub(super) fn run(verb: Cache, surroundings: &Surroundings) -> Result<ExitStatus> {
    let store = &surroundings.session.store;
    let printer = &surroundings.printer;
    let directory = store.root().display().to_string();
    match verb {
        Cache::Info { output } => {
            let contents = store.contents()?;
            let kinds = Kind::ALL.map(|kind| {
                let sizes = contents.iter().filter(|stored| stored.kind == kind).map(|stored| stored.bytes);
                Files { kind: name(kind), files: sizes.clone().count() as u64, bytes: sizes.sum() }
            });
            deliver(&output, printer, &CacheContents::new(directory, kinds.into()))?;
        }
        Cache::Prune(arguments) => {
            let pruned = store.prune(&limits(&arguments)?, arguments.dry_run)?;
            let deleted = sum(&pruned.deleted);
            let in_use = sum(&pruned.in_use);
            let report = CachePruned::new(directory, deleted, in_use, pruned.left);
            deliver(&arguments.output, printer, &report.dry_run(arguments.dry_run))?;
        }
        Cache::Verify { output } => {
            let (mut checked, mut damaged) = (0, Vec::new());
            for stored in store.contents()? {
                let Some(problem) = problem(store, &stored)? else { continue };
                checked += 1;
                if let Some(problem) = problem {
                    let deleted = store.delete(&stored.path).is_ok();
                    damaged.push(Damaged { path: stored.path.display().to_string(), problem, deleted });
                }
            }
            let report = CacheDamage::new(directory, checked, damaged);
            deliver(&output, printer, &report)?;
            if !report.is_sound() {
                return Ok(ExitStatus::Failed);
            }
        }
    }
    Ok(ExitStatus::Done)
}

/// The name of a kind of files in reports.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Blob => "blobs",
        Kind::Index => "layer indexes",
        Kind::SeekPoints => "seek points",
        Kind::Rewritten => "rewritten layers",
        Kind::Partial => "partial downloads",
        Kind::Temporary => "temporary files",
    }
}

fn sum(files: &[Stored]) -> (u64, u64) {
    (files.len() as u64, files.iter().map(|stored| stored.bytes).sum())
}

/// What is wrong with a file, if anything; nothing at all for one that cannot be checked: it is not complete yet, is of another
/// version of winslim, or is gone.
fn problem(store: &Store, stored: &Stored) -> Result<Option<Option<String>>> {
    let is_checked = match stored.kind {
        Kind::Blob => true,
        Kind::Index => stored.version() == Some(VERSION),
        Kind::SeekPoints => stored.version() == Some(seek_points::VERSION),
        Kind::Rewritten => stored.version() == Some(key::VERSION),
        Kind::Partial | Kind::Temporary => false,
    };
    if !is_checked {
        return Ok(None);
    }
    let Some(expected) = stored.digest() else {
        return Ok(Some(Some("it is not called by a digest".to_owned())));
    };
    let sound = match stored.kind {
        Kind::Blob => actual_digest(&stored.path).map(|actual| {
            (actual != expected).then(|| format!("its content has the digest {actual}, not the one it is called by"))
        }),
        Kind::SeekPoints => File::open(&stored.path)
            .and_then(|file| SeekPoints::new(file, expected)?.are_sound())
            .map(|are_sound| (!are_sound).then(|| "it cannot be read as the seek points of that layer".to_owned()))
            .context_path("read", &stored.path),
        Kind::Rewritten => store.read_rewritten(key::VERSION, &expected).map(|bytes| {
            let is_sound = bytes.is_none_or(|bytes| CacheEntry::unpack(&bytes).is_some());
            (!is_sound).then(|| "it cannot be read as what rewriting gave".to_owned())
        }),
        _ => store.read_index(VERSION, &expected).map(|bytes| {
            let is_sound = bytes.is_none_or(|bytes| LayerIndex::decode(&bytes, &expected).is_some());
            (!is_sound).then(|| "it cannot be read as the index of that layer".to_owned())
        }),
    };
    match sound {
        Ok(problem) => Ok(Some(problem)),
        // Somebody prunes meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn limits(arguments: &Prune) -> Result<Limits> {
    let used_since = match &arguments.older_than {
        Some(text) => Some(SystemTime::now().checked_sub(age(text)?).unwrap_or(SystemTime::UNIX_EPOCH)),
        None => None,
    };
    Ok(Limits { used_since, bytes: arguments.max_size.as_deref().map(|text| size("--max-size", text)).transpose()? })
}

/// An age such as `30d`, `12h` or `2 weeks`.
fn age(text: &str) -> Result<Duration> {
    let wrong = || Usage(format!("--older-than `{text}` is not an age; write it as in `30d` or `12h`"));
    let span: Span = text.parse().map_err(|_| wrong())?;
    let age = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Ok(Duration::try_from(age).map_err(|_| wrong())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_read_as_people_write_them() {
        for (text, hours) in [("30d", Some(720)), ("12h", Some(12)), ("2 weeks", Some(336)), ("0d", Some(0))] {
            assert_eq!(age(text).ok().map(|age| age.as_secs() / 3600), hours, "{text}");
        }
        for wrong in ["", "30", "1 month", "-3d", "soon"] {
            assert!(age(wrong).unwrap_err().to_string().contains("30d"), "{wrong}");
        }
        for (text, bytes) in [("20GB", 20_000_000_000), ("1.5 MiB", 1_572_864), ("0", 0), ("7b", 7)] {
            assert_eq!(size("--max-size", text).unwrap(), bytes, "{text}");
        }
        for wrong in ["", "GB", "-1", "1 pint", "1.2.3GB"] {
            assert!(size("--max-size", wrong).unwrap_err().to_string().contains("20GB"), "{wrong}");
        }
    }
}
