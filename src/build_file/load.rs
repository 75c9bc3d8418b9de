//! Reading a build file, with everything checked that needs no image.

use std::path::{Path, PathBuf};

use toml::Spanned;

use super::model::{BaseModel, Extent, Format, Model};
use super::template::{Template, Values};
use crate::fault::{Fault, Source, TextError, read_text};
use crate::image::{OsVersion, PlatformRequest};
use crate::inspect::policy::Condition;
use crate::profile::{OutOfBounds, Shadowed, check_named};
use crate::transport::Reference;

/// A build file that was read and checked.
#[derive(Debug, Clone)]
pub struct BuildFile {
    /// Where its paths begin.
    pub directory: PathBuf,
    /// Where the results go. Local paths in it begin at the directory.
    pub target: Option<Template>,
    /// Conditions under which nothing is pushed.
    pub fail_if: Vec<Condition>,
    /// The file for the ledger.
    pub ledger: Option<Template>,
    /// The file for the summary.
    pub summary: Option<Template>,
    /// The file for the page for a browser.
    pub report: Option<Template>,
    /// The format of new layers.
    pub compression: Option<Format>,
    /// The level of what is compressed anew.
    pub level: Option<u32>,
    /// Whether rewritten layers are compressed as a whole.
    pub recompress: bool,
    /// How new layers are checked.
    pub verify: Option<Extent>,
    /// What happens to files that a layer above replaces, whatever the profiles say.
    pub shadowed: Option<Shadowed>,
    /// The base images: at least one, no two the same.
    pub bases: Vec<Base>,
}

/// A base image of a build file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The image as it is written.
    pub image: String,
    /// The image, with a local path seen from where winslim runs.
    pub reference: Reference,
    /// Which image to take when the tag has several.
    pub platform: Option<PlatformRequest>,
    /// Its profiles: names of built-in ones, or paths that begin at the file's directory.
    pub profiles: Vec<String>,
}

/// Why there is no build file.
#[derive(Debug, thiserror::Error)]
pub enum BuildFileError {
    /// A place in it is wrong.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
    /// It cannot be read.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It lies elsewhere than it seems.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
}

/// Reads the build file at a path. If it is a link that leads elsewhere, one of the directories has to be allowed.
pub fn load(path: &Path, allowed: &[PathBuf]) -> Result<BuildFile, BuildFileError> {
    check_named(path, allowed)?;
    let text = read_text("read the build file", path)?;
    let name = path.display().to_string();
    let directory = path.parent().unwrap_or(Path::new(""));
    Ok(parse(Source { name: &name, text: &text }, directory)?)
}

fn parse(source: Source<'_>, directory: &Path) -> Result<BuildFile, Box<Fault>> {
    let model: Model = toml::from_str(source.text).map_err(|error| source.toml_fault(&error))?;
    let template = |text: &Option<Spanned<String>>| text.as_ref().map(|text| template(source, text)).transpose();
    let condition = |text: &Spanned<String>| {
        Condition::parse(text.get_ref()).map_err(|error| source.fault(text.span(), error.to_string()))
    };
    if model.base.is_empty() {
        let advice = "there is no `[[base]]`; add one with `image = \"mcr.microsoft.com/windows/servercore:ltsc2019\"`";
        return Err(source.fault(0..0, advice));
    }
    let mut bases: Vec<Base> = Vec::new();
    for model_base in &model.base {
        let base = base(source, directory, model_base, &model.profiles)?;
        if bases.iter().any(|known| (&known.reference, &known.platform) == (&base.reference, &base.platform)) {
            let message = "a base before this one is the same image; the bases of a file are different ones";
            return Err(source.fault(model_base.image.span(), message));
        }
        bases.push(base);
    }
    if let Some(target) = &model.target {
        check_target(source, target)?;
    }
    Ok(BuildFile {
        directory: directory.to_owned(),
        target: template(&model.target)?,
        fail_if: model.fail_if.iter().map(condition).collect::<Result<_, _>>()?,
        ledger: template(&model.ledger)?,
        summary: template(&model.summary)?,
        report: template(&model.report)?,
        compression: model.compression,
        level: model.level,
        recompress: model.recompress,
        verify: model.verify,
        shadowed: model.layers.shadowed,
        bases,
    })
}

fn template(source: Source<'_>, text: &Spanned<String>) -> Result<Template, Box<Fault>> {
    Template::parse(text.get_ref()).map_err(|error| source.fault(text.span(), format!("this name {error}")))
}

/// Whether the target is one when its placeholders are filled in with what they could be.
fn check_target(source: Source<'_>, text: &Spanned<String>) -> Result<(), Box<Fault>> {
    let example = Values { tag: Some("tag"), os_version: Some(OsVersion([10, 0, 17763, 1])) };
    let fault = |problem: String| source.fault(text.span(), problem);
    let target = template(source, text)?.expand(&example).map_err(|error| fault(format!("this name {error}")))?;
    target.parse::<Reference>().map_err(|error| fault(error.to_string()))?;
    Ok(())
}

fn base(
    source: Source<'_>,
    directory: &Path,
    base: &BaseModel,
    general_profiles: &[String],
) -> Result<Base, Box<Fault>> {
    let image = base.image.get_ref();
    let reference: Reference = image.parse().map_err(|error| source.fault(base.image.span(), format!("{error}")))?;
    let platform = |text: &Spanned<String>| {
        text.get_ref().parse::<PlatformRequest>().map_err(|error| source.fault(text.span(), error.to_string()))
    };
    Ok(Base {
        image: image.clone(),
        reference: reference.in_directory(directory),
        platform: base.platform.as_ref().map(platform).transpose()?,
        profiles: base.profiles.clone().unwrap_or_else(|| general_profiles.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::STARTER;
    use super::*;

    const BASE: &str = "[[base]]\nimage = \"mcr.microsoft.com/windows/servercore:ltsc2019\"\n";

    fn read(text: &str) -> Result<BuildFile, Box<Fault>> {
        parse(Source { name: "winslim.toml", text }, Path::new("sub"))
    }

    #[test]
    fn the_starter_is_a_build_file_with_all_its_comments_too() {
        let file = read(STARTER).unwrap();
        assert_eq!(file.bases.len(), 2);
        assert_eq!(file.bases[0].profiles, ["balanced"]);
        let is_key = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.trim().contains([' ', ',']));
        let uncommented: String = STARTER
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(key) if is_key(key) => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let file = read(&uncommented).unwrap();
        assert_eq!(file.fail_if.len(), 2);
        assert_eq!((file.compression, file.level, file.verify), (Some(Format::Gzip), Some(6), Some(Extent::Quick)));
        assert_eq!(file.shadowed, Some(Shadowed::Drop));
        assert!(file.ledger.is_some() && file.summary.is_some() && file.report.is_some());
        assert_eq!(file.bases[0].profiles, ["minimal"]);
    }

    #[test]
    fn bases_have_their_own_profiles_and_paths_begin_at_the_file() {
        let text = format!(
            "profiles = [\"safe\"]\ntarget = \"oci:out:{{tag}}\"\n{BASE}[[base]]\nimage = \"oci:base:2022\"\n\
             platform = \"windows/amd64\"\nprofiles = [\"mine.toml\"]\n"
        );
        let file = read(&text).unwrap();
        assert_eq!(file.bases[0].profiles, ["safe"]);
        assert_eq!(file.bases[1].profiles, ["mine.toml"]);
        assert_eq!(file.bases[1].image, "oci:base:2022");
        assert_eq!(file.bases[1].reference.to_string(), "oci:sub/base:2022");
        assert_eq!(file.bases[1].platform, Some("windows/amd64".parse().unwrap()));
        assert_eq!(file.target.unwrap().to_string(), "oci:out:{tag}");
    }

    #[test]
    fn each_fault_is_told_with_its_place() {
        for (text, place, problem) in [
            (format!("targe = \"x\"\n{BASE}"), "1:1", "unknown key `targe`; did you mean `target`?"),
            (format!("{BASE}platfrom = \"x\"\n"), "3:1", "unknown key `platfrom`; did you mean `platform`?"),
            (format!("target = \"r.example/x:{{tga}}\"\n{BASE}"), "1:10", "did you mean `{tag}`?"),
            (format!("target = \"r.example/X:y\"\n{BASE}"), "1:10", "lower case"),
            (format!("ledger = \"{{os}}\"\n{BASE}"), "1:10", "unknown placeholder `{os}`"),
            (format!("fail-if = [\"size > 1\"]\n{BASE}"), "1:12", "is not about any of"),
            (format!("compression = \"xz\"\n{BASE}"), "1:15", "unknown value `xz`"),
            (format!("level = \"six\"\n{BASE}"), "1:9", "wrong type"),
            (format!("layers = {{ shadowed = \"dorp\" }}\n{BASE}"), "1:23", "did you mean `drop`?"),
            ("[[base]]\nimage = \"./base\"\n".to_owned(), "2:9", "looks like a path"),
            (format!("{BASE}platform = \"windows\"\n"), "3:12", "is not a platform"),
            ("[[base]]\nplatform = \"windows/amd64\"\n".to_owned(), "1:1", "the key `image` is missing"),
            (format!("{BASE}{BASE}"), "4:9", "the same image"),
            (String::new(), "1:1", "there is no `[[base]]`"),
        ] {
            let fault = read(&text).unwrap_err().to_string();
            assert!(fault.starts_with(&format!("winslim.toml:{place}: ")), "{fault}");
            assert!(fault.contains(problem), "{fault}");
        }
    }
}
