//! Who may write to standard output and standard error.
//!
//! Results go to standard output and everything else to standard error, so that a result can be piped on.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use crate::error::{IoContext, PathError};
use crate::progress::{Bars, Progress, Silent};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Errors, and the result.
    Quiet,
    /// Warnings and summaries too.
    Normal,
    /// What is being done too.
    Verbose,
}

/// Writes for people and programs, as loudly as they asked for.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    level: Level,
    bars: bool,
    json: bool,
}

const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

impl Printer {
    /// A printer; progress bars are shown only on a terminal, and not beside the lines of a verbose run.
    pub fn new(level: Level, progress: bool) -> Printer {
        Printer { level, bars: progress && level == Level::Normal && io::stderr().is_terminal(), json: false }
    }

    /// The same printer; if `json`, it writes what goes to standard error as JSON objects, one in each line, like the log.
    pub fn in_json(self, json: bool) -> Printer {
        Printer { json, bars: self.bars && !json, ..self }
    }

    /// Who watches the work.
    pub fn progress(&self) -> Box<dyn Progress> {
        if self.bars { Box::new(Bars::new()) } else { Box::new(Silent) }
    }

    /// Writes the result, which ends with a newline, to standard output. A reader that closes it early, as `head` does, has
    /// what it wanted.
    pub fn result(&self, text: &str) -> Result<(), PathError> {
        let written = if text.contains('\x1b') {
            write_all(&mut anstream::stdout().lock(), text)
        } else {
            // There is no colour to take out, and looking for it takes long in a long text.
            write_all(&mut io::stdout().lock(), text)
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context_path("write to", "standard output"),
        }
    }

    /// Tells something that most people want to know.
    pub fn say(&self, text: &str) {
        self.write(Level::Normal, "INFO", text, text);
    }

    /// Tells what is being done.
    pub fn detail(&self, text: &str) {
        self.write(Level::Verbose, "INFO", text, text);
    }

    /// Warns.
    pub fn warn(&self, text: &str) {
        self.write(Level::Normal, "WARN", text, &format!("{WARNING}warning:{WARNING:#} {text}"));
    }

    /// Tells why the run failed, and what to do next.
    pub fn fail(&self, text: &str, hint: Option<&str>) {
        self.write(Level::Quiet, "ERROR", text, &format!("{ERROR}error:{ERROR:#} {text}"));
        if let Some(hint) = hint {
            self.write(Level::Quiet, "INFO", hint, &format!("{HINT}hint:{HINT:#} {hint}"));
        }
    }

    /// Writes a message, for people as it is `shown`.
    fn write(&self, level: Level, name: &str, message: &str, shown: &str) {
        if self.level < level {
            return;
        }
        let mut output = anstream::stderr().lock();
        // Nobody is left to tell when standard error is closed.
        let _ = match self.json {
            true => writeln!(output, "{}", serde_json::json!({ "level": name, "message": message })),
            false => writeln!(output, "{shown}"),
        };
    }
}

fn write_all(output: &mut impl Write, text: &str) -> io::Result<()> {
    output.write_all(text.as_bytes())?;
    output.flush()
}
