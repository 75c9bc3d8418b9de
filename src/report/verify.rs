//! What verifying an image found, as text, Markdown and JSON.

use serde::Serialize;

use super::Report;
use super::page::Page;
use crate::text::{Shown, escape};
use crate::verify::{Finding, RULES, Severity};

/// The findings on an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// The image, as it was asked for.
    reference: String,
    /// The version of Windows in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    os_version: Option<String>,
    /// How many rules were checked.
    rules: usize,
    /// How the blobs of its layers were checked.
    blobs: Blobs,
    /// Whether a Windows host would import it, as far as can be told without one.
    imports: bool,
    findings: Vec<Finding>,
}

/// How the blobs of layers were checked: how many have the digest that they should have.
#[derive(Debug, Default, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blobs {
    /// Those that were read, where the image is.
    pub read: usize,
    /// Those that were not pulled: the cache knows what is in them.
    pub cached: usize,
}

impl Blobs {
    /// What people are to know about it.
    fn line(&self) -> Option<String> {
        let Blobs { read, cached } = self;
        let count = read + cached;
        (*cached > 0).then(|| {
            format!("note: {cached} of {count} blobs were not pulled; the cache knows them from when they were (another --cache-dir pulls them)")
        })
    }
}

impl VerifyReport {
    /// The report on an image.
    pub fn new(reference: String, os_version: Option<String>, blobs: Blobs, findings: Vec<Finding>) -> VerifyReport {
        let imports = findings.iter().all(|finding| finding.severity < Severity::Error);
        VerifyReport { reference, os_version, rules: RULES.len(), blobs, imports, findings }
    }

    /// Whether no finding is an error.
    pub fn imports(&self) -> bool {
        self.imports
    }

    /// The verdict in a line.
    fn verdict(&self) -> String {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let verdict =
            if self.imports { "a Windows host would import it" } else { "a Windows host would not import it" };
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        format!("{}: {verdict} ({} rules, {errors} errors, {warnings} warnings)", self.reference, self.rules)
    }
}

/// The findings on the images of a tag.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum VerifyReports {
    /// There is one image.
    One(VerifyReport),
    /// There are several, in the order of their index.
    #[serde(rename_all = "camelCase")]
    Several {
        /// The tag, as it was asked for.
        reference: String,
        /// Whether a Windows host would import each image.
        imports: bool,
        /// The images.
        images: Vec<VerifyReport>,
    },
}

impl VerifyReports {
    /// The report on the images of a tag.
    pub fn new(reference: String, mut images: Vec<VerifyReport>) -> VerifyReports {
        match images.pop() {
            Some(only) if images.is_empty() => VerifyReports::One(only),
            last => {
                images.extend(last);
                VerifyReports::Several { reference, imports: images.iter().all(VerifyReport::imports), images }
            }
        }
    }

    /// Whether a Windows host would import each image.
    pub fn imports(&self) -> bool {
        match self {
            VerifyReports::One(image) => image.imports,
            VerifyReports::Several { imports, .. } => *imports,
        }
    }
}

impl Report for VerifyReports {
    fn page(&self) -> Page {
        match self {
            VerifyReports::One(image) => image.page(),
            VerifyReports::Several { reference, images, .. } => {
                let mut page = Page::new(reference.clone());
                for image in images {
                    page.heading(image.verdict()).list(image.findings.iter().map(line).collect());
                }
                page
            }
        }
    }

    fn to_text(&self) -> Shown {
        match self {
            VerifyReports::One(image) => image.to_text(),
            VerifyReports::Several { images, .. } => Shown::concat(images.iter().map(Report::to_text)),
        }
    }
}

impl Report for VerifyReport {
    fn page(&self) -> Page {
        let mut page = Page::new(self.verdict());
        page.list(self.findings.iter().map(line).collect());
        if let Some(line) = self.blobs.line() {
            page.line(line);
        }
        page
    }

    /// A line for each finding, and the verdict last, where it is seen however many there are.
    fn to_text(&self) -> Shown {
        let lines = self.findings.iter().map(line).chain(self.blobs.line()).chain([self.verdict()]);
        Shown::concat(lines.map(|line| Shown::line(&line)))
    }
}

/// A finding in one line, escaped.
pub fn line(finding: &Finding) -> String {
    escape(&finding.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::LayerPath;

    #[test]
    fn long_names_are_shortened_and_odd_ones_visible() {
        let finding = |name: &str| Finding {
            rule: "name-lengths",
            severity: Severity::Error,
            layer: Some(1.into()),
            path: Some(LayerPath::new(name)),
            message: "it is bad".to_owned(),
            host_error: None,
        };
        assert_eq!(line(&finding("Files/a\n")), "error: layer 1: Files/a\\n: it is bad [name-lengths]");
        let shown = line(&finding(&"é".repeat(1_000_000)));
        assert_eq!(shown, format!("error: layer 1: {}…: it is bad [name-lengths]", "é".repeat(300)));
    }
}
