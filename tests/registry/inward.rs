//! Where a registry or a manifest may lead winslim, and where not: nowhere less public, and never from TLS to plain HTTP.

use std::sync::Arc;

use serde_json::json;
use winslim::image::Digest;
use winslim::image::media_type::{OCI_CONFIG, OCI_MANIFEST};

use super::faults::Image;
use super::http::{Request, Response, Server};
use super::refusals::Scene;
use super::support::registry::DockerRegistry;
use super::support::{Outcome, Sandbox};
use super::tls::Certificates;

/// How the registry leads elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Realm,
    Manifest,
    Blob,
    Upload,
    Foreign,
}

/// A registry behind a proxy, as a public one is in a company. The proxy plays both. It leads to `victim`.
fn proxy(way: Way, victim: String) -> Server {
    let layer = b"a layer".to_vec();
    let config = json!({ "architecture": "amd64", "os": "windows", "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] } });
    let config = Arc::new(config.to_string().into_bytes());
    let kind = "application/vnd.docker.image.rootfs.foreign.diff.tar";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": { "mediaType": OCI_CONFIG, "digest": Digest::of(&config), "size": config.len() },
        "layers": [{ "mediaType": kind, "digest": Digest::of(&layer), "size": layer.len(), "urls": [format!("http://{victim}/layer")] }],
    });
    Server::start(move |_, request| {
        let path = request.target.trim_start_matches("http://registry.test");
        let elsewhere = || Response::new(307, "").with("location", format!("http://{victim}/elsewhere"));
        match (request.method.as_str(), path) {
            ("GET", "/v2/") if way == Way::Realm => {
                Response::new(401, "").with("www-authenticate", format!("Bearer realm=\"http://{victim}/token\""))
            }
            ("GET", "/v2/") => Response::new(200, "{}"),
            ("GET", path) if path.contains("/manifests/") && way == Way::Manifest => elsewhere(),
            ("GET", path) if path.contains("/manifests/") => {
                Response::new(200, manifest.to_string()).with("content-type", OCI_MANIFEST)
            }
            ("GET", path) if path.contains(&Digest::of(&config).to_string()) && way != Way::Blob => {
                Response::new(200, config.to_vec())
            }
            ("GET", path) if path.contains("/blobs/") && way == Way::Blob => elsewhere(),
            ("POST", _) => Response::new(202, "").with("location", format!("http://{victim}/upload")),
            _ => Response::new(404, ""),
        }
    })
}

fn run(way: Way, proxy: &Server, options: &[&str]) -> Outcome {
    let scene = Scene::new();
    let image = "registry.test/x:y";
    let target = scene.sandbox.layout("copy");
    let arguments = match way {
        Way::Upload => vec!["copy", &scene.base, image],
        _ => vec!["copy", image, &target],
    };
    let all = [&arguments[..], &["--plain-http", "registry.test"], options].concat();
    scene.sandbox.winslim_with(&all, &[("HTTP_PROXY", &format!("http://{}", proxy.address()))])
}

#[test]
fn a_public_registry_leads_nowhere_inside() {
    for way in [Way::Realm, Way::Manifest, Way::Blob, Way::Upload, Way::Foreign] {
        let victim = Server::start(|_, _| Response::new(418, "do not tell"));
        let port = victim.address().rsplit_once(':').unwrap().1;
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
            let proxy = proxy(way, format!("{host}:{port}"));
            let outcome = run(way, &proxy, &[]);
            outcome.fails(1, &["whose address is loopback", "`--allow-host "]);
            assert!(!outcome.stderr.contains("418"), "{way:?} {outcome:#?}");
            assert_eq!(victim.requests().len(), 0, "{way:?} to {host}");
            assert!(proxy.requests().iter().all(|request| !request.target.contains(port)), "{way:?} to {host}");
        }
        // Who is allowed to, does.
        let proxy = proxy(way, format!("127.0.0.1:{port}"));
        run(way, &proxy, &["--allow-host", "127.0.0.1"]);
        assert!(!victim.requests().is_empty(), "{way:?}");
    }
}

#[test]
fn what_a_server_inside_says_is_not_told_to_the_author_of_a_manifest() {
    let victim = Server::start(|_, _| Response::new(418, "do not tell"));
    let address = victim.address().to_owned();
    let image = Image::new("foreign", 1000);
    // A registry on this machine may lead to this machine.
    let mut manifest = image.manifest.value().clone();
    manifest["layers"][0]["urls"] = json!([format!("http://{address}/layer")]);
    let config = image.config.clone();
    let registry = Server::start(move |_, request: &Request| match request.target.as_str() {
        "/v2/" => Response::new(200, "{}"),
        path if path.contains("/manifests/") => {
            Response::new(200, manifest.to_string()).with("content-type", OCI_MANIFEST)
        }
        path if path.contains(&Digest::of(&config).to_string()) => Response::new(200, config.clone()),
        _ => Response::new(404, ""),
    });
    let sandbox = Sandbox::new();
    let outcome = sandbox.winslim(&["copy", &format!("{}/x:y", registry.address()), &sandbox.layout("copy")]);
    outcome.fails(1, &["foreign layer", "127.0.0.1: it does not give the layer"]);
    assert!(!victim.requests().is_empty());
    assert!(!outcome.stderr.contains("418") && !outcome.stderr.contains("do not tell"), "{outcome:#?}");
}

#[test]
fn nobody_is_led_from_tls_to_plain_http() {
    let certificates = Certificates::make();
    let path = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let (certificate, key) = (path(certificates.certificate("server")), path(certificates.key("server")));
    let tls = format!("  tls:\n    certificate: {certificate}\n    key: {key}\n");
    let elsewhere = "http://other.example:5000";
    let redirect =
        format!("middleware:\n  storage:\n    - name: redirect\n      options:\n        baseurl: {elsewhere}\n");
    let token = format!(
        "auth:\n  token:\n    realm: {elsewhere}/token\n    service: x\n    issuer: x\n    rootcertbundle: {}\n",
        path(certificates.certificate("ca"))
    );
    let scene = Scene::new();
    let ca = path(certificates.certificate("ca"));
    let run = |registry: &DockerRegistry, arguments: &[&str]| {
        let settings = format!("[[registry]]\nhost = \"{}\"\nca = \"{ca}\"\n", registry.address);
        scene.sandbox.file("home/.config/winslim/config.toml", &settings);
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"dTpw"}}}}}}"#, registry.address);
        scene.sandbox.file("home/.docker/config.json", &config);
        scene.sandbox.winslim(arguments)
    };
    let words = ["leads to other.example", "without TLS"];
    // Where it takes uploads.
    let registry = DockerRegistry::start_with(&format!("{tls}  host: {elsewhere}\n"), "");
    run(&registry, &["copy", &scene.base, &registry.reference("x:y")]).fails(1, &words);
    // Where it keeps blobs.
    let registry = DockerRegistry::start_with(&tls, &redirect);
    run(&registry, &["copy", &scene.base, &registry.reference("x:y")]).done();
    run(&registry, &["copy", &registry.reference("x:y"), &scene.sandbox.layout("copy")]).fails(1, &words);
    // Its token server.
    let registry = DockerRegistry::start_with(&tls, &token);
    run(&registry, &["inspect", &registry.reference("x:y")]).fails(1, &words);
    // Who says that the other speaks plain HTTP gets there, but a password does not.
    run(&registry, &["inspect", &registry.reference("x:y"), "--plain-http", "other.example"]).fails(1, &words);
}

#[test]
fn a_token_server_gets_a_password_without_tls_only_if_it_is_named() {
    let registry = Server::start(|_, _| {
        Response::new(401, "").with("www-authenticate", r#"Bearer realm="http://auth.invalid:5001/token""#)
    });
    let sandbox = Sandbox::new();
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dTpw"}}}}}}"#, registry.address());
    sandbox.file("home/.docker/config.json", &config);
    let image = format!("{}/x:y", registry.address());
    let refused = ["leads to auth.invalid, which would get credentials without TLS", "`--plain-http auth.invalid`"];
    sandbox.winslim(&["inspect", &image]).fails(1, &refused);
    sandbox.winslim(&["inspect", &image, "--plain-http", "other.invalid"]).fails(1, &refused);
    // Another port of a host is the same host; there is nobody of that name.
    let outcome = sandbox.winslim(&["inspect", &image, "--plain-http", "auth.invalid:5000"]);
    assert!(outcome.stderr.contains("its name does not resolve"), "{outcome:#?}");
}

#[test]
fn a_proxy_that_fails_is_named() {
    let sandbox = Sandbox::new();
    let run = |proxy: &str, arguments: &[&str]| {
        let proxy = format!("http://me:SECRET@{proxy}");
        let outcome = sandbox.winslim_with(arguments, &[("HTTP_PROXY", &proxy), ("HTTPS_PROXY", &proxy)]);
        assert!(!outcome.stderr.contains("SECRET"), "{outcome:#?}");
        outcome
    };
    let plain = ["inspect", "registry.test/x:y", "--plain-http", "registry.test"];
    let tls = ["inspect", "registry.test/x:y"];
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let refuses = Server::start(|_, _| Response::new(407, ""));
    let broken = Server::start(|_, _| Response::new(503, ""));
    for arguments in [&plain[..], &tls] {
        run(&closed, arguments).fails(1, &[&format!("the proxy {closed} failed"), "NO_PROXY"]);
        let proxy = refuses.address();
        run(proxy, arguments).fails(1, &[&format!("the proxy {proxy} wants a name and a password")]);
        let proxy = broken.address();
        run(proxy, arguments).fails(1, &[&format!("the proxy {proxy}")]);
    }
    // Without one, none is named.
    let outcome = sandbox.winslim(&["inspect", &format!("{closed}/x:y")]);
    assert!(!outcome.stderr.contains("proxy"), "{outcome:#?}");
}
