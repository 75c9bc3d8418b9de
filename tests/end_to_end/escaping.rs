//! Text that others wrote reaches no output as it is: every verb, in every format, in a pipe and on a terminal.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use winslim::text::is_printable;

use crate::generator::layer::Kind;
use crate::generator::layout::{Format, blob_path, put_blob};
use crate::generator::random::Content;
use crate::generator::{Image, Scale};
use crate::support::{Outcome, Sandbox, json_file, run};
use crate::{Base, base_of, tiny_image};

/// What NTFS allows in names: format and separator characters, bidirectional overrides, blanks of other names, tags, fences.
const ODD: &str =
    "a\u{202e}b\u{2066}c\u{200b}d\u{2028}e\u{2029}f\u{85}g\u{a0}h\u{3000}i\u{feff}j\u{ad}k\u{e0041}l\u{3164}m````n";

/// What only a hostile author writes: escape sequences, line ends, commands to CI systems, markup, a title for the terminal.
const HOSTILE: &str = "\x1b[2J\r::set-output name=x::y\n::error::z\n##vso[task.x]\n\u{a0}::debug::w\n```\n# image verified\n\
    \u{9b}31m\x07\u{202e}</script><script>alert(1)</script><!--[x](http://example.com) @someone \x1b]0;t\x07\x08\x7f";

/// Judges an output: printable characters and line ends alone, and no line that a CI system takes for a command.
#[track_caller]
fn is_escaped(what: &str, text: &str) {
    let odd: Vec<char> = text.chars().filter(|&c| c != '\n' && !is_printable(c)).collect();
    assert!(odd.is_empty(), "{what}: {odd:?} in {text}");
    let mut in_yaml = false;
    for line in text.lines() {
        let start = line.trim_start();
        assert!(!start.starts_with("::") && !line.contains("##vso["), "{what}: {line}");
        // The only fences are those around winslim's own YAML.
        match (line, in_yaml) {
            ("```yaml", false) | ("```", true) => in_yaml = !in_yaml,
            _ => assert!(!start.starts_with("```"), "{what}: {line}"),
        }
        assert!(start != "# image verified", "{what}: {line}");
    }
    assert!(!in_yaml, "{what}: {text}");
}

/// Judges Markdown, too: nothing but winslim's own is markup.
#[track_caller]
fn is_plain_markdown(what: &str, text: &str) {
    is_escaped(what, text);
    for markup in ["<script", "<!--[", "[x](", " @someone", "http://example", "````"] {
        assert!(!text.contains(markup), "{what}: {markup} in {text}");
    }
}

#[track_caller]
fn all_escaped(what: &str, outcome: &Outcome) {
    is_escaped(what, &outcome.stdout);
    is_escaped(what, &outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{what}: {outcome:#?}");
}

/// Changes the config of a layout's only image, and what leads to it.
fn with_config(base: &Base, change: impl FnOnce(&mut Value)) {
    let directory = &base.directory;
    let blob = |digest: &Value| blob_path(directory, digest.as_str().expect("a digest"));
    let put = |document: &Value, descriptor: &mut Value| {
        let written = put_blob(directory, document.to_string().as_bytes()).expect("the sandbox can be written to");
        (descriptor["digest"], descriptor["size"]) = (written.digest.into(), written.size.into());
    };
    let mut root = json_file(&directory.join("index.json"));
    let mut index = json_file(&blob(&root["manifests"][0]["digest"]));
    let mut manifest = json_file(&blob(&index["manifests"][0]["digest"]));
    let mut config = json_file(&blob(&manifest["config"]["digest"]));
    change(&mut config);
    put(&config, &mut manifest["config"]);
    manifest["annotations"] = json!({ HOSTILE: HOSTILE });
    put(&manifest, &mut index["manifests"][0]);
    index["manifests"][0]["platform"]["os.version"] = config["os.version"].clone();
    put(&index, &mut root["manifests"][0]);
    fs::write(directory.join("index.json"), root.to_string()).expect("the sandbox can be written to");
}

/// An image that hosts import, with odd names and documents that say hostile things.
fn odd_image(sandbox: &Sandbox) -> Base {
    let mut image = tiny_image();
    let salt = &mut image.layers[0];
    salt.file(&format!("Files/{ODD}"), Content::text("odd"));
    salt.stream("s\u{202e}", Content::text("stream"));
    salt.made(&format!("Files/odd/{ODD}/##[group]x.dll"), 5_000);
    salt.hard_link(&format!("Files/odd/link{ODD}"), &format!("Files/{ODD}"));
    salt.symlink("Files/odd/symlink", HOSTILE, false);
    salt.made(&format!("Files/##vso[task.x]y{ODD}.txt"), 3_000);
    image.layers[1].whiteout(&format!("Files/##vso[task.x]y{ODD}.txt"));
    let base = base_of(sandbox, &image, &Format::default());
    with_config(&base, |config| {
        config["history"]
            .as_array_mut()
            .expect("history")
            .iter_mut()
            .for_each(|line| line["created_by"] = HOSTILE.into());
        config["config"] = json!({
            "Cmd": [HOSTILE], "Env": [format!("A={HOSTILE}")], "User": HOSTILE, "Labels": { HOSTILE: HOSTILE },
        });
    });
    base
}

/// A profile that says hostile things wherever it may say anything.
fn odd_profile(sandbox: &Sandbox) -> String {
    let said = serde_json::to_string(HOSTILE).expect("a text").replace('\x7f', "\\u007f");
    let text = format!(
        "schema = 1\nname = \"odd\"\nsummary = {said}\nrisk = \"low\"\n[[remove]]\nid = \"odd\"\n\
         paths = ['odd\\**', '*{ODD_END}', 'nothing\u{202e}']\nreason = {said}\nprice = {said}\n\
         [[keep]]\npaths = ['odd\\link*']\nreason = {said}\n[image]\nenv = {{ ODD = {said} }}\nlabels = {{ odd = {said} }}\n",
        ODD_END = "m````n",
    );
    sandbox.file("odd.toml", &text)
}

#[test]
fn no_verb_shows_what_others_wrote_as_it_is() {
    let sandbox = Sandbox::new();
    let base = odd_image(&sandbox);
    let image = base.reference.as_str();
    let profile = odd_profile(&sandbox);
    let run = |arguments: &[&str]| {
        let outcome = sandbox.winslim(arguments);
        all_escaped(&format!("{arguments:?}"), &outcome);
        outcome
    };
    for format in ["text", "json", "markdown", "html"] {
        for by in ["layer", "component", "directory", "extension", "file"] {
            let shown = run(&["inspect", image, "--by", by, "--top", "0", "--depth", "9", "--format", format]).done();
            if format == "markdown" {
                is_plain_markdown(by, &shown);
            }
        }
        let shown = run(&["plan", image, "-p", &profile, "--format", format]).done();
        if format == "markdown" {
            is_plain_markdown("plan", &shown);
        }
    }
    for format in ["text", "json", "markdown"] {
        run(&["ls", image, "--format", format]).done();
        run(&["verify", image, "--format", format]);
        run(&["host", image, "--all", "--format", format]);
    }
    run(&["profile", "show", &profile]).done();
    run(&["profile", "show", "--resolved", &profile]).done();
    run(&["profile", "check", &profile]).done();

    let target = format!("{}:slim", sandbox.layout("slim"));
    for log in [&["-vv"][..], &["-q"], &["--log-format", "json", "-vv"], &["--log-format", "json"]] {
        let build =
            ["build", image, "-p", &profile, "-t", &target, "--ledger", "ledger.json", "--summary", "summary.md"];
        run(&[&build[..], &["--report", "report.html"], log].concat()).done();
        let read = |name: &str| fs::read_to_string(sandbox.path(name)).expect("a file of the build");
        is_escaped("ledger", &read("ledger.json"));
        is_plain_markdown("summary", &read("summary.md"));
        is_escaped("report", &read("report.html"));
    }
    for format in ["text", "json", "markdown"] {
        run(&["diff", image, &target, "--top", "0", "--format", format]);
    }
    run(&["copy", image, &sandbox.layout("copy")]).done();

    // What JSON says is nevertheless the very text.
    let listing: Value = serde_json::from_str(&run(&["ls", image, "--format", "json"]).done()).expect("JSON");
    let paths = listing["entries"].as_array().expect("entries").iter().filter_map(|entry| entry["path"].as_str());
    assert!(paths.clone().any(|path| path == ODD), "{paths:?}");
}

#[test]
fn messages_are_escaped_whatever_fails() {
    let sandbox = Sandbox::new();
    let file = || Kind::File(Content::text("x"));
    let hostile = |name: &str| format!("Files/{name}{HOSTILE}");
    for (number, (name, kind)) in [
        (hostile("x"), file()),
        ("Files/nothing.dll".to_owned(), Kind::HardLink(hostile("not/there"))),
        (hostile("no/parent"), file()),
        (format!("Files/C:{HOSTILE}"), file()),
        (hostile(".wh.x"), Kind::Whiteout),
        (HOSTILE.to_owned(), Kind::Directory),
    ]
    .into_iter()
    .enumerate()
    {
        let directory = format!("base{number}");
        let mut image = Image::sample(&Scale { components: 3, mean: 100, streams: false });
        image.layers[0].unchecked(&name, kind);
        let written = crate::generator::layout::write_layout(&image, &Format::default(), &sandbox.path(&directory));
        let tag = Format::default().tag;
        written.expect("the sandbox can be written to");
        let image = format!("{}:{tag}", sandbox.layout(&directory));
        let target = sandbox.layout("slim");
        for arguments in [
            &["verify", &image][..],
            &["verify", &image, "--format", "markdown"],
            &["verify", &image, "--format", "json"],
            &["build", &image, "-p", "safe", "-t", &target],
            &["build", &image, "-p", "safe", "-t", &target, "--log-format", "json"],
            &["inspect", &image, "--by", "file"],
            &["ls", &image],
            &["plan", &image, "-p", "safe"],
        ] {
            all_escaped(&format!("{arguments:?}"), &sandbox.winslim(arguments));
        }
    }

    let said = serde_json::to_string(HOSTILE).expect("a text").replace('\x7f', "\\u007f");
    for (name, text) in [
        ("bad1.toml", format!("schema = 1\nname = {said}\nsummary = 's'\nrisk = 'low'\n")),
        ("bad2.toml", format!("schema = 1\nname = 'x'\nsummary = 's'\nrisk = 'low'\ninclude = [{said}]\n")),
        ("bad3.toml", format!("schema = 1\n{said} = 1\n")),
        (
            "bad4.toml",
            format!(
                "schema = 1\nname = 'x'\nsummary = 's'\nrisk = 'low'\n[[remove]]\nid = 'a'\npaths = [{said}]\nreason = 'r'\n"
            ),
        ),
        ("bad5.toml", "schema = 1\n\x1b[2J\u{202e} = ".to_owned()),
    ] {
        let profile = sandbox.file(name, &text);
        let outcome = sandbox.winslim(&["profile", "check", &profile]);
        assert_eq!(outcome.code, 2, "{outcome:#?}");
        all_escaped(name, &outcome);
        let build_file =
            sandbox.file("build.toml", &format!("target = {said}\n[[base]]\nimage = {said}\nprofiles = [{said}]\n"));
        all_escaped("build file", &sandbox.winslim(&["build", "--file", &build_file]));
    }

    let nodes = json!({ "items": [{
        "metadata": { "name": HOSTILE },
        "status": { "nodeInfo": { "operatingSystem": "windows", "kernelVersion": "10.0.17763.1", "osImage": HOSTILE,
            "containerRuntimeVersion": HOSTILE, "architecture": "amd64" } },
    }]});
    let nodes = sandbox.file("nodes.json", &nodes.to_string());
    for format in ["text", "json", "markdown"] {
        all_escaped("nodes", &sandbox.winslim(&["host", "--nodes", &nodes, "--format", format]));
    }
}

/// Runs winslim on a terminal of its own, and returns what was shown, without colours.
fn on_a_terminal(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let winslim = sandbox.command(&[arguments, &["--no-progress"]].concat(), &[]);
    let quote = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().expect("UTF-8").replace('\'', "'\\''"));
    let line: Vec<String> = std::iter::once(winslim.get_program()).chain(winslim.get_args()).map(quote).collect();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]).current_dir(sandbox.path("."));
    command.env_clear().envs(winslim.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    let shown = run(command, "the Debian package bsdutils").stdout;
    let mut plain = String::new();
    let mut rest = shown.as_str();
    // Colours are winslim's own.
    while let Some(start) = rest.find("\x1b[") {
        let end =
            rest[start + 2..].find(|c: char| !c.is_ascii_digit() && c != ';').map_or(rest.len(), |end| start + 2 + end);
        plain += &rest[..start];
        assert!(rest[end..].starts_with('m'), "only colours: {shown:?}");
        rest = &rest[end + 1..];
    }
    (plain + rest).replace("\r\n", "\n")
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_is_not_steered() {
    let sandbox = Sandbox::new();
    let base = odd_image(&sandbox);
    let profile = odd_profile(&sandbox);
    let mut broken = tiny_image();
    broken.layers[0].unchecked("Files/x.dll", Kind::HardLink(format!("Files/y{HOSTILE}")));
    let broken = base_of(&sandbox, &broken, &Format { tag: "broken".to_owned(), ..Format::default() });
    let target = sandbox.layout("slim");
    for arguments in [
        &["ls", &base.reference][..],
        &["inspect", &base.reference, "--by", "file", "--top", "0"],
        &["plan", &base.reference, "-p", &profile],
        &["verify", &broken.reference],
        &["build", &broken.reference, "-p", "safe", "-t", &target],
        &["build", &base.reference, "-p", &profile, "-t", &target, "-vv"],
    ] {
        let shown = on_a_terminal(&sandbox, arguments);
        assert!(shown.len() > 40, "{arguments:?}: {shown}");
        is_escaped(&format!("{arguments:?}"), &shown);
    }
}
