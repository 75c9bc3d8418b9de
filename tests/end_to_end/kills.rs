//! Builds from a registry to a registry, killed at moments that are spread over their whole life.
//!
//! `WINSLIM_KILLS=200 cargo test --test end_to_end kills` kills so many; without it, few are.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::Digest;

use crate::generator::compress::hex;
use crate::generator::layout::Format;
use crate::generator::random::Random;
use crate::generator::{Image, Scale};
use crate::support::registry::DockerRegistry;
use crate::support::{Sandbox, profile, skopeo_copy};
use crate::{Base, base_of};

/// How many runs are killed if nobody says otherwise.
const KILLS: u32 = 20;
/// After so many kills of one build it is let run to its end.
const KILLS_OF_A_BUILD: usize = 3;

/// One answer of a registry.
struct Answer {
    status: u32,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Asks a registry for something, with nothing of winslim in between.
fn get(address: &str, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*";
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: {accept}\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    Ok(Answer { status, headers, body })
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&sha2::Sha256::digest(bytes)))
}

/// Pulls all that a tag leads to, and returns the tag's digest. What is missing or damaged fails the test.
#[track_caller]
fn pull_all(address: &str, repository: &str, tag: &str) -> String {
    let pull = |kind: &str, name: &str| {
        let path = format!("/v2/{repository}/{kind}/{name}");
        let answer = get(address, &path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        if name.starts_with("sha256:") {
            assert_eq!(digest_of(&answer.body), name, "{path}");
        }
        answer
    };
    let root = pull("manifests", tag);
    let digest = root.headers.get("docker-content-digest").expect("a digest").clone();
    assert_eq!(digest_of(&root.body), digest);
    let mut documents = vec![root.body];
    while let Some(document) = documents.pop() {
        let document: Value = serde_json::from_slice(&document).expect("a document");
        let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
        for manifest in list("manifests") {
            documents.push(pull("manifests", manifest["digest"].as_str().expect("a digest")).body);
        }
        for blob in list("layers").iter().chain(document.get("config")) {
            let answer = pull("blobs", blob["digest"].as_str().expect("a digest"));
            assert_eq!(Some(answer.body.len() as u64), blob["size"].as_u64());
        }
    }
    digest
}

/// A base image in a registry, and builds of it.
struct Workshop {
    sandbox: Sandbox,
    registry: DockerRegistry,
    base: Base,
    source: String,
    profile: String,
}

impl Workshop {
    fn new() -> Workshop {
        let (sandbox, registry) = (Sandbox::new(), DockerRegistry::start());
        let image = Image::sample(&Scale { components: 40, mean: 3_000, streams: true });
        let base = base_of(&sandbox, &image, &Format::default());
        let source = registry.reference("base/servercore:ltsc2019");
        skopeo_copy(&base.reference, &format!("docker://{source}"), &["--all"]);
        let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64", r"Windows\WinSxS\amd64_*"], ""));
        Workshop { sandbox, registry, base, source, profile }
    }

    /// Lets the tag `slim` of a repository lead to the base image.
    fn put_old_image(&self, repository: &str) -> String {
        let target = self.registry.reference(&format!("{repository}:slim"));
        skopeo_copy(&self.base.reference, &format!("docker://{target}"), &["--all"]);
        pull_all(&self.registry.address, repository, "slim")
    }

    fn command(&self, repository: &str, cache: &str) -> std::process::Command {
        let target = self.registry.reference(&format!("{repository}:slim"));
        let cache = self.sandbox.path(cache).display().to_string();
        let arguments = ["build", &self.source, "-p", &self.profile, "-t", &target, "--cache-dir", &cache];
        self.sandbox.command(&arguments, &[])
    }

    /// Builds without disturbance, and returns the digest.
    fn build(&self, repository: &str, cache: &str) -> String {
        let outcome = crate::support::run(self.command(repository, cache), "winslim itself");
        outcome.done().trim().split_once('@').expect("a digest").1.to_owned()
    }
}

#[test]
fn builds_that_are_killed_at_any_moment_do_no_harm() {
    let kills = std::env::var("WINSLIM_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number in WINSLIM_KILLS"));
    let workshop = Workshop::new();
    let address = &workshop.registry.address;
    let old = workshop.put_old_image("slim/undisturbed");
    let begin = Instant::now();
    let new = workshop.build("slim/undisturbed", "undisturbed");
    assert_ne!(old, new);
    // How long a run lives if nobody kills it: the first of a build, and those that go on from killed ones.
    let mut lives = [begin.elapsed(); KILLS_OF_A_BUILD];
    let mut random = Random::new(1);
    let (mut killed, mut finished, mut builds, mut seen_new) = (0, 0, 0, 0);
    while killed < kills {
        assert!(finished <= kills, "of {} runs, only {killed} were killed before their end", killed + finished);
        builds += 1;
        let (repository, cache) = (format!("slim/number{builds}"), format!("cache{builds}"));
        workshop.put_old_image(&repository);
        for life in &mut lives {
            let moment = life.mul_f64(random.below(1_000) as f64 / 1_000.0);
            let begin = Instant::now();
            let mut run = workshop.command(&repository, &cache).spawn().expect("winslim itself");
            let is_over = loop {
                thread::sleep(Duration::from_micros(500).min(moment.saturating_sub(begin.elapsed())));
                if run.try_wait().expect("its state").is_some() {
                    *life = begin.elapsed();
                    break true;
                }
                if begin.elapsed() >= moment {
                    break false;
                }
            };
            run.kill().expect("a run can be killed");
            run.wait().expect("it ends");
            let tagged = pull_all(address, &repository, "slim");
            assert!(tagged == old || tagged == new, "{tagged}");
            seen_new += u32::from(tagged == new);
            if is_over {
                finished += 1;
                break;
            }
            killed += 1;
        }
        assert_eq!(workshop.build(&repository, &cache), new, "after kills");
        assert_eq!(pull_all(address, &repository, "slim"), new);
        let cache_directory = workshop.sandbox.path(&cache).display().to_string();
        workshop.sandbox.winslim(&["cache", "verify", "--cache-dir", &cache_directory]).done();
        let left = fs::read_dir(workshop.sandbox.path(&cache).join("temporary")).expect("a cache").count();
        assert_eq!(left, 0, "the next run deletes what a killed one left");
        fs::remove_dir_all(workshop.sandbox.path(&cache)).expect("a cache of this user");
    }
    #[expect(clippy::print_stderr, reason = "whoever asks for many kills wants to know what came of them")]
    {
        eprintln!(
            "{killed} runs killed in {builds} builds of {lives:?}; {finished} ended before, {seen_new} had tagged"
        );
    }
}

#[test]
fn the_tag_leads_to_a_complete_image_at_every_moment() {
    let workshop = Workshop::new();
    let old = workshop.put_old_image("slim/watched");
    let (is_over, looks) = (AtomicBool::new(false), AtomicU32::new(0));
    let new = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                seen.push(pull_all(&workshop.registry.address, "slim/watched", "slim"));
                looks.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        let new = workshop.build("slim/watched", "watched");
        is_over.store(true, Ordering::SeqCst);
        for seen in watcher.join().expect("a watcher that saw nothing wrong") {
            assert!(seen == old || seen == new, "{seen}");
        }
        new
    });
    assert!(looks.load(Ordering::SeqCst) > 3);
    assert_eq!(pull_all(&workshop.registry.address, "slim/watched", "slim"), new);
}
