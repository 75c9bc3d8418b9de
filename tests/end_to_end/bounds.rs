//! Images that are made to exhaust whoever reads them: a clear error, and memory that stays small.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use crate::generator::compress::Compression;
use crate::generator::layout::{Blob, Format, put_blob, write_blob, write_documents};
use crate::support::{Outcome, Sandbox, run};
use crate::{base_of, tiny_image};

/// Far more than winslim needs for images of any size, and far less than what these images unpack to or claim.
const MOST_MEGABYTES: u64 = 150;

/// Runs a command and writes the peak of its memory behind what it says, in kilobytes.
const MEASURE: &str = "import resource, subprocess, sys; run = subprocess.run(sys.argv[1:]); \
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(run.returncode)";

/// Runs winslim, which must need little memory.
#[track_caller]
fn winslim(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let inner = sandbox.command(arguments, &[]);
    let mut command = Command::new("python3");
    command.args(["-c", MEASURE]).arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = run(command, "the Debian package python3");
    let kilobytes: u64 = outcome.stderr.lines().last().and_then(|line| line.parse().ok()).expect("a peak");
    assert!(kilobytes / 1000 < MOST_MEGABYTES, "{kilobytes} kB of memory: {outcome:#?}");
    outcome
}

/// An image whose base layer is this, and how to call it.
fn image_with_base(
    sandbox: &Sandbox,
    compression: Compression,
    tar: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> String {
    let (image, format) = (tiny_image(), Format::default());
    let base = base_of(sandbox, &image, &format);
    let mut layers = base.written.layers.clone();
    layers[0] = write_blob(&base.directory, compression, tar).expect("the sandbox can be written to");
    fs::remove_file(base.directory.join("index.json")).expect("the layout's index");
    write_documents(&image, layers, &format, &base.directory).expect("the sandbox can be written to");
    base.reference
}

fn header(name: &str, kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).expect("a short name");
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A tar with a file of so many zeros.
fn zeros(out: &mut dyn Write, bytes: u64) -> io::Result<()> {
    out.write_all(&header("Files", tar::EntryType::Directory, 0))?;
    out.write_all(&header("Files/zeros", tar::EntryType::Regular, bytes))?;
    io::copy(&mut io::Read::take(io::repeat(0), bytes + 1024), out)?;
    Ok(())
}

#[test]
fn layers_that_unpack_to_a_thousand_times_their_size() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let sandbox = Sandbox::new();
        let image = image_with_base(&sandbox, compression, |out| zeros(out, 256 << 20));
        let inspected = winslim(&sandbox, &["inspect", &image, "--format", "json"]).done();
        assert!(inspected.contains(&(256 << 20).to_string()), "{inspected}");
    }
}

#[test]
fn headers_that_claim_what_is_not_there() {
    type Tar = fn(&mut dyn Write) -> io::Result<()>;
    let cases: [(Tar, &str); 4] = [
        (|out| out.write_all(&header("Files/a", tar::EntryType::Regular, 8 << 30)), "ends in the middle"),
        (|out| out.write_all(&header("x", tar::EntryType::XHeader, 8 << 30)), "longer than the 1 MiB"),
        (|out| out.write_all(&header("x", tar::EntryType::GNULongName, 1 << 30)), "longer than the 1 MiB"),
        (
            |out| {
                // A name of a million characters, and no end of the file behind it.
                out.write_all(&header("x", tar::EntryType::GNULongName, 1 << 20))?;
                out.write_all(&vec![b'x'; 1 << 20])?;
                out.write_all(&header("x", tar::EntryType::Regular, u64::from(u32::MAX)))
            },
            "ends in the middle",
        ),
    ];
    for (tar, words) in cases {
        let sandbox = Sandbox::new();
        let image = image_with_base(&sandbox, Compression::Gzip, tar);
        winslim(&sandbox, &["inspect", &image]).fails(1, &[words, "layer 0"]);
    }
}

#[test]
fn names_of_a_million_characters() {
    let sandbox = Sandbox::new();
    let image = image_with_base(&sandbox, Compression::Gzip, |out| {
        for letter in "abc".bytes() {
            out.write_all(&header("x", tar::EntryType::GNULongName, 1 << 20))?;
            out.write_all(&vec![letter; 1 << 20])?;
            out.write_all(&header("x", tar::EntryType::Regular, 0))?;
        }
        out.write_all(&[0; 1024])
    });
    let outcome = winslim(&sandbox, &["verify", &image]);
    assert_eq!(outcome.code, 5);
    let lengths: Vec<&str> = outcome.stdout.lines().filter(|line| line.contains("[name-lengths")).collect();
    assert_eq!(lengths.len(), 3);
    assert!(lengths.iter().all(|line| line.len() < 1_000), "names are shortened");
}

/// Puts a document into a layout as the only thing that its index leads to.
fn lead_to(directory: &Path, document: &Blob) {
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{},
        "annotations":{{"org.opencontainers.image.ref.name":"ltsc2019"}}}}]}}"#,
        document.digest, document.size
    );
    fs::write(directory.join("index.json"), index).expect("the sandbox can be written to");
}

#[test]
fn documents_that_are_too_long_or_too_deep() {
    let long = || [b"{\"a\":\"".to_vec(), vec![b'x'; 100_000_000], b"\"}".to_vec()].concat();
    let deep = || vec![b'['; 1_000_000];
    let deep_field = || format!("{{\"layers\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    let cases: [(&dyn Fn() -> Vec<u8>, &str); 3] =
        [(&long, "more than 8 MiB"), (&deep, "not JSON"), (&deep_field, "not JSON")];
    for (document, words) in cases {
        let sandbox = Sandbox::new();
        let base = base_of(&sandbox, &tiny_image(), &Format::default());
        let blob = put_blob(&base.directory, &document()).expect("the sandbox can be written to");
        lead_to(&base.directory, &blob);
        winslim(&sandbox, &["inspect", &base.reference]).fails(1, &[words]);
        fs::write(base.directory.join("index.json"), document()).expect("the sandbox can be written to");
        winslim(&sandbox, &["inspect", &base.reference]).fails(1, &[words]);
    }
}
