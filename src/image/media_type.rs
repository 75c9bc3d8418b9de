//! Media types of manifests, configs and layers, in Docker's and in OCI's words.

use serde::{Deserialize, Serialize};

/// Docker's image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list: an index.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// OCI's image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI's image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI's empty descriptor, whose blob is `{}`.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// What Docker's layer types begin with; `.gzip`, `.zstd` or nothing follows.
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// What Docker's foreign layer types begin with.
const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
/// What OCI's layer types begin with; `+gzip`, `+zstd` or nothing follows.
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// What OCI's non-distributable layer types begin with.
const OCI_FOREIGN_LAYER: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";

/// How a layer blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip, of one or several members.
    Gzip,
    /// Zstandard frames.
    Zstd,
}

/// Whether a document of this type lists manifests.
pub fn is_index(media_type: &str) -> bool {
    [DOCKER_INDEX, OCI_INDEX].contains(&media_type)
}

/// Whether a document of this type is the manifest of one image.
pub fn is_manifest(media_type: &str) -> bool {
    [DOCKER_MANIFEST, OCI_MANIFEST].contains(&media_type)
}

/// Whether a blob of this type is the config of an image.
pub fn is_config(media_type: &str) -> bool {
    [DOCKER_CONFIG, OCI_CONFIG].contains(&media_type)
}

/// Whether a blob of this type is a layer, foreign ones included.
pub fn is_layer(media_type: &str) -> bool {
    layer_suffix(media_type).is_some()
}

/// Whether a blob of this type is a foreign (non-distributable) layer, which registries need not have.
pub fn is_foreign(media_type: &str) -> bool {
    matches!(layer_suffix(media_type), Some((true, _)))
}

/// What the type of a layer says about its compression; nothing for what is not a layer.
///
/// The blob may be something else: tools have mislabelled layers, and who reads them looks at the first bytes.
pub fn compression_of(media_type: &str) -> Option<Compression> {
    layer_suffix(media_type).map(|(_, compression)| compression)
}

/// The type of a plain, distributable OCI layer.
pub fn layer_media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::None => OCI_LAYER,
        Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
    }
}

/// The OCI type that means the same; foreign layers become plain ones, and a type that has no counterpart stays.
pub fn to_oci(media_type: &str) -> &str {
    match media_type {
        DOCKER_MANIFEST => OCI_MANIFEST,
        DOCKER_INDEX => OCI_INDEX,
        DOCKER_CONFIG => OCI_CONFIG,
        other => match compression_of(other) {
            Some(compression) => layer_media_type(compression),
            None => other,
        },
    }
}

/// Whether a layer type is a foreign one, and its compression.
fn layer_suffix(media_type: &str) -> Option<(bool, Compression)> {
    let prefixes = [(DOCKER_LAYER, false), (DOCKER_FOREIGN_LAYER, true), (OCI_LAYER, false), (OCI_FOREIGN_LAYER, true)];
    prefixes.into_iter().find_map(|(prefix, foreign)| {
        let compression = match media_type.strip_prefix(prefix)? {
            "" => Compression::None,
            ".gzip" | "+gzip" => Compression::Gzip,
            ".zstd" | "+zstd" => Compression::Zstd,
            _ => return None,
        };
        Some((foreign, compression))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_become_plain_oci_layers() {
        for (media_type, foreign, oci) in [
            ("application/vnd.docker.image.rootfs.diff.tar", false, OCI_LAYER),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", false, "application/vnd.oci.image.layer.v1.tar+gzip"),
            ("application/vnd.docker.image.rootfs.diff.tar.zstd", false, "application/vnd.oci.image.layer.v1.tar+zstd"),
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                true,
                "application/vnd.oci.image.layer.v1.tar+gzip",
            ),
            (
                "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
                true,
                "application/vnd.oci.image.layer.v1.tar+zstd",
            ),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar", true, OCI_LAYER),
        ] {
            assert!(is_layer(media_type), "{media_type}");
            assert_eq!(is_foreign(media_type), foreign, "{media_type}");
            assert_eq!(to_oci(media_type), oci, "{media_type}");
            assert_eq!(to_oci(oci), oci);
        }
    }

    #[test]
    fn documents_have_counterparts_and_the_unknown_stays() {
        assert_eq!(to_oci(DOCKER_MANIFEST), OCI_MANIFEST);
        assert_eq!(to_oci(DOCKER_INDEX), OCI_INDEX);
        assert_eq!(to_oci(DOCKER_CONFIG), OCI_CONFIG);
        for other in ["", "text/plain", "application/vnd.oci.image.layer.v1.tar+xz"] {
            assert_eq!(to_oci(other), other);
            assert!(!is_layer(other) && !is_index(other) && !is_manifest(other));
        }
        assert!(is_index(DOCKER_INDEX) && is_manifest(OCI_MANIFEST) && !is_index(OCI_MANIFEST));
    }
}
