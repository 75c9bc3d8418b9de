//! Images on disk: an OCI image layout with the documents as Microsoft's registry serves them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::archive::write_layer;
use super::compress::{Compression, Encoder, Hashing, hex};
use super::{Image, Version};

/// How an image is written.
#[derive(Debug, Clone)]
pub struct Format {
    pub compression: Compression,
    /// Docker's media types instead of those of OCI.
    pub docker: bool,
    /// The base layer is a foreign one: docker's type for such layers, and a URL of this beginning before the digest.
    pub foreign: Option<String>,
    /// The tag in the layout.
    pub tag: String,
}

impl Default for Format {
    fn default() -> Format {
        Format { compression: Compression::Gzip, docker: false, foreign: None, tag: "ltsc2019".to_owned() }
    }
}

/// A blob that was written.
#[derive(Debug, Clone)]
pub struct Blob {
    pub digest: String,
    pub size: u64,
}

/// A layer that was written.
#[derive(Debug, Clone)]
pub struct WrittenLayer {
    pub blob: Blob,
    pub diff_id: String,
    pub unpacked: u64,
}

/// What was written: everything that tests compare with.
#[derive(Debug, Clone)]
pub struct Written {
    pub index: Blob,
    /// One for each version of the image.
    pub manifests: Vec<Blob>,
    pub layers: Vec<WrittenLayer>,
}

/// Writes an image as an OCI layout in `directory`, which may have other images already.
pub fn write_layout(image: &Image, format: &Format, directory: &Path) -> io::Result<Written> {
    let mut layers = Vec::new();
    for (layer, epoch) in image.layers.iter().zip([1_536_996_600, 1_773_187_200, 1_773_273_600, 1_773_360_000]) {
        layers.push(write_blob(directory, format.compression, |out| write_layer(layer, epoch, out))?);
    }
    write_documents(image, layers, format, directory)
}

/// Writes configs, manifests and the index for layers that are there, and tags the index.
pub fn write_documents(
    image: &Image,
    layers: Vec<WrittenLayer>,
    format: &Format,
    directory: &Path,
) -> io::Result<Written> {
    let types = Types::new(format);
    let mut manifests = Vec::new();
    let mut entries = Vec::new();
    for version in &image.versions {
        let blob = write_image(version, &layers, format, &types, directory)?;
        entries.push(json!({
            "mediaType": types.manifest,
            "digest": blob.digest,
            "size": blob.size,
            "platform": {
                "architecture": "amd64", "os": "windows", "os.version": version.os_version, "os.features": ["win32k"],
            },
        }));
        manifests.push(blob);
    }
    let index = json!({"schemaVersion": 2, "mediaType": types.index, "manifests": entries});
    let index = put_blob(directory, index.to_string().as_bytes())?;
    write_entry_point(directory, format, &types, &index)?;
    Ok(Written { index, manifests, layers })
}

fn write_entry_point(directory: &Path, format: &Format, types: &Types, index: &Blob) -> io::Result<()> {
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let path = directory.join("index.json");
    let mut document = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(_) => json!({"schemaVersion": 2, "manifests": []}),
    };
    if let Some(entries) = document["manifests"].as_array_mut() {
        entries.push(json!({
            "mediaType": types.index, "digest": index.digest, "size": index.size,
            "annotations": {"org.opencontainers.image.ref.name": format.tag},
        }));
    }
    fs::write(path, document.to_string())
}

fn write_image(
    version: &Version,
    layers: &[WrittenLayer],
    format: &Format,
    types: &Types,
    directory: &Path,
) -> io::Result<Blob> {
    let layers = &layers[..version.history.len()];
    let diff_ids: Vec<&str> = layers.iter().map(|layer| &*layer.diff_id).collect();
    let history: Vec<Value> = version
        .history
        .iter()
        .map(|created_by| json!({"created": version.created, "created_by": created_by}))
        .collect();
    // The keys of Microsoft's own configs: `rootfS`, `user` and `cmd`.
    let config = json!({
        "architecture": "amd64",
        "os": "windows",
        "os.version": version.os_version,
        "os.features": ["win32k"],
        "created": version.created,
        "history": history,
        "rootfS": {"type": "layers", "diff_ids": diff_ids},
        "config": {"user": "ContainerAdministrator", "cmd": [r"c:\windows\system32\cmd.exe"]},
    });
    let config = put_blob(directory, config.to_string().as_bytes())?;
    let descriptors: Vec<Value> = layers
        .iter()
        .enumerate()
        .map(|(number, layer)| {
            let mut descriptor =
                json!({"mediaType": types.layer, "size": layer.blob.size, "digest": layer.blob.digest});
            if let (0, Some(url)) = (number, &format.foreign) {
                descriptor["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
                descriptor["urls"] = json!([format!("{url}{}", layer.blob.digest)]);
            }
            descriptor
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": types.manifest,
        "config": {"mediaType": types.config, "size": config.size, "digest": config.digest},
        "layers": descriptors,
    });
    put_blob(directory, manifest.to_string().as_bytes())
}

struct Types {
    index: &'static str,
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
}

impl Types {
    fn new(format: &Format) -> Types {
        if format.docker {
            return Types {
                index: "application/vnd.docker.distribution.manifest.list.v2+json",
                manifest: "application/vnd.docker.distribution.manifest.v2+json",
                config: "application/vnd.docker.container.image.v1+json",
                layer: match format.compression {
                    Compression::Gzip | Compression::GzipBest | Compression::GzipMembers(_) => {
                        "application/vnd.docker.image.rootfs.diff.tar.gzip"
                    }
                    Compression::Zstd => "application/vnd.docker.image.rootfs.diff.tar.zstd",
                    Compression::None => "application/vnd.docker.image.rootfs.diff.tar",
                },
            };
        }
        Types {
            index: "application/vnd.oci.image.index.v1+json",
            manifest: "application/vnd.oci.image.manifest.v1+json",
            config: "application/vnd.oci.image.config.v1+json",
            layer: match format.compression {
                Compression::Gzip | Compression::GzipBest | Compression::GzipMembers(_) => {
                    "application/vnd.oci.image.layer.v1.tar+gzip"
                }
                Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
                Compression::None => "application/vnd.oci.image.layer.v1.tar",
            },
        }
    }
}

/// Writes bytes as a blob.
pub fn put_blob(directory: &Path, bytes: &[u8]) -> io::Result<Blob> {
    let digest = format!("sha256:{}", hex(&Sha256::digest(bytes)));
    fs::create_dir_all(directory.join("blobs/sha256"))?;
    fs::write(blob_path(directory, &digest), bytes)?;
    Ok(Blob { digest, size: bytes.len() as u64 })
}

/// Writes what `fill` produces as a compressed blob, in bounded memory.
pub fn write_blob(
    directory: &Path,
    compression: Compression,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<WrittenLayer> {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let unfinished = blobs.join("unfinished");
    let stored = Hashing::new(BufWriter::new(File::create(&unfinished)?));
    let mut raw = BufWriter::with_capacity(1 << 16, Hashing::new(Encoder::new(compression, stored)?));
    fill(&mut raw)?;
    let (encoder, diff_id, unpacked) = raw.into_inner()?.finish();
    let (mut file, digest, size) = encoder.finish()?.finish();
    file.flush()?;
    fs::rename(unfinished, blob_path(directory, &digest))?;
    Ok(WrittenLayer { blob: Blob { digest, size }, diff_id, unpacked })
}

/// The path of a blob in a layout.
pub fn blob_path(directory: &Path, digest: &str) -> PathBuf {
    directory.join("blobs").join(digest.replace(':', "/"))
}
