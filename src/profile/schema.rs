//! The JSON Schema of profiles, for editors and other tools.

use super::model::Profile;

/// The JSON Schema of a profile, as indented JSON with a newline at the end.
pub fn json_schema() -> String {
    let mut text = format!("{:#}", schemars::schema_for!(Profile).as_value());
    text.push('\n');
    text
}
