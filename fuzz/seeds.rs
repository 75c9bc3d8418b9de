//! Writes inputs for the fuzz targets to begin with: `fuzz-seeds DIRECTORY`, one directory in it for each target.
//!
//! They are made of the generator's image, cut to a size that mutates well, and of the built-in profiles.

#[path = "../testdata/generator/mod.rs"]
mod generator;

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use generator::layer::{Kind, Layer};
use generator::layout::{Format, write_layout};
use generator::random::Content;
use generator::{Image, Scale};
use winslim::layer::LayerIndex;
use winslim::profile::builtin;

struct Corpus(PathBuf);

impl Corpus {
    fn add(&self, target: &str, bytes: &[u8]) {
        let directory = self.0.join(target);
        fs::create_dir_all(&directory).expect("the corpus can be written to");
        let name = winslim::image::Digest::of(bytes).short();
        fs::write(directory.join(name), bytes).expect("the corpus can be written to");
    }
}

/// A layer with an entry of every kind.
fn small_layer() -> Layer {
    let mut layer = Layer::new("fuzz");
    layer.file("Files/Windows/System32/config/SOFTWARE", Content::text("regf"));
    layer.file("Files/License.txt", Content::text("licence"));
    layer.stream("zone", Content::text("3"));
    layer.hard_link("Files/Windows/WinSxS/a/License.txt", "Files/License.txt");
    layer.symlink("Files/link", "License.txt", false);
    layer.junction("Files/junction", "Windows");
    layer.whiteout("Files/gone");
    layer.file("UtilityVM/Files/EFI/Microsoft/Boot/BCD", Content::text("regf"));
    layer.unchecked("Files/../C:\\con. ", Kind::Directory);
    layer
}

fn tar_of(layer: &Layer) -> Vec<u8> {
    let mut tar = Vec::new();
    generator::archive::write_layer(layer, 1_536_996_600, &mut tar).expect("memory can be written to");
    tar
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}

fn main() {
    let corpus = Corpus(std::env::args_os().nth(1).expect("a directory to write to").into());
    let tar = tar_of(&small_layer());
    for tar in [&tar[..], &tar[..1536], &[0; 1024]] {
        corpus.add("scan", tar);
        corpus.add("pax", tar);
        corpus.add("layer", tar);
        corpus.add("layer", &gzip(tar));
        corpus.add("inflate", &gzip(tar));
        corpus.add("splice", tar);
    }
    corpus.add("layer", &zstd::encode_all(&*tar, 3).expect("memory can be written to"));
    let index = LayerIndex::read(Cursor::new(&tar), |_| {}).expect("a layer of the generator").encode();
    // Behind the file's own head and the digest, which the target writes itself.
    corpus.add("index_file", &index[14 + 4 + 4 + 1 + 71..]);
    for profile in builtin::ALL {
        corpus.add("profile", profile.text.as_bytes());
        corpus.add("pattern", profile.text.as_bytes());
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let image = Image::of_layers(Image::sample(&Scale { components: 1, mean: 10, streams: true }).layers);
    write_layout(&image, &Format::default(), directory.path()).expect("a temporary directory");
    let mut documents = vec![directory.path().join("index.json")];
    let blobs = fs::read_dir(directory.path().join("blobs/sha256")).expect("the blobs of a layout");
    documents.extend(blobs.map(|blob| blob.expect("a blob").path()));
    let small = |path: &&PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.len() < 5_000);
    let documents: Vec<Vec<u8>> =
        documents.iter().filter(small).map(|path| fs::read(path).expect("a document")).collect();
    for document in &documents {
        corpus.add("documents", document);
    }
    // The target takes the verb and the part that the bytes replace from the end of the input.
    for (part, bytes) in [(0, &tar), (1, &b"10.0.17763.\x1b[2J\n::error::\xc2\x85\xe2\x80\xae##vso[x]".to_vec())]
        .into_iter()
        .chain(documents.iter().enumerate().map(|(number, document)| ([2_u8, 3, 4, 5][number % 4], document)))
    {
        for verb in [0_u8, 3, 5, 7, 10, 11, 13] {
            corpus.add("command_line", &[&bytes[..], &[part, verb]].concat());
        }
    }
    for text in [BUILD_FILE, LOCK] {
        corpus.add("build_file", text.as_bytes());
    }
    // The target takes three documents from one input; what stands at its end says how long each is.
    corpus.add("documents", &documents.concat());
    for text in [
        "mcr.microsoft.com/windows/servercore:ltsc2019",
        "localhost:5000/a/b:c@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "oci:C:\\layout:tag",
        "oci-archive:file.tar:tag",
        "docker-archive:/tmp/image.tar",
        "windows/amd64:10.0.17763.1",
        "windows/amd64,osver=10.0.17763",
        "compressed > 1.6GB",
        "dead >= 5%",
    ] {
        corpus.add("reference", text.as_bytes());
    }
    for kind in [generator::hive::HiveKind::Base, generator::hive::HiveKind::Delta] {
        corpus.add("hive", &generator::hive::hive("SOFTWARE", kind)[..512]);
    }
    for (kind, answer) in ANSWERS {
        corpus.add("registry", &[&[*kind], answer.as_bytes()].concat());
    }
    for document in &documents {
        for kind in ["application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"] {
            corpus.add("registry", &[&[6], kind.as_bytes(), b"\n", document].concat());
        }
    }
    corpus.add("nodes", NODES_WIDE.as_bytes());
    corpus.add("nodes", NODES_JSON.as_bytes());
    assert!(Path::new(&corpus.0).is_dir());
}

/// What registries answer, by the kinds of the target.
const ANSWERS: &[(u8, &str)] = &[
    (
        0,
        "Bearer realm=\"https://a.example/token\",service=\"a.example\",scope=\"repository:x:pull\"\nBasic realm=\"x\"",
    ),
    (0, "Negotiate dG9rZW4=, Basic realm=\"a \\\"b\\\"\", Bearer realm=https://a.example/"),
    (1, "https://a.example/v2/\n/v2/x/blobs/uploads/1?_state=a%2Bb%3D%3D"),
    (1, "https://a.example:5000/v2/\nhttp://[::ffff:127.0.0.1]:5000/1#f"),
    (2, "bytes 5-9/10"),
    (2, "bytes 0-18446744073709551615/*"),
    (3, "0-18446744073709551615"),
    (3, "bytes=0-9"),
    (4, "3600\nMon, 23 Nov 2026 12:00:00 GMT"),
    (4, "Mon, 23 Nov 2026 12:01:30 GMT\nMon, 23 Nov 2026 12:00:00 GMT"),
    (5, "x\n{\"errors\":[{\"code\":\"DENIED\",\"message\":\"the password SECRET is wrong\",\"detail\":null}]}"),
    (5, "SECRET\n{\"error\":\"invalid_grant\",\"error_description\":\"no SECRET\",\"details\":\"\\u001b[2J\"}"),
    (5, "x\n<html>"),
    (
        8,
        "{\"auths\":{\"https://a.example/v1/\":{\"auth\":\"dXNlcjpwYXNz\"},\"a.example/x\":null},\"credHelpers\":{\"a.example\":\"x\"}}",
    ),
];

const NODES_WIDE: &str = "NAME  STATUS  ROLES  AGE  VERSION  OS-IMAGE  KERNEL-VERSION  CONTAINER-RUNTIME\n\
    a  Ready  <none>  1d  v1.30  Windows Server 2019 Datacenter  10.0.17763.737  containerd://1.7.20\n\
    b  Ready  <none>  1d  v1.30  Ubuntu 22.04  5.15.0  containerd://1.7.20\n";

const NODES_JSON: &str = r#"{"items":[{"metadata":{"name":"a","labels":{"node.kubernetes.io/windows-build":"10.0.17763"}},
"spec":{"taints":[{"key":"os","value":"windows","effect":"NoSchedule"}]},"status":{"nodeInfo":{"operatingSystem":"windows",
"architecture":"amd64","osImage":"Windows Server 2019 Datacenter","kernelVersion":"10.0.17763.737",
"containerRuntimeVersion":"containerd://1.7.20"}}}]}"#;

const BUILD_FILE: &str = r#"target = "registry.example.com/base/servercore:{tag}"
profiles = ["balanced"]
fail-if = ["compressed > 1.6GB"]
ledger = "ledger-{build}.json"
compression = "zstd"
level = 3

[[base]]
image = "mcr.microsoft.com/windows/servercore:ltsc2019"
platform = "windows/amd64:10.0.17763"

[layers]
shadowed = "drop"
"#;

const LOCK: &str = r#"version = 1
winslim = "0.1.0"

[[base]]
image = "mcr.microsoft.com/windows/servercore:ltsc2019"
profiles = [{ name = "safe", digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000" }]
manifest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
os-version = "10.0.17763.8511"
layers = []
"#;
