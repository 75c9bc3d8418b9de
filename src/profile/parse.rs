//! The TOML of one profile: with all that is wrong in it, and not only the first mistake.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::model::{Profile, SCHEMA_VERSION};
use crate::fault::{Fault, Source, nearest};

/// The most mistakes of one file that are looked for.
pub(super) const MOST_MISTAKES: usize = 50;

/// A profile of more bytes is read again for so many mistakes only: each time, all of it is.
const LARGE: usize = 1 << 20;
const FEW_MISTAKES: usize = 4;

/// Reads the text of one profile; includes and patterns are not looked at.
///
/// What is wrong is added to `faults`, and the profile is given without it, so that its other mistakes can be found. `None` if
/// too little is left.
pub(super) fn parse(source: Source<'_>, faults: &mut Vec<Fault>) -> Option<Profile> {
    // A generated profile is large, and as a rule right.
    if let Ok(profile) = toml::from_str::<Profile>(source.text)
        && *profile.schema.get_ref() == SCHEMA_VERSION
    {
        return Some(profile);
    }
    if let Err(fault) = check_version(source) {
        faults.push(*fault);
        return None;
    }
    let (mut table, errors) = DeTable::parse_recoverable(source.text);
    if !errors.is_empty() {
        // What follows would be about what the reader made of it.
        faults.extend(errors.iter().take(MOST_MISTAKES).map(|error| *source.toml_fault(error)));
        return None;
    }
    let mut dropped = Vec::new();
    let most = if source.text.len() > LARGE { FEW_MISTAKES } else { MOST_MISTAKES };
    for number in 0..most {
        let error = match Profile::deserialize(toml::Deserializer::from(table.clone())) {
            Ok(profile) => return Some(profile),
            Err(error) => error,
        };
        let span = error.span()?;
        let missing = error.message().strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        match missing {
            Some(key) => {
                // A key that was misspelt, or had a wrong value, was reported.
                let known = dropped.iter().position(|known: &String| nearest(known, [key].into_iter()).is_some());
                match known {
                    Some(place) => drop(dropped.swap_remove(place)),
                    None => faults.push(*source.toml_fault(&error)),
                }
                if !add_missing(&mut table, &span, key, number) {
                    return None;
                }
            }
            None => {
                faults.push(*source.toml_fault(&error));
                dropped.push(drop_at(table.get_mut(), span.start)?);
            }
        }
    }
    None
}

/// A later format may have keys that this winslim does not know.
fn check_version(source: Source<'_>) -> Result<(), Box<Fault>> {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<Spanned<i64>>,
    }
    // Text that is no TOML is for the caller to report.
    if DeTable::parse(source.text).is_err() {
        return Ok(());
    }
    let head: Head = toml::from_str(source.text).map_err(|error| source.toml_fault(&error))?;
    let wrong = |span: Range<usize>, problem: String| {
        Err(source.fault(span, format!("{problem}; this winslim reads `schema = {SCHEMA_VERSION}`")))
    };
    match head.schema {
        Some(version) if *version.get_ref() == SCHEMA_VERSION => Ok(()),
        Some(version) => wrong(version.span(), format!("unknown version {} of the format", version.get_ref())),
        None => wrong(0..0, "the key `schema` is missing".to_owned()),
    }
}

/// Takes out the key or the value that a place of the text is in, the innermost one. Gives the key, or an empty text for an
/// item of a list; `None` if there is neither.
fn drop_at(table: &mut DeTable<'_>, at: usize) -> Option<String> {
    let mut wrong = None;
    for (key, value) in table.iter_mut() {
        let dropped = drop_in(value, at);
        if dropped.is_some() {
            return dropped;
        }
        if key.span().contains(&at) || value.span().contains(&at) {
            wrong = Some(key.clone());
        }
    }
    let key = wrong?;
    table.remove(&key)?;
    Some(key.get_ref().to_string())
}

/// The same within a value.
fn drop_in(value: &mut Spanned<DeValue<'_>>, at: usize) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => drop_at(table, at),
        DeValue::Array(items) => {
            let (mut dropped, mut left) = (None, DeArray::new());
            for mut item in std::mem::replace(items, DeArray::new()) {
                if dropped.is_none() {
                    dropped = drop_in(&mut item, at);
                    if dropped.is_none() && item.span().contains(&at) {
                        dropped = Some(String::new());
                        continue;
                    }
                }
                left.push(item);
            }
            *items = left;
            dropped
        }
        _ => None,
    }
}

/// Puts something into the place of a missing key, so that what else is wrong with its table can be found; or takes the table
/// out, if anything there would be wrong. False if there is no such table.
fn add_missing(table: &mut Spanned<DeTable<'_>>, span: &Range<usize>, key: &str, number: usize) -> bool {
    let stand_in = |key: &str| {
        let text = |text: String| DeValue::String(Cow::Owned(text));
        match key {
            "paths" => {
                let item = Spanned::new(span.clone(), text("missing".to_owned()));
                Some(DeValue::Array([item].into_iter().collect()))
            }
            "risk" => Some(text("low".to_owned())),
            "name" | "summary" | "reason" => Some(text("missing".to_owned())),
            // Ids are unique.
            "id" => Some(text(format!("missing-{number}"))),
            _ => None,
        }
    };
    let spanned = |value| Spanned::new(span.clone(), value);
    // The one of the whole text has another span than those of tables with a header.
    for list in ["remove", "keep", "add"] {
        let Some(value) = table.get_mut().get_mut(list) else { continue };
        let DeValue::Array(items) = value.get_mut() else { continue };
        if !items.iter().any(|item| item.span() == *span) {
            continue;
        }
        let mut left = DeArray::new();
        for mut item in std::mem::replace(items, DeArray::new()) {
            if item.span() != *span {
                left.push(item);
            } else if let (Some(value), DeValue::Table(rule)) = (stand_in(key), item.get_mut()) {
                rule.insert(Spanned::new(span.clone(), Cow::Owned(key.to_owned())), spanned(value));
                left.push(item);
            }
        }
        *items = left;
        return true;
    }
    match stand_in(key) {
        Some(value) if matches!(key, "name" | "summary" | "risk") => {
            table.get_mut().insert(Spanned::new(span.clone(), Cow::Owned(key.to_owned())), spanned(value));
            true
        }
        _ => false,
    }
}
