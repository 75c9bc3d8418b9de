//! Images go to each local transport and come back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::image::edit::{EMPTY_CONFIG, NewIndexEntry, make_index, make_referrer};
use crate::image::{Config, Descriptor, Digest, Document, media_type};
use crate::progress::Silent;
use crate::store::Store;

/// A scratch directory with a store in it.
struct Scratch {
    directory: tempfile::TempDir,
    store: Store,
}

/// An image with one layer, whose files lie in the store.
struct Sample {
    layer: Descriptor,
    config: Config,
    manifest: Document,
    index: Document,
}

impl Scratch {
    fn new() -> Scratch {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        Scratch { directory, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A reference to a path in the scratch directory: `oci:` and `x:tag`.
    fn reference(&self, scheme: &str, rest: &str) -> Reference {
        let Reference::Layout(mut local) = format!("oci:{rest}").parse().unwrap() else { panic!("{rest}") };
        local.path = self.path(local.path.to_str().unwrap());
        match scheme {
            "oci" => Reference::Layout(local),
            "oci-archive" => Reference::OciArchive(local),
            _ => Reference::DockerArchive(local),
        }
    }

    fn sample(&self, layer: &[u8], version: &str) -> Sample {
        self.store.put(layer).unwrap();
        let layer = Descriptor::of_content("application/vnd.oci.image.layer.v1.tar", layer);
        let config = json!({"os": "windows", "architecture": "amd64", "os.version": version,
                            "rootfs": {"type": "layers", "diff_ids": [layer.digest]}});
        let config = Config::parse(Document::from_value(media_type::OCI_CONFIG, config)).unwrap();
        self.store.put(config.document.bytes()).unwrap();
        let manifest = json!({"schemaVersion": 2, "config": Descriptor::of(&config.document).to_value(),
                              "layers": [layer.to_value()]});
        let manifest = Document::from_value(media_type::OCI_MANIFEST, manifest);
        let index = make_index(&[NewIndexEntry { manifest: &manifest, config: &config, base: None }]);
        Sample { layer, config, manifest, index }
    }

    /// Puts an image, its index last, and an artifact that refers to it; returns what `tag` says.
    async fn put(&self, sample: &Sample, reference: &Reference) -> Result<String, TransportError> {
        let target = Target::open(reference, &RegistryOptions::default()).await?;
        let blob = Descriptor::of_content("application/json", EMPTY_CONFIG);
        self.store.put(EMPTY_CONFIG).unwrap();
        for descriptor in [&sample.layer, &Descriptor::of(&sample.config.document), &blob] {
            let path = self.store.blob_path(&descriptor.digest);
            target.put_blob(&descriptor.digest, descriptor.size, &unchecked(&path), None, &Silent).await?;
        }
        target.put_document(&sample.manifest).await?;
        target.put_referrer(&sample.index, &make_referrer(&sample.index, "a/b", &blob)).await?;
        let name = target.tag(&sample.index, None).await?;
        target.finish(&Silent).await?;
        Ok(name)
    }

    async fn get(&self, reference: &Reference, platform: Option<&str>) -> Result<Image, String> {
        let source = Source::open(reference, &RegistryOptions::default(), &self.store).await;
        let platform = platform.map(|platform| platform.parse().unwrap());
        let image = source.map_err(|error| error.to_string())?.resolve(platform.as_ref()).await;
        image.map_err(|error| error.to_string())
    }
}

/// The commands run transfers as tasks of their own, which may move between threads.
fn unchecked(path: &Path) -> LocalBlob {
    LocalBlob::of_others(path.to_owned())
}

#[tokio::test]
async fn transfers_can_move_between_threads() {
    fn movable<T: Send>(value: T) -> T {
        value
    }
    let scratch = Scratch::new();
    let sample = scratch.sample(b"layer", "10.0.17763.1");
    let reference = scratch.reference("oci-archive", "a.tar");
    movable(scratch.put(&sample, &reference)).await.unwrap();
    let options = RegistryOptions::default();
    let source = movable(Source::open(&reference, &options, &scratch.store)).await.unwrap();
    movable(source.resolve(None)).await.unwrap();
    movable(source.fetch(&sample.layer, &scratch.store, &Silent)).await.unwrap();
}

/// Every file below a directory, by its name from there.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries =
        walkdir::WalkDir::new(root).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let name = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    entries.map(|entry| (name(entry.path()), fs::read(entry.path()).unwrap())).collect()
}

#[tokio::test]
async fn an_image_goes_there_and_comes_back() {
    let scratch = Scratch::new();
    let sample = scratch.sample(&vec![7; 3_000_000], "10.0.17763.1");
    for scheme in ["oci", "oci-archive"] {
        let reference = scratch.reference(scheme, &format!("{scheme}-x:tag"));
        let name = scratch.put(&sample, &reference).await.unwrap();
        assert_eq!(name, format!("{reference}@{}", sample.index.digest()));
        // The name that was printed is a reference itself; without a tag the only image is meant.
        for (number, rest) in
            ["-x:tag".to_owned(), "-x".to_owned(), format!("-x:tag@{}", sample.index.digest())].iter().enumerate()
        {
            let reference = scratch.reference(scheme, &format!("{scheme}{rest}"));
            let image = scratch.get(&reference, Some("windows/amd64:10.0.17763")).await.unwrap();
            assert_eq!(image.manifest.document.digest(), sample.manifest.digest());
            assert_eq!(image.config.document.digest(), sample.config.document.digest());
            assert_eq!(image.index_entry().unwrap().descriptor.digest, sample.manifest.digest());
            let store = Store::open(scratch.path("other-store")).unwrap();
            let source = Source::open(&reference, &RegistryOptions::default(), &store).await.unwrap();
            let blob = source.fetch(&image.manifest.layers[0], &store, &Silent).await.unwrap();
            assert_eq!(fs::read(&blob.path).unwrap(), vec![7; 3_000_000]);
            // What is in the store since an earlier command was not checked by this one.
            assert_eq!(blob.verified, scheme == "oci-archive" && number == 0);
        }
        let reference = scratch.reference(scheme, &format!("{scheme}-x@{}", sample.manifest.digest()));
        assert!(scratch.get(&reference, None).await.unwrap().index.is_none());
    }
}

#[tokio::test]
async fn a_layout_keeps_its_other_tags() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.sample(b"1", "10.0.17763.1"), scratch.sample(b"2", "10.0.20348.1"));
    scratch.put(&one, &scratch.reference("oci", "x:one")).await.unwrap();
    scratch.put(&two, &scratch.reference("oci", "x:two")).await.unwrap();
    let before = files(&scratch.path("x"));
    scratch.put(&two, &scratch.reference("oci", "x:two")).await.unwrap();
    assert_eq!(files(&scratch.path("x")), before, "the same again changes nothing and leaves nothing behind");
    for (tag, sample) in [("one", &one), ("two", &two)] {
        let image = scratch.get(&scratch.reference("oci", &format!("x:{tag}")), None).await.unwrap();
        assert_eq!(image.manifest.document.digest(), sample.manifest.digest());
    }
    let error = scratch.get(&scratch.reference("oci", "x"), None).await.unwrap_err();
    assert!(error.ends_with("choose one of several: the tags are: one, two"), "{error}");
    let error = scratch.get(&scratch.reference("oci", "x:one"), Some("windows/amd64:10.0.20348")).await.unwrap_err();
    assert!(error.ends_with("no image for windows/amd64:10.0.20348; there is: windows/amd64:10.0.17763.1"), "{error}");
    let by_digest = scratch.reference("oci", &format!("x@{}", one.manifest.digest()));
    assert!(scratch.get(&by_digest, Some("windows/amd64:10.0.20348")).await.is_err());
}

#[tokio::test]
async fn an_archive_is_the_same_whatever_the_order() {
    let scratch = Scratch::new();
    let sample = scratch.sample(b"layer", "10.0.17763.1");
    scratch.put(&sample, &scratch.reference("oci-archive", "a.tar:tag")).await.unwrap();
    let target = scratch.reference("oci-archive", "b.tar:tag");
    let target = Target::open(&target, &RegistryOptions::default()).await.unwrap();
    let artifact = make_referrer(&sample.index, "a/b", &Descriptor::of_content("application/json", EMPTY_CONFIG));
    target.put_referrer(&sample.index, &artifact).await.unwrap();
    for digest in [Digest::of(EMPTY_CONFIG), sample.config.document.digest(), sample.layer.digest] {
        let path = scratch.store.blob_path(&digest);
        let size = fs::metadata(&path).unwrap().len();
        let delivered = target.put_blob(&digest, size, &unchecked(&path), None, &Silent).await.unwrap();
        assert_eq!(delivered, Delivered::Written);
    }
    target.put_document(&sample.manifest).await.unwrap();
    target.tag(&sample.index, None).await.unwrap();
    assert!(!scratch.path("b.tar").exists(), "nothing is visible before the end");
    target.finish(&Silent).await.unwrap();
    assert_eq!(fs::read(scratch.path("a.tar")).unwrap(), fs::read(scratch.path("b.tar")).unwrap());
    let mut archive = tar::Archive::new(fs::File::open(scratch.path("a.tar")).unwrap());
    let names: Vec<_> = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names.len(), 4 + 6);
    assert_eq!(names[..2], [PathBuf::from("oci-layout"), PathBuf::from("index.json")]);
}

#[tokio::test]
async fn what_cannot_be_a_target_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("full")).unwrap();
    fs::write(scratch.path("full/letter.txt"), "dear").unwrap();
    fs::write(scratch.path("file"), "x").unwrap();
    let digest = Digest::of(b"");
    for (scheme, rest, problem) in [
        ("oci", "full:tag", "the directory holds other files; name a new or an empty one"),
        ("oci", "file", "it is a file; name a directory"),
        ("oci", "file/below", "not a directory"),
        ("oci-archive", "full", "it is a directory"),
        ("oci-archive", "missing/a.tar", "cannot create a file in"),
        ("docker-archive", "a.tar", "only reads `docker save` archives"),
        ("oci", &format!("x@{digest}"), "a digest cannot be chosen"),
    ] {
        let reference = scratch.reference(scheme, rest);
        let error = Target::open(&reference, &RegistryOptions::default()).await.err().unwrap().to_string();
        assert!(error.contains(problem), "{error}");
    }
    let left: Vec<_> = files(scratch.directory.path()).into_keys().filter(|name| !name.starts_with("store")).collect();
    assert_eq!(left, ["file", "full/letter.txt"]);
}

#[tokio::test]
async fn damage_is_named() {
    let scratch = Scratch::new();
    let sample = scratch.sample(b"layer", "10.0.17763.1");
    let reference = scratch.reference("oci", "x:tag");
    scratch.put(&sample, &reference).await.unwrap();
    let source = Source::open(&reference, &RegistryOptions::default(), &scratch.store).await.unwrap();
    let blob = |digest: &Digest| scratch.path("x/blobs/sha256").join(digest.hex());
    fs::write(blob(&sample.layer.digest), "longer layer").unwrap();
    let error = source.fetch(&sample.layer, &scratch.store, &Silent).await.unwrap_err().to_string();
    assert!(error.contains("has 12 bytes instead of 5"), "{error}");
    fs::remove_file(blob(&sample.layer.digest)).unwrap();
    let error = source.fetch(&sample.layer, &scratch.store, &Silent).await.unwrap_err().to_string();
    assert!(error.contains("is missing"), "{error}");
    fs::write(blob(&sample.config.document.digest()), "{}").unwrap();
    let error = scratch.get(&reference, None).await.unwrap_err();
    assert!(error.contains("is damaged: the blob"), "{error}");
    fs::write(scratch.path("x/index.json"), "[").unwrap();
    let error = scratch.get(&reference, None).await.unwrap_err();
    assert!(error.contains("is not an OCI image layout: the index"), "{error}");
    assert!(scratch.put(&sample, &reference).await.unwrap_err().to_string().contains("is not an index"));
    let error = scratch.get(&scratch.reference("oci", "store"), None).await.unwrap_err();
    assert!(error.contains("there is no `oci-layout` in it"), "{error}");
    let error = scratch.get(&scratch.reference("oci", "nowhere"), None).await.unwrap_err();
    assert!(error.starts_with("cannot open"), "{error}");
    for (scheme, place, problem) in [
        ("oci", "x/index.json", "is not an OCI image layout: it is a file"),
        ("oci-archive", "x", "is not an archive of an image: it is a directory"),
        ("oci-archive", "x/index.json", "is not an archive of an image: it is no tar"),
        ("docker-archive", "x", "is not an archive of an image: it is a directory"),
    ] {
        let error = scratch.get(&scratch.reference(scheme, place), None).await.unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[tokio::test]
async fn a_blob_that_changes_meanwhile_is_not_put() {
    let scratch = Scratch::new();
    let path = scratch.path("layer");
    fs::write(&path, "other").unwrap();
    for scheme in ["oci", "oci-archive"] {
        let reference = scratch.reference(scheme, &format!("{scheme}-x"));
        let target = Target::open(&reference, &RegistryOptions::default()).await.unwrap();
        let put = target.put_blob(&Digest::of(b"layer"), 5, &unchecked(&path), None, &Silent).await;
        let end = target.finish(&Silent).await;
        let error = put.and(end).unwrap_err().to_string();
        assert!(error.contains("changed while it was being copied"), "{error}");
    }
    let left = files(scratch.directory.path()).into_keys().filter(|name| !name.starts_with("store"));
    assert_eq!(left.collect::<Vec<_>>(), ["layer", "oci-x/oci-layout"]);
}

#[tokio::test]
async fn all_images_of_a_reference_are_found() {
    let scratch = Scratch::new();
    let reference = scratch.reference("oci", "x:tag");
    let samples = [scratch.sample(b"layer", "10.0.17763.1"), scratch.sample(b"layer", "10.0.20348.1")];
    // The index says nothing of the second image, and lists an attestation.
    let mut second = Descriptor::of(&samples[1].manifest).to_value();
    let mut entries = samples[0].index.value()["manifests"].as_array().unwrap().clone();
    entries.push(second.clone());
    second["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    entries.push(second);
    let index = Document::from_value(media_type::OCI_INDEX, json!({"schemaVersion": 2, "manifests": entries}));
    for sample in &samples {
        scratch.put(sample, &reference).await.unwrap();
    }
    let target = Target::open(&reference, &RegistryOptions::default()).await.unwrap();
    target.tag(&index, None).await.unwrap();
    target.finish(&Silent).await.unwrap();

    let images = async |reference: &Reference| {
        let source = Source::open(reference, &RegistryOptions::default(), &scratch.store).await.unwrap();
        source.images().await.unwrap()
    };
    let found = images(&reference).await;
    let versions: Vec<_> = found.images.iter().map(|(_, platform)| platform.to_string()).collect();
    assert_eq!(versions, ["windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1"]);
    assert_eq!(found.images[1].0, samples[1].manifest.digest());
    assert_eq!(found.index.unwrap().len(), 3);

    let manifest = format!("x@{}", samples[1].manifest.digest());
    let found = images(&scratch.reference("oci", &manifest)).await;
    assert_eq!(
        (found.index.is_some(), found.images[0].1.to_string()),
        (false, "windows/amd64:10.0.20348.1".to_owned())
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_layout_has_the_very_files_of_the_store() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let scratch = Scratch::new();
    let digest = scratch.store.put(b"layer").unwrap();
    let path = scratch.store.blob_path(&digest);
    fs::write(scratch.path("new"), "").unwrap();
    let mode_of_new = fs::metadata(scratch.path("new")).unwrap().permissions().mode();
    let target = Target::open(&scratch.reference("oci", "out:a"), &RegistryOptions::default()).await.unwrap();
    let place = scratch.path("out/blobs/sha256").join(digest.to_string().trim_start_matches("sha256:"));

    // A file that is of the wrong length is replaced by a copy, as it may be in use.
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, "longer than it").unwrap();
    for (is_there, shares) in [(true, false), (false, true)] {
        if !is_there {
            fs::remove_file(&place).unwrap();
        }
        let blob = LocalBlob::in_store(path.clone(), true);
        assert_eq!(target.put_blob(&digest, 5, &blob, None, &Silent).await.unwrap(), Delivered::Written);
        assert_eq!(fs::read(&place).unwrap(), b"layer");
        let (there, here) = (fs::metadata(&place).unwrap(), fs::metadata(&path).unwrap());
        assert_eq!(there.ino() == here.ino(), shares);
        assert_eq!(
            there.permissions().mode(),
            mode_of_new,
            "it is for those to read who could read any new file there"
        );
    }

    // What others may change, or what nobody has looked at, is copied and checked.
    for blob in [LocalBlob::of_others(path.clone()), LocalBlob::in_store(path.clone(), false)] {
        fs::remove_file(&place).unwrap();
        target.put_blob(&digest, 5, &blob, None, &Silent).await.unwrap();
        assert_ne!(fs::metadata(&place).unwrap().ino(), fs::metadata(&path).unwrap().ino());
    }
}

/// `/proc` takes no files from anybody, root included.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_layout_that_cannot_be_written_is_refused_before_any_work() {
    let options = RegistryOptions::default();
    for place in ["oci:/proc/winslim:x", "oci:/proc/winslim/below/it:x", "oci-archive:/proc/winslim.tar:x"] {
        let opened = Target::open(&place.parse().unwrap(), &options).await;
        let error = opened.map(drop).unwrap_err().to_string();
        assert!(error.starts_with("cannot create a file in `/proc`"), "{error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let place = format!("oci:{}/new/below:x", directory.path().display());
    Target::open(&place.parse().unwrap(), &options).await.unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing stays");
}
