//! The JSON Schemas of reports, for those who read them with programs.

use schemars::{JsonSchema, schema_for};

use super::diff::DiffReport;
use super::host::HostReport;
use super::inspect::InspectReport;
use super::list::Listing;
use super::lock::DriftReport;

/// The schema of what `inspect` gives as JSON.
pub fn inspect() -> String {
    text::<InspectReport>()
}

/// The schema of what `ls` gives as JSON.
pub fn list() -> String {
    text::<Listing>()
}

/// The schema of what `diff` gives as JSON.
pub fn diff() -> String {
    text::<DiffReport>()
}

/// The schema of what `host` gives as JSON.
pub fn host() -> String {
    text::<HostReport>()
}

/// The schema of what `lock` gives as JSON.
pub fn lock() -> String {
    text::<DriftReport>()
}

fn text<T: JsonSchema>() -> String {
    let mut text = format!("{:#}", schema_for!(T).as_value());
    text.push('\n');
    text
}
