//! What verifying finds.

use std::fmt;

use serde::Serialize;

use crate::layer::{Entry, LayerNumber, LayerPath};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Hosts take the image, as far as is known, but it may not do what it should.
    Warning,
    /// A host would refuse the image, or import something else than the image says.
    Error,
}

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the rule.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The layer, counted from the base layer, which is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<LayerNumber>,
    /// The entry of the layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<LayerPath>,
    /// What is wrong; layer and path are not repeated in it.
    pub message: String,
    /// What a Windows host would say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_error: Option<&'static str>,
}

impl Finding {
    pub(super) fn error(message: impl Into<String>) -> Finding {
        Finding::new(Severity::Error, message.into())
    }

    pub(super) fn warning(message: impl Into<String>) -> Finding {
        Finding::new(Severity::Warning, message.into())
    }

    pub(super) fn new(severity: Severity, message: String) -> Finding {
        Finding { rule: "", severity, layer: None, path: None, message, host_error: None }
    }

    pub(super) fn in_layer(self, layer: LayerNumber) -> Finding {
        Finding { layer: Some(layer), ..self }
    }

    pub(super) fn at(self, layer: LayerNumber, entry: &Entry) -> Finding {
        Finding { layer: Some(layer), path: Some(entry.path.clone()), ..self }
    }

    pub(super) fn host(self, error: &'static str) -> Finding {
        Finding { host_error: Some(error), ..self }
    }
}

/// The most characters of a name that are displayed: it may be a million characters long, and the beginning tells which it is.
const MOST_OF_A_NAME: usize = 300;

impl fmt::Display for Finding {
    /// Writes one line that nobody has escaped yet: `error: layer 1: Files/x: … [rule-name; a host says "…"]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.severity {
            Severity::Error => "error: ",
            Severity::Warning => "warning: ",
        })?;
        if let Some(layer) = self.layer {
            write!(f, "layer {layer}: ")?;
        }
        if let Some(path) = &self.path {
            let mut characters = path.as_str().chars();
            let beginning: String = characters.by_ref().take(MOST_OF_A_NAME).collect();
            write!(f, "{beginning}{}", if characters.next().is_some() { "…: " } else { ": " })?;
        }
        write!(f, "{} [{}", self.message, self.rule)?;
        if let Some(host) = self.host_error {
            write!(f, "; a host says \"{host}\"")?;
        }
        f.write_str("]")
    }
}

/// How many findings of one rule are kept in full.
const KEPT: usize = 20;

/// The findings of one rule: the first ones in full, the rest counted, so that a bad image needs no more memory.
pub(super) struct Findings {
    rule: &'static str,
    kept: Vec<Finding>,
    more: usize,
    worst: Severity,
}

impl Findings {
    pub(super) fn new(rule: &'static str) -> Findings {
        Findings { rule, kept: Vec::new(), more: 0, worst: Severity::Warning }
    }

    pub(super) fn push(&mut self, finding: Finding) {
        if self.kept.len() < KEPT {
            self.kept.push(Finding { rule: self.rule, ..finding });
        } else {
            self.more += 1;
            self.worst = self.worst.max(finding.severity);
        }
    }

    pub(super) fn finish(mut self) -> Vec<Finding> {
        if self.more > 0 {
            let rest = Finding::new(self.worst, format!("and {} more", self.more));
            self.kept.push(Finding { rule: self.rule, ..rest });
        }
        self.kept
    }
}
