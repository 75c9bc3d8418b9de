//! The `winslim` program: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let status = winslim::commands::run(winslim::cli::Cli::parse);
    ExitCode::from(status as u8)
}
