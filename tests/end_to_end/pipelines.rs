//! What `ci/` runs on the machines of GitHub, Azure Pipelines and GitLab, run here with the variables that those set.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Outcome, Sandbox, json_file, profile, run, testdata};

const GITHUB: (&str, &str) = ("GITHUB_ACTIONS", "true");
const AZURE: (&str, &str) = ("TF_BUILD", "True");
const GITLAB: (&str, &str) = ("GITLAB_CI", "true");

fn ci(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ci").join(file)
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Runs `ci/build.sh` in the sandbox, as a step of a job does.
fn build(sandbox: &Sandbox, system: (&str, &str), inputs: &[(&str, &str)]) -> Outcome {
    let winslim = sandbox.command(&[], &[]);
    let mut command = Command::new("sh");
    command.arg(ci("build.sh")).current_dir(sandbox.path(".")).env_clear();
    command.envs(winslim.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("WINSLIM", winslim.get_program()).env(system.0, system.1);
    command.env("GITHUB_OUTPUT", sandbox.path("output")).env("GITHUB_STEP_SUMMARY", sandbox.path("step-summary"));
    command.envs(inputs.iter().copied());
    run(command, "a POSIX shell")
}

/// The inputs that slim the sample with these profiles.
fn slim<'a>(image: &'a str, profiles: &'a str) -> [(&'static str, &'a str); 3] {
    [("WINSLIM_IMAGE", image), ("WINSLIM_PROFILES", profiles), ("WINSLIM_TARGET", "oci:slim:ltsc2019")]
}

fn sample() -> String {
    format!("oci:{}:ltsc2019", testdata("sample").display())
}

#[test]
fn github_gets_outputs_a_summary_and_annotations() {
    let sandbox = Sandbox::new();
    let image = sample();
    let other_builds = profile(&[r"Windows\Fonts"], "").replace("risk", "builds = [20348]\nrisk");
    sandbox.file("other-builds.toml", &other_builds);
    let outcome = build(&sandbox, GITHUB, &slim(&image, "balanced\n  ./other-builds.toml"));
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    assert!(outcome.stdout.starts_with("::warning title=winslim::"), "{outcome:#?}");
    assert!(outcome.stderr.contains("total"), "the log is shown: {outcome:#?}");

    let output = read(sandbox.path("output"));
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines[0].starts_with("image=oci:slim:ltsc2019@sha256:"), "{output}");
    assert_eq!(lines[1..], ["ledger=winslim-output/ledger.json", "directory=winslim-output"]);
    let ledger = json_file(&sandbox.path("winslim-output/ledger.json"));
    let profiles: Vec<&str> =
        ledger["profiles"].as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect();
    assert!(profiles.contains(&"balanced") && profiles.contains(&"test"), "{profiles:?}");
    assert!(read(sandbox.path("step-summary")).starts_with("## oci:"));
}

#[test]
fn a_failure_is_annotated_and_leaves_nothing_of_an_earlier_run() {
    let sandbox = Sandbox::new();
    let image = sample();
    assert_eq!(build(&sandbox, GITLAB, &slim(&image, "safe")).code, 0);
    let environment = read(sandbox.path("winslim-output/image.env"));
    assert!(environment.starts_with("WINSLIM_RESULT=oci:slim:ltsc2019@sha256:"), "{environment}");

    for (system, annotation) in [
        (GITHUB, "::error title=winslim::there is no built-in profile `100%25`"),
        (AZURE, "##vso[task.logissue type=error]there is no built-in profile `100%AZP25`"),
        (GITLAB, ""),
    ] {
        let outcome = build(&sandbox, system, &slim(&image, "100%"));
        assert_eq!(outcome.code, 2, "{outcome:#?}");
        assert!(outcome.stdout.starts_with(annotation), "{outcome:#?}");
        let summary = read(sandbox.path("winslim-output/summary.md"));
        assert!(summary.contains("winslim failed") && summary.contains("`100%`"), "{summary}");
        assert!(!sandbox.path("winslim-output/ledger.json").exists());
    }
    assert!(read(sandbox.path("output")).starts_with("image=\nledger=\n"));
    assert!(read(sandbox.path("step-summary")).contains("winslim failed"));
    assert_eq!(read(sandbox.path("winslim-output/image.env")), "WINSLIM_RESULT=\n");
}

#[test]
fn azure_gets_a_variable_and_a_summary_by_its_whole_path() {
    let sandbox = Sandbox::new();
    let outcome = build(&sandbox, AZURE, &slim(&sample(), "safe"));
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let summary = lines[0].strip_prefix("##vso[task.uploadsummary]").expect("a summary");
    assert!(Path::new(summary).is_absolute() && read(summary.into()).starts_with("## oci:"));
    assert!(lines[1].starts_with("##vso[task.setvariable variable=image;isOutput=true]oci:slim:ltsc2019@sha256:"));
}

/// Judges a log as the runners do: .NET's `ReadLine` ends a line at CR, LF or both, and `TrimStart` skips every blank of Unicode
/// (actions/runner `ActionCommandManager.cs`, `ActionCommand.cs`; microsoft/azure-pipelines-agent `Command.cs`).
#[track_caller]
fn no_line_is_a_command(log: &str) {
    for line in log.split(['\r', '\n']) {
        let trimmed = line.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
        assert!(!trimmed.starts_with("::") && !line.contains("##"), "{line:?}");
    }
    assert!(!log.contains('\x1b'));
}

/// A stand-in for winslim that shows its arguments, says what a hostile image could make it say, and fails.
const STAND_IN: &str = "#!/bin/sh
printf '%s\\n' \"$*\" >&2
printf '%s\\n' '  ##vso[task.setvariable variable=PATH]x' ' ::set-env name=PATH::x' '##[error]x' 'warning: 1' >&2
printf 'a\\r::debug::b\\rc###vso[x]\\n\\302\\240::debug::c\\n\\342\\200\\250\\033[2J::debug::d\\n' >&2
printf '%s\\n' 'error: two' '  lines' '````' '## three' >&2
exit 5
";

#[test]
fn every_input_arrives_and_no_name_of_a_file_is_a_command_to_the_system() {
    let sandbox = Sandbox::new();
    let stand_in = sandbox.file("stand-in", STAND_IN);
    fs::set_permissions(&stand_in, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a file of ours");
    let mut inputs = vec![("WINSLIM", stand_in.as_str()), ("WINSLIM_ARGUMENTS", "--verify full  --level *")];
    let outcome = build(&sandbox, AZURE, &inputs);
    assert_eq!(outcome.code, 5, "{outcome:#?}");
    no_line_is_a_command(&outcome.stderr);
    no_line_is_a_command(&read(sandbox.path("winslim-output/log.txt")));
    let summary = read(sandbox.path("winslim-output/summary.md"));
    assert!(summary.lines().skip(2).all(|line| line.starts_with("    ")), "all of it is one block of code: {summary}");
    assert_eq!(
        outcome.stdout.lines().take(2).collect::<Vec<_>>(),
        ["##vso[task.logissue type=warning]1", "##vso[task.logissue type=error]two%0A  lines%0A````%0A# # three"]
    );
    // Without an image, winslim.toml says the rest, and may have several bases.
    let files = "--ledger winslim-output/ledger-{build}.json --summary winslim-output/summary-{build}.md";
    assert_eq!(outcome.stderr.lines().next(), Some(format!("build {files} --verify full --level *").as_str()));

    inputs.extend([
        ("WINSLIM_IMAGE", "a"),
        ("WINSLIM_PROFILES", "b c"),
        ("WINSLIM_TARGET", "d"),
        ("WINSLIM_OUTPUT", "e"),
    ]);
    let outcome = build(&sandbox, AZURE, &inputs);
    let expected = "build a --ledger e/ledger.json --summary e/summary.md --profile b --profile c --target d --verify full --level *";
    assert_eq!(outcome.stderr.lines().next(), Some(expected));
}

/// The words of a text that look like variables of `ci/build.sh`.
fn variables(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
    words.filter(|word| word.starts_with("WINSLIM") && !word.ends_with('_')).collect()
}

#[test]
fn actions_and_templates_name_variables_and_files_that_there_are() {
    let script = read(ci("build.sh"));
    for file in ["github/action.yml", "azure/build.yml", "gitlab/build.yml"] {
        let text = read(ci(file));
        for variable in variables(&text) {
            // Where GitLab gets winslim from is the template's own matter.
            let own = file.starts_with("gitlab") && ["WINSLIM_SOURCE", "WINSLIM_VERSION"].contains(&variable);
            assert!(own || variables(&script).contains(&variable), "{file}: ci/build.sh does not know {variable}");
        }
        assert!(text.contains("/build.sh"), "{file}");
    }
    let mut command = Command::new("sh");
    command.arg(ci("digest.sh"));
    let digest = run(command, "a POSIX shell").done();
    assert!(digest.len() == 65 && digest.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
}
