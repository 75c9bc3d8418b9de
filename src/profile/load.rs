//! Reading profiles with everything that they include. The only place of this module that touches the disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::bounds::{Bounds, check_named};
use super::builtin::{self, BuiltIn};
use super::check;
use super::fault::{Faults, ProfileError};
use super::parse::parse;
use super::path::resolve_path;
use super::pattern::check_count;
use super::rules::{Origin, ProfileInfo, RuleSet};
use crate::error::{IoContext, PathError};
use crate::fault::{Source, nearest, read_text_up_to};
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
    load_allowing(None, profiles, &[])
}

/// The same with paths that begin at a directory, in which they have to stay.
///
/// # Errors
///
/// Everything that is wrong with a profile, with its place.
pub fn load_in<T: AsRef<str>>(directory: &Path, profiles: &[T]) -> Result<RuleSet, ProfileError> {
    load_allowing(Some(directory), profiles, &[])
}

/// The same, with more directories in which files may be read. A profile that a user names lies where they say, if it is no
/// link that leads elsewhere; one that a build file names lies in the directory of that. What profiles name in turn lies in
/// their directory. The working directory is good for all of them.
///
/// # Errors
///
/// Everything that is wrong with a profile, with its place.
pub fn load_allowing<T: AsRef<str>>(
    named_in: Option<&Path>,
    profiles: &[T],
    allowed: &[PathBuf],
) -> Result<RuleSet, ProfileError> {
    let mut loader = Loader::default();
    for profile in profiles {
        let place = Place::find(profile.as_ref(), named_in.unwrap_or(Path::new(""))).map_err(ProfileError::Unknown)?;
        if let Place::File(path) = &place {
            let directory = path.parent().unwrap_or(Path::new(""));
            Bounds::new(named_in.unwrap_or(directory), allowed).check(path)?;
            let more: Vec<PathBuf> = named_in.map(Path::to_owned).into_iter().chain(allowed.iter().cloned()).collect();
            loader.bounds = Bounds::new(directory, &more);
        }
        let key = place.key()?;
        if !loader.done.contains(&key) {
            loader.load(place, key)?;
        }
    }
    let rules = loader.rules;
    let removes = rules.removes.iter().flat_map(|rule| rule.paths.patterns().iter().chain(rule.except.patterns()));
    check_count(removes.chain(rules.keeps.iter().flat_map(|rule| rule.paths.patterns())))?;
    Ok(rules)
}

/// The TOML text of a profile, given by the name of a built-in one or by a path.
pub fn text(profile: &str, allowed: &[PathBuf]) -> Result<String, ProfileError> {
    let place = Place::find(profile, Path::new("")).map_err(ProfileError::Unknown)?;
    if let Place::File(path) = &place {
        check_named(path, allowed)?;
    }
    place.read()
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
    /// Where the files may lie that the profile names.
    bounds: Bounds,
    done: BTreeSet<Key>,
    /// The profiles that are being loaded, each included by the one before it, with their names for people.
    chain: Vec<(Key, String)>,
}

impl Place {
    /// Finds a profile by name, or by a path that begins at `directory`.
    fn find(profile: &str, directory: &Path) -> Result<Place, String> {
        if profile.contains(['/', '\\']) || profile.to_ascii_lowercase().ends_with(".toml") {
            return Ok(Place::File(resolve_path(directory, profile)));
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
        let mut faults = Vec::new();
        let Some(profile) = parse(source, &mut faults) else {
            return Err(ProfileError::Faults(Faults::new(faults)));
        };
        let (directory, origin) = match &place {
            Place::BuiltIn(_) => (Path::new(""), Origin::BuiltIn),
            Place::File(path) => (path.parent().unwrap_or(Path::new("")), Origin::File(path.clone())),
        };
        self.chain.push((key.clone(), name.clone()));
        for include in &profile.include {
            match self.include(source, directory, include) {
                Err(ProfileError::Faults(more)) => faults.extend(more.into_inner()),
                result => result?,
            }
        }
        self.chain.pop();
        self.done.insert(key);
        match self.check_unique(profile.name.get_ref(), &origin) {
            // A circle, for one, brings the same name up again.
            Err(_) if !faults.is_empty() => return Err(ProfileError::Faults(Faults::new(faults))),
            result => result?,
        }
        self.rules.profiles.push(ProfileInfo {
            name: profile.name.get_ref().clone(),
            summary: profile.summary.clone(),
            risk: profile.risk,
            bases: profile.bases.clone(),
            builds: profile.builds.clone(),
            digest: Digest::of(text.as_bytes()),
            origin,
        });
        check::add_rules(
            profile,
            source,
            &check::Place { directory, bounds: &self.bounds },
            &mut self.rules,
            &mut faults,
        );
        if faults.is_empty() { Ok(()) } else { Err(ProfileError::Faults(Faults::new(faults))) }
    }

    fn include(&mut self, source: Source<'_>, directory: &Path, include: &Spanned<String>) -> Result<(), ProfileError> {
        let fail = |message: String| source.fault(include.span(), message);
        let place = Place::find(include.get_ref(), directory).map_err(fail)?;
        if let Place::File(path) = &place {
            self.bounds.check(path).map_err(|error| fail(error.to_string()))?;
        }
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

#[cfg(test)]
mod tests;
