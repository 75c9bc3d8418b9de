//! Where the bytes of an image are, as text, Markdown and JSON.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::Report;
use super::page::Page;
use super::table::Table;
use crate::bytes::ByteSize;
use crate::hive::RegistryVersion;
use crate::image::{Config, Digest};
use crate::inspect::policy::{Condition, Value, Verdict};
use crate::inspect::{By, GroupKey, Grouping, SizeModel, Sizes, group};
use crate::layer::{LayerIndex, LayerNumber};
use crate::ledger::Role;
use crate::windows::builds;

/// The version of the JSON form. Fields are only ever added to a version.
pub const SCHEMA: u32 = 1;

/// Where the bytes of an image are.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InspectReport {
    /// The version of this form: 1. Fields are only ever added to a version.
    schema: u32,
    /// What image it is.
    #[serde(flatten)]
    header: Header,
    /// The whole image, whatever of it the rows are about.
    totals: Sizes,
    /// The layers, from the base upward.
    layers: Vec<LayerRow>,
    /// What layers hold although a layer above replaces or deletes it.
    dead: Vec<DeadRow>,
    /// What a row is: `layer`, `component`, `directory`, `extension` or `file`.
    by: &'static str,
    /// How many levels deep the directories of the rows are.
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<usize>,
    /// The layer that the rows are about, if it is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<u32>,
    /// They add up to the totals, or to what they are in the one layer.
    rows: Vec<Row>,
    /// What became of the conditions that were set.
    policy: Vec<PolicyRow>,
}

/// What image it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The image, as it was asked for.
    pub reference: String,
    /// Digest of its manifest.
    pub manifest: String,
    /// The version of Windows in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The build: which release of Windows it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<u32>,
    /// The revision: which monthly update of the build it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The product, such as `Windows Server 2019`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<&'static str>,
    /// The last day of support for base images of this build, as `2029-01-09`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_of_support: Option<String>,
    /// What the registry in the layers says of the version, which is what runs. Left out if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryVersion>,
}

impl Header {
    /// What is known of an image by its config, the table of Windows builds, and its registry.
    pub fn new(reference: String, manifest: Digest, config: &Config, registry: Option<RegistryVersion>) -> Header {
        let version = config.platform().version();
        let build = version.and_then(|version| builds::find(version.build()));
        Header {
            reference,
            manifest: manifest.to_string(),
            os_version: config.os_version.clone(),
            build: version.map(|version| version.build()),
            revision: version.map(|version| version.revision()),
            product: build.map(|build| build.product),
            end_of_support: build.and_then(|build| build.end_of_support).map(|date| date.to_string()),
            registry,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LayerRow {
    /// Its number; 0 is the base layer.
    layer: u32,
    /// What it is in the image: `base`, `servicing`, `upper` or `added`.
    role: Role,
    /// Digest of the blob.
    digest: String,
    /// The version of Windows that it brings, as the history says: of the base and the servicing layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    edition: Option<String>,
    /// The command that made it, as the history says.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    /// Bytes of the uncompressed tar.
    tar: u64,
    /// Entries of the tar.
    entries: usize,
    /// Compressed bytes of the tar's end, which belong to no entry.
    overhead: u64,
    /// What it holds.
    #[serde(flatten)]
    sizes: Sizes,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DeadRow {
    /// The layer that holds it.
    layer: u32,
    /// The layer that replaces or deletes it.
    by: u32,
    /// Names of files.
    files: u64,
    /// Bytes of file data.
    unpacked: u64,
    /// Bytes of the compressed layer.
    compressed: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// What it is called. Names in parentheses stand for no layer, component, directory, extension or file.
    name: String,
    /// What a component is.
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'static str>,
    /// The built-in profile that removes a component, or most of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_by: Option<&'static str>,
    /// What it takes.
    #[serde(flatten)]
    sizes: Sizes,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PolicyRow {
    /// The condition.
    condition: String,
    /// The value that the image has: bytes, a number of files, a share from 0 to 1, or parts of a hundred.
    value: f64,
    /// Whether the condition is met, which fails the run.
    failed: bool,
    /// The value for people.
    #[serde(skip)]
    shown: String,
}

impl InspectReport {
    /// Collects what there is to say. `top` rows are named, all if it is 0; the rest of them is one row.
    pub fn new(
        header: Header,
        config: &Config,
        model: &SizeModel<'_>,
        grouping: Grouping,
        top: usize,
    ) -> InspectReport {
        let mut groups = model.groups(grouping);
        if top > 0 {
            groups = group::top(groups, top);
        }
        let row = |group: &group::Group| {
            let component = match group.key {
                GroupKey::Component(id) => model.component(id),
                _ => None,
            };
            Row {
                name: model.label(group.key),
                meaning: component.map(|component| component.meaning),
                removed_by: component.and_then(|component| component.removed_by),
                sizes: group.sizes,
            }
        };
        let (by, depth) = match grouping.by {
            By::Layer => ("layer", None),
            By::Component => ("component", None),
            By::Directory { depth } => ("directory", Some(depth)),
            By::Extension => ("extension", None),
            By::File => ("file", None),
        };
        let dead = |dead: crate::inspect::Dead| DeadRow {
            layer: dead.layer.into(),
            by: dead.by.into(),
            files: dead.files,
            unpacked: dead.unpacked,
            compressed: dead.compressed,
        };
        InspectReport {
            schema: SCHEMA,
            header,
            totals: model.totals(),
            layers: layer_rows(config, model),
            dead: model.dead().into_iter().map(dead).collect(),
            by,
            depth,
            layer: grouping.layer.map(u32::from),
            rows: groups.iter().map(row).collect(),
            policy: Vec::new(),
        }
    }

    /// Adds what became of a condition.
    pub fn add_policy(&mut self, condition: &Condition, verdict: &Verdict) {
        let (Value::Bytes(value) | Value::Count(value) | Value::Share(value) | Value::Percent(value)) = verdict.value;
        let shown = show(verdict.value);
        self.policy.push(PolicyRow { condition: condition.to_string(), value, failed: verdict.failed, shown });
    }

    fn layer_table(&self) -> Table {
        let mut table = Table::new(&["layer", "edition", "files", "unpacked", "compressed", "dead"], &[2, 3, 4, 5]);
        for layer in &self.layers {
            let edition = layer.edition.as_deref().or(layer.created_by.as_deref()).unwrap_or_default();
            let name = format!("{} {}", layer.layer, layer.role.word());
            table.row([name, shorten(edition, 24)].into_iter().chain(cells(&layer.sizes)));
        }
        if self.layers.len() > 1 {
            table.row(["total".to_owned(), String::new()].into_iter().chain(cells(&self.totals)));
        }
        table
    }

    fn row_table(&self) -> Table {
        if self.by == "component" {
            let header = ["component", "files", "unpacked", "compressed", "dead", "profile"];
            let mut table = Table::new(&header, &[1, 2, 3, 4]);
            for row in &self.rows {
                let profile = row.removed_by.unwrap_or_default().to_owned();
                table.row([shorten(&row.name, 20)].into_iter().chain(cells(&row.sizes)).chain([profile]));
            }
            return table;
        }
        let mut table = Table::new(&[self.by, "files", "unpacked", "compressed", "dead"], &[1, 2, 3, 4]);
        for row in &self.rows {
            table.row([shorten(&row.name, 38)].into_iter().chain(cells(&row.sizes)));
        }
        table
    }
}

impl Report for InspectReport {
    fn page(&self) -> Page {
        let header = &self.header;
        let mut page = Page::new(&header.reference);
        page.line(version_line(header));
        if let Some(registry) = &header.registry {
            page.line(registry_line(registry));
        }
        if let Some(date) = &header.end_of_support {
            page.line(format!("supported until {date}"));
        }
        let totals = &self.totals;
        page.line(format!(
            "{} compressed, {} unpacked, {} files",
            ByteSize(totals.compressed),
            ByteSize(totals.unpacked),
            totals.files,
        ));
        page.table(self.layer_table());
        for dead in &self.dead {
            page.note(format!(
                "layer {} replaces or deletes {} of layer {} ({} compressed)",
                dead.by,
                ByteSize(dead.unpacked),
                dead.layer,
                ByteSize(dead.compressed),
            ));
        }
        if self.by != "layer" {
            page.table(self.row_table());
        }
        if self.rows.iter().any(|row| row.removed_by.is_some()) {
            page.note("profile: the smallest built-in one that removes it, or most of it");
        }
        let policy = |row: &PolicyRow| {
            let result = if row.failed { "FAILED" } else { "passed" };
            format!("{result}  {}: it is {}", row.condition, row.shown)
        };
        if !self.policy.is_empty() {
            page.heading("Policy").list(self.policy.iter().map(policy).collect());
        }
        page
    }
}

fn layer_rows(config: &Config, model: &SizeModel<'_>) -> Vec<LayerRow> {
    let mut said = config.history.iter().filter(|line| !line.empty_layer).map(|line| line.created_by.as_deref());
    let sizes = model.groups(Grouping { by: By::Layer, layer: None });
    let layers = model.stack().layers().numbered().zip(&sizes);
    let row = |((number, layer), group): ((LayerNumber, &Arc<LayerIndex>), &group::Group)| {
        let created_by = said.next().flatten();
        let role = Role::of(number, created_by);
        let edition = match role {
            // "Apply image 10.0.17763.7919", "Install update 10.0.17763.8511"
            Role::Base | Role::Servicing => created_by.and_then(|text| text.split_whitespace().next_back()),
            Role::Upper | Role::Added => None,
        };
        LayerRow {
            layer: number.into(),
            role,
            edition: edition.map(str::to_owned),
            digest: layer.digest.to_string(),
            created_by: created_by.map(str::to_owned),
            tar: layer.unpacked_size,
            entries: layer.entries.len(),
            overhead: model.overhead(number),
            sizes: group.sizes,
        }
    };
    layers.map(row).collect()
}

/// The version of Windows in an image, for people.
pub(super) fn version_line(header: &Header) -> String {
    let Some(version) = &header.os_version else { return "without a Windows version".to_owned() };
    let product = header.product.unwrap_or("Windows");
    match (header.build, header.revision) {
        (Some(build), Some(revision)) => format!("{product}, {version} (build {build}, revision {revision})"),
        _ => format!("{product}, {version}"),
    }
}

/// What the registry says of the version, for people.
pub(super) fn registry_line(registry: &RegistryVersion) -> String {
    let named = |name: &str, value: Option<String>| value.map(|value| format!("{name}{value}"));
    let parts = [
        registry.product_name.clone(),
        named("edition ", registry.edition.clone()),
        named("build ", registry.build.map(|build| build.to_string())),
        named("revision ", registry.revision.map(|revision| revision.to_string())),
    ];
    format!("registry: {}", parts.into_iter().flatten().collect::<Vec<String>>().join(", "))
}

/// The cells that every table of sizes has.
fn cells(sizes: &Sizes) -> [String; 4] {
    let dead = if sizes.dead == 0 { "-".to_owned() } else { ByteSize(sizes.dead).to_string() };
    let [unpacked, compressed] = [sizes.unpacked, sizes.compressed].map(|size| ByteSize(size).to_string());
    [sizes.files.to_string(), unpacked, compressed, dead]
}

/// A value of a condition, for people.
pub fn show(value: Value) -> String {
    match value {
        Value::Bytes(bytes) if bytes < 0.0 => format!("-{}", ByteSize(-bytes as u64)),
        Value::Bytes(bytes) => ByteSize(bytes as u64).to_string(),
        Value::Count(count) => format!("{count:.0}"),
        Value::Share(share) => format!("{share:.3}"),
        Value::Percent(percent) => format!("{percent:.1} %"),
    }
}

/// At most so many characters of a name: its beginning and its end.
pub(super) fn shorten(name: &str, most: usize) -> String {
    let count = name.chars().count();
    if count <= most {
        return name.to_owned();
    }
    let end = (most - 1) * 2 / 3;
    let start: String = name.chars().take(most - 1 - end).collect();
    let end: String = name.chars().skip(count - end).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("Windows\\System32\\drivers\\etc\\hosts", 16), "Windo…\\etc\\hosts");
        assert_eq!(shorten("äöüäöüäöü", 4), "ä…öü");
    }

    #[test]
    fn values_have_their_units() {
        for (value, shown) in [
            (Value::Bytes(-1e6), "-1.00 MB"),
            (Value::Bytes(1e9), "1.00 GB"),
            (Value::Count(12.0), "12"),
            (Value::Share(0.75), "0.750"),
            (Value::Percent(5.25), "5.2 %"),
        ] {
            assert_eq!(show(value), shown);
        }
    }
}
