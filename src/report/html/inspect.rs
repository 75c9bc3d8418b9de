//! The page on where the bytes of an image are.

use super::{Bar, Cell, Document, Kind, Part, Table, Tile, column, minor, tree::Tree};
use crate::bytes::ByteSize;
use crate::image::Config;
use crate::inspect::{By, Group, GroupKey, Grouping, SizeModel, group};
use crate::ledger::Role;
use crate::report::inspect::{Header, registry_line, version_line};
use crate::text::Shown;

/// How many of the largest files the page lists.
const MOST_FILES: usize = 500;

/// The page on an image, as the text of an HTML file. It names the conditions of a policy that are not met.
pub fn page(header: &Header, config: &Config, model: &SizeModel<'_>, broken: &[String]) -> Shown {
    let layers = layers(config, model);
    Document {
        title: header.reference.clone(),
        lines: [Some(version_line(header)), header.registry.as_ref().map(registry_line), Some(header.manifest.clone())]
            .into_iter()
            .flatten()
            .collect(),
        tiles: tiles(model),
        warnings: broken.iter().map(|condition| format!("the policy is not met: {condition}")).collect(),
        bars: vec![Bar { label: "layers", parts: layers.iter().map(LayerRow::part).collect() }],
        tree: Some(Tree::new(model)),
        tables: vec![components(model), layer_table(layers), dead(model), files(model)],
    }
    .to_html()
}

fn tiles(model: &SizeModel<'_>) -> Vec<Tile> {
    let totals = model.totals();
    let layers = model.stack().layers().len();
    let tile = |label, value: Cell, note| Tile { label, value, note };
    let word = if layers == 1 { "layer" } else { "layers" };
    let size = |bytes| Cell::from(ByteSize(bytes).to_string());
    let percent = totals.dead_compressed as f64 * 100.0 / totals.compressed.max(1) as f64;
    vec![
        tile("Compressed", size(totals.compressed), format!("to pull, in {layers} {word}")),
        tile("Unpacked", size(totals.unpacked), "on a host's disk".to_owned()),
        tile("Files", totals.files.into(), "names, hard links too".to_owned()),
        tile("Dead", size(totals.dead_compressed), format!("{percent:.1} % of what is pulled; no container sees it")),
    ]
}

struct LayerRow<'a> {
    name: String,
    created_by: &'a str,
    entries: usize,
    group: Group,
}

impl LayerRow<'_> {
    fn part(&self) -> Part {
        Part { label: self.name.clone(), size: self.group.sizes.compressed, dead: self.group.sizes.dead_compressed }
    }
}

fn layers<'a>(config: &'a Config, model: &SizeModel<'_>) -> Vec<LayerRow<'a>> {
    let mut said = config.history.iter().filter(|line| !line.empty_layer).map(|line| line.created_by.as_deref());
    let groups = model.groups(Grouping { by: By::Layer, layer: None });
    let layers = model.stack().layers().numbered().zip(groups);
    layers
        .map(|((number, layer), group)| {
            let created_by = said.next().flatten();
            let name = format!("{number} {}", Role::of(number, created_by).word());
            LayerRow { name, created_by: created_by.unwrap_or_default(), entries: layer.entries.len(), group }
        })
        .collect()
}

fn layer_table(layers: Vec<LayerRow<'_>>) -> Table {
    let row = |layer: LayerRow<'_>| -> Vec<Cell> {
        let sizes = layer.group.sizes;
        vec![
            layer.name.into(),
            layer.created_by.into(),
            (layer.entries as u64).into(),
            sizes.unpacked.into(),
            sizes.compressed.into(),
            sizes.dead_compressed.into(),
        ]
    };
    Table {
        title: "Layers",
        note: "Dead is what a layer above replaces or deletes: it is pulled, and no container sees it.",
        columns: vec![
            column("Layer", Kind::Text),
            minor("Made by", Kind::Text),
            minor("Entries", Kind::Count),
            column("Unpacked", Kind::Bytes),
            column("Compressed", Kind::Bar),
            column("Dead", Kind::Bytes),
        ],
        rows: layers.into_iter().map(row).collect(),
    }
}

fn components(model: &SizeModel<'_>) -> Table {
    let row = |group: Group| -> Vec<Cell> {
        let known = match group.key {
            GroupKey::Component(id) => model.component(id),
            _ => None,
        };
        vec![
            model.label(group.key).into(),
            known.map_or("", |known| known.meaning).into(),
            known.and_then(|known| known.removed_by).unwrap_or_default().into(),
            group.sizes.files.into(),
            group.sizes.unpacked.into(),
            group.sizes.compressed.into(),
            group.sizes.dead_compressed.into(),
        ]
    };
    Table {
        title: "Parts of Windows",
        note: "Profile: the smallest built-in one that removes the part, or most of it.",
        columns: vec![
            column("Part", Kind::Component),
            minor("What it is", Kind::Text),
            column("Profile", Kind::Text),
            minor("Files", Kind::Count),
            minor("Unpacked", Kind::Bytes),
            column("Compressed", Kind::Bar),
            minor("Dead", Kind::Bytes),
        ],
        rows: model.groups(Grouping { by: By::Component, layer: None }).into_iter().map(row).collect(),
    }
}

fn dead(model: &SizeModel<'_>) -> Table {
    Table {
        title: "Dead bytes",
        note: "What one layer holds although another one replaces or deletes it.",
        columns: vec![
            column("In layer", Kind::Count),
            column("Because of layer", Kind::Count),
            minor("Files", Kind::Count),
            column("Unpacked", Kind::Bytes),
            column("Compressed", Kind::Bar),
        ],
        rows: model
            .dead()
            .into_iter()
            .map(|dead| {
                let (layer, by) = (u32::from(dead.layer).into(), u32::from(dead.by).into());
                [layer, by, dead.files, dead.unpacked, dead.compressed].map(Cell::from).to_vec()
            })
            .collect(),
    }
}

fn files(model: &SizeModel<'_>) -> Table {
    let groups = model.groups(Grouping { by: By::File, layer: None });
    let row = |group: &Group| -> Option<Vec<Cell>> {
        let GroupKey::File(id) = group.key else { return None };
        let component = model.component_name(model.size(id).component);
        let sizes = group.sizes;
        Some(vec![
            model.label(group.key).into(),
            component.into(),
            sizes.unpacked.into(),
            sizes.compressed.into(),
            sizes.dead_compressed.into(),
        ])
    };
    Table {
        title: "Largest files",
        note: "A file that several layers have counts with all of them.",
        columns: vec![
            column("File", Kind::Path),
            minor("Part", Kind::Component),
            minor("Unpacked", Kind::Bytes),
            column("Compressed", Kind::Bar),
            minor("Dead", Kind::Bytes),
        ],
        rows: group::top(groups, MOST_FILES).iter().filter_map(row).collect(),
    }
}
