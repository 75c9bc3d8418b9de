//! New documents made of old ones: what is not changed keeps its fields, known or not, and their order.

mod config;
mod index;
mod manifest;

use serde_json::{Map, Value};

pub use config::{ConfigEdit, ImageSettings, edit_config};
pub use index::{EMPTY_CONFIG, NewIndexEntry, make_artifact, make_index, make_referrer, platform};
pub use manifest::{LayerSource, ManifestEdit, edit_manifest};

/// Gives the well-known keys of an object their usual spelling, in place: `rootfS` becomes `rootfs`.
///
/// Where a key stands there in two spellings, the usual one is kept: it is the one that reading prefers.
fn spell_keys(object: &mut Map<String, Value>, known: &[&str]) {
    let old = std::mem::take(object);
    let has = |name: &str| old.contains_key(name);
    let mut spelled = Map::with_capacity(old.len());
    for (key, value) in &old {
        match known.iter().find(|name| name.eq_ignore_ascii_case(key)) {
            Some(name) if name != key && (has(name) || spelled.contains_key(*name)) => {}
            Some(name) => drop(spelled.insert((*name).to_owned(), value.clone())),
            None => drop(spelled.insert(key.clone(), value.clone())),
        }
    }
    *object = spelled;
}

/// The object under a key, which is made if there is none.
fn object_at<'a>(object: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = object.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it was made an object above"),
    }
}

/// The list under a key, which is made if there is none.
fn list_at<'a>(object: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let value = object.entry(key).or_insert(Value::Null);
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("it was made a list above"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_spelled_in_place() {
        for (before, after) in [
            (json!({"z": 1, "rootfS": 2, "OS": 3}), json!({"z": 1, "rootfs": 2, "os": 3})),
            (json!({"rootfS": 1, "rootfs": 2}), json!({"rootfs": 2})),
            (json!({"rootfS": 1, "ROOTFS": 2}), json!({"rootfs": 1})),
        ] {
            let Value::Object(mut object) = before else { panic!() };
            spell_keys(&mut object, &["rootfs", "os"]);
            assert_eq!(Value::Object(object).to_string(), after.to_string());
        }
    }
}
