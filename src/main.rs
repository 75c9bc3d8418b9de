//! The `winslim` program: arguments in, exit code out.

use std::process::ExitCode;

/// Indexes are hundreds of thousands of small pieces of memory, and the system's allocator takes half as long again for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let status = winslim::commands::run(winslim::cli::Cli::of_process);
    ExitCode::from(status as u8)
}
