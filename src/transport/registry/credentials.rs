//! Finds the credentials that people have already: in the files of docker and podman, and in their helpers.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;

use super::docker_config::DockerConfig;
use super::docker_hub::is_docker_hub;
use super::error::RegistryError;
use super::helper::{Answer, Helpers};
use super::identity::Identity;
use super::options::Login;
use crate::error::reason;

/// The most bytes of a file with credentials.
const MAX_FILE: u64 = 4 << 20;

/// What the environment says about where credentials are.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    /// `REGISTRY_AUTH_FILE`: a file as podman writes it.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, where podman keeps `containers/auth.json`.
    pub runtime_directory: Option<PathBuf>,
    /// `DOCKER_CONFIG`: docker's directory, instead of `.docker` in the home directory.
    pub docker_config: Option<PathBuf>,
    /// The home directory: `HOME`, on Windows `USERPROFILE`.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process. An empty variable counts as not set.
    pub fn of_process() -> Environment {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Environment {
            registry_auth_file: variable("REGISTRY_AUTH_FILE"),
            runtime_directory: variable("XDG_RUNTIME_DIR"),
            docker_config: variable("DOCKER_CONFIG"),
            home: variable("HOME").or_else(|| variable("USERPROFILE")),
        }
    }

    /// The files that may hold credentials, in the order in which they count.
    fn files(&self) -> Vec<PathBuf> {
        let docker = self.docker_config.clone().or_else(|| self.home.as_ref().map(|home| home.join(".docker")));
        [
            self.registry_auth_file.clone(),
            self.runtime_directory.as_ref().map(|directory| directory.join("containers/auth.json")),
            // Where podman keeps them on Windows and macOS (containers-auth.json(5)).
            self.home.as_ref().map(|home| home.join(".config/containers/auth.json")),
            docker.map(|directory| directory.join("config.json")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Who to be, and how that is known.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub identity: Identity,
    /// The sentences for the message about a refusal: which credentials were used, and what to do.
    pub advice: String,
}

impl fmt::Debug for Credentials {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("advice", &self.advice).finish_non_exhaustive()
    }
}

impl Credentials {
    /// The credentials that were given for a registry.
    pub fn of_login(login: &Login) -> Credentials {
        let (username, password) = (login.username.clone(), login.password.clone());
        let advice = format!(
            "The name and the password that were given for {} were used; check that they are valid and allow this",
            login.registry
        );
        Credentials { identity: Identity::Password { username, password }, advice }
    }

    /// Finds the credentials for a repository.
    ///
    /// May start a credential helper, and so take a while. A helper that fails means no credentials, because most base
    /// images need none; the advice then mentions it.
    pub fn find(
        environment: &Environment,
        helpers: &Helpers,
        registry: &str,
        repository: &str,
    ) -> Result<Credentials, RegistryError> {
        let host = if is_docker_hub(registry) { "docker.io" } else { registry };
        let login = format!(
            "log in with `docker login {host}` or `podman login {host}`, name a file with credentials in \
             `REGISTRY_AUTH_FILE`, or give `--username` and `--password-stdin`"
        );
        let mut trouble = String::new();
        for path in environment.files() {
            match find_in_file(&path, helpers, registry, repository)? {
                Found::Identity(identity) => {
                    let advice = format!(
                        "The credentials for {host} from `{}` were used; check that they are valid and allow this, or {login}",
                        path.display()
                    );
                    return Ok(Credentials { identity, advice });
                }
                Found::Nothing => {}
                Found::Trouble(problem) => trouble = format!(" ({problem})"),
            }
        }
        let advice = format!("No credentials for {host} were found{trouble}; if the image is not public, {login}");
        Ok(Credentials { identity: Identity::Anonymous, advice })
    }
}

impl Credentials {
    /// What nobody else may see.
    pub fn secrets(&self) -> Vec<String> {
        match &self.identity {
            Identity::Anonymous => Vec::new(),
            Identity::Password { username, password } => password_secrets(username, password),
            Identity::Token(token) | Identity::RegistryToken(token) => vec![token.clone()],
        }
    }
}

/// A password, and the form in which it is sent.
pub(super) fn password_secrets(username: &str, password: &str) -> Vec<String> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    vec![encoded, password.to_owned()]
}

/// What one file has.
enum Found {
    Identity(Identity),
    Nothing,
    /// There might be something, but the helper failed.
    Trouble(String),
}

fn find_in_file(path: &Path, helpers: &Helpers, registry: &str, repository: &str) -> Result<Found, RegistryError> {
    let unusable = |reason: String| RegistryError::Credentials { path: path.display().to_string(), reason };
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Found::Nothing);
        }
        Err(error) => return Err(unusable(reason(&error))),
    }
    if bytes.len() as u64 > MAX_FILE {
        return Err(unusable(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    let config = DockerConfig::parse(&bytes).map_err(unusable)?;
    let mut found = Found::Nothing;
    // As Docker does it: a helper counts more than what is in the file.
    if let Some(helper) = config.helper(registry, repository) {
        match helpers.ask(&helper) {
            Answer::Identity(identity) => return Ok(Found::Identity(identity)),
            Answer::Nobody => {}
            Answer::Trouble(problem) => {
                found = Found::Trouble(format!("{problem}; it is named in `{}`", path.display()));
            }
        }
    }
    let identity = config.identity(registry, repository).map_err(unusable)?;
    Ok(identity.map_or(found, Found::Identity))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;

    fn helpers() -> Helpers {
        Helpers::new(Duration::from_secs(60))
    }

    fn encode(text: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(text)
    }

    fn password(username: &str, password: &str) -> Identity {
        Identity::Password { username: username.to_owned(), password: password.to_owned() }
    }

    /// An environment whose only file is docker's, with this content.
    fn docker(directory: &Path, config: &Value) -> Environment {
        fs::write(directory.join("config.json"), config.to_string()).unwrap();
        Environment { docker_config: Some(directory.to_owned()), ..Environment::default() }
    }

    fn find(environment: &Environment, registry: &str, repository: &str) -> Identity {
        Credentials::find(environment, &helpers(), registry, repository).unwrap().identity
    }

    #[test]
    fn the_most_specific_entry_counts() {
        let directory = tempfile::tempdir().unwrap();
        let auth = |text: &str| serde_json::json!({ "auth": encode(text) });
        let config = serde_json::json!({ "auths": {
            "registry.example.com": auth("host:1"),
            "registry.example.com/team": auth("team:2"),
            "registry.example.com/team/app": auth("app:3"),
            "https://other.example.com/v1/": auth("old:4"),
            "https://index.docker.io/v1/": auth("hub:5"),
            "token.example.com": { "identitytoken": "refresh" },
            "colon.example.com": auth("user:a:b"),
        }});
        let environment = docker(directory.path(), &config);
        let cases = [
            ("registry.example.com", "windows", password("host", "1")),
            ("registry.example.com", "team/other", password("team", "2")),
            ("registry.example.com", "team/app", password("app", "3")),
            ("registry.example.com", "team/app/part", password("app", "3")),
            ("registry.example.com", "teams", password("host", "1")),
            ("registry.example.com:5000", "team/app", Identity::Anonymous),
            ("other.example.com", "a", password("old", "4")),
            ("docker.io", "library/a", password("hub", "5")),
            ("registry-1.docker.io", "library/a", password("hub", "5")),
            ("token.example.com", "a", Identity::Token("refresh".to_owned())),
            ("colon.example.com", "a", password("user", "a:b")),
            ("mcr.microsoft.com", "windows/servercore", Identity::Anonymous),
        ];
        for (registry, repository, expected) in cases {
            assert!(find(&environment, registry, repository) == expected, "{registry}/{repository}");
        }
    }

    #[test]
    fn files_count_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let entry = |name: &str| serde_json::json!({ "auths": { "a.example": { "auth": encode(name) } } }).to_string();
        fs::create_dir_all(path.join("run/containers")).unwrap();
        fs::create_dir_all(path.join("home/.docker")).unwrap();
        fs::write(path.join("file"), entry("file:1")).unwrap();
        fs::write(path.join("run/containers/auth.json"), entry("run:1")).unwrap();
        fs::write(path.join("home/.docker/config.json"), entry("home:1")).unwrap();
        let mut environment = Environment {
            registry_auth_file: Some(path.join("file")),
            runtime_directory: Some(path.join("run")),
            docker_config: None,
            home: Some(path.join("home")),
        };
        assert!(find(&environment, "a.example", "x") == password("file", "1"));
        environment.registry_auth_file = Some(path.join("no such file"));
        assert!(find(&environment, "a.example", "x") == password("run", "1"));
        environment.runtime_directory = None;
        fs::create_dir_all(path.join("home/.config/containers")).unwrap();
        fs::write(path.join("home/.config/containers/auth.json"), entry("podman:1")).unwrap();
        assert!(find(&environment, "a.example", "x") == password("podman", "1"));
        fs::remove_file(path.join("home/.config/containers/auth.json")).unwrap();
        assert!(find(&environment, "a.example", "x") == password("home", "1"));
        environment.docker_config = Some(path.join("elsewhere"));
        assert!(find(&environment, "a.example", "x") == Identity::Anonymous);
    }

    #[test]
    fn a_broken_file_is_named_and_not_quoted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let environment = Environment { docker_config: Some(directory.path().to_owned()), ..Environment::default() };
        for content in
            ["{\"auths\": SECRET", "{\"auths\":{\"a.example\":{\"auth\":\"SECRET!\"}}}", "{\"auths\":\"SECRET\"}"]
        {
            fs::write(&path, content).unwrap();
            let error = Credentials::find(&environment, &helpers(), "a.example", "x").unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(&path.display().to_string()) && !text.contains("SECRET"), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials { identity: password("user", "SECRET"), advice: "advice".to_owned() };
        assert!(!format!("{credentials:?}").contains("SECRET"));
    }

    #[test]
    fn a_helper_that_cannot_be_run_is_named_in_the_advice() {
        let directory = tempfile::tempdir().unwrap();
        let environment = docker(directory.path(), &serde_json::json!({ "credsStore": "no-such-helper" }));
        let credentials = Credentials::find(&environment, &helpers(), "a.example", "x").unwrap();
        assert!(credentials.identity == Identity::Anonymous);
        assert!(credentials.advice.contains("cannot be run"), "{}", credentials.advice);
    }

    /// Runs as a child of the next test, with a helper on its `PATH`.
    #[cfg(unix)]
    #[test]
    #[ignore = "needs the environment that the next test gives it"]
    fn helpers_are_asked_inner() {
        let environment = Environment::of_process();
        assert!(find(&environment, "known.example", "x") == password("helped", "by:helper"));
        assert!(find(&environment, "token.example", "x") == Identity::Token("refresh".to_owned()));
        assert!(find(&environment, "unknown.example", "x") == Identity::Anonymous);
        assert!(find(&environment, "docker.io", "library/x") == password("hub", "1"));
        let broken = Credentials::find(&environment, &helpers(), "broken.example", "x").unwrap();
        assert!(broken.identity == Identity::Anonymous);
        assert!(broken.advice.contains("docker-credential-made-up") && !broken.advice.contains("SECRET"));
    }

    #[cfg(unix)]
    #[test]
    fn helpers_are_asked() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let helper = directory.path().join("docker-credential-made-up");
        let script = r#"#!/bin/sh
read server
case "$server" in
known.example) echo '{"ServerURL":"x","Username":"helped","Secret":"by:helper"}' ;;
token.example) echo '{"ServerURL":"x","Username":"<token>","Secret":"refresh"}' ;;
https://index.docker.io/v1/) echo '{"ServerURL":"x","Username":"hub","Secret":"1"}' ;;
broken.example) echo 'SECRET'; exit 1 ;;
*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"#;
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        let config = serde_json::json!({ "auths": { "known.example": {} }, "credsStore": "made-up",
            "credHelpers": { "token.example": "made-up" } });
        fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
        let name = "transport::registry::credentials::tests::helpers_are_asked_inner";
        let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--ignored"])
            .env("PATH", path)
            .env("DOCKER_CONFIG", directory.path())
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("XDG_RUNTIME_DIR")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
}
