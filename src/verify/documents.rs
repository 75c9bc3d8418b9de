//! Rules about manifest, config and index, and about the document that the licence asks for.

use crate::image::Descriptor;
use crate::layer::index::Compression;
use crate::layer::{LayerNumber, PerLayer};

use super::context::Context;
use super::finding::{Finding, Findings};
use super::{Rule, Severity, Subject};

/// The build number in the image's `os.version`, if there is one.
pub(super) fn build(subject: &Subject) -> Option<u32> {
    build_of(subject.image.platform.os_version.as_deref()?)
}

/// The build number in a version `MAJOR.MINOR.BUILD` or `MAJOR.MINOR.BUILD.REVISION`.
fn build_of(version: &str) -> Option<u32> {
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    numbers.filter(|numbers| matches!(numbers.len(), 3 | 4)).map(|numbers| numbers[2])
}

pub(super) const PLATFORM: Rule = Rule {
    name: "platform",
    summary: "The config says `windows` and an architecture",
    source: "OCI image specification config.md; containerd/platforms",
    check: platform,
};

fn platform(context: &Context, found: &mut Findings) {
    let platform = &context.subject.image.platform;
    if platform.os != "windows" {
        let message = format!("the config says that the operating system is `{}`, not `windows`", platform.os);
        found.push(Finding::error(message).host("no match for platform in manifest"));
    }
    if platform.architecture.is_empty() {
        found.push(Finding::error("the config names no processor architecture"));
    }
}

pub(super) const OS_VERSION: Rule = Rule {
    name: "os-version",
    summary: "The config has an `os.version` such as 10.0.17763.737",
    source: "containerd/platforms platform_windows_compat.go; OCI image specification config.md",
    check: os_version,
};

fn os_version(context: &Context, found: &mut Findings) {
    match context.subject.image.platform.os_version.as_deref() {
        None | Some("") => found.push(Finding::warning(
            "the config has no `os.version`: every host takes the image, as is right for HostProcess images only",
        )),
        Some(version) if build_of(version).is_none() => {
            let message =
                format!("the `os.version` `{version}` is not of the form 10.0.BUILD.REVISION: no host matches");
            found.push(Finding::error(message).host("no match for platform in manifest"));
        }
        Some(_) => {}
    }
}

pub(super) const INDEX_PLATFORM: Rule = Rule {
    name: "index-platform",
    summary: "The index says the same of the platform as the config",
    source: "OCI image specification image-index.md; containerd core/images/image.go",
    check: index_platform,
};

fn index_platform(context: &Context, found: &mut Findings) {
    let image = &context.subject.image;
    let (config, Some(index)) = (&image.platform, &image.index_platform) else { return };
    let version = |version: &Option<String>| version.clone().unwrap_or_default();
    let features = |features: &[String]| {
        let mut features = features.to_vec();
        features.sort();
        features.join(", ")
    };
    for (severity, what, in_index, in_config) in [
        (Severity::Error, "os", index.os.clone(), config.os.clone()),
        (Severity::Error, "architecture", index.architecture.clone(), config.architecture.clone()),
        (Severity::Warning, "os.version", version(&index.os_version), version(&config.os_version)),
        (Severity::Warning, "os.features", features(&index.os_features), features(&config.os_features)),
    ] {
        if in_index != in_config {
            let message = format!("`{what}` is `{in_index}` in the index and `{in_config}` in the config");
            found.push(Finding::new(severity, message));
        }
    }
}

pub(super) const LAYER_COUNT: Rule = Rule {
    name: "layer-count",
    summary: "The manifest has layers, and the config has one diff ID for each of them",
    source: "moby daemon/internal/distribution/pull_v2.go",
    check: layer_count,
};

/// The most layers that Docker's own image store takes (moby `daemon/internal/layer/layer_store.go`: `maxLayerDepth`).
const MOST_LAYERS: usize = 125;

fn layer_count(context: &Context, found: &mut Findings) {
    let image = &context.subject.image;
    let (layers, diff_ids) = (image.layers.len(), image.diff_ids.len());
    if layers == 0 {
        found.push(Finding::error("the manifest has no layers"));
    }
    if layers != context.layers.len() {
        let message = format!("the manifest has {layers} layers, of which {} were looked at", context.layers.len());
        found.push(Finding::error(message));
    }
    if layers > MOST_LAYERS {
        let message =
            format!("the image has {layers} layers, and Docker takes at most {MOST_LAYERS}; containerd takes them");
        found.push(Finding::warning(message).host("max depth exceeded"));
    }
    if layers != diff_ids {
        let message = format!("the manifest has {layers} layers, and the config {diff_ids} diff IDs");
        found.push(Finding::error(message).host("layers from manifest don't match image configuration"));
    }
}

pub(super) const DIFF_IDS: Rule = Rule {
    name: "diff-ids",
    summary: "The diff IDs in the config are the digests of the uncompressed layers",
    source: "containerd core/unpack/unpacker.go; moby daemon/internal/distribution/pull_v2.go",
    check: diff_ids,
};

fn diff_ids(context: &Context, found: &mut Findings) {
    for ((number, index), diff_id) in context.subject.stack.layers().numbered().zip(&context.subject.image.diff_ids) {
        if index.diff_id != *diff_id {
            let message = format!("the config says {diff_id}, and the uncompressed layer is {}", index.diff_id);
            let host = "wrong diff id calculated on extraction";
            found.push(Finding::error(message).in_layer(number).host(host));
        }
    }
}

/// The layers that have both an index and a descriptor.
fn described<'c>(
    context: &'c Context,
) -> impl Iterator<Item = (LayerNumber, &'c crate::layer::LayerIndex, &'c Descriptor)> {
    let pairs = context.subject.stack.layers().numbered().zip(&context.subject.image.layers);
    pairs.map(|((number, index), descriptor)| (number, &**index, descriptor))
}

pub(super) const BLOBS: Rule = Rule {
    name: "layer-blobs",
    summary: "The manifest gives the digest and the size of each layer's blob",
    source: "OCI image specification descriptor.md",
    check: blobs,
};

fn blobs(context: &Context, found: &mut Findings) {
    for (number, index, descriptor) in described(context) {
        if (index.digest, index.stored_size) != (descriptor.digest, descriptor.size) {
            let message = format!(
                "the manifest says {} with {} bytes, and the blob is {} with {} bytes",
                descriptor.digest, descriptor.size, index.digest, index.stored_size
            );
            found.push(Finding::error(message).in_layer(number));
        }
    }
}

pub(super) const HISTORY: Rule = Rule {
    name: "history",
    summary: "As many entries of the history as there are layers are not marked `empty_layer`",
    source: "OCI image specification config.md",
    check: history,
};

fn history(context: &Context, found: &mut Findings) {
    let image = &context.subject.image;
    if let Some(count) = image.history.filter(|&count| count != image.layers.len()) {
        let message = format!("the history tells of {count} layers, and there are {}", image.layers.len());
        found.push(Finding::warning(message));
    }
}

/// The beginnings of all media types of layers; true for layers that must not be distributed.
const MEDIA_TYPES: [(&str, bool); 4] = [
    ("application/vnd.docker.image.rootfs.diff.tar", false),
    ("application/vnd.oci.image.layer.v1.tar", false),
    ("application/vnd.docker.image.rootfs.foreign.diff.tar", true),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar", true),
];

/// What follows the beginning of a layer's media type, and whether the layer is a foreign one.
fn layer_type(media_type: &str) -> Option<(&str, bool)> {
    let (suffix, foreign) =
        MEDIA_TYPES.iter().find_map(|(beginning, foreign)| Some((media_type.strip_prefix(beginning)?, *foreign)))?;
    ["", ".gzip", ".zstd", "+gzip", "+zstd"].contains(&suffix).then_some((suffix, foreign))
}

pub(super) const MEDIA_TYPES_KNOWN: Rule = Rule {
    name: "layer-media-types",
    summary: "Layers have a media type of Docker or OCI layers",
    source: "containerd core/images/mediatypes.go",
    check: media_types,
};

fn media_types(context: &Context, found: &mut Findings) {
    let layers: PerLayer<&Descriptor> = context.subject.image.layers.iter().collect();
    for (number, layer) in layers.numbered() {
        if layer_type(&layer.media_type).is_none() {
            let message = format!("hosts do not know the media type `{}`", layer.media_type);
            found.push(Finding::error(message).in_layer(number));
        }
    }
}

pub(super) const COMPRESSION: Rule = Rule {
    name: "layer-compression",
    summary: "Layers are compressed as their media type says",
    source: "containerd core/images/mediatypes.go, pkg/archive/compression; go-containerregistry#1980",
    check: compression,
};

fn compression(context: &Context, found: &mut Findings) {
    for (number, index, descriptor) in described(context) {
        let said = match layer_type(&descriptor.media_type) {
            Some((".gzip" | "+gzip", _)) => Compression::Gzip,
            Some((".zstd" | "+zstd", _)) => Compression::Zstd,
            Some(_) if is_plain_oci(descriptor) => Compression::None,
            // Docker's media type without a suffix leaves it open.
            _ => continue,
        };
        if said != index.compression {
            let name = |compression| match compression {
                Compression::None => "not compressed",
                Compression::Gzip => "compressed with gzip",
                Compression::Zstd => "compressed with zstd",
            };
            let message = format!(
                "the media type `{}` says that the layer is {}, and it is {}",
                descriptor.media_type,
                name(said),
                name(index.compression)
            );
            // Hosts look at the first bytes, unless an OCI type says that nothing is compressed.
            let severity = if is_plain_oci(descriptor) { Severity::Error } else { Severity::Warning };
            found.push(Finding::new(severity, message).in_layer(number));
        }
    }
}

/// Whether the media type is one of OCI that says that the layer is not compressed.
fn is_plain_oci(descriptor: &Descriptor) -> bool {
    let suffix = layer_type(&descriptor.media_type).map(|(suffix, _)| suffix);
    suffix == Some("") && descriptor.media_type.starts_with("application/vnd.oci.")
}

pub(super) const FOREIGN_LAYERS: Rule = Rule {
    name: "foreign-layers",
    summary: "Layers are of plain media types and without `urls`",
    source: "OCI image specification layer.md, \"Non-Distributable Layers\"; containerd core/remotes/handlers.go",
    check: foreign_layers,
};

fn foreign_layers(context: &Context, found: &mut Findings) {
    let layers: PerLayer<&Descriptor> = context.subject.image.layers.iter().collect();
    for (number, layer) in layers.numbered() {
        let foreign = layer_type(&layer.media_type).is_some_and(|(_, foreign)| foreign);
        let message = match (foreign, layer.urls.is_empty()) {
            (false, true) => continue,
            (true, _) => "the layer is a foreign one: most tools will not push it, and some registries refuse it",
            (false, false) => "the layer has `urls`: some registries refuse it",
        };
        found.push(Finding::warning(message).in_layer(number));
    }
}

pub(super) const LICENCE: Rule = Rule {
    name: "licence-document",
    summary: "The image has `Files/License.txt`, as Microsoft's licence for container images asks",
    source: "Microsoft Container Base OS Image Supplemental License",
    check: licence,
};

fn licence(context: &Context, found: &mut Findings) {
    const NAME: &str = "FILES/LICENSE.TXT";
    let there = context.subject.stack.names().find(NAME).is_some_and(|name| {
        let mut layers = context.layers.iter().rev();
        let last = layers.find(|layer| layer.find(name).is_some() || layer.deletes(name));
        last.is_some_and(|layer| layer.find(name).is_some())
    });
    if !there {
        found.push(Finding::warning(
            "`Files/License.txt` is missing: the licence of Windows container images does not allow removing it",
        ));
    }
}
