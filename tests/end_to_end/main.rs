//! The binary at work on whole images, from a source to a target, and what an independent reader says of the result.

#[path = "../../testdata/generator/mod.rs"]
mod generator;
#[path = "../support/mod.rs"]
mod support;

mod append;
mod bad_cache;
mod bad_image;
mod bad_profile;
mod bad_surroundings;
mod bounds;
mod build_cache;
mod build_file;
mod cache;
mod clean_layout;
mod copy;
mod damage;
mod escaping;
mod host;
mod inspect;
mod interruption;
mod kills;
mod layouts;
#[cfg(target_os = "linux")]
mod limits;
mod links;
mod logs;
mod nodes;
mod odd_tars;
#[cfg(unix)]
mod pipelines;
mod platforms;
#[cfg(target_os = "linux")]
mod power_cut;
mod profiles;
mod record;
mod registry_version;
mod replay;
mod reproducible;
mod sample;
mod sources;
mod store;
mod targets;

use std::path::PathBuf;

use generator::layout::{Format, Written, write_layout};
use generator::{Image, Scale};
use support::Sandbox;

/// An image in a layout of a sandbox.
struct Base {
    directory: PathBuf,
    /// What to call it by on the command line.
    reference: String,
    written: Written,
}

/// Writes an image into a sandbox.
fn base_of(sandbox: &Sandbox, image: &Image, format: &Format) -> Base {
    let directory = sandbox.path("base");
    let written = write_layout(image, format, &directory).expect("the sandbox can be written to");
    let reference = format!("{}:{}", sandbox.layout("base"), format.tag);
    Base { directory, reference, written }
}

/// The sample for tests.
fn sample_base(sandbox: &Sandbox) -> Base {
    base_of(sandbox, &Image::sample(&Scale::SMALL), &Format::default())
}

/// The sample without the files that only make it larger.
fn tiny_image() -> Image {
    Image::sample(&Scale { components: 12, mean: 400, streams: true })
}
