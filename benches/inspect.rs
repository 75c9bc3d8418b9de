//! How fast winslim looks into an image whose layers it knows, beside decompressing the same layers.
//!
//! `cargo bench --bench inspect` makes an image with 100,000 entries, or takes the OCI layout whose directory the variable
//! `WINSLIM_BENCH_LAYOUT` names. It fails when a command takes more than the project promises.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

#[path = "../testdata/generator/mod.rs"]
mod generator;

use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use generator::layout::{Format, write_layout};
use generator::{Image, Scale};

/// What is promised for 100,000 entries.
const MOST_TIME: Duration = Duration::from_millis(150);
const MOST_MEMORY: u64 = 120 << 20;
const LEAST_RATIO: f64 = 30.0;

const ROUNDS: usize = 5;

fn main() -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let layout = match std::env::var_os("WINSLIM_BENCH_LAYOUT") {
        Some(layout) => PathBuf::from(layout),
        None => {
            let layout = scratch.path().join("image");
            let image = Image::sample(&Scale { components: 12_500, mean: 135_000, streams: true });
            let written = write_layout(&image, &Format::default(), &layout)?;
            let entries: usize = image.layers.iter().map(|layer| layer.items.len()).sum();
            let unpacked: u64 = written.layers.iter().map(|layer| layer.unpacked).sum();
            println!("an image with {entries} entries in {} MB of tar", unpacked / 1_000_000);
            layout
        }
    };
    let image = format!("oci:{}", layout.display());
    let cache = scratch.path().join("cache");

    let decompressed = best(|| decompress(&layout))?;
    println!("{:<36} {:>8.1} ms", "decompress the layers", milliseconds(decompressed));
    let (first, memory) = run(&cache, &["inspect", &image])?;
    println!("{:<36} {:>8.1} ms  {:>4} MB", "inspect, first time", milliseconds(first), memory >> 20);

    let mut kept = true;
    for arguments in [
        &["inspect"][..],
        &["inspect", "--by", "directory"],
        &["inspect", "--by", "file"],
        &["inspect", "--format", "json"],
        &["ls"],
        &["ls", r"Windows\WinSxS\*\*.dll"],
        &["plan", "-p", "balanced"],
    ] {
        let arguments = [&arguments[..1], &[image.as_str()], &arguments[1..]].concat();
        let mut most_memory = 0;
        let time = best(|| {
            let (time, memory) = run(&cache, &arguments)?;
            most_memory = most_memory.max(memory);
            Ok(time)
        })?;
        let ratio = decompressed.as_secs_f64() / time.as_secs_f64();
        let good = time <= MOST_TIME && most_memory <= MOST_MEMORY && ratio >= LEAST_RATIO;
        let name = [&arguments[..1], &arguments[2..]].concat().join(" ");
        println!(
            "{name:<36} {:>8.1} ms  {:>4} MB  {ratio:>6.1} times faster than decompressing{}",
            milliseconds(time),
            most_memory >> 20,
            if good { "" } else { "  MISSED" }
        );
        kept &= good;
    }
    if kept { Ok(()) } else { Err(io::Error::other("a promise is not kept")) }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The shortest of several rounds: what else runs on the machine only ever adds to the time.
fn best(mut round: impl FnMut() -> io::Result<Duration>) -> io::Result<Duration> {
    (0..ROUNDS).try_fold(Duration::MAX, |best, _| Ok(best.min(round()?)))
}

/// Decompresses every gzip blob of a layout.
fn decompress(layout: &Path) -> io::Result<Duration> {
    let start = Instant::now();
    for blob in fs::read_dir(layout.join("blobs/sha256"))? {
        let blob = blob?.path();
        if fs::read(&blob)?.starts_with(&[0x1f, 0x8b]) {
            let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, fs::File::open(&blob)?));
            io::copy(&mut decoder, &mut io::sink())?;
        }
    }
    Ok(start.elapsed())
}

/// Runs winslim: how long it took, and the most memory it had, where the system tells (Linux).
fn run(cache: &Path, arguments: &[&str]) -> io::Result<(Duration, u64)> {
    let start = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_winslim"));
    command.args(arguments).arg("--cache-dir").arg(cache).stdout(Stdio::null());
    let mut child = command.spawn()?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    let status = loop {
        memory = fs::read_to_string(&status_file).ok().and_then(|status| peak(&status)).unwrap_or(memory);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let time = start.elapsed();
    if status.success() { Ok((time, memory)) } else { Err(io::Error::other(format!("{arguments:?} failed"))) }
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}
