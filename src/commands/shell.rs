//! `winslim completions` and `winslim man`: what shells and manual readers want to know of the command line.

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::error::ExitStatus;
use crate::printer::Printer;
use crate::text::Shown;

/// What the pages say they come from.
const SOURCE: &str = concat!("winslim ", env!("CARGO_PKG_VERSION"));

/// Prints the completion script for a shell.
pub(super) fn completions(shell: Shell, printer: &Printer) -> Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "winslim", &mut script);
    print(&script, printer)
}

/// Prints the manual page of winslim, and after it those of its commands.
pub(super) fn manual(printer: &Printer) -> Result<ExitStatus> {
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    for command in std::iter::once(&command).chain(command.get_subcommands()) {
        Man::new(command.clone()).source(SOURCE).render(&mut pages).context("cannot write the manual page")?;
    }
    print(&pages, printer)
}

fn print(text: &[u8], printer: &Printer) -> Result<ExitStatus> {
    printer.result(&Shown::of_escaped(String::from_utf8_lossy(text).into_owned()))?;
    Ok(ExitStatus::Done)
}
