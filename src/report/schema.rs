//! The JSON Schemas of reports, for those who read them with programs.

use schemars::{JsonSchema, schema_for};

use super::diff::DiffReport;
use super::host::HostReport;
use super::inspect::InspectReport;
use super::list::Listing;
use super::lock::DriftReport;
use crate::text::Shown;

/// The schema of what `inspect` gives as JSON.
pub fn inspect() -> Shown {
    text::<InspectReport>()
}

/// The schema of what `ls` gives as JSON.
pub fn list() -> Shown {
    text::<Listing>()
}

/// The schema of what `diff` gives as JSON.
pub fn diff() -> Shown {
    text::<DiffReport>()
}

/// The schema of what `host` gives as JSON.
pub fn host() -> Shown {
    text::<HostReport>()
}

/// The schema of what `lock` gives as JSON.
pub fn lock() -> Shown {
    text::<DriftReport>()
}

fn text<T: JsonSchema>() -> Shown {
    Shown::json(schema_for!(T).as_value())
}
