//! Makes images that look like Microsoft's `servercore` to every tool, with invented contents only.
//!
//! Two layers: a base layer and a servicing layer on top, with everything in them that has broken other tools. The tar
//! is written without any of winslim's own code, so that tests compare winslim with something that it is not. The same
//! scale gives the same bytes on every machine.

// Each test and the example use a part of it.
#![allow(dead_code)]

pub mod archive;
pub mod base;
pub mod compress;
pub mod hive;
pub mod layer;
pub mod layout;
pub mod names;
pub mod random;
pub mod security;
pub mod servicing;

use std::str::FromStr;

use layer::Layer;
use random::{Random, seed_of};

/// How large a sample is.
#[derive(Debug, Clone)]
pub struct Scale {
    /// How many system files there are beside the fixed ones; each makes about seven entries.
    pub components: u32,
    /// The mean size of a file in bytes.
    pub mean: u64,
    /// Whether the servicing layer has a file with an alternate data stream.
    pub streams: bool,
}

impl Scale {
    /// What comes with the project: well under a megabyte when compressed.
    pub const BUNDLED: Scale = Scale { components: 24, mean: 2_500, streams: true };
    /// For tests: a few megabytes of tar.
    pub const SMALL: Scale = Scale { components: 150, mean: 3_000, streams: true };

    fn size(&self, name: &str) -> u64 {
        Random::new(seed_of(name)).size(self.mean)
    }

    /// A scale whose tars are about so many bytes long together, from ten million bytes upward.
    fn of_bytes(bytes: u64) -> Scale {
        let components = (bytes / 290_000).clamp(150, 1 << 20);
        let headers = components * 7 * 1_800;
        let mean = (bytes.saturating_sub(headers) / (components * 9 / 4 + 100)).max(500);
        Scale { components: components as u32, mean, streams: true }
    }
}

impl FromStr for Scale {
    type Err = String;

    /// `bundled`, `small`, `mid` (1 GB), `full` (4 GB), or the size of the tars in bytes (`250M`, `2G`).
    fn from_str(text: &str) -> Result<Scale, String> {
        match text {
            "bundled" => return Ok(Scale::BUNDLED),
            "small" => return Ok(Scale::SMALL),
            "mid" => return Ok(Scale::of_bytes(1_000_000_000)),
            "full" => return Ok(Scale::of_bytes(4_000_000_000)),
            _ => {}
        }
        let (number, unit) = match text.strip_suffix(['M', 'G']) {
            Some(number) if text.ends_with('M') => (number, 1_000_000),
            Some(number) => (number, 1_000_000_000),
            None => (text, 1),
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        match bytes {
            Some(bytes) => Ok(Scale::of_bytes(bytes)),
            None => Err("a scale is `bundled`, `small`, `mid`, `full`, or a size such as `250M`".to_owned()),
        }
    }
}

/// An image of one Windows version: the lowest layers, one for each line of history.
#[derive(Debug, Clone)]
pub struct Version {
    pub os_version: String,
    pub created: String,
    pub history: Vec<String>,
}

/// Layers, from the base upward, and the images made of them.
#[derive(Debug, Clone)]
pub struct Image {
    pub layers: Vec<Layer>,
    pub versions: Vec<Version>,
}

impl Image {
    /// The sample: a base layer, a servicing layer, one Windows version.
    pub fn sample(scale: &Scale) -> Image {
        Image::of_layers(vec![base::base_layer(scale), servicing::servicing_layer(scale)])
    }

    /// An image of any layers.
    pub fn of_layers(layers: Vec<Layer>) -> Image {
        let version = match layers.len() {
            1 => names::BASE_VERSION,
            _ => names::SERVICING_VERSION,
        };
        let mut history = vec![format!("Apply image {}", names::BASE_VERSION)];
        history.extend(layers.iter().skip(1).map(|_| format!("Install update {version}")));
        let created = "2026-03-10T23:20:00.1234567Z".to_owned();
        Image { layers, versions: vec![Version { os_version: version.to_owned(), created, history }] }
    }

    /// The image with the entries of its layers in the order of an exporter that walks the tree.
    pub fn walked(self) -> Image {
        Image { layers: self.layers.into_iter().map(Layer::walked).collect(), ..self }
    }

    /// Adds images of another Windows build and of an older revision, both of the base layer alone.
    pub fn add_versions(&mut self) {
        for os_version in ["10.0.17763.7919", "10.0.20348.4529"] {
            self.versions.push(Version {
                os_version: os_version.to_owned(),
                created: "2025-10-14T20:00:00Z".to_owned(),
                history: vec![format!("Apply image {os_version}")],
            });
        }
    }
}
