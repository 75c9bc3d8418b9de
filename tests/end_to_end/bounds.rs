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
                // A long name, and no end of the file behind it.
                out.write_all(&header("x", tar::EntryType::GNULongName, 1 << 14))?;
                out.write_all(&vec![b'x'; 1 << 14])?;
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

/// A file with a long name, as GNU tar writes it.
fn long_name(out: &mut dyn Write, name: &[u8]) -> io::Result<()> {
    out.write_all(&header("x", tar::EntryType::GNULongName, name.len() as u64))?;
    out.write_all(name)?;
    out.write_all(&vec![0; name.len().next_multiple_of(512) - name.len()])?;
    out.write_all(&header("x", tar::EntryType::Regular, 0))
}

#[test]
fn names_of_a_million_characters() {
    let sandbox = Sandbox::new();
    // A blob of a kilobyte. Half a million directories lie above the file.
    let image = image_with_base(&sandbox, Compression::Gzip, |out| long_name(out, "a/".repeat(1 << 19).as_bytes()));
    for verb in ["inspect", "verify"] {
        winslim(&sandbox, &[verb, &image]).fails(1, &["longer than the 32,767 UTF-16 units"]);
    }
}

#[test]
fn deep_names_that_have_nothing_in_common() {
    let sandbox = Sandbox::new();
    let deep = |out: &mut dyn Write, count: u32| {
        (0..count).try_for_each(|number| long_name(out, format!("Files/{number}{}", "/a".repeat(16_000)).as_bytes()))
    };
    let image = image_with_base(&sandbox, Compression::Gzip, |out| deep(out, 20));
    let outcome = winslim(&sandbox, &["verify", &image]);
    assert_eq!(outcome.code, 5, "{outcome:#?}");
    let sandbox = Sandbox::new();
    let image = image_with_base(&sandbox, Compression::Gzip, |out| deep(out, 70));
    winslim(&sandbox, &["inspect", &image]).fails(1, &["lie in more than 1000000 directories"]);
}

#[test]
fn security_descriptors_without_number() {
    let sandbox = Sandbox::new();
    let image = image_with_base(&sandbox, Compression::Zstd, |out| {
        for number in 0..90_u32 {
            let value = format!("{number:08}{}", "A".repeat(1_000_000));
            let record = format!(" MSWINDOWS.rawsd={value}\n");
            let record = format!("{}{record}", record.len() + 7);
            out.write_all(&header("x", tar::EntryType::XHeader, record.len() as u64))?;
            out.write_all(record.as_bytes())?;
            out.write_all(&vec![0; record.len().next_multiple_of(512) - record.len()])?;
            out.write_all(&header(&format!("Files/{number}"), tar::EntryType::Regular, 0))?;
        }
        out.write_all(&[0; 1024])
    });
    winslim(&sandbox, &["inspect", &image]).fails(1, &["names and security descriptors take more than 64 MiB"]);
}

#[test]
fn zstd_that_unpacks_to_more_than_gzip_could() {
    let sandbox = Sandbox::new();
    let image = image_with_base(&sandbox, Compression::Zstd, |out| zeros(out, (1 << 30) + (64 << 20)));
    winslim(&sandbox, &["inspect", &image]).fails(1, &["it unpacks to more than", "--max-unpacked"]);
    winslim(&sandbox, &["inspect", &image, "--max-unpacked", "1.1GiB"]).done();
    winslim(&sandbox, &["inspect", &image, "--max-unpacked", "much"])
        .fails(2, &["--max-unpacked `much` is not a size"]);
}

#[test]
fn many_links_to_one_file() {
    let sandbox = Sandbox::new();
    let image = image_with_base(&sandbox, Compression::Zstd, |out| {
        out.write_all(&header("Files", tar::EntryType::Directory, 0))?;
        out.write_all(&header("Files/a", tar::EntryType::Regular, 0))?;
        for number in 0..150_000 {
            let mut link = tar::Header::new_ustar();
            link.set_entry_type(tar::EntryType::Link);
            link.set_path(format!("Files/{number}"))?;
            link.set_link_name("Files/a")?;
            link.set_size(0);
            link.set_cksum();
            out.write_all(link.as_bytes())?;
        }
        out.write_all(&[0; 1024])
    });
    let outcome = winslim(&sandbox, &["verify", &image]);
    assert_eq!(outcome.code, 5, "{outcome:#?}");
    assert!(outcome.stdout.contains("link-counts"), "{outcome:#?}");
}

#[test]
fn layers_that_have_too_many_entries_only_together() {
    let sandbox = Sandbox::new();
    let (image, format) = (tiny_image(), Format::default());
    let base = base_of(&sandbox, &image, &format);
    let mut layers = base.written.layers.clone();
    for (number, layer) in layers.iter_mut().enumerate() {
        let written = write_blob(&base.directory, Compression::Zstd, |out| {
            out.write_all(&header("Files", tar::EntryType::Directory, 0))?;
            for file in 0..250_000 {
                out.write_all(&header(&format!("Files/{number}-{file}"), tar::EntryType::Regular, 0))?;
            }
            out.write_all(&[0; 1024])
        });
        *layer = written.expect("the sandbox can be written to");
    }
    assert!(layers.len() > 1);
    fs::remove_file(base.directory.join("index.json")).expect("the layout's index");
    write_documents(&image, layers, &format, &base.directory).expect("the sandbox can be written to");
    winslim(&sandbox, &["verify", &base.reference])
        .fails(1, &["entries together, which no Windows image of its size needs"]);
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
