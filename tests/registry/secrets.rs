//! Known secrets, and everything that winslim says and writes with them at hand, at the highest verbosity.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use walkdir::WalkDir;

use super::fault::{ALWAYS, Fault, FaultProxy, fault};
use super::generator::layout::{Format, write_layout};
use super::generator::{Image, Scale};
use super::support::registry::{DockerRegistry, PASSWORD, USER};
use super::support::{Outcome, Sandbox, profile, run_with_input};
use super::tls::Certificates;

/// A sandbox with a base image, and the verbosity of all that is run in it.
struct Scene {
    sandbox: Sandbox,
    base: String,
    profile: String,
    format: &'static str,
    said: String,
}

impl Scene {
    fn new(format: &'static str) -> Scene {
        let sandbox = Sandbox::new();
        let image = Image::sample(&Scale { components: 12, mean: 400, streams: true });
        let layout = Format::default();
        write_layout(&image, &layout, &sandbox.path("base")).unwrap();
        let base = format!("{}:{}", sandbox.layout("base"), layout.tag);
        let profile = sandbox.file("profile.toml", &profile(&[r"Windows\SysWOW64"], ""));
        Scene { sandbox, base, profile, format, said: String::new() }
    }

    /// Runs winslim, and keeps what it says.
    fn run(&mut self, arguments: &[&str], input: &str) -> Outcome {
        let all = [arguments, &["-vvv", "--log-format", self.format]].concat();
        let environment = [("DOCKER_CONFIG", self.sandbox.path("docker"))];
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.to_str().unwrap())).collect();
        let outcome = run_with_input(self.sandbox.command(&all, &environment), input, "winslim itself");
        self.said += &format!("{}\n{}\n", outcome.stdout, outcome.stderr);
        outcome
    }

    /// Pull, push, build, copy, verify and the commands that only look, with an image of a registry.
    fn everything(&mut self, registry: &str) {
        let (base, slim, copy) =
            (format!("{registry}/base:one"), format!("{registry}/slim:one"), format!("{registry}/copy:one"));
        let (source, profile, ledger) = (self.base.clone(), self.profile.clone(), self.sandbox.path("ledger.json"));
        self.run(&["copy", &source, &base], "").done();
        let ledger = ledger.to_str().unwrap();
        self.run(&["build", &base, "-p", &profile, "-t", &slim, "--ledger", ledger], "").done();
        self.run(&["copy", &slim, &copy], "").done();
        self.run(&["copy", &slim, &self.sandbox.layout("out")], "").done();
        self.run(&["verify", &slim], "");
        self.run(&["inspect", &slim], "").done();
        self.run(&["plan", &base, "-p", &profile], "").done();
        self.run(&["diff", &base, &slim], "").done();
        self.run(&["host", &slim, "--all"], "").done();
        assert_ne!(self.run(&["inspect", &format!("{registry}/base:none")], "").code, 0);
        assert_ne!(self.run(&["inspect", &format!("{registry}/none:one")], "").code, 0);
    }

    /// Looks for the secrets in all that was said and written, here and at the places given.
    fn check(&self, secrets: &[&str], places: &[&Path]) {
        for secret in secrets {
            assert!(!self.said.contains(secret), "`{secret}` was said");
        }
        assert!(
            self.said.contains("/v2/") && !self.said.contains("_state="),
            "requests are told without their queries"
        );
        let own = ["cache", "ledger.json", "out"].map(|name| self.sandbox.path(name));
        let mut files = 0;
        for place in own.iter().map(|path| path.as_path()).chain(places.iter().copied()) {
            for entry in
                WalkDir::new(place).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file())
            {
                let bytes = std::fs::read(entry.path()).unwrap();
                for secret in secrets {
                    let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                    assert!(!found, "`{secret}` is in {}", entry.path().display());
                }
                files += 1;
            }
        }
        assert!(files > 10, "the store and the registry were looked through");
    }
}

fn write_docker_config(scene: &Scene, registry: &str, entry: &Value) {
    let config = json!({ "auths": { registry: entry } });
    scene.sandbox.file("docker/config.json", &config.to_string());
}

#[test]
fn a_password_stays_where_it_belongs() {
    for format in ["text", "json"] {
        let server = DockerRegistry::start_with_password();
        let proxy = FaultProxy::start(&server.address, &[]);
        let mut scene = Scene::new(format);
        let encoded = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let other = STANDARD.encode(format!("{USER}:wrong-SECRET"));
        write_docker_config(&scene, proxy.address(), &json!({ "auth": encoded }));
        scene.everything(proxy.address());
        // The same password typed, and one that is refused; then a registry that fails.
        let (base, slim) = (format!("{}/base:one", proxy.address()), format!("{}/typed:one", proxy.address()));
        let login = ["--username", USER, "--password-stdin"];
        scene.run(&[&["copy", &base, &slim][..], &login].concat(), PASSWORD).done();
        scene.run(&[&["copy", &base, &slim][..], &login].concat(), "wrong-SECRET").fails(1, &["refused access"]);
        proxy.change(&[fault(ALWAYS, "GET", "/manifests/", Fault::Answer(502, Vec::new(), "<html>"))]);
        assert_eq!(scene.run(&["inspect", &base], "").code, 1);
        scene.check(&[PASSWORD, &encoded, "wrong-SECRET", &other], &[&server.directory().join("storage")]);
        if format == "json" {
            check_log(&scene.said, proxy.address());
        }
    }
}

/// Checks that each line of the log is an object, and that requests have all that there is to say of them.
fn check_log(said: &str, registry: &str) {
    let lines = said.lines().filter(|line| line.starts_with('{')).filter_map(|line| serde_json::from_str(line).ok());
    let lines: Vec<Value> = lines.collect();
    let requests: Vec<&Value> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert!(requests.len() > 50, "{}", requests.len());
    for request in &requests {
        assert_eq!((&request["level"], &request["host"]), (&json!("INFO"), &json!(registry)), "{request}");
        for field in ["method", "path"] {
            assert!(request[field].is_string(), "{request}");
        }
        for field in ["status", "bytes", "attempt"] {
            assert!(request[field].is_u64(), "{request}");
        }
    }
    assert!(requests.iter().any(|request| request["attempt"] == 2 && request["status"] == 502));
    assert!(requests.iter().any(|request| request["method"] == "PUT" && request["bytes"].as_u64() > Some(10_000)));
    assert!(lines.iter().any(|line| line["level"] == "ERROR" && line["message"].as_str().unwrap().contains("502")));
}

#[test]
fn tokens_stay_where_they_belong() {
    let server = DockerRegistry::start();
    for format in ["text", "json"] {
        let proxy = FaultProxy::with_tokens(&server.address, 5);
        let mut scene = Scene::new(format);
        write_docker_config(&scene, proxy.address(), &json!({ "identitytoken": "IDENTITY-SECRET" }));
        scene.everything(proxy.address());
        assert!(
            proxy.seen().iter().any(|seen| seen.target == "/token" && seen.taken > 0),
            "the identity token is used"
        );
        scene.check(&["IDENTITY-SECRET", "SECRET-0", "SECRET-1", "SECRET-2"], &[&server.directory().join("storage")]);
    }
}

#[test]
fn the_key_of_a_client_stays_where_it_belongs() {
    let certificates = Certificates::make();
    let server = certificates.registry(true);
    let key = std::fs::read_to_string(certificates.key("client")).unwrap();
    let mut scene = Scene::new("text");
    let path = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let settings = format!(
        "[[registry]]\nhost = \"{}\"\nca = {:?}\nclient-cert = {:?}\nclient-key = {:?}\n",
        server.address,
        path(certificates.certificate("ca")),
        path(certificates.certificate("client")),
        path(certificates.key("client")),
    );
    scene.sandbox.file("home/.config/winslim/config.toml", &settings);
    scene.everything(&server.address);
    let lines: Vec<&str> = key.lines().filter(|line| !line.starts_with("-----")).collect();
    assert!(!lines.is_empty());
    scene.check(&lines, &[&server.directory().join("storage")]);
}
