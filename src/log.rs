//! The log of what is done: one line for each event, as text or as JSON, escaped like everything that is written.

use std::fmt;
use std::io::{self, Write};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::printer::log_line;
use crate::text::escape;

/// Sends the log to standard error: warnings alone, or with `verbose` 1 what is done, or with more every step. The library's own
/// events count, not those of its dependencies.
pub fn start(verbose: u8, json: bool) {
    let most = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    // A second log is refused; in tests the first one serves.
    let _ = tracing_subscriber::registry().with(Log { json }.with_filter(most)).try_init();
}

struct Log {
    json: bool,
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if metadata.target() != "winslim" && !metadata.target().starts_with("winslim::") {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = metadata.level().as_str();
        let line = match self.json {
            true => {
                let name = fields.message.replace(' ', "-");
                fields.values.insert("message".to_owned(), fields.message.into());
                log_line(level, &name, fields.values).to_string()
            }
            false => fields.line(level),
        };
        // Nobody is left to tell when standard error is closed.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    values: Map<String, Value>,
}

impl Fields {
    /// The event in one line: ` INFO request method=GET status=200`.
    fn line(&self, level: &str) -> String {
        let mut line = format!("{level:>5} {}", escape(&self.message));
        for (name, value) in &self.values {
            match value {
                Value::String(text) => line += &format!(" {name}={}", escape(text)),
                other => line += &format!(" {name}={other}"),
            }
        }
        line + "\n"
    }

    fn take(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => _ = self.values.insert(name.to_owned(), value),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }
}
