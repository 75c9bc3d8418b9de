//! One file for each verb: the only place that joins transport, core and display.

mod build;
mod cache;
mod causes;
mod choice;
mod connection;
mod copy;
mod diff;
mod events;
mod failure;
mod host;
mod image;
mod init;
mod inspect;
mod interruption;
mod list;
mod lock;
mod order;
mod output;
mod panic;
mod pins;
mod plan;
mod profile;
mod shell;
mod surroundings;
mod verify;

use std::cell::OnceCell;

use anyhow::{Context, Result};

use self::surroundings::{Surroundings, cache_directory};
use crate::cli::{Cache, Cli, Command, LogFormat, Schema};
use crate::error::ExitStatus;
use crate::log;
use crate::printer::{Level, Printer};
use crate::report::schema;
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
            surroundings.session.store.delete_damaged()
        }
        _ => Vec::new(),
    };
    if damaged.is_empty() { Err(error) } else { Err(error.context(failure::DamagedCache(damaged))) }
}
