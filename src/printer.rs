//! Who may write to standard output and standard error.
//!
//! Results go to standard output and everything else to standard error, so that a result can be piped on. Whatever is written
//! is [`Shown`] or becomes it here: nothing that an image, a registry or a profile says reaches a terminal or a log as it is.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

use crate::error::{ExitStatus, IoContext, PathError};
use crate::progress::{Bars, Lines, Progress, Silent};
use crate::text::{Event, Shown, escape};

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
    progress: bool,
    json: bool,
}

/// Why a run failed, and what to do next.
#[derive(Debug, Clone, Default)]
pub struct Failure<'a> {
    /// What failed, on what, and why, in one line.
    pub message: &'a str,
    /// Lines that belong to the message: findings, differences, the place in a file.
    pub details: &'a [String],
    /// What to do next.
    pub hint: Option<&'a str>,
    /// How the run ends.
    pub status: Option<ExitStatus>,
}

const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

impl Printer {
    /// A printer. Progress is shown unless the run is quiet, or verbose, where the log shows it.
    pub fn new(level: Level, progress: bool) -> Printer {
        Printer { level, progress: progress && level == Level::Normal, json: false }
    }

    /// The same printer; if `json` is `true`, it writes what goes to standard error as JSON objects, one in each line, like the log.
    pub fn in_json(self, json: bool) -> Printer {
        Printer { json, ..self }
    }

    /// Who watches the work: bars on a terminal, and a line now and then elsewhere.
    pub fn progress(&self) -> Box<dyn Progress> {
        match self.progress {
            false => Box::new(Silent),
            true if io::stderr().is_terminal() && !self.json => Box::new(Bars::new()),
            true => {
                let printer = *self;
                Box::new(Lines::new(move |message| printer.say(message)))
            }
        }
    }

    /// Writes the result, which ends with a newline, to standard output. A reader that closes it early, as `head` does, has
    /// what it wanted.
    pub fn result(&self, text: &Shown) -> Result<(), PathError> {
        let text: &str = text;
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

    /// Prints something that most people want to know, in one line.
    pub fn say(&self, text: &str) {
        self.write(Level::Normal, "INFO", "message", text, escape(text).as_ref());
    }

    /// Prints a report: as text for people, as events for programs.
    pub fn say_report(&self, text: &Shown, events: &[Event]) {
        match self.json {
            false => self.put(Level::Normal, text.trim_end()),
            true => {
                events.iter().for_each(|event| self.put_json(Level::Normal, "INFO", event.name, event.fields.clone()))
            }
        }
    }

    /// Prints what is being done, in one line.
    pub fn detail(&self, text: &str) {
        self.write(Level::Verbose, "INFO", "message", text, escape(text).as_ref());
    }

    /// Warns, in one line.
    pub fn warn(&self, text: &str) {
        self.write(Level::Normal, "WARN", "warning", text, &format!("{WARNING}warning:{WARNING:#} {}", escape(text)));
    }

    /// Prints why the run failed, and what to do next.
    pub fn fail(&self, failure: &Failure<'_>) {
        if self.json {
            let mut fields = Map::new();
            fields.insert("message".to_owned(), failure.message.into());
            if !failure.details.is_empty() {
                fields.insert("details".to_owned(), failure.details.into());
            }
            if let Some(hint) = failure.hint {
                fields.insert("hint".to_owned(), hint.into());
            }
            if let Some(status) = failure.status {
                fields.insert("exitCode".to_owned(), (status as u8).into());
            }
            return self.put_json(Level::Quiet, "ERROR", "error", fields);
        }
        let mut text = format!("{ERROR}error:{ERROR:#} {}", escape(failure.message));
        for line in failure.details {
            text += &format!("\n  {}", escape(line));
        }
        if let Some(hint) = failure.hint {
            text += &format!("\n{HINT}hint:{HINT:#} {}", escape(hint));
        }
        self.put(Level::Quiet, &text);
    }

    /// Writes a message, for people as it is `shown`.
    fn write(&self, level: Level, name: &'static str, event: &'static str, message: &str, shown: &str) {
        match self.json {
            true => {
                let fields = Map::from_iter([("message".to_owned(), Value::from(message))]);
                self.put_json(level, name, event, fields);
            }
            false => self.put(level, shown),
        }
    }

    fn put(&self, level: Level, shown: &str) {
        if self.level >= level {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(anstream::stderr().lock(), "{shown}");
        }
    }

    fn put_json(&self, level: Level, name: &'static str, event: &str, fields: Map<String, Value>) {
        if self.level >= level {
            let _ = io::stderr().lock().write_all(log_line(name, event, fields).as_bytes());
        }
    }
}

/// A line of a log that programs read: time, level, event, and what belongs to it.
pub fn log_line(level: &str, event: &str, fields: Map<String, Value>) -> Shown {
    let mut line = Map::new();
    line.insert("time".to_owned(), jiff::Timestamp::now().to_string().into());
    line.insert("level".to_owned(), level.into());
    line.insert("event".to_owned(), event.into());
    line.extend(fields);
    Shown::json_line(&line)
}

fn write_all(output: &mut impl Write, text: &str) -> io::Result<()> {
    output.write_all(text.as_bytes())?;
    output.flush()
}
