//! Writes a sample image as an OCI layout: `cargo run --example sample -- DIRECTORY [--scale small]`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use generator::compress::Compression;
use generator::layout::{Format, write_layout};
use generator::{Image, Scale};

#[path = "generator/mod.rs"]
mod generator;

/// Write an image like Microsoft's servercore, with invented contents, as an OCI layout.
#[derive(Parser)]
struct Arguments {
    /// The directory of the layout
    directory: PathBuf,
    /// bundled, small, mid (1 GB), full (4 GB), or the size of the tars (250M)
    #[arg(long, default_value = "small")]
    scale: Scale,
    /// Leave the alternate data stream out
    #[arg(long)]
    no_streams: bool,
    /// Order entries as an exporter that walks the tree, instead of mixing those of all directories
    #[arg(long)]
    walked: bool,
    /// Use Docker's media types
    #[arg(long)]
    docker: bool,
    /// Make the base layer a foreign one that is at this URL followed by its digest
    #[arg(long, value_name = "URL")]
    foreign: Option<String>,
    /// Add images of other Windows versions to the index
    #[arg(long)]
    versions: bool,
    /// Compress layers as gzip, zstd or none
    #[arg(long, default_value = "gzip")]
    compression: String,
    /// Begin a new gzip member after so many bytes of a tar
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    members: Option<u64>,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let compression = match (&*arguments.compression, arguments.members) {
        ("gzip", None) => Compression::Gzip,
        ("gzip", Some(size)) => Compression::GzipMembers(size),
        ("zstd", _) => Compression::Zstd,
        ("none", _) => Compression::None,
        (other, _) => return Err(io::Error::other(format!("`{other}` is not gzip, zstd or none"))),
    };
    let scale = Scale { streams: arguments.scale.streams && !arguments.no_streams, ..arguments.scale };
    let mut image = Image::sample(&scale);
    if arguments.walked {
        image = image.walked();
    }
    if arguments.versions {
        image.add_versions();
    }
    let format = Format { compression, docker: arguments.docker, foreign: arguments.foreign, ..Format::default() };
    let written = write_layout(&image, &format, &arguments.directory)?;

    let mut out = io::stdout().lock();
    for (layer, described) in written.layers.iter().zip(&image.layers) {
        let entries = described.items.len();
        writeln!(
            out,
            "layer {} {} bytes, unpacked {}, {entries} entries",
            layer.blob.digest, layer.blob.size, layer.unpacked
        )?;
    }
    writeln!(out, "oci:{}:{}@{}", arguments.directory.display(), format.tag, written.index.digest)
}
