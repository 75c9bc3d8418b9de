//! What happens when somebody presses Ctrl-C, or a CI system ends the job: the process cleans up and ends at once, whatever
//! its threads are doing.

use std::io;
use std::path::PathBuf;

use crate::bytes::ByteSize;
use crate::printer::{Failure, Printer};
use crate::{store, temporary};

/// The exit codes of shells for a program that a signal ended: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;
#[cfg(unix)]
const TERMINATED: i32 = 143;

/// Waits for signals from now on; has to be called within a runtime. `cache` is where partial downloads are.
pub(super) fn watch(printer: Printer, cache: Option<PathBuf>) -> io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        let status = signals.next().await;
        let cleaning = tokio::task::spawn_blocking(move || {
            // Held until the process ends, so that no thread makes another file meanwhile.
            let held = temporary::delete_all();
            printer.fail(&Failure { message: &message(cache), ..Failure::default() });
            std::mem::forget(held);
        });
        // The second signal does not wait for that.
        let status = tokio::select! {
            _ = cleaning => status,
            status = signals.next() => status,
        };
        #[expect(clippy::exit, reason = "threads that decompress or compress cannot be asked to stop")]
        std::process::exit(status);
    });
    Ok(())
}

/// The signal of a write beyond the limit on the size of files; Linux has another number on MIPS alone.
#[cfg(unix)]
const FILE_SIZE_LIMIT: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 31 } else { 25 };

/// Lets a write beyond the limit on the size of files (`ulimit -f`) fail, instead of ending the process without a word. Has to be
/// called within a runtime.
#[cfg(unix)]
pub(super) fn outlive_file_size_limit() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // The handler stays although nobody listens.
    signal(SignalKind::from_raw(FILE_SIZE_LIMIT)).map(drop)
}

/// Other systems have no such signal.
#[cfg(not(unix))]
pub(super) fn outlive_file_size_limit() -> io::Result<()> {
    Ok(())
}

/// Says what is kept.
fn message(cache: Option<PathBuf>) -> String {
    let kept = cache.map(|cache| (store::partial_downloads(&cache), cache));
    match kept {
        Some(((count @ 1.., bytes), cache)) => {
            let downloads =
                if count == 1 { "a partial download".to_owned() } else { format!("{count} partial downloads") };
            format!(
                "interrupted; {downloads} ({}) and all complete blobs stay in `{}`, and the next run goes on from there",
                ByteSize(bytes),
                cache.display()
            )
        }
        Some((_, cache)) => {
            format!(
                "interrupted; all complete blobs stay in `{}`, and the next run goes on from there",
                cache.display()
            )
        }
        None => "interrupted".to_owned(),
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next signal, and returns the exit code that it means.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals)
    }

    /// Waits for Ctrl-C.
    async fn next(&mut self) -> i32 {
        if tokio::signal::ctrl_c().await.is_err() {
            // It will never come.
            std::future::pending::<()>().await;
        }
        INTERRUPTED
    }
}
