//! How the report on hosts is shown.

use std::collections::HashMap;

use super::{Answer, AnswerRow, HostReport, HostRow, Outcome};
use crate::report::Report;
use crate::report::page::Page;
use crate::report::table::Table;

impl Report for HostReport {
    fn page(&self) -> Page {
        let mut page = Page::new(match &self.reference {
            Some(reference) => reference.clone(),
            None => {
                "Base images for hosts, under the engine of each node; where that is not known, containerd".to_owned()
            }
        });
        if !self.images.is_empty() {
            page.table(self.image_table());
        }
        if self.hosts.is_empty() {
            page.paragraph("There is no Windows host.");
        }
        match self.reference {
            Some(_) => self.show_engines(&mut page),
            None => self.show_tags(&mut page),
        }
        if !self.skipped.is_empty() {
            let lines = self.skipped.iter().map(|node| format!("{}: {}", node.name, node.reason));
            page.heading("Skipped").list(lines.collect());
        }
        if let Some(pod) = &self.kubernetes {
            page.heading("For pods, with process isolation").code(pod.yaml());
            for note in pod.notes() {
                page.note(note);
            }
        }
        if !self.hosts.is_empty() {
            let needs =
                "Hyper-V isolation needs a UtilityVM directory in the image, and in Kubernetes a runtime class for it.";
            page.paragraph(needs);
        }
        page
    }
}

impl HostReport {
    /// One table of all hosts, and the reasons; hosts of the same reasons are named together.
    fn show_engines(&self, page: &mut Page) {
        let mut groups: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        let mut numbers: HashMap<Vec<String>, usize> = HashMap::new();
        for host in &self.hosts {
            let number = *numbers.entry(host.reasons()).or_insert_with_key(|reasons| {
                groups.push((Vec::new(), reasons.clone()));
                groups.len() - 1
            });
            groups[number].0.push(host.name());
        }
        if !self.hosts.is_empty() {
            page.table(self.answer_table());
        }
        for (names, reasons) in groups {
            page.heading(names.join("; ")).list(reasons);
        }
    }

    /// A table of base tags for each host.
    fn show_tags(&self, page: &mut Page) {
        for host in &self.hosts {
            page.heading(host.name()).table(host.tag_table()).list(host.tag_reasons());
        }
    }

    fn image_table(&self) -> Table {
        let mut table = Table::new(&["image", "Windows", "supported until"], &[]);
        for image in &self.images {
            let windows = image.windows.unwrap_or("-").to_owned();
            let until = image.supported_until.clone().unwrap_or_else(|| "-".to_owned());
            table.row([image.platform.clone(), windows, until]);
        }
        table
    }

    fn answer_table(&self) -> Table {
        let mut table = Table::new(&["host", "engine", "takes", "process", "Hyper-V"], &[]);
        for host in &self.hosts {
            for (number, answer) in host.answers.iter().enumerate() {
                let first = if number == 0 { host.version.clone() } else { String::new() };
                let engine = match (&host.runtime, answer.in_use) {
                    (Some(runtime), true) => format!("{} (in use)", runtime.replacen("://", " ", 1)),
                    _ => answer.engine.to_owned(),
                };
                let image = answer.takes.and_then(|position| self.images.get(position));
                let takes = match image {
                    Some(image) => image.os_version.clone().unwrap_or_else(|| "any version".to_owned()),
                    None => "nothing".to_owned(),
                };
                table.row([first, engine, takes, word(&answer.process), word(&answer.hyper_v)]);
            }
        }
        table
    }
}

impl HostRow {
    /// What to call it: its Windows, and its nodes.
    pub(super) fn name(&self) -> String {
        let windows = format!("{} ({})", self.windows, self.version);
        if self.nodes.is_empty() { windows } else { format!("{}: {windows}", self.nodes.join(", ")) }
    }

    /// Why each kind of isolation works or not; what is the same for all engines is said once.
    fn reasons(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, answer) in
            [("process", (|row| &row.process) as fn(&AnswerRow) -> &Answer), ("Hyper-V", |row| &row.hyper_v)]
        {
            let line = |name: &str, answer: &Answer| format!("{name}: {}, {}", word(answer), answer.reason);
            match &self.answers[..] {
                [first, others @ ..] if others.iter().all(|other| answer(other) == answer(first)) => {
                    lines.push(line(name, answer(first)));
                }
                rows => lines.extend(rows.iter().map(|row| line(&format!("{name}, {}", row.engine), answer(row)))),
            }
        }
        lines
    }

    /// Why tags do not fit; what is the same for several is said once.
    fn tag_reasons(&self) -> Vec<String> {
        let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
        for row in &self.answers {
            for (name, answer) in [("process", &row.process), ("Hyper-V", &row.hyper_v)] {
                let what = format!("{} {name}", row.tag.unwrap_or_default());
                match groups.iter_mut().find(|(reason, _)| *reason == answer.reason) {
                    _ if answer.outcome == Outcome::Yes => {}
                    Some((_, names)) => names.push(what),
                    None => groups.push((&answer.reason, vec![what])),
                }
            }
        }
        groups.into_iter().map(|(reason, names)| format!("{}: {reason}", names.join(", "))).collect()
    }

    fn tag_table(&self) -> Table {
        let mut table = Table::new(&["tag", "process", "Hyper-V", "supported until"], &[]);
        for answer in &self.answers {
            let tag = answer.tag.unwrap_or_default().to_owned();
            let until = answer.supported_until.clone().unwrap_or_else(|| "-".to_owned());
            table.row([tag, word(&answer.process), word(&answer.hyper_v), until]);
        }
        table
    }
}

fn word(answer: &Answer) -> String {
    let word = match answer.outcome {
        Outcome::Yes => "yes",
        Outcome::Depends => "depends",
        Outcome::No => "no",
    };
    word.to_owned()
}
