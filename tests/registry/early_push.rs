//! Builds that send new layers while the next ones are still being rewritten, and builds that must not.

use super::fault::{ALWAYS, Fault, FaultProxy, Rule, Seen, fault};
use super::generator::layout::{Format, Written, write_layout};
use super::generator::{Image, Scale};
use super::support::registry::DockerRegistry;
use super::support::{Outcome, Sandbox, profile};

/// Where new blobs go.
const UPLOADS: &str = "/slim/blobs/uploads/";

/// An image of two layers in a registry behind a proxy, and a machine that has their indexes and not their blobs: it gets a
/// layer when it comes to rewriting it.
struct Scene {
    sandbox: Sandbox,
    registry: DockerRegistry,
    proxy: FaultProxy,
    written: Written,
    profile: String,
}

impl Scene {
    fn new() -> Scene {
        Scene::with(|_| ())
    }

    fn with(change: impl Fn(&mut Image)) -> Scene {
        let sandbox = Sandbox::new();
        let mut image = Image::sample(&Scale { components: 12, mean: 400, streams: true });
        for (number, layer) in image.layers.iter_mut().enumerate() {
            layer.made(&format!("Files/ballast/{number}.bin"), 20_000);
        }
        change(&mut image);
        let format = Format::default();
        let written = write_layout(&image, &format, &sandbox.path("base")).unwrap();
        let registry = DockerRegistry::start();
        let proxy = FaultProxy::start(&registry.address, &[]);
        let base = format!("{}/base:one", proxy.address());
        sandbox.winslim(&["copy", &format!("{}:{}", sandbox.layout("base"), format.tag), &base]).done();
        let profile = sandbox.file("profile.toml", &profile(&["ballast"], ""));
        Scene { sandbox, registry, proxy, written, profile }
    }

    /// Builds with nothing but the indexes at hand, while this goes wrong.
    fn build(&self, target: &str, rules: &[Rule], options: &[&str]) -> Outcome {
        let _ = std::fs::remove_dir_all(self.sandbox.path("cache"));
        let base = format!("{}/base:one", self.proxy.address());
        self.sandbox.winslim(&["inspect", &base]).done();
        std::fs::remove_dir_all(self.sandbox.path("cache/winslim/blobs")).unwrap();
        self.proxy.change(rules);
        self.proxy.forget();
        self.sandbox.winslim(&[&["build", &base, "-p", &self.profile, "-t", target], options].concat())
    }

    fn target(&self) -> String {
        format!("{}/slim:one", self.proxy.address())
    }

    /// Something happens to who gets a layer of the base image, but not before the first bytes of a blob are under way.
    fn after_the_first_upload(&self, layer: usize, then: Fault) -> Rule {
        let blob = format!("/base/blobs/{}", self.written.layers[layer].blob.digest);
        fault(ALWAYS, "GET", blob, Fault::After("PUT", UPLOADS, Box::new(then)))
    }

    /// What was asked of the target that changes something there.
    fn changes(&self) -> Vec<Seen> {
        let changes = |seen: &Seen| seen.target.contains("/v2/slim/") && !matches!(&*seen.method, "GET" | "HEAD");
        self.proxy.seen().into_iter().filter(changes).collect()
    }

    /// How many blobs were sent.
    fn uploads(&self) -> usize {
        self.changes().iter().filter(|seen| is_upload(seen)).count()
    }
}

fn is_upload(seen: &Seen) -> bool {
    seen.method == "PUT" && seen.target.contains(UPLOADS)
}

#[test]
fn the_first_layer_goes_while_the_last_one_is_not_rewritten() {
    let scene = Scene::new();
    let late = scene.build(&format!("{}:slim", scene.sandbox.layout("slim")), &[], &[]).done();
    // Who waits with the first layer until the last one is rewritten never gets the last one.
    let early = scene.build(&scene.target(), &[scene.after_the_first_upload(1, Fault::Nothing)], &[]).done();
    let digest = |printed: &str| printed.trim().rsplit_once('@').unwrap().1.to_owned();
    assert_eq!(digest(&early), digest(&late));
    assert_eq!(scene.registry.tagged("slim", "one"), digest(&early));

    // Nothing went twice, and nothing was asked for twice: two layers and the config, then the ledger and its config.
    assert_eq!(scene.uploads(), 5, "{:#?}", scene.changes());
    let seen = scene.proxy.seen();
    let asked = seen.iter().filter(|seen| seen.method == "HEAD" && seen.target.contains("/slim/blobs/"));
    assert_eq!(asked.count(), 5, "{seen:#?}");
    let changes = scene.changes();
    let documents = changes.iter().position(|seen| seen.target.contains("/manifests/")).unwrap();
    assert_eq!(changes[..documents].iter().filter(|seen| is_upload(seen)).count(), 3, "{changes:#?}");
    assert!(changes.last().unwrap().target.ends_with("/manifests/one"), "{changes:#?}");
}

#[test]
fn a_layer_whose_plan_may_change_is_not_sent_in_vain() {
    // The data of the lower layer is more than what the upper one loses, so it stays below after all.
    let scene = Scene::with(|image| {
        image.layers[0].made("Files/ballast/large.bin", 300_000);
        image.layers[1].hard_link("Files/stays/large.bin", "Files/ballast/large.bin");
    });
    let outcome = scene.build(&scene.target(), &[], &["-v"]);
    assert!(outcome.stderr.contains("planning around it"), "{outcome:#?}");
    outcome.done();
    assert_eq!(scene.uploads(), 5, "{:#?}", scene.changes());
}

#[test]
fn what_conditions_may_refuse_is_not_sent_before() {
    let scene = Scene::new();
    let refused = scene.build(&scene.target(), &[], &["--fail-if", "compressed > 1kB"]);
    refused.fails(3, &["does not meet the policy", "nothing was pushed"]);
    assert!(scene.proxy.seen().iter().any(|seen| seen.target.contains("/base/blobs/")), "the layers were rewritten");
    // It is asked whether it would take something, and nothing else.
    let changes = scene.changes();
    let asks = |seen: &Seen| matches!(&*seen.method, "POST" | "DELETE") && seen.taken == 0;
    assert!(changes.len() == 2 && changes.iter().all(asks), "{changes:#?}");
    scene.build(&scene.target(), &[], &["--fail-if", "compressed > 1GB"]).done();
}

#[test]
fn an_upload_that_is_refused_is_told_as_at_the_end() {
    let scene = Scene::new();
    // Not the one that only asks for permission.
    let allow = || fault(1, "POST", UPLOADS, Fault::Nothing);
    let refuse = || fault(ALWAYS, "POST", UPLOADS, Fault::Answer(403, Vec::new(), ""));
    let error = |outcome: Outcome| {
        outcome.fails(1, &["cannot push layer 0: cannot push the blob sha256:", "refused access (403 Forbidden)"]);
        outcome.stderr.lines().find(|line| line.starts_with("error: ")).unwrap().to_owned()
    };
    let late = error(scene.build(&scene.target(), &[allow(), refuse()], &["--fail-if", "compressed > 1GB"]));
    let early = error(scene.build(&scene.target(), &[allow(), refuse()], &[]));
    assert_eq!(early, late);
    assert!(!scene.registry.has_tags("slim"));
}

#[test]
fn a_layer_that_cannot_be_rewritten_does_not_wait_for_an_upload() {
    let scene = Scene::new();
    // Nobody gets through with an upload, in whatever way it is tried.
    let stuck = |method| fault(ALWAYS, method, UPLOADS, Fault::StallRequest(0));
    let gone = scene.after_the_first_upload(1, Fault::Answer(404, Vec::new(), ""));
    let outcome = scene.build(&scene.target(), &[stuck("PUT"), stuck("PATCH"), gone], &[]);
    outcome.fails(1, &["cannot get layer 1 of"]);
    assert!(!outcome.stderr.contains("cannot push"), "{outcome:#?}");
    assert!(!scene.registry.has_tags("slim"));
}

#[test]
fn of_several_bases_the_one_that_fails_is_told() {
    let scene = Scene::new();
    let mut other = Image::sample(&Scale { components: 12, mean: 400, streams: true });
    other.versions[0].os_version = "10.0.20348.4529".to_owned();
    for layer in &mut other.layers {
        layer.made("Files/ballast/other.bin", 20_000);
    }
    let format = Format::default();
    let written = write_layout(&other, &format, &scene.sandbox.path("other")).unwrap();
    let base = |tag: &str| format!("{}/base:{tag}", scene.proxy.address());
    scene.sandbox.winslim(&["copy", &format!("{}:{}", scene.sandbox.layout("other"), format.tag), &base("two")]).done();
    let bases: String = ["one", "two"].map(|tag| format!("[[base]]\nimage = \"{}\"\n", base(tag))).concat();
    let head = format!("profiles = [\"profile.toml\"]\ntarget = \"{}\"\n", scene.target());
    scene.sandbox.file("winslim.toml", &(head + &bases));
    for tag in ["one", "two"] {
        scene.sandbox.winslim(&["inspect", &base(tag)]).done();
    }
    std::fs::remove_dir_all(scene.sandbox.path("cache/winslim/blobs")).unwrap();

    // The blob that is under way need not be of the base that fails.
    let stuck = |method| fault(ALWAYS, method, UPLOADS, Fault::StallRequest(0));
    let blob = format!("/base/blobs/{}", written.layers[1].blob.digest);
    let gone = Fault::After("PUT", UPLOADS, Box::new(Fault::Answer(404, Vec::new(), "")));
    scene.proxy.change(&[stuck("PUT"), stuck("PATCH"), fault(ALWAYS, "GET", blob, gone)]);
    let outcome = scene.sandbox.winslim(&["build"]);
    outcome.fails(1, &[&format!("cannot get layer 1 of `{}`", base("two"))]);
    assert!(!scene.registry.has_tags("slim"));
}
