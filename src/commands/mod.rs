//! One file for each verb: the only place that joins transport, core and display.

mod base;
mod blobs;
mod build;
mod build_cache;
mod cache;
mod choice;
mod connection;
mod copy;
mod damage;
mod diff;
mod early_push;
mod failure;
mod host;
mod init;
mod inspect;
mod interruption;
mod list;
mod lock;
mod order;
mod panic;
mod pins;
mod plan;
mod present;
mod profile;
mod push;
mod record;
mod rewriter;
mod shell;
mod slim;
mod targets;
mod verify;

use std::cell::OnceCell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use etcetera::BaseStrategy;

use crate::cli::{Cache, Cli, Command, Format, Global, LogFormat, Output, PageFormat, PageOutput, Schema};
use crate::durable::directory_of;
use crate::error::{ExitStatus, IoContext, PathError};
use crate::inspect::policy::byte_unit;
use crate::log;
use crate::printer::{Level, Printer};
use crate::progress::Progress;
use crate::report::{Report, schema};
use crate::store::Store;
use crate::temporary::{TemporaryDirectory, TemporaryFile};
use crate::text::Shown;
use crate::transport::RegistryOptions;

/// Carries out what was typed, and says how it ended. A run that fails because of damaged files in the cache deletes them and
/// begins anew, with arguments parsed anew.
pub fn run(parse: impl Fn() -> Cli) -> ExitStatus {
    panic::watch();
    let cli = parse();
    let level = match (cli.global.quiet, cli.global.verbose) {
        (true, _) => Level::Quiet,
        (false, 0) => Level::Normal,
        (false, _) => Level::Verbose,
    };
    let json = cli.global.log_format == LogFormat::Json;
    let printer = Printer::new(level, !cli.global.no_progress).in_json(json);
    if level > Level::Quiet {
        log::start(cli.global.verbose, json);
    }
    // Found out once: a password can be read from standard input only once.
    let registry = OnceCell::new();
    let cache = cache_directory(&cli.global).ok();
    let mut result = dispatch(cli, &registry, &printer);
    if let Err(error) = &result
        && let Some(damage) = error.downcast_ref::<failure::DamagedCache>()
    {
        printer.warn(&damage.to_string());
        result = dispatch(parse(), &registry, &printer);
    }
    match result {
        Ok(status) => status,
        Err(error) => {
            let failure = failure::classify(&error, cache.as_deref());
            failure.print(&error, &printer);
            failure.status
        }
    }
}

fn dispatch(cli: Cli, registry: &OnceCell<RegistryOptions>, printer: &Printer) -> Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the threads for network connections")?;
    {
        let _runtime = runtime.enter();
        interruption::watch(*printer, cache_directory(&cli.global).ok()).context("cannot wait for signals")?;
        interruption::outlive_file_size_limit().context("cannot wait for signals")?;
    }
    let options = match registry.get() {
        Some(options) => Ok(options),
        None => {
            connection::options(&cli.global.registries, &cli.command).map(|options| registry.get_or_init(|| options))
        }
    };
    let opened = OnceCell::new();
    let directory = OnceCell::new();
    let needs_cache = !matches!(cli.command, Command::Host(_) | Command::Lock(_));
    let surroundings = || {
        let options = options?.clone();
        let surroundings = match needs_cache {
            true => Surroundings::new(&cli.global, options, *printer)?,
            false => Surroundings::without_cache(&cli.global, options, *printer, &directory)?,
        };
        anyhow::Ok(opened.get_or_init(|| surroundings))
    };
    let result = match cli.command {
        Command::Build(arguments) => runtime.block_on(build::run(arguments, surroundings()?)),
        Command::Init(arguments) => init::run(&arguments, printer),
        Command::Lock(arguments) => runtime.block_on(lock::run(arguments, surroundings()?)),
        Command::Plan(arguments) => runtime.block_on(plan::run(arguments, surroundings()?)),
        Command::Inspect(arguments) => runtime.block_on(inspect::run(arguments, surroundings()?)),
        Command::Ls(arguments) => runtime.block_on(list::run(arguments, surroundings()?)),
        Command::Diff(arguments) => runtime.block_on(diff::run(arguments, surroundings()?)),
        Command::Verify(arguments) => runtime.block_on(verify::run(arguments, surroundings()?)),
        Command::Host(arguments) => runtime.block_on(host::run(arguments, surroundings()?)),
        Command::Copy(arguments) => runtime.block_on(copy::run(arguments, surroundings()?)),
        Command::Cache(Cache::Prune(arguments)) if arguments.layout.is_some() => {
            let layout = arguments.layout.clone().unwrap_or_default();
            cache::clean_layout(&layout, &arguments, printer)
        }
        Command::Cache(verb) => cache::run(verb, surroundings()?),
        Command::Profile(verb) => profile::run(verb, &cli.global.allow_path, printer),
        Command::Completions { shell } => shell::completions(shell, printer),
        Command::Man => shell::manual(printer),
        Command::Version => {
            printer.result(&Shown::line(concat!("winslim ", env!("CARGO_PKG_VERSION"))))?;
            Ok(ExitStatus::Done)
        }
        Command::Schema { report } => {
            printer.result(&match report {
                Schema::Inspect => schema::inspect(),
                Schema::Ls => schema::list(),
                Schema::Diff => schema::diff(),
                Schema::Host => schema::host(),
                Schema::Lock => schema::lock(),
            })?;
            Ok(ExitStatus::Done)
        }
    };
    let Err(error) = result else { return result };
    let damaged = match opened.get() {
        Some(surroundings) if failure::classify(&error, None).status == ExitStatus::Failed => {
            surroundings.store.delete_damaged()
        }
        _ => Vec::new(),
    };
    if damaged.is_empty() { Err(error) } else { Err(error.context(failure::DamagedCache(damaged))) }
}

/// What commands that work on images need beside their arguments.
struct Surroundings {
    store: Store,
    registry: RegistryOptions,
    printer: Printer,
    /// Who watches the work.
    progress: Arc<dyn Progress>,
    /// How many bytes a layer may unpack to even if that is far more than its size makes likely.
    max_unpacked: Option<u64>,
    /// Directories in which profiles may name files, besides their own.
    allowed: Vec<PathBuf>,
}

impl Surroundings {
    fn new(global: &Global, registry: RegistryOptions, printer: Printer) -> Result<Surroundings> {
        let store = Store::open(cache_directory(global)?)?;
        Surroundings::with(store, global, registry, printer)
    }

    /// For commands that read documents alone: if there is no cache, a directory takes its place that is gone in the end.
    fn without_cache(
        global: &Global,
        registry: RegistryOptions,
        printer: Printer,
        directory: &OnceCell<TemporaryDirectory>,
    ) -> Result<Surroundings> {
        let store = match cache_directory(global).and_then(|directory| Ok(Store::open(directory)?)) {
            Ok(store) => store,
            Err(error) => {
                tracing::info!(error = format!("{error:#}"), "there is no cache, and this command needs none");
                let place = std::env::temp_dir();
                let made = TemporaryDirectory::new_in(&place).context_path("create a directory in", &place)?;
                Store::open_private(directory.get_or_init(|| made).path())?
            }
        };
        Surroundings::with(store, global, registry, printer)
    }

    fn with(store: Store, global: &Global, registry: RegistryOptions, printer: Printer) -> Result<Surroundings> {
        let max_unpacked = global.max_unpacked.as_deref().map(|text| size("--max-unpacked", text)).transpose()?;
        let allowed = global.allow_path.clone();
        Ok(Surroundings { store, registry, printer, progress: Arc::from(printer.progress()), max_unpacked, allowed })
    }
}

/// A size such as `20GB`, `500 MiB` or `0`, given with this option.
fn size(option: &str, text: &str) -> Result<u64> {
    let wrong = || failure::Usage(format!("{option} `{text}` is not a size; write it as in `20GB`"));
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().map_err(|_| wrong())?;
    let factor = match text[end..].trim() {
        "" => 1.0,
        unit => byte_unit(unit).ok_or_else(wrong)?,
    };
    Ok((number * factor) as u64)
}

fn cache_directory(global: &Global) -> Result<PathBuf> {
    if let Some(directory) = &global.cache_dir {
        return Ok(directory.clone());
    }
    let strategy = etcetera::choose_base_strategy()
        .map_err(|_| anyhow::anyhow!("there is no home directory to keep the cache in; name one with --cache-dir"))?;
    Ok(strategy.cache_dir().join("winslim"))
}

/// Writes a report to where it was asked for.
fn deliver(output: &Output, printer: &Printer, report: &impl Report) -> Result<()> {
    let text = match output.format {
        Format::Text if output.output.is_none() => return print_parts(printer, report),
        Format::Text => report.to_text(),
        Format::Markdown => report.to_markdown(),
        Format::Json => report.to_json(),
    };
    deliver_text(output.output.as_deref(), printer, &text)
}

/// Writes a report that can be a page for a browser to where it was asked for; `page` makes the page.
fn deliver_page(
    output: &PageOutput,
    printer: &Printer,
    report: &impl Report,
    page: impl FnOnce() -> Shown,
) -> Result<()> {
    let text = match output.format {
        PageFormat::Text if output.output.is_none() => return print_parts(printer, report),
        PageFormat::Text => report.to_text(),
        PageFormat::Markdown => report.to_markdown(),
        PageFormat::Json => report.to_json(),
        PageFormat::Html => page(),
    };
    deliver_text(output.output.as_deref(), printer, &text)
}

fn print_parts(printer: &Printer, report: &impl Report) -> Result<()> {
    for part in report.text_parts() {
        printer.result(&part)?;
    }
    Ok(())
}

/// Writes the text of a report to where it was asked for.
fn deliver_text(file: Option<&Path>, printer: &Printer, text: &Shown) -> Result<()> {
    match file {
        Some(file) => write_file(file, text),
        None => Ok(printer.result(text)?),
    }
}

/// Writes a file as a whole: what was there before stays until the new content is complete and on the disk. A device or a pipe is
/// written to.
fn write_file(path: &Path, text: &Shown) -> Result<()> {
    let text = text.without_styles();
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(std::fs::write(path, text.as_bytes()).context_path("write to", path)?);
    }
    let mut file = temporary_beside(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).context_path("write to", path)?;
    Ok(file.publish_durably(path).context_path("create", path)?)
}

/// Finds out, before there is anything to write, whether [`write_file`] could; what is there stays.
fn check_file(path: &Path) -> Result<(), PathError> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(PathError::new("write to", path, ErrorKind::IsADirectory.into())),
        Ok(metadata) if !metadata.is_file() => Ok(()),
        _ => temporary_beside(path).map(drop),
    }
}

fn temporary_beside(path: &Path) -> Result<TemporaryFile, PathError> {
    let directory = directory_of(path);
    TemporaryFile::public_in(directory, ".winslim-").context_path("create a file in", directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("report");
        write_file(&file, &Shown::line("one")).unwrap();
        write_file(&file, &Shown::line("two")).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "two\n");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        let error = write_file(&directory.path().join("no/report"), &Shown::line("x")).unwrap_err();
        assert!(error.to_string().contains("no such file or directory"), "{error}");
        assert!(write_file(directory.path(), &Shown::line("x")).is_err(), "a directory is no file");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_stays_a_pipe() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read_to_string(pipe).unwrap()
        });
        write_file(&pipe, &Shown::line("report")).unwrap();
        assert_eq!(reader.join().unwrap(), "report\n");
    }
}
