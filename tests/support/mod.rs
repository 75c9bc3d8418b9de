//! What the tests that run the binary share.

// Each test uses a part of it.
#![allow(dead_code)]

pub mod http;
pub mod proxy;
pub mod registry;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A directory for one test, which is gone when the test ends.
pub struct Sandbox {
    directory: TempDir,
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        Sandbox { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `oci:` and the path of a layout in the sandbox.
    pub fn layout(&self, name: &str) -> String {
        format!("oci:{}", self.path(name).display())
    }

    /// Writes a file, and gives its path as an argument.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a sandbox around it")).expect("the sandbox can be written to");
        fs::write(&path, text).expect("the sandbox can be written to");
        path.to_str().expect("a temporary path in UTF-8").to_owned()
    }

    /// Whether there is no file at a target: directories that were made for it may stay.
    pub fn is_empty(&self, name: &str) -> bool {
        let entries = walkdir::WalkDir::new(self.path(name));
        entries.into_iter().flatten().all(|entry| !entry.file_type().is_file())
    }

    /// Runs winslim with its cache and its home in the sandbox, and with none of the caller's settings.
    pub fn winslim(&self, arguments: &[&str]) -> Outcome {
        self.winslim_with(arguments, &[])
    }

    /// The same with variables of the environment.
    pub fn winslim_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        run(self.command(arguments, environment), "winslim itself")
    }

    /// What [`Sandbox::winslim_with`] runs.
    pub fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_winslim"));
        command.args(arguments).current_dir(self.directory.path()).env_clear();
        command.env("HOME", self.path("home")).env("XDG_CACHE_HOME", self.path("cache"));
        for kept in ["PATH", "SystemRoot", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Outcome {
    /// What was written to stdout by a run that must have gone well.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout
    }

    /// Checks the exit code, that each of the words is in what was said on stderr, and that no cause is told twice there.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        assert_eq!(self.stdout, "", "only results go to stdout");
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("os error"), "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in {self:#?}");
        }
        for line in self.stderr.lines().filter(|line| line.starts_with("error: ")) {
            let causes: Vec<&str> = line.split(": ").collect();
            let is_twice = |cause: &&str| causes.iter().filter(|other| *other == cause).count() > 1;
            assert!(!causes.iter().any(is_twice), "a cause is there twice in {self:#?}");
        }
    }
}

impl Outcome {
    /// Checks the exit code of a run that gives a result whatever it is, and that each of the words is in the result.
    #[track_caller]
    pub fn code_is(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        for word in words {
            assert!(self.stdout.contains(word), "`{word}` is not in {self:#?}");
        }
    }
}

/// Runs a program to its end, but not for longer than two minutes; `package` is what to install when it is missing.
pub fn run(command: Command, package: &str) -> Outcome {
    run_with_input(command, "", package)
}

/// The same with a text on standard input.
pub fn run_with_input(command: Command, input: &str, package: &str) -> Outcome {
    let program = command.get_program().to_owned();
    let mut command = assert_cmd::Command::from_std(command);
    let output = match command.write_stdin(input).timeout(Duration::from_secs(120)).output() {
        Ok(output) => output,
        Err(error) => panic!("cannot run {program:?}: {error}; this test needs {package}"),
    };
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Copies an image, all its versions with it, with a tool that is not winslim.
#[track_caller]
pub fn skopeo_copy(source: &str, target: &str, options: &[&str]) {
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    command.args(options).args([source, target]);
    run(command, "the Debian package skopeo").done();
}

/// Compares two layouts with `testdata/check.py`; see there for the options.
#[track_caller]
pub fn check(source: &Path, result: &Path, options: &[&str]) {
    let problems = problems(source, result, options);
    assert!(problems.is_empty(), "{problems}");
}

/// What `testdata/check.py` has against a result.
pub fn problems(source: &Path, result: &Path, options: &[&str]) -> String {
    let mut command = Command::new("python3");
    command.arg(testdata("check.py")).args([source, result]).args(options);
    let outcome = run(command, "the Debian package python3");
    assert_eq!(outcome.stderr, "");
    assert_eq!(outcome.code == 0, outcome.stdout.is_empty());
    outcome.stdout
}

pub fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

/// A profile with one rule that removes the paths, and whatever `more` says.
pub fn profile(removed: &[&str], more: &str) -> String {
    let rule = match removed {
        [] => String::new(),
        _ => format!("[[remove]]\nid = \"all\"\npaths = {removed:?}\nreason = \"the test wants it gone\"\n"),
    };
    format!("schema = 1\nname = \"test\"\nsummary = \"For a test\"\nrisk = \"low\"\n\n{rule}{more}\n")
}

/// The manifest that a tag of a layout leads to, first through its index if there is one.
pub struct Manifest {
    pub digest: String,
    pub value: Value,
}

impl Manifest {
    #[track_caller]
    pub fn of_layout(directory: &Path) -> Manifest {
        let mut value = json_file(&directory.join("index.json"));
        let mut digest = String::new();
        while let Some(entries) = value["manifests"].as_array() {
            let entry = entries.iter().find(|entry| entry["artifactType"].is_null()).expect("an image in the layout");
            digest = entry["digest"].as_str().expect("a digest").to_owned();
            value = json_file(&directory.join("blobs").join(digest.replace(':', "/")));
        }
        Manifest { digest, value }
    }

    /// The digests of the layers.
    pub fn layers(&self) -> Vec<String> {
        let layers = self.value["layers"].as_array().expect("layers");
        layers.iter().map(|layer| layer["digest"].as_str().expect("a digest").to_owned()).collect()
    }

    /// The sizes of the layers.
    pub fn sizes(&self) -> Vec<u64> {
        let layers = self.value["layers"].as_array().expect("layers");
        layers.iter().map(|layer| layer["size"].as_u64().expect("a size")).collect()
    }
}

#[track_caller]
pub fn json_file(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{} is not JSON: {error}", path.display()))
}
