//! Logins as they are in the wild: files that Docker takes, helpers that hang, and registries that ask in odd ways.

use std::time::{Duration, Instant};

use super::http::{Response, Server};
use super::support::Sandbox;
use super::support::registry::{DockerRegistry, PASSWORD, USER};

/// `tester:correct horse`, with line feeds as some tools write it.
fn auth() -> String {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    format!("{}\\n{}\\n", &encoded[..8], &encoded[8..])
}

#[test]
fn files_that_docker_takes_are_taken() {
    let server = Server::start(|_, request| match request.target.as_str() {
        "/v2/" => Response::new(200, "{}"),
        _ => Response::new(404, ""),
    });
    let sandbox = Sandbox::new();
    let inspect = |config: &str| {
        sandbox.file("docker/config.json", config);
        let docker = sandbox.path("docker");
        sandbox.winslim_with(
            &["inspect", &format!("{}/x:y", server.address())],
            &[("DOCKER_CONFIG", docker.to_str().unwrap())],
        )
    };
    let entry = |entry: &str| format!(r#"{{"auths":{{"{}":{entry}}}}}"#, server.address());
    for config in ["", "\n", r#"{"auths":null}"#, &entry("null"), &entry(r#"{"auth":""}"#), &entry(r#"{"auth":null}"#)]
    {
        inspect(config).fails(1, &["manifest unknown"]);
    }
    inspect("{").fails(1, &["cannot read the credentials in", "it is not JSON"]);
}

#[test]
fn line_feeds_in_a_login_do_not_matter() {
    let server = DockerRegistry::start_with_password();
    let sandbox = Sandbox::new();
    let config = format!(r#"{{"auths":{{"http://{}/v2/":{{"auth":"{}"}}}}}}"#, server.address, auth());
    sandbox.file("home/.docker/config.json", &config);
    sandbox.winslim(&["inspect", &server.reference("x:y")]).fails(1, &["repository unknown"]);
}

#[test]
fn a_token_for_the_registry_goes_there_as_it_is() {
    let server = Server::start(|_, request| match request.header("authorization") {
        "Bearer own-token" => Response::new(404, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#),
        _ => Response::new(401, ""),
    });
    let sandbox = Sandbox::new();
    let config = format!(r#"{{"auths":{{"{}":{{"registrytoken":"own-token"}}}}}}"#, server.address());
    sandbox.file("home/.docker/config.json", &config);
    sandbox.winslim(&["inspect", &format!("{}/x:y", server.address())]).fails(1, &["repository unknown"]);
}

#[test]
fn a_challenge_without_a_token_server_leaves_the_password() {
    let sandbox = Sandbox::new();
    let challenges: [&[&str]; 3] = [
        &[r#"Bearer realm="Registry Realm",service="x""#, r#"Basic realm="x""#],
        &[r#"Bearer realm="Registry Realm", Basic realm="x""#],
        &[r#"Negotiate, Basic realm="x""#],
    ];
    for challenge in challenges {
        let server = Server::start(move |_, request| match request.header("authorization") {
            "" => challenge.iter().fold(Response::new(401, ""), |answer, one| answer.with("www-authenticate", *one)),
            "Basic dTpw" => Response::new(404, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#),
            _ => Response::new(403, ""),
        });
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"dTpw"}}}}}}"#, server.address());
        sandbox.file("home/.docker/config.json", &config);
        sandbox.winslim(&["inspect", &format!("{}/x:y", server.address())]).fails(1, &["repository unknown"]);
    }
}

#[test]
fn a_refusal_names_all_ways_to_log_in() {
    let server = DockerRegistry::start_with_password();
    let sandbox = Sandbox::new();
    let login = format!("`docker login {0}` or `podman login {0}`", server.address);
    let words = [&login, "`REGISTRY_AUTH_FILE`", "`--username` and `--password-stdin`"];
    sandbox.winslim(&["inspect", &server.reference("x:y")]).fails(1, &words);
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dTpw"}}}}}}"#, server.address);
    sandbox.file("home/.docker/config.json", &config);
    sandbox.winslim(&["inspect", &server.reference("x:y")]).fails(1, &words);
}

#[test]
fn a_pause_that_a_registry_asks_for_is_shown() {
    let server = Server::start(|_, request| match request.target.as_str() {
        "/v2/" => Response::new(200, "{}"),
        _ => Response::new(429, "").with("retry-after", "3600"),
    });
    let sandbox = Sandbox::new();
    let mut child = sandbox.command(&["inspect", &format!("{}/x:y", server.address())], &[]).spawn().unwrap();
    let errors = child.stderr.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(errors));
    let line = lines.next().unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    for words in ["WARN the registry asks to wait", "asked_seconds=3600", "waiting_seconds=60", "429 Too Many Requests"]
    {
        assert!(line.contains(words), "{line}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_helper_that_hangs_is_ended() {
    use std::os::unix::fs::PermissionsExt;

    use winslim::transport::registry::Registry;

    use super::faults::{PATIENT, options};
    let Some(directory) = super::own_docker_config("logins::a_helper_that_hangs_is_ended") else { return };
    let server = DockerRegistry::start_with_password();
    // What it has started holds its output open after it was ended.
    let helper = directory.join("docker-credential-hangs");
    std::fs::write(&helper, "#!/bin/sh\nsleep 300 &\nsleep 300\n").unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(directory.join("config.json"), r#"{"credsStore":"hangs"}"#).unwrap();
    let mut options = options(PATIENT);
    options.limits.helper = Duration::from_millis(300);
    let registry = Registry::new(&options).unwrap();
    let begun = Instant::now();
    for repository in ["one", "two", "three"] {
        let error =
            registry.document(&super::reference(&server.address, repository, "x")).await.unwrap_err().to_string();
        assert!(error.contains("the helper `docker-credential-hangs` did not answer within 0.3 seconds"), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
