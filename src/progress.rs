//! How the core tells how far it is, without knowing who watches.

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
