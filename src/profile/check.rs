//! From one parsed profile to rules: everything that the TOML types alone cannot check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Spanned;

use super::bounds::Bounds;
use super::model::{self, Match, Profile};
use super::parse::MOST_MISTAKES;
use super::path::{is_directory, resolve_path};
use super::pattern::{Pattern, PatternSet};
use super::rules::{self, AddRule, KeepRule, RemoveRule, RuleSet};
use super::target;
use crate::error::reason;
use crate::fault::{Fault, Source};
use crate::image::edit::ImageSettings;

/// Where a profile lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// Where its relative paths begin.
    pub(super) directory: &'a Path,
    /// Where the files may lie that it names.
    pub(super) bounds: &'a Bounds,
}

/// Adds the rules of a profile to those of the profiles before it. What is wrong is added to `faults`, all of it.
pub(super) fn add_rules(
    profile: Profile,
    source: Source<'_>,
    place: &Place<'_>,
    rules: &mut RuleSet,
    faults: &mut Vec<Fault>,
) {
    let mut faults = Collector { faults };
    faults.check(check_name(source, &profile.name, "name"));
    let name = profile.name.into_inner();
    let mut ids = BTreeSet::new();
    for rule in profile.remove {
        faults.check(check_name(source, &rule.id, "id"));
        if !ids.insert(rule.id.get_ref().clone()) {
            let message = format!("a rule before this one has the id `{}` too; ids are unique", rule.id.get_ref());
            faults.check::<()>(Err(source.fault(rule.id.span(), message)));
        }
        rules.removes.push(RemoveRule {
            profile: name.clone(),
            id: rule.id.into_inner(),
            paths: required_patterns(source, &rule.paths, &mut faults),
            except: patterns(source, &rule.except, &mut faults),
            reason: rule.reason,
            price: rule.price,
            required: rule.matching == Match::Required,
        });
    }
    for rule in profile.keep {
        let paths = required_patterns(source, &rule.paths, &mut faults);
        rules.keeps.push(KeepRule {
            profile: name.clone(),
            paths,
            reason: rule.reason,
            required: rule.matching == Match::Required,
        });
    }
    for rule in profile.add {
        rules.adds.extend(faults.check(addition(source, place, &name, &rule)));
    }
    if let Some(settings) = faults.check(image_settings(source, profile.image)) {
        rules::update(&mut rules.image, settings);
    }
    if let Some(shadowed) = profile.layers.shadowed {
        rules.shadowed = shadowed;
    }
}

/// Takes up what is wrong, as far as people would read it.
struct Collector<'a> {
    faults: &'a mut Vec<Fault>,
}

impl Collector<'_> {
    fn check<T>(&mut self, result: Result<T, Box<Fault>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                self.faults.push(*fault);
                None
            }
        }
    }

    /// Whether nobody would read more. Finding the line of a mistake takes a look through the text.
    fn is_full(&self) -> bool {
        self.faults.len() > MOST_MISTAKES
    }
}

fn check_name(source: Source<'_>, name: &Spanned<String>, key: &str) -> Result<(), Box<Fault>> {
    let text = name.get_ref();
    let fits = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if text.is_empty() || !text.chars().all(fits) {
        let message = format!("the {key} consists of letters, digits, `-`, `_` and `.`, and is not empty");
        return Err(source.fault(name.span(), message));
    }
    Ok(())
}

fn required_patterns(
    source: Source<'_>,
    texts: &Spanned<Vec<Spanned<String>>>,
    faults: &mut Collector<'_>,
) -> PatternSet {
    if texts.get_ref().is_empty() {
        faults.check::<()>(Err(source.fault(texts.span(), "the rule names no path; give it one or remove the rule")));
    }
    patterns(source, texts.get_ref(), faults)
}

fn patterns(source: Source<'_>, texts: &[Spanned<String>], faults: &mut Collector<'_>) -> PatternSet {
    let mut parsed = Vec::with_capacity(texts.len());
    for text in texts {
        match Pattern::parse(text.get_ref()) {
            Ok(pattern) => parsed.push(pattern),
            Err(_) if faults.is_full() => break,
            Err(error) => drop(faults.check::<()>(Err(source.fault(text.span(), error.to_string())))),
        }
    }
    let span = || texts.first().map(Spanned::span).unwrap_or_default();
    let set = PatternSet::new(parsed).map_err(|error| source.fault(span(), error.to_string()));
    faults.check(set).unwrap_or_default()
}

fn addition(source: Source<'_>, place: &Place<'_>, profile: &str, rule: &model::Add) -> Result<AddRule, Box<Fault>> {
    let text = rule.target.get_ref();
    let wrong_target = |problem: &str| source.fault(rule.target.span(), format!("the target `{text}` {problem}"));
    let target = target::parse(text).map_err(|problem| wrong_target(&problem))?;
    if rule.source.get_ref().is_empty() {
        return Err(source.fault(rule.source.span(), "the source is empty; name a file or a directory"));
    }
    let path = resolve_path(place.directory, rule.source.get_ref());
    place.bounds.check(&path).map_err(|error| source.fault(rule.source.span(), error.to_string()))?;
    let is_directory = is_directory(&path).map_err(|error| {
        let message = format!("cannot read the source `{}`: {}", path.display(), reason(&error));
        source.fault(rule.source.span(), message)
    })?;
    if !is_directory && (target.as_str() == "Files" || text.ends_with(['/', '\\'])) {
        return Err(wrong_target("names a directory, but the source is a file; add the file's name to the target"));
    }
    Ok(AddRule { profile: profile.to_owned(), source: path, target })
}

fn image_settings(source: Source<'_>, image: model::Image) -> Result<ImageSettings, Box<Fault>> {
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in image.env {
        let text = name.get_ref();
        if text.is_empty() || text.contains(['=', '\0']) || value.contains('\0') {
            return Err(source.fault(name.span(), "the name of a variable is not empty and has no `=`"));
        }
        if let Some(known) = env.keys().find(|known| known.to_lowercase() == text.to_lowercase()) {
            let message = format!("`{known}` and `{text}` are the same variable on Windows");
            return Err(source.fault(name.span(), message));
        }
        env.insert(name.into_inner(), value);
    }
    let port = |text: Spanned<String>| {
        port(text.get_ref()).ok_or_else(|| {
            source.fault(text.span(), "a port is a number from 1 to 65535, alone or with `/tcp` or `/udp`")
        })
    };
    Ok(ImageSettings {
        env,
        cmd: image.cmd,
        entrypoint: image.entrypoint,
        user: image.user,
        workdir: image.workdir,
        exposed_ports: image.exposed_ports.into_iter().map(port).collect::<Result<_, _>>()?,
        stop_signal: image.stop_signal,
        labels: image.labels,
    })
}

/// `8080` as the image's config has it: `8080/tcp`.
fn port(text: &str) -> Option<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let digits = number.bytes().all(|digit| digit.is_ascii_digit());
    let number = number.parse::<u16>().ok().filter(|&number| digits && number > 0)?;
    matches!(protocol, "tcp" | "udp").then(|| format!("{number}/{protocol}"))
}
