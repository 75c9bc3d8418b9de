//! Archives as `docker save` writes them: `manifest.json` names the config and the layers of each image.
//!
//! Such an archive has no manifest as registries have; one is made here. Layers are plain tars in the archives of most
//! versions of Docker, so that their digests are the diff IDs of the config.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::tar_file::{Member, TarFile};
use crate::image::{Compression, Config, Descriptor, Digest, Document, media_type};
use crate::progress::Task;
use crate::store::Store;
use crate::transport::reference::{LocalReference, Reference};
use crate::transport::{LocalBlob, TransportError};

/// The file that lists the images.
const MANIFEST: &str = "manifest.json";

/// One image of an archive.
#[derive(Debug)]
pub struct DockerArchive {
    tar: TarFile,
    manifest: Document,
    config: Bytes,
    layers: BTreeMap<Digest, Member>,
}

/// What `manifest.json` says of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl DockerArchive {
    /// Opens an archive and makes the manifest of the image that the reference means.
    pub async fn open(reference: &LocalReference, store: &Store) -> Result<DockerArchive, TransportError> {
        let tar = TarFile::open(&reference.path, store)?;
        let listed = find(&tar, reference)?;
        let missing = |name: &str| tar.wrong(format!("`{name}` is missing in it"));
        let config = tar.member(&listed.config)?.ok_or_else(|| missing(&listed.config))?;
        let config = tar.read(config)?;
        let parsed = Document::parse("config", media_type::DOCKER_CONFIG, config.clone()).and_then(Config::parse);
        let names = listed.layers.unwrap_or_default();
        let parsed = parsed.and_then(|config| config.check_layers(names.len()).map(|()| config));
        let parsed = parsed.map_err(|error| {
            let named =
                digest_in(&listed.config, "blobs/sha256/", "").or_else(|| digest_in(&listed.config, "", ".json"));
            match (named, Digest::of(&config)) {
                (Some(digest), actual) if digest != actual => damaged(&tar, digest, actual),
                _ => tar.wrong(error.to_string()),
            }
        })?;
        let mut layers = BTreeMap::new();
        let mut descriptors = Vec::new();
        for (name, diff_id) in names.iter().zip(&parsed.diff_ids) {
            let member = tar.member(name)?.ok_or_else(|| missing(name))?;
            let compression = match tar.beginning(member, 4)?[..] {
                [0x1f, 0x8b, ..] => Compression::Gzip,
                [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
                _ => Compression::None,
            };
            let digest = match compression {
                Compression::None => *diff_id,
                Compression::Gzip | Compression::Zstd => {
                    let actual = tar.digest(member, |_| ()).await?;
                    match digest_in(name, "blobs/sha256/", "") {
                        Some(digest) if digest != actual => return Err(damaged(&tar, digest, actual)),
                        _ => actual,
                    }
                }
            };
            let media_type = media_type::layer_media_type(compression).to_owned();
            layers.insert(digest, member);
            descriptors.push(Descriptor { media_type, digest, size: member.size, urls: Vec::new() }.to_value());
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of_content(media_type::OCI_CONFIG, &config).to_value(),
            "layers": descriptors,
        });
        Ok(DockerArchive { tar, manifest: Document::from_value(media_type::OCI_MANIFEST, manifest), config, layers })
    }

    /// The manifest that was made for the image.
    pub fn manifest(&self) -> &Document {
        &self.manifest
    }

    /// The config of the image.
    pub fn config(&self) -> &Bytes {
        &self.config
    }

    /// Copies a layer into the store and checks its digest.
    pub async fn fetch(
        &self,
        descriptor: &Descriptor,
        store: &Store,
        task: &dyn Task,
    ) -> Result<LocalBlob, TransportError> {
        let digest = descriptor.digest;
        let member = self.layers.get(&digest).copied();
        let place = || self.tar.path().to_owned();
        let member = member.ok_or_else(|| TransportError::MissingBlob { place: place(), digest })?;
        self.tar.extract(member, &digest, store, task).await
    }

    /// The digest that the content of a layer has.
    pub async fn digest_of(&self, descriptor: &Descriptor, task: &dyn Task) -> Result<Digest, TransportError> {
        let digest = descriptor.digest;
        let member = self.layers.get(&digest).copied();
        let member = member.ok_or_else(|| TransportError::MissingBlob { place: self.tar.path().to_owned(), digest })?;
        self.tar.digest(member, |bytes| task.advance(bytes)).await
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.tar.path()
    }
}

/// The digest that a member is named by, if it is: those in `blobs/sha256/`, and configs.
fn digest_in(name: &str, before: &str, behind: &str) -> Option<Digest> {
    format!("sha256:{}", name.strip_prefix(before)?.strip_suffix(behind)?).parse().ok()
}

fn damaged(tar: &TarFile, digest: Digest, actual: Digest) -> TransportError {
    let problem = format!("has the content of {actual}");
    TransportError::DamagedBlob { place: tar.path().to_owned(), digest, problem }
}

/// The image that the reference means.
fn find(tar: &TarFile, reference: &LocalReference) -> Result<Listed, TransportError> {
    let whole = Reference::DockerArchive(reference.clone()).to_string();
    if reference.digest.is_some() {
        let available = "the images of a `docker save` archive have no digests; name it by its tag".to_owned();
        return Err(TransportError::NoSuchImage { reference: whole, available });
    }
    let list = tar.member(MANIFEST)?.ok_or_else(|| tar.wrong(format!("there is no `{MANIFEST}` in it")))?;
    let images: Vec<Listed> = serde_json::from_slice(&tar.read(list)?)
        .map_err(|error| tar.wrong(format!("its `{MANIFEST}` is not a list of images: {error}")))?;
    let tags: Vec<String> = images.iter().flat_map(|image| image.repo_tags.iter().flatten()).cloned().collect();
    let wanted = |image: &Listed| match &reference.tag {
        None => true,
        Some(tag) => image.repo_tags.iter().flatten().any(|other| same_name(tag, other)),
    };
    let mut found: Vec<Listed> = images.into_iter().filter(wanted).collect();
    match (found.pop(), found.is_empty()) {
        (Some(image), true) => Ok(image),
        (image, _) => {
            let choose = if image.is_some() { "choose one of several: " } else { "" };
            let available = format!("{choose}the tags are: {}", tags.join(", "));
            Err(TransportError::NoSuchImage { reference: whole, available })
        }
    }
}

/// Whether two names mean the same image, written short or long: `nginx` and `docker.io/library/nginx:latest`.
fn same_name(one: &str, other: &str) -> bool {
    match (one.parse::<Reference>(), other.parse::<Reference>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::Value;

    use super::*;
    use crate::image::Manifest;
    use crate::progress::Silent;
    use crate::transport::archive::tar_file::tests::write_tar;

    fn config(layers: &[&[u8]]) -> Vec<u8> {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        json!({"os": "windows", "rootfS": {"type": "layers", "diff_ids": diff_ids}}).to_string().into_bytes()
    }

    fn list(images: &[(&str, &[&str], &[&str])]) -> Vec<u8> {
        let image = |(config, tags, layers): &(&str, &[&str], &[&str])| json!({"Config": config, "RepoTags": tags, "Layers": layers});
        Value::Array(images.iter().map(image).collect()).to_string().into_bytes()
    }

    async fn open(
        members: &[(&str, &[u8])],
        selector: &str,
    ) -> Result<(DockerArchive, Store, tempfile::TempDir), String> {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let path = directory.path().join("saved.tar");
        write_tar(&path, members);
        let Reference::DockerArchive(mut reference) = format!("docker-archive:x{selector}").parse().unwrap() else {
            panic!("{selector}")
        };
        reference.path = path;
        let archive = DockerArchive::open(&reference, &store).await.map_err(|error| error.to_string())?;
        Ok((archive, store, directory))
    }

    #[tokio::test]
    async fn a_manifest_is_made_and_layers_are_extracted() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"second").unwrap();
        let gzip = gzip.finish().unwrap();
        let config = config(&[b"first", b"second"]);
        let list = list(&[("c.json", &[], &["old/layer.tar", "blobs/sha256/x"])]);
        let members: [(&str, &[u8]); 5] = [
            ("old/layer.tar", b"-> ../first.tar"),
            ("first.tar", b"first"),
            ("blobs/sha256/x", &gzip),
            ("c.json", &config),
            ("manifest.json", &list),
        ];
        let (archive, store, _directory) = open(&members, "").await.unwrap();
        assert_eq!(archive.config(), &config);
        let manifest = Manifest::parse(archive.manifest().clone()).unwrap();
        assert_eq!(manifest.config.digest, Digest::of(&config));
        assert_eq!(manifest.layers[0].digest, Digest::of(b"first"));
        assert_eq!(manifest.layers[0].media_type, media_type::layer_media_type(Compression::None));
        assert_eq!(manifest.layers[1].digest, Digest::of(&gzip));
        assert_eq!(manifest.layers[1].media_type, media_type::layer_media_type(Compression::Gzip));
        for (layer, content) in manifest.layers.iter().zip([&b"first"[..], &gzip]) {
            let blob = archive.fetch(layer, &store, &Silent).await.unwrap();
            assert_eq!(std::fs::read(blob.path).unwrap(), content);
            assert!(blob.verified);
        }
    }

    #[tokio::test]
    async fn one_of_several_images_is_named_by_its_tag() {
        let config = config(&[]);
        let list = list(&[("c.json", &["nginx:latest"], &[]), ("d.json", &["example.com/x:1"], &[])]);
        let members: [(&str, &[u8]); 2] = [("c.json", &config), ("manifest.json", &list)];
        for selector in [":nginx", ":docker.io/library/nginx:latest"] {
            open(&members, selector).await.unwrap();
        }
        for (selector, problem) in [
            ("", "choose one of several: the tags are: nginx:latest, example.com/x:1"),
            (":other", "; the tags are: nginx:latest"),
            (":example.com/x:1", "`d.json` is missing"),
            (&format!("@{}", Digest::of(b"")), "have no digests"),
        ] {
            let error = open(&members, selector).await.err().unwrap();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[tokio::test]
    async fn wrong_archives_are_refused() {
        let config = config(&[b"first"]);
        let (one, none) = (list(&[("c.json", &[], &["l"])]), list(&[("c.json", &[], &[])]));
        for (manifest, layer, problem) in [
            (&b"{}"[..], &b"first"[..], "is not a list of images"),
            (&none, b"first", "has 1 diff IDs, but the manifest has 0 layers"),
        ] {
            let error =
                open(&[("manifest.json", manifest), ("c.json", &config), ("l", layer)], "").await.err().unwrap();
            assert!(error.contains(problem), "{error}");
        }
        let error = open(&[("c.json", &config)], "").await.err().unwrap();
        assert!(error.contains("there is no `manifest.json`"), "{error}");
        let members: [(&str, &[u8]); 3] = [("manifest.json", &one), ("c.json", &config), ("l", b"wrong")];
        let (archive, store, _directory) = open(&members, "").await.unwrap();
        let layer = Manifest::parse(archive.manifest().clone()).unwrap().layers.remove(0);
        assert!(archive.fetch(&layer, &store, &Silent).await.is_err());
    }
}
