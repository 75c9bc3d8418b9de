//! From one parsed profile to rules: everything that the TOML types alone cannot check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::model::{self, Match, Profile};
use super::pattern::{Pattern, PatternSet};
use super::rules::{self, AddRule, KeepRule, RemoveRule, RuleSet};
use super::{load, target};
use crate::error::reason;
use crate::fault::{Fault, Source};
use crate::image::edit::ImageSettings;

/// Adds the rules of a profile to those of the profiles before it. `directory` is where its relative paths begin.
pub(super) fn add_rules(
    profile: Profile,
    source: Source<'_>,
    directory: &Path,
    rules: &mut RuleSet,
) -> Result<(), Box<Fault>> {
    check_name(source, &profile.name, "name")?;
    let name = profile.name.into_inner();
    let mut ids = BTreeSet::new();
    for rule in profile.remove {
        check_name(source, &rule.id, "id")?;
        if !ids.insert(rule.id.get_ref().clone()) {
            let message = format!("a rule before this one has the id `{}` too; ids are unique", rule.id.get_ref());
            return Err(source.fault(rule.id.span(), message));
        }
        rules.removes.push(RemoveRule {
            profile: name.clone(),
            id: rule.id.into_inner(),
            paths: required_patterns(source, &rule.paths)?,
            except: patterns(source, &rule.except)?,
            reason: rule.reason,
            price: rule.price,
            required: rule.matching == Match::Required,
        });
    }
    for rule in profile.keep {
        let paths = required_patterns(source, &rule.paths)?;
        rules.keeps.push(KeepRule {
            profile: name.clone(),
            paths,
            reason: rule.reason,
            required: rule.matching == Match::Required,
        });
    }
    for rule in profile.add {
        rules.adds.push(addition(source, directory, &name, &rule)?);
    }
    rules::update(&mut rules.image, image_settings(source, profile.image)?);
    if let Some(shadowed) = profile.layers.shadowed {
        rules.shadowed = shadowed;
    }
    Ok(())
}

/// A path in a profile, with `\` as good as `/` on every system, and without components `.` inside.
pub(super) fn resolve_path(directory: &Path, path: &str) -> PathBuf {
    let path = if cfg!(windows) { path.to_owned() } else { path.replace('\\', "/") };
    directory.join(path).components().collect()
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

fn required_patterns(source: Source<'_>, texts: &Spanned<Vec<Spanned<String>>>) -> Result<PatternSet, Box<Fault>> {
    if texts.get_ref().is_empty() {
        return Err(source.fault(texts.span(), "the rule names no path; give it one or remove the rule"));
    }
    patterns(source, texts.get_ref())
}

fn patterns(source: Source<'_>, texts: &[Spanned<String>]) -> Result<PatternSet, Box<Fault>> {
    let parse = |text: &Spanned<String>| {
        Pattern::parse(text.get_ref()).map_err(|error| source.fault(text.span(), error.to_string()))
    };
    let parsed = texts.iter().map(parse).collect::<Result<_, _>>()?;
    PatternSet::new(parsed)
        .map_err(|error| source.fault(texts.first().map(Spanned::span).unwrap_or_default(), error.to_string()))
}

fn addition(source: Source<'_>, directory: &Path, profile: &str, rule: &model::Add) -> Result<AddRule, Box<Fault>> {
    let text = rule.target.get_ref();
    let wrong_target = |problem: &str| source.fault(rule.target.span(), format!("the target `{text}` {problem}"));
    let target = target::parse(text).map_err(|problem| wrong_target(&problem))?;
    if rule.source.get_ref().is_empty() {
        return Err(source.fault(rule.source.span(), "the source is empty; name a file or a directory"));
    }
    let path = resolve_path(directory, rule.source.get_ref());
    let is_directory = load::is_directory(&path).map_err(|error| {
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
