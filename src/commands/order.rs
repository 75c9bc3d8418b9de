//! What a build is to do: from the command line alone, or from a build file that the command line overrides.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::failure::{NotAsLocked, Usage};
use super::pins::{self, Wanted};
use crate::build_file::model::{Extent, Format};
use crate::build_file::{self, Base, BuildFile, DEFAULT_NAME, Template, Values};
use crate::cli::{Build, CompressionFormat, Verification};
use crate::engine::Encoding;
use crate::image::media_type::Compression;
use crate::inspect::policy::Condition;
use crate::lock::{self, Drift, Inputs, Lock};
use crate::profile;
use crate::report::lock::lines;
use crate::transport::Reference;

/// All that a build is to do.
pub(super) struct Order {
    pub(super) bases: Vec<Wanted>,
    pub(super) target: Name,
    pub(super) conditions: Vec<Condition>,
    pub(super) ledger: Option<FileName>,
    pub(super) summary: Option<FileName>,
    pub(super) report: Option<FileName>,
    /// Whether each ledger is attached to its image.
    pub(super) attach: bool,
    pub(super) encoding: Encoding,
    /// What `SOURCE_DATE_EPOCH` asks for, in seconds since 1970.
    pub(super) time: Option<u64>,
    /// Whether the results join the index that the target's tag leads to.
    pub(super) append: bool,
    /// Whether each image gets a tag of its own.
    pub(super) tag_children: bool,
    /// The lock, for a build file.
    pub(super) lock: Option<Locked>,
}

/// A lock, as it is now.
pub(super) struct Locked {
    pub(super) path: PathBuf,
    pub(super) lock: Option<Lock>,
    /// Whether this build may write it: it may not if the command line overrides what the build file asks for.
    pub(super) is_kept_up: bool,
}

/// A name with placeholders, in which paths begin at a directory.
pub(super) struct Name {
    template: Template,
    directory: PathBuf,
}

/// Where a file goes that tells of a build.
pub(super) enum FileName {
    /// There, whatever the base is.
    Fixed(PathBuf),
    /// There, with placeholders.
    Template(Name),
}

impl FileName {
    /// The file for a base.
    pub(super) fn path(&self, values: &Values<'_>) -> Result<PathBuf> {
        match self {
            FileName::Fixed(path) => Ok(path.clone()),
            FileName::Template(name) => Ok(name.directory.join(name.expand(values)?)),
        }
    }
}

impl Name {
    /// The name for a base, as a place for images.
    pub(super) fn reference(&self, values: &Values<'_>) -> Result<Reference> {
        Ok(self.expand(values)?.parse::<Reference>()?.in_directory(&self.directory))
    }

    fn expand(&self, values: &Values<'_>) -> Result<String> {
        let text = self.template.expand(values);
        Ok(text.map_err(|error| Usage(format!("the name `{}` {error}", self.template)))?)
    }
}

/// Finds out what a build is to do. No image is asked for yet.
pub(super) fn order(arguments: &Build, allowed: &[PathBuf]) -> Result<Order> {
    match &arguments.image {
        Some(image) => of_image(image, arguments, allowed),
        None => of_file(arguments, allowed),
    }
}

fn of_image(image: &str, arguments: &Build, allowed: &[PathBuf]) -> Result<Order> {
    let platform = arguments.platform.as_deref().map(str::parse).transpose()?;
    let reference = image.parse()?;
    let base = Base { image: image.to_owned(), reference, platform, profiles: arguments.profiles.clone() };
    let rules = profile::load_allowing(None, &arguments.profiles, allowed)?;
    let inputs = Inputs::new(base.image.clone(), arguments.platform.clone(), &rules, Vec::new());
    let target = arguments.target.clone();
    let target = target.ok_or_else(|| Usage("--target is missing: where does the result go?".to_owned()))?;
    Ok(Order {
        bases: vec![Wanted { base, rules, inputs }],
        target: Name { template: Template::verbatim(target), directory: PathBuf::new() },
        conditions: conditions(&arguments.fail_if)?,
        ledger: arguments.ledger.clone().map(FileName::Fixed),
        summary: arguments.summary.clone().map(FileName::Fixed),
        report: arguments.report.clone().map(FileName::Fixed),
        append: arguments.append,
        tag_children: arguments.tag_children,
        attach: !arguments.no_attach,
        encoding: encoding(arguments, None)?,
        time: source_date_epoch()?,
        lock: None,
    })
}

fn of_file(arguments: &Build, allowed: &[PathBuf]) -> Result<Order> {
    let path = arguments.file.as_deref().unwrap_or(Path::new(DEFAULT_NAME));
    let file = build_file::load(path, allowed)?;
    if let Some(base) = file.bases.iter().find(|base| base.profiles.is_empty() && arguments.profiles.is_empty()) {
        let text =
            format!("`{}` names no profiles for `{}`; add `profiles`, or give --profile", path.display(), base.image);
        return Err(Usage(text).into());
    }
    let bases = pins::wanted(&file, &arguments.profiles, allowed)?;
    let lock_path = pins::lock_path(path);
    let lock = lock::read(&lock_path, allowed)?;
    if arguments.locked {
        check_locked(&lock_path, lock.as_ref(), &bases)?;
    }
    let typed = |text: &str| -> Result<Name> {
        let template = Template::parse(text).map_err(|error| Usage(format!("the name `{text}` {error}")))?;
        Ok(Name { template, directory: PathBuf::new() })
    };
    let written = |template: &Option<Template>| {
        template.clone().map(|template| Name { template, directory: file.directory.clone() })
    };
    let name = |option: &Option<PathBuf>, key: &Option<Template>| match option {
        // What is no text has no placeholders either.
        Some(path) => match path.to_str() {
            Some(text) => typed(text).map(|name| Some(FileName::Template(name))),
            None => Ok(Some(FileName::Fixed(path.clone()))),
        },
        None => Ok(written(key).map(FileName::Template)),
    };
    let target = match &arguments.target {
        Some(text) => Some(typed(text)?),
        None => written(&file.target),
    };
    let without_target = || Usage(format!("`{}` has no `target`; add one, or give --target", path.display()));
    Ok(Order {
        bases,
        target: target.ok_or_else(without_target)?,
        conditions: if arguments.fail_if.is_empty() { file.fail_if.clone() } else { conditions(&arguments.fail_if)? },
        ledger: name(&arguments.ledger, &file.ledger)?,
        summary: name(&arguments.summary, &file.summary)?,
        report: name(&arguments.report, &file.report)?,
        append: arguments.append,
        tag_children: arguments.tag_children,
        attach: !arguments.no_attach,
        encoding: encoding(arguments, Some(&file))?,
        time: source_date_epoch()?,
        lock: Some(Locked { path: lock_path, lock, is_kept_up: arguments.profiles.is_empty() }),
    })
}

/// Refuses to build with anything that is not as it is locked. No tag is looked up: the pinned images are built.
fn check_locked(path: &Path, lock: Option<&Lock>, bases: &[Wanted]) -> Result<()> {
    let now: Vec<_> = bases.iter().map(|wanted| (wanted.inputs.clone(), None)).collect();
    let differences = match lock {
        None => vec!["there is no such file".to_owned()],
        Some(lock) => {
            let drift = Drift::new(lock, &now);
            if drift.is_none() {
                return Ok(());
            }
            lines(&drift)
        }
    };
    Err(NotAsLocked { lock: path.display().to_string(), differences }.into())
}

fn conditions(texts: &[String]) -> Result<Vec<Condition>> {
    Ok(texts.iter().map(|text| Condition::parse(text)).collect::<Result<_, _>>()?)
}

fn encoding(arguments: &Build, file: Option<&BuildFile>) -> Result<Encoding> {
    let typed = arguments.compression.map(|format| match format {
        CompressionFormat::Gzip => Compression::Gzip,
        CompressionFormat::Zstd => Compression::Zstd,
    });
    let written = file.and_then(|file| file.compression).map(|format| match format {
        Format::Gzip => Compression::Gzip,
        Format::Zstd => Compression::Zstd,
    });
    let compression = typed.or(written);
    let levels = match compression {
        Some(Compression::Zstd) => 1..=22,
        _ => 0..=9,
    };
    let level = arguments.level.or(file.and_then(|file| file.level));
    if let Some(level) = level
        && !levels.contains(&level)
    {
        let (least, most) = levels.into_inner();
        return Err(Usage(format!("the level {level} is not between {least} and {most}")).into());
    }
    let threads = match arguments.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let read_back = match arguments.verify {
        Some(verify) => verify == Verification::Full,
        None => file.is_some_and(|file| file.verify == Some(Extent::Full)),
    };
    let recompress = arguments.recompress || file.is_some_and(|file| file.recompress);
    Ok(Encoding { compression, level, recompress, threads, read_back })
}

/// The time that `SOURCE_DATE_EPOCH` asks for, in seconds since 1970
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
fn source_date_epoch() -> Result<Option<u64>> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        // An empty variable counts as not set.
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => {
                Err(Usage(format!("SOURCE_DATE_EPOCH is `{text}`, and not a number of seconds since 1970")).into())
            }
        },
        Err(_) => Ok(None),
    }
}
