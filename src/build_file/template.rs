//! Names with places to fill in, such as `registry.example.com/base:{tag}`.

use std::fmt;

use crate::fault::nearest;
use crate::image::OsVersion;

/// A name with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Placeholder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Tag,
    OsVersion,
    Build,
}

const PLACEHOLDERS: [(&str, Placeholder); 3] =
    [("tag", Placeholder::Tag), ("os.version", Placeholder::OsVersion), ("build", Placeholder::Build)];

/// What the placeholders of a base image stand for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    /// The base's tag.
    pub tag: Option<&'a str>,
    /// The version of Windows in the base.
    pub os_version: Option<OsVersion>,
}

/// Why a name with placeholders is none, or cannot be filled in; the end of a sentence about the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl Template {
    /// Reads a name with `{tag}`, `{os.version}` and `{build}` in it.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let known = || PLACEHOLDERS.map(|(name, _)| format!("`{{{name}}}`")).join(", ");
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind
                .split_once('}')
                .ok_or_else(|| TemplateError(format!("has a `{{` without a `}}`; placeholders are {}", known())))?;
            let found = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
            let (_, placeholder) = found.ok_or_else(|| {
                let advice = match nearest(name, PLACEHOLDERS.iter().map(|(known, _)| *known)) {
                    Some(near) => format!("did you mean `{{{near}}}`?"),
                    None => format!("placeholders are {}", known()),
                };
                TemplateError(format!("has the unknown placeholder `{{{name}}}`; {advice}"))
            })?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Value(*placeholder));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Template { pieces })
    }

    /// A name that is taken as it is.
    pub fn verbatim(text: impl Into<String>) -> Template {
        Template { pieces: vec![Piece::Text(text.into())] }
    }

    /// Fills the placeholders in.
    pub fn expand(&self, values: &Values<'_>) -> Result<String, TemplateError> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Value(Placeholder::Tag) => {
                    text.push_str(values.tag.ok_or_else(|| missing("{tag}", "the base is named without a tag"))?);
                }
                Piece::Value(placeholder) => {
                    let problem = "the base does not say which version of Windows it has";
                    let version = values.os_version.ok_or_else(|| missing("{os.version} or {build}", problem))?;
                    text += &match placeholder {
                        Placeholder::Build => version.build().to_string(),
                        _ => version.to_string(),
                    };
                }
            }
        }
        Ok(text)
    }
}

fn missing(placeholder: &str, problem: &str) -> TemplateError {
    TemplateError(format!("has {placeholder}, but {problem}"))
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Value(placeholder) => {
                    let name = PLACEHOLDERS.iter().find(|(_, known)| known == placeholder).map(|(name, _)| *name);
                    write!(f, "{{{}}}", name.unwrap_or_default())?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> Values<'static> {
        Values { tag: Some("ltsc2019"), os_version: Some(OsVersion([10, 0, 17763, 8511])) }
    }

    #[test]
    fn placeholders_are_filled_in() {
        for (text, expanded) in [
            ("r.example/x:y", "r.example/x:y"),
            ("r.example/x:{tag}", "r.example/x:ltsc2019"),
            ("{build}-{os.version}{tag}.json", "17763-10.0.17763.8511ltsc2019.json"),
            ("a}b", "a}b"),
            ("", ""),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.expand(&values()).unwrap(), expanded);
            assert_eq!(template.to_string(), text);
        }
        assert_eq!(Template::verbatim("{x").expand(&values()).unwrap(), "{x");
    }

    #[test]
    fn what_is_no_placeholder_is_refused() {
        for (text, problem) in [
            ("x:{tga}", "did you mean `{tag}`?"),
            ("x:{os_version}", "did you mean `{os.version}`?"),
            ("x:{}", "placeholders are `{tag}`, `{os.version}`, `{build}`"),
            ("x:{ tag }", "unknown placeholder"),
            ("x:{tag", "has a `{` without a `}`"),
        ] {
            let error = Template::parse(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_value_that_is_not_there_is_an_error() {
        for text in ["{tag}", "{build}", "{os.version}"] {
            let error = Template::parse(text).unwrap().expand(&Values::default()).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("the base"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn text_reads_back(text in "(\\{tag\\}|\\{build\\}|\\{os\\.version\\}|[a-z:/}]){0,8}") {
            prop_assert_eq!(Template::parse(&text).unwrap().to_string(), text);
        }
    }
}
