//! What was rewritten before is not rewritten again, on this machine and on others that share a registry.

use std::fs;
use std::path::PathBuf;

use crate::generator::Image;
use crate::generator::compress::Compression;
use crate::generator::layout::Format;
use crate::support::proxy::Proxy;
use crate::support::registry::DockerRegistry;
use crate::support::{Manifest, Outcome, Sandbox, check, profile, skopeo_copy};
use crate::{Base, base_of, tiny_image};

const REMOVED: &[&str] = &["a", "ballast"];

const ADDED: &str = "[[add]]\nsource = \"app\"\ntarget = 'C:\\app'\n";

/// Two layers that the profile changes; data of the lower one moves to the upper one. So many bytes stay in each.
fn image(bytes: u64) -> Image {
    let mut image = tiny_image();
    image.layers[0].made("Files/a/1", 3_000);
    image.layers[1].hard_link("Files/b/1", "Files/a/1");
    for layer in [0, 1] {
        image.layers[layer].made(&format!("Files/ballast/{layer}.bin"), 20_000);
        image.layers[layer].made(&format!("Files/stays/{layer}.bin"), bytes);
    }
    image
}

/// A sandbox with that image, the profile, and the target of its builds.
struct Builds {
    sandbox: Sandbox,
    base: Base,
    profile: String,
}

impl Builds {
    fn new(image: &Image, format: &Format) -> Builds {
        let sandbox = Sandbox::new();
        let base = base_of(&sandbox, image, format);
        let profile = sandbox.file("profile.toml", &profile(REMOVED, ""));
        Builds { sandbox, base, profile }
    }

    fn run(&self, options: &[&str]) -> Outcome {
        let target = format!("{}:slim", self.sandbox.layout("slim"));
        let arguments = ["build", &self.base.reference, "-p", &self.profile, "-t", &target];
        self.sandbox.winslim(&[&arguments[..], options].concat())
    }

    /// What the target has after a build that went well.
    #[track_caller]
    fn build(&self, options: &[&str]) -> Manifest {
        self.run(options).done();
        Manifest::of_layout(&self.sandbox.path("slim"))
    }

    /// Takes the layers of the base image away: whoever wants to rewrite one now fails.
    fn lose_base_layers(&self) {
        for layer in &self.base.written.layers {
            fs::remove_file(self.base.directory.join("blobs").join(layer.blob.digest.replace(':', "/")))
                .expect("a blob");
        }
    }

    fn stored_blob(&self, digest: &str) -> PathBuf {
        self.sandbox.path("cache/winslim/blobs").join(digest.replace(':', "/"))
    }

    /// What the store has of rewritten layers.
    fn entries(&self) -> Vec<PathBuf> {
        let entries = walkdir::WalkDir::new(self.sandbox.path("cache/winslim/rewritten")).into_iter();
        let files = entries.map(|entry| entry.expect("a store")).filter(|entry| entry.file_type().is_file());
        files.map(walkdir::DirEntry::into_path).collect()
    }
}

#[test]
fn a_second_build_rewrites_nothing() {
    let builds = Builds::new(&image(10_000), &Format::default());
    let first = builds.build(&[]);
    check(&builds.base.directory, &builds.sandbox.path("slim"), &[&["--removed"], REMOVED].concat());
    builds.lose_base_layers();
    for empty in [false, true] {
        if empty {
            fs::remove_dir_all(builds.sandbox.path("slim")).expect("the target");
        }
        assert_eq!(builds.build(&["--threads", "3"]).digest, first.digest);
    }
    // Another level is other work, and so is a full check.
    builds.run(&["--level", "9"]).fails(1, &["missing"]);
    builds.run(&["--verify", "full"]).fails(1, &["missing"]);
    let said = builds.run(&[]).stderr;
    assert!(said.contains("layer 1 was rewritten before, and is in the cache directory"), "{said}");
}

#[test]
fn what_is_removed_is_left_out_and_nothing_else() {
    let mut image = image(10_000);
    // Behind what is removed, and before it, there is something that stays and something that moves.
    for (file, bytes) in [("1.bin", 12 << 20), ("2.bin", 9 << 20)] {
        image.layers[0].made(&format!("Files/ballast/large-{file}"), bytes);
        image.layers[0].made(&format!("Files/a/{file}"), 100_000);
        image.layers[1].hard_link(&format!("Files/b/{file}"), &format!("Files/a/{file}"));
        image.layers[0].made(&format!("Files/stays/{file}"), 100_000);
    }
    // So that the layer does not grow by what moves into it.
    image.layers[1].made("Files/ballast/upper.bin", 1 << 20);
    let builds = Builds::new(&image, &Format::default());
    let first = builds.build(&[]);
    check(&builds.base.directory, &builds.sandbox.path("slim"), &[&["--removed"], REMOVED].concat());
    let seek_points = builds.sandbox.path("cache/winslim/seek-points/1");
    let files: Vec<PathBuf> =
        fs::read_dir(&seek_points).expect("seek points").map(|file| file.expect("a file").path()).collect();
    let [file] = &files[..] else { panic!("a layer with seek points, and a small one: {files:?}") };
    let sound = fs::read(file).expect("seek points");
    let mut flipped = sound.clone();
    flipped.iter_mut().skip(1000).step_by(10_000).for_each(|byte| *byte ^= 1);
    for (bytes, is_sound) in [(&sound[..], true), (&flipped, false), (&sound[..50_000], false), (b"", true)] {
        fs::write(file, bytes).expect("the cache can be written to");
        fs::remove_dir_all(builds.sandbox.path("cache/winslim/rewritten")).expect("the cache");
        fs::remove_dir_all(builds.sandbox.path("slim")).expect("the target");
        assert_eq!(builds.build(&["--verify", "full"]).digest, first.digest);
        let verified = builds.sandbox.winslim(&["cache", "verify"]);
        assert_eq!((verified.code == 0, file.exists()), (is_sound, is_sound), "{verified:#?}");
    }
}

#[test]
fn what_grows_is_not_tried_again() {
    let format = Format { compression: Compression::GzipBest, ..Format::default() };
    let builds = Builds::new(&image(300_000), &format);
    let first = builds.build(&["--level", "0", "--recompress"]);
    let before: Vec<String> = builds.base.written.layers.iter().map(|layer| layer.blob.digest.clone()).collect();
    assert_eq!(first.layers(), before, "no layer becomes smaller without compression");
    builds.lose_base_layers();
    assert_eq!(builds.build(&["--level", "0", "--recompress"]).digest, first.digest);
}

#[test]
fn what_is_lost_is_made_anew() {
    let builds = Builds::new(&image(10_000), &Format::default());
    let first = builds.build(&[]);
    let layers = first.layers();
    // The upper layer takes data over from the lower one, which was rewritten before.
    for lost in [&layers[1..], &layers[..1], &layers[..]] {
        for layer in lost {
            fs::remove_file(builds.stored_blob(layer)).expect("a blob");
        }
        fs::remove_dir_all(builds.sandbox.path("slim")).expect("the target");
        assert_eq!(builds.build(&[]).digest, first.digest);
    }
    // A blob that was cut off, and entries that are damaged.
    fs::write(builds.stored_blob(&layers[1]), "too short").expect("a blob");
    fs::remove_dir_all(builds.sandbox.path("slim")).expect("the target");
    assert_eq!(builds.build(&[]).digest, first.digest);
    let entries = builds.entries();
    assert_eq!(entries.len(), 2, "{entries:?}");
    for entry in entries {
        fs::write(entry, "damaged").expect("an entry");
    }
    fs::remove_dir_all(builds.sandbox.path("slim")).expect("the target");
    assert_eq!(builds.build(&[]).digest, first.digest);
}

/// A machine with an empty store that builds from one registry into the same.
struct Machine {
    sandbox: Sandbox,
    profile: String,
}

impl Machine {
    fn new(added: &str) -> Machine {
        let sandbox = Sandbox::new();
        sandbox.file("app/server.txt", added);
        let profile = sandbox.file("profile.toml", &profile(REMOVED, ADDED));
        Machine { sandbox, profile }
    }

    fn run(&self, base: &str, target: &str, options: &[&str]) -> Outcome {
        self.sandbox.winslim(&[&["build", base, "-p", &self.profile, "-t", target], options].concat())
    }

    /// The digest of the result.
    #[track_caller]
    fn build(&self, base: &str, target: &str, options: &[&str]) -> String {
        let result = self.run(base, target, options).done();
        result.trim().rsplit_once('@').expect("a digest").1.to_owned()
    }
}

/// A registry with the image, behind a proxy that counts.
struct Shared {
    registry: DockerRegistry,
    proxy: Proxy,
    base: String,
    cache: String,
}

impl Shared {
    fn new(image: &Image) -> Shared {
        let registry = DockerRegistry::start();
        let proxy = Proxy::start(&registry.address);
        let sandbox = Sandbox::new();
        let written = base_of(&sandbox, image, &Format::default());
        skopeo_copy(&written.reference, &format!("docker://{}", registry.reference("base:1")), &["--all"]);
        let (base, cache) = (format!("{}/base:1", proxy.address()), format!("{}/cache", proxy.address()));
        Shared { registry, proxy, base, cache }
    }

    fn target(&self, name: &str) -> String {
        format!("{}/{name}", self.proxy.address())
    }

    fn both(&self) -> [&str; 4] {
        ["--cache-from", &self.cache, "--cache-to", &self.cache]
    }

    /// The bytes that pass in both directions while something is done.
    fn transferred<T>(&self, what: impl FnOnce() -> T) -> (u64, T) {
        let before = self.proxy.received() + self.proxy.sent();
        let result = what();
        (self.proxy.received() + self.proxy.sent() - before, result)
    }
}

#[test]
fn an_empty_machine_with_a_registry_cache_transfers_next_to_nothing() {
    let shared = Shared::new(&image(12_000_000));
    let (everything, first) =
        shared.transferred(|| Machine::new("one").build(&shared.base, &shared.target("slim:one"), &shared.both()));
    assert!(everything > 20_000_000, "{everything} bytes");

    let plain = Machine::new("two").build(&shared.base, &shared.target("plain:two"), &[]);
    assert_ne!(plain, first, "what is added has changed");
    // Into the same repository, and into another one, which mounts the layers.
    for target in ["slim:two", "other:two"] {
        let (bytes, second) =
            shared.transferred(|| Machine::new("two").build(&shared.base, &shared.target(target), &shared.both()));
        assert_eq!(second, plain, "{target}");
        assert!(bytes * 100 < everything, "{bytes} of {everything} bytes for {target}");
    }
    // A cache elsewhere is only read; a target that cannot mount gets the layers all the same.
    let machine = Machine::new("two");
    let layout = format!("{}:slim", machine.sandbox.layout("slim"));
    assert_eq!(machine.build(&shared.base, &layout, &["--cache-from", &shared.cache]), plain);
    // In full means anew.
    let (bytes, full) = shared.transferred(|| {
        let options = ["--cache-from", &*shared.cache, "--verify", "full"];
        Machine::new("two").build(&shared.base, &shared.target("slim:two"), &options)
    });
    assert_eq!(full, plain);
    assert!(bytes > 10_000_000, "{bytes} bytes");
}

#[test]
fn limits_are_shared_too() {
    let shared = Shared::new(&image(3_000_000));
    let options = [&shared.both()[..], &["--level", "0", "--recompress", "-v"]].concat();
    let build = || Machine::new("one").run(&shared.base, &shared.target("slim:one"), &options);
    let (everything, first) = shared.transferred(build);
    assert!(first.stderr.contains("planning around it"), "{first:#?}");
    let (bytes, second) = shared.transferred(build);
    assert!(!second.stderr.contains("planning around it"), "{second:#?}");
    assert_eq!(first.done(), second.done());
    assert!(bytes * 50 < everything, "{bytes} of {everything} bytes");
}

#[test]
fn a_registry_cache_that_is_no_good_only_costs_time() {
    let shared = Shared::new(&image(10_000));
    let first = Machine::new("one");
    let digest = first.build(&shared.base, &shared.target("slim:one"), &shared.both());

    // Nobody answers there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let closed = format!("{closed}/cache");
    let outcome = Machine::new("one").run(
        &shared.base,
        &shared.target("slim:one"),
        &["--cache-from", &closed, "--cache-to", &closed],
    );
    assert_eq!(outcome.stderr.matches("cannot be read, so this build does without it").count(), 1, "{outcome:#?}");
    assert!(outcome.stderr.contains("cannot be written"), "{outcome:#?}");
    assert!(outcome.done().ends_with(&format!("@{digest}\n")));

    // The layers are gone, and the entries are still there.
    let layout = format!("{}:slim", first.sandbox.layout("slim"));
    first.build(&shared.base, &layout, &[]);
    for layer in &Manifest::of_layout(&first.sandbox.path("slim")).layers()[..2] {
        fs::remove_file(shared.registry.blob(layer)).expect("a blob of the registry");
    }
    let machine = Machine::new("one");
    let layout = format!("{}:slim", machine.sandbox.layout("slim"));
    assert_eq!(machine.build(&shared.base, &layout, &["--cache-from", &shared.cache]), digest);
}

#[test]
fn a_damaged_registry_cache_only_costs_time() {
    let shared = Shared::new(&image(10_000));
    let first = Machine::new("one");
    let digest = first.build(&shared.base, &shared.target("slim:one"), &shared.both());
    let layout = format!("{}:slim", first.sandbox.layout("slim"));
    first.build(&shared.base, &layout, &[]);
    let layers = Manifest::of_layout(&first.sandbox.path("slim")).layers();
    let build = || {
        let machine = Machine::new("one");
        let layout = format!("{}:slim", machine.sandbox.layout("slim"));
        let outcome = machine.run(&shared.base, &layout, &["--cache-from", &shared.cache]);
        let said = outcome.stderr.clone();
        assert!(outcome.done().ends_with(&format!("@{digest}\n")), "{said}");
        said
    };
    assert!(!build().contains("warning: the cache"));
    // A rewritten layer has other bytes, which only shows when it comes to the target.
    let blob = shared.registry.blob(&layers[1]);
    let whole = fs::read(&blob).expect("a blob of the registry");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for content in [&damaged[..], &whole[..100]] {
        fs::write(&blob, content).expect("a blob of the registry");
        let said = build();
        assert_eq!(said.matches("so this build begins anew without --cache-from").count(), 1, "{said}");
    }
    fs::write(&blob, &whole).expect("a blob of the registry");
    // Every blob that is no layer: entries, and the manifests that lead to them.
    for blob in shared.registry.blobs() {
        let name = blob.parent().and_then(|path| path.file_name()).and_then(|name| name.to_str()).expect("a digest");
        let content = fs::read(&blob).expect("a blob of the registry");
        let is_entry = content.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
        if is_entry && !layers.iter().any(|layer| layer.ends_with(name)) {
            fs::write(&blob, "damaged").expect("a blob of the registry");
        }
    }
    let said = build();
    assert!(said.contains("cannot be read, so this build does without it"), "{said}");
}

#[test]
fn a_cache_is_a_whole_repository() {
    let machine = Machine::new("one");
    for wrong in ["oci:directory", "registry.example.com/cache:tag", "registry.example.com/Cache"] {
        for option in ["--cache-from", "--cache-to"] {
            machine.run("oci:base", "oci:slim", &[option, wrong]).fails(2, &["repository"]);
        }
    }
}
