//! The JSON Schema of profiles, for editors and other tools.

use super::model::Profile;
use crate::text::Shown;

/// The JSON Schema of a profile, as indented JSON with a newline at the end.
pub fn json_schema() -> Shown {
    Shown::json(schemars::schema_for!(Profile).as_value())
}
