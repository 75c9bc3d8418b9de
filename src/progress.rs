//! How the core tells how far it is, without knowing who watches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::bytes::ByteSize;

/// What is being worked on, for the words beside a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Downloading or copying a blob in.
    Pull,
    /// Reading a layer to make its index.
    Index,
    /// Rewriting a layer.
    Rewrite,
    /// Uploading or copying a blob out.
    Push,
}

impl Stage {
    /// The word beside a progress bar.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Pull => "pulling",
            Stage::Index => "reading",
            Stage::Rewrite => "rewriting",
            Stage::Push => "pushing",
        }
    }
}

/// One piece of work whose end is known from the beginning, such as the download of a layer.
pub trait Task: Send + Sync {
    /// So many more bytes are done.
    fn advance(&self, bytes: u64);
    /// Begins again from so many bytes: a download that resumes or starts over.
    fn reset_to(&self, bytes: u64);
    /// The work has ended, well or not.
    fn finish(&self);
}

/// Receives progress. Implementations may be called from several threads at once.
pub trait Progress: Send + Sync {
    /// A piece of work begins; `total` is its size in bytes.
    fn start(&self, stage: Stage, label: &str, total: u64) -> Box<dyn Task>;
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: Stage, _: &str, _: u64) -> Box<dyn Task> {
        Box::new(Silent)
    }
}

impl Task for Silent {
    fn advance(&self, _: u64) {}
    fn reset_to(&self, _: u64) {}
    fn finish(&self) {}
}

/// Shows a bar for each task on standard error.
#[derive(Debug, Clone, Default)]
pub struct Bars {
    bars: indicatif::MultiProgress,
}

impl Bars {
    /// Bars on standard error, if it is a terminal.
    pub fn new() -> Bars {
        Bars::default()
    }
}

impl Progress for Bars {
    fn start(&self, stage: Stage, label: &str, total: u64) -> Box<dyn Task> {
        let bar = self.bars.add(indicatif::ProgressBar::new(total));
        let template = "{prefix:>10} {msg:16} [{bar:30}] {decimal_bytes:>10}/{decimal_total_bytes:10} {decimal_bytes_per_sec:>12} {eta:>4}";
        if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(stage.word());
        bar.set_message(label.to_owned());
        Box::new(Bar { bar })
    }
}

struct Bar {
    bar: indicatif::ProgressBar,
}

impl Task for Bar {
    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn reset_to(&self, bytes: u64) {
        self.bar.set_position(bytes);
        self.bar.reset_eta();
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Says in a line now and then how far long work is: for logs, where bars are of no use.
pub struct Lines {
    say: Arc<Say>,
    clock: fn() -> Instant,
}

type Say = dyn Fn(&str) + Send + Sync;

/// How long work takes before it is worth a line.
const FIRST_LINE: Duration = Duration::from_secs(5);

/// The least time between two lines on the same work.
const NEXT_LINE: Duration = Duration::from_secs(30);

impl Lines {
    /// Says lines with `say`.
    pub fn new(say: impl Fn(&str) + Send + Sync + 'static) -> Lines {
        Lines { say: Arc::new(say), clock: Instant::now }
    }
}

impl Progress for Lines {
    fn start(&self, stage: Stage, label: &str, total: u64) -> Box<dyn Task> {
        Box::new(Line {
            say: Arc::clone(&self.say),
            clock: self.clock,
            what: format!("{} {label}", stage.word()),
            total,
            done: AtomicU64::new(0),
            next: Mutex::new(Next { at: (self.clock)() + FIRST_LINE, said: false }),
        })
    }
}

struct Line {
    say: Arc<Say>,
    clock: fn() -> Instant,
    what: String,
    total: u64,
    done: AtomicU64,
    next: Mutex<Next>,
}

/// When the next line is due, and whether there was one.
struct Next {
    at: Instant,
    said: bool,
}

impl Task for Line {
    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let now = (self.clock)();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= next.at && done < self.total {
            *next = Next { at: now + NEXT_LINE, said: true };
            (self.say)(&format!("{}: {} of {}", self.what, ByteSize(done), ByteSize(self.total)));
        }
    }

    fn reset_to(&self, bytes: u64) {
        self.done.store(bytes, Ordering::Relaxed);
    }

    fn finish(&self) {
        // What was begun in the log is ended there.
        if self.next.lock().unwrap_or_else(PoisonError::into_inner).said {
            (self.say)(&format!("{}: ended at {}", self.what, ByteSize(self.done.load(Ordering::Relaxed))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::LazyLock;

    use super::*;

    thread_local! {
        static SECONDS: Cell<u64> = const { Cell::new(0) };
    }

    fn clock() -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        *START + Duration::from_secs(SECONDS.get())
    }

    #[test]
    fn long_work_is_worth_a_line_now_and_then() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = Lines {
            say: Arc::new({
                let said = Arc::clone(&said);
                move |line: &str| said.lock().unwrap().push(line.to_owned())
            }),
            clock,
        };
        let task = lines.start(Stage::Pull, "0c8c2cbd4d27", 100_000_000);
        let short = lines.start(Stage::Index, "short", 1_000);
        short.advance(1_000);
        short.finish();
        for second in 1..=70 {
            SECONDS.set(second);
            task.advance(1_000_000);
        }
        task.reset_to(100_000_000);
        task.finish();
        let expected = [
            "pulling 0c8c2cbd4d27: 5.00 MB of 100 MB",
            "pulling 0c8c2cbd4d27: 35.0 MB of 100 MB",
            "pulling 0c8c2cbd4d27: 65.0 MB of 100 MB",
            "pulling 0c8c2cbd4d27: ended at 100 MB",
        ];
        assert_eq!(*said.lock().unwrap(), expected);
    }
}
