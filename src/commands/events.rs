//! Events of the engine, for those who watch.

use crate::engine::{Event, Events, Importance};
use crate::printer::Printer;

/// Prints events; the printer escapes them.
pub(super) struct Printed(pub(super) Printer);

impl Events for Printed {
    fn tell(&self, event: &Event<'_>) {
        let text = event.to_string();
        match event.importance() {
            Importance::Warning => self.0.warn(&text),
            Importance::Note => self.0.say(&text),
            Importance::Detail => self.0.detail(&text),
        }
    }
}
