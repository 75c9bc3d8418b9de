//! Reading profiles with everything that they include. The only place of this module that touches the disk.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::builtin::{self, BuiltIn};
use super::check;
use super::fault::ProfileError;
use super::model::{Profile, SCHEMA_VERSION};
use super::rules::{Origin, ProfileInfo, RuleSet};
use crate::error::{IoContext, PathError};
use crate::fault::{Fault, Source, nearest, read_text_up_to};
use crate::image::Digest;

/// The largest profile in bytes. Generated ones name hundreds of thousands of files.
pub const MAX_SIZE: u64 = 64 << 20;

/// How deep profiles may include each other.
const MAX_DEPTH: usize = 32;

/// Loads profiles, each given by the name of a built-in one or by a path, with all that they include.
///
/// What contains a separator or ends in `.toml` is a path. A profile that is named or included twice counts once, where
/// it came first.
///
/// # Errors
///
/// Everything that is wrong with a profile, with its place.
pub fn load<T: AsRef<str>>(profiles: &[T]) -> Result<RuleSet, ProfileError> {
    load_in(Path::new(""), profiles)
}

/// The same with paths that begin at a directory.
///
/// # Errors
///
/// Everything that is wrong with a profile, with its place.
pub fn load_in<T: AsRef<str>>(directory: &Path, profiles: &[T]) -> Result<RuleSet, ProfileError> {
    let mut loader = Loader::default();
    for profile in profiles {
        let place = Place::find(profile.as_ref(), directory).map_err(ProfileError::Unknown)?;
        let key = place.key()?;
        if !loader.done.contains(&key) {
            loader.load(place, key)?;
        }
    }
    Ok(loader.rules)
}

/// The TOML text of a profile, given by the name of a built-in one or by a path.
pub fn text(profile: &str) -> Result<String, ProfileError> {
    Place::find(profile, Path::new("")).map_err(ProfileError::Unknown)?.read()
}

/// Where a profile is.
enum Place {
    BuiltIn(&'static BuiltIn),
    File(PathBuf),
}

/// What tells two profiles apart, however they are spelled.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    BuiltIn(&'static str),
    File(PathBuf),
}

#[derive(Default)]
struct Loader {
    rules: RuleSet,
    done: BTreeSet<Key>,
    /// The profiles that are being loaded, each included by the one before it, with their names for people.
    chain: Vec<(Key, String)>,
}

impl Place {
    /// Finds a profile by name, or by a path that begins at `directory`.
    fn find(profile: &str, directory: &Path) -> Result<Place, String> {
        if profile.contains(['/', '\\']) || profile.to_ascii_lowercase().ends_with(".toml") {
            return Ok(Place::File(check::resolve_path(directory, profile)));
        }
        if let Some(found) = builtin::find(profile) {
            return Ok(Place::BuiltIn(found));
        }
        let suggestion = match nearest(profile, builtin::ALL.iter().map(|known| known.name)) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        };
        Err(format!(
            "there is no built-in profile `{profile}`{suggestion} (`winslim profile list` shows all; a file is given by \
             a path such as `./{profile}.toml`)"
        ))
    }

    fn key(&self) -> Result<Key, PathError> {
        match self {
            Place::BuiltIn(profile) => Ok(Key::BuiltIn(profile.name)),
            Place::File(path) => Ok(Key::File(path.canonicalize().context_path("read the profile", path)?)),
        }
    }

    fn name(&self) -> String {
        match self {
            Place::BuiltIn(profile) => profile.name.to_owned(),
            Place::File(path) => path.display().to_string(),
        }
    }

    fn read(&self) -> Result<String, ProfileError> {
        match self {
            Place::BuiltIn(profile) => Ok(profile.text.to_owned()),
            Place::File(path) => Ok(read_text_up_to(MAX_SIZE, "read the profile", path)?),
        }
    }
}

impl Loader {
    /// Adds a profile that is not loaded yet, behind those that it includes.
    fn load(&mut self, place: Place, key: Key) -> Result<(), ProfileError> {
        let text = place.read()?;
        let name = place.name();
        let source = Source { name: &name, text: &text };
        let profile = parse(source)?;
        let (directory, origin) = match &place {
            Place::BuiltIn(_) => (Path::new(""), Origin::BuiltIn),
            Place::File(path) => (path.parent().unwrap_or(Path::new("")), Origin::File(path.clone())),
        };
        self.chain.push((key.clone(), name.clone()));
        for include in &profile.include {
            self.include(source, directory, include)?;
        }
        self.chain.pop();
        self.done.insert(key);
        self.check_unique(profile.name.get_ref(), &origin)?;
        self.rules.profiles.push(ProfileInfo {
            name: profile.name.get_ref().clone(),
            summary: profile.summary.clone(),
            risk: profile.risk,
            bases: profile.bases.clone(),
            builds: profile.builds.clone(),
            digest: Digest::of(text.as_bytes()),
            origin,
        });
        Ok(check::add_rules(profile, source, directory, &mut self.rules)?)
    }

    fn include(&mut self, source: Source<'_>, directory: &Path, include: &Spanned<String>) -> Result<(), ProfileError> {
        let fail = |message: String| source.fault(include.span(), message);
        let place = Place::find(include.get_ref(), directory).map_err(fail)?;
        let key = place.key().map_err(|error| fail(error.to_string()))?;
        if let Some(start) = self.chain.iter().position(|(known, _)| *known == key) {
            let circle = self.chain[start..].iter().chain([&self.chain[start]]).map(|(_, name)| name.as_str());
            let circle = circle.collect::<Vec<_>>().join(" → ");
            return Err(fail(format!("the profiles include each other in a circle: {circle}")).into());
        }
        if self.chain.len() >= MAX_DEPTH {
            return Err(fail(format!("profiles include each other more than {MAX_DEPTH} deep")).into());
        }
        if self.done.contains(&key) {
            return Ok(());
        }
        self.load(place, key)
    }

    fn check_unique(&self, name: &str, origin: &Origin) -> Result<(), ProfileError> {
        match self.rules.profiles.iter().find(|known| known.name == name) {
            None => Ok(()),
            Some(known) => Err(ProfileError::SameName {
                name: name.to_owned(),
                first: known.origin.to_string(),
                second: origin.to_string(),
            }),
        }
    }
}

/// Whether there is a directory or a file at a path.
pub(super) fn is_directory(path: &Path) -> io::Result<bool> {
    Ok(path.metadata()?.is_dir())
}

/// Reads the text of one profile; includes and patterns are not looked at.
pub(super) fn parse(source: Source<'_>) -> Result<Profile, Box<Fault>> {
    /// The version alone: a later format may have keys that this winslim does not know.
    #[derive(Deserialize)]
    struct Head {
        schema: Option<Spanned<i64>>,
    }
    let head: Head = toml::from_str(source.text).map_err(|error| source.toml_fault(&error))?;
    let wrong = |span: Range<usize>, problem: String| {
        Err(source.fault(span, format!("{problem}; this winslim reads `schema = {SCHEMA_VERSION}`")))
    };
    match head.schema {
        Some(version) if *version.get_ref() == SCHEMA_VERSION => {}
        Some(version) => return wrong(version.span(), format!("unknown version {} of the format", version.get_ref())),
        None => return wrong(0..0, "the key `schema` is missing".to_owned()),
    }
    toml::from_str(source.text).map_err(|error| source.toml_fault(&error))
}

#[cfg(test)]
mod tests;
