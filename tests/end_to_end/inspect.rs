//! What winslim says of images: sizes, listings, differences, conditions.

use std::process::Command;

use serde_json::Value;

use crate::generator::layout::Format;
use crate::generator::{Image, Scale, layer::Layer};
use crate::support::{Outcome, Sandbox, profile, run, testdata};
use crate::{base_of, sample_base, tiny_image};

/// The bundled sample, as an argument.
fn sample() -> String {
    format!("oci:{}:ltsc2019", testdata("sample").display())
}

/// What winslim says of the sample, without where it is on this machine.
fn said(arguments: &[&str]) -> String {
    let sandbox = Sandbox::new();
    sandbox.winslim(arguments).done().replace(&testdata("sample").display().to_string(), "SAMPLE")
}

fn json(outcome: Outcome) -> Value {
    serde_json::from_str(&outcome.done()).expect("JSON")
}

#[test]
fn reports_stay_as_they_are() {
    let sample = sample();
    insta::assert_snapshot!("inspect_text", said(&["inspect", &sample]));
    insta::assert_snapshot!(
        "inspect_directory",
        said(&["inspect", &sample, "--by", "directory", "--layer", "0", "--top", "9"])
    );
    insta::assert_snapshot!("inspect_markdown", said(&["inspect", &sample, "--by", "layer", "--format", "markdown"]));
    insta::assert_snapshot!("inspect_json", said(&["inspect", &sample, "--top", "3", "--format", "json"]));
    insta::assert_snapshot!(
        "ls_text",
        said(&["ls", &sample, r"Windows\System32\{a,b}*.dll", r"Windows\System32\wbem"])
    );
    insta::assert_snapshot!("ls_json", said(&["ls", &sample, r"Windows\System32\bcp*.dll", "--format", "json"]));
    insta::assert_snapshot!("plan_markdown", said(&["plan", &sample, "-p", "no-wow64", "--format", "markdown"]));
}

#[test]
fn text_fits_and_has_no_colour_off_a_terminal() {
    for by in ["layer", "component", "directory", "extension", "file"] {
        let text = said(&["inspect", &sample(), "--by", by, "--depth", "9", "--top", "0"]);
        assert!(!text.contains('\u{1b}'), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

/// An image with every way to hide a name, in three layers.
fn image_of_three() -> Image {
    let mut image = tiny_image();
    let mut top = Layer::new("top");
    for (layer, name) in [(0, "a/1"), (0, "dir/1"), (0, "dir/sub/2"), (0, "swapped/1"), (0, "twice"), (0, "deleted")] {
        image.layers[layer].made(&format!("Files/{name}"), 3_000);
    }
    image.layers[0].hard_link("Files/b/1", "Files/a/1");
    image.layers[0].hard_link("Files/b/2", "Files/twice");
    image.layers[1].hard_link("Files/c/1", "Files/B/1");
    image.layers[1].made("Files/TWICE", 700);
    image.layers[1].whiteout("Files/deleted");
    top.directory("Files");
    top.directory("Hives");
    top.made("Files/A/1", 500);
    top.made("Files/twice", 20);
    top.made("Files/swapped", 600);
    top.whiteout("Files/dir");
    top.whiteout("Files/b/1");
    image.layers.push(top);
    Image::of_layers(image.layers)
}

#[test]
fn an_independent_count_agrees() {
    for image in [Image::sample(&Scale::SMALL), image_of_three()] {
        let sandbox = Sandbox::new();
        let base = base_of(&sandbox, &image, &Format::default());
        let mut reports = Vec::new();
        for by in [
            "layer",
            "component",
            "extension",
            "file",
            "directory --depth 0",
            "directory --depth 1",
            "directory --depth 7",
        ]
        .into_iter()
        .chain(["file --layer 0", "directory --layer 1"])
        {
            let arguments: Vec<&str> = by.split(' ').collect();
            let report = sandbox.path(&by.replace(' ', ""));
            let output = report.to_str().expect("UTF-8");
            let fixed = ["inspect", &base.reference, "--top", "0", "--format", "json", "-o", output, "--by"];
            assert_eq!(sandbox.winslim(&[&fixed[..], &arguments].concat()).done(), "");
            reports.push(report);
        }
        let mut command = Command::new("python3");
        command.arg(testdata("count.py")).arg(&base.directory).args(&reports);
        assert_eq!(run(command, "the Debian package python3").done(), "");
    }
}

#[test]
fn the_count_notices_a_wrong_report() {
    let sandbox = Sandbox::new();
    let base = sample_base(&sandbox);
    let text =
        sandbox.winslim(&["inspect", &base.reference, "--by", "extension", "--format", "json", "--top", "0"]).done();
    let mut report: Value = serde_json::from_str(&text).expect("JSON");
    let dead = report["rows"].as_array().expect("rows").iter().position(|row| row["dead"] != 0).expect("dead bytes");
    let before = report["rows"][dead]["dead"].as_u64().expect("a number");
    report["rows"][dead]["dead"] = (before + 1).into();
    let report = sandbox.file("wrong.json", &report.to_string());
    let mut command = Command::new("python3");
    command.arg(testdata("count.py")).arg(&base.directory).arg(report);
    let outcome = run(command, "the Debian package python3");
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("dead is"), "{outcome:#?}");
}

#[test]
fn json_is_as_its_schema_says() {
    let sandbox = Sandbox::new();
    let sample = sample();
    let slim = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &sample, "-p", "safe", "-t", &slim]).done();
    let build_file = |profile: &str| format!("profiles = [\"{profile}\"]\n[[base]]\nimage = \"{sample}\"\n");
    sandbox.file("winslim.toml", &build_file("safe"));
    sandbox.winslim(&["lock"]).done();
    let lock = std::fs::read_to_string(sandbox.path("winslim.lock")).expect("a lock");
    // Another image and another profile, so that there is something to report.
    let other = |line: &str| match line.starts_with("manifest") {
        true => format!("manifest = \"sha256:{}\"\n", "0".repeat(64)),
        false => format!("{line}\n"),
    };
    sandbox.file("winslim.lock", &lock.lines().map(other).collect::<String>());
    sandbox.file("winslim.toml", &build_file("balanced"));
    for (report, arguments) in [
        ("inspect", vec!["inspect", &*sample, "--fail-if", "files < 1"]),
        ("ls", vec!["ls", &sample]),
        ("diff", vec!["diff", &sample, &slim]),
        ("lock", vec!["lock", "--update"]),
    ] {
        let schema: Value = json(sandbox.winslim(&["schema", report]));
        let value = json(sandbox.winslim(&[&arguments[..], &["--format", "json"]].concat()));
        conforms(&schema, &schema, &value, report);
        assert!(report != "lock" || value["bases"][0]["moved"].is_object(), "{value:#}");
    }
}

/// Checks a value against the parts of JSON Schema that the schemas use.
fn conforms(root: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = root.pointer(reference.trim_start_matches('#')).expect("a known definition");
        conforms(root, schema, value, place);
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(required.as_str().expect("a name")).is_some(), "{place} lacks {required}");
    }
    match value {
        Value::Object(fields) if schema["properties"].is_object() => {
            for (name, field) in fields {
                let property = &schema["properties"][name];
                assert!(property.is_object(), "the schema of {place} does not know `{name}`");
                conforms(root, property, field, &format!("{place}.{name}"));
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| conforms(root, &schema["items"], item, &format!("{place}[]")));
        }
        Value::Number(_) | Value::String(_) | Value::Bool(_) if !schema["type"].is_null() => {
            let kind = match value {
                Value::String(_) => "string",
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_f64() => "number",
                _ => "integer",
            };
            let kinds = schema["type"].to_string();
            assert!(kinds.contains(kind), "{place} is {value}, and the schema says {kinds}");
        }
        _ => {}
    }
}

#[test]
fn patterns_choose_what_is_listed() {
    let sandbox = Sandbox::new();
    let sample = sample();
    let listed = |pattern: &[&str]| {
        let value = json(sandbox.winslim(&[&["ls", &sample, "--format", "json"], pattern].concat()));
        let paths = value["entries"].as_array().expect("entries").iter();
        paths.map(|entry| entry["path"].as_str().expect("a path").to_owned()).collect::<Vec<_>>()
    };
    let all = listed(&[]);
    let fonts = listed(&["windows/FONTS"]);
    assert_eq!(fonts, [r"Windows\Fonts", r"Windows\Fonts\consola.ttf", r"Windows\Fonts\segoeui.ttf"]);
    let expected = all.iter().filter(|path| path.to_lowercase().starts_with("utilityvm:")).count();
    assert_eq!(listed(&[r"UtilityVM:\"]).len(), expected);
    assert!(listed(&[r"**\*.dll"]).iter().all(|path| path.to_lowercase().contains(".dll")));
    let nothing = sandbox.winslim(&["ls", &sample, "no-such-thing"]);
    assert!(nothing.stderr.contains("nothing in the image matches no-such-thing"), "{nothing:#?}");
    sandbox.winslim(&["ls", &sample, "a***"]).fails(2, &["`a***`"]);
}

#[test]
fn conditions_fail_a_run() {
    let sandbox = Sandbox::new();
    let sample = sample();
    let inspect = |arguments: &[&str]| sandbox.winslim(&[&["inspect", &sample], arguments].concat());
    inspect(&["--fail-if", "compressed > 1GB", "--fail-if", "dead > 50%"]).done();
    let failed = inspect(&["--fail-if", "compressed > 1kB", "--fail-if", "files > 1000000"]);
    assert_eq!(failed.code, 3);
    assert!(failed.stderr.contains("does not meet the policy: compressed > 1kB (it is"), "{failed:#?}");
    assert!(failed.stdout.contains("FAILED  compressed > 1kB"), "the report is there all the same: {failed:#?}");

    inspect(&["--fail-if", "growth > 0", "--against", &sample]).done();
    assert_eq!(inspect(&["--fail-if", "growth >= 0%", "--against", &sample]).code, 3);
    inspect(&["--fail-if", "growth > 0"]).fails(2, &["--against"]);
    inspect(&["--fail-if", "size > 3"]).fails(2, &["size > 3", "compressed"]);
    inspect(&["--layer", "2"]).fails(2, &["there is no layer 2"]);

    let dive = sandbox.file(".dive-ci", "rules:\n  highestWastedBytes: 1B\n  lowestEfficiency: 0.1\n");
    let failed = inspect(&["--dive-ci", &dive]);
    assert_eq!(failed.code, 3);
    assert!(failed.stderr.contains("dead > 1B"), "{failed:#?}");
    inspect(&["--dive-ci", &sandbox.file("odd", "rules:\n  odd: 1\n")]).fails(2, &["odd: 1"]);
    inspect(&["--dive-ci", "missing"]).fails(1, &["cannot read `missing`"]);
}

#[test]
fn images_are_compared() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let mut other = tiny_image();
    other.layers[1].made("Files/New file.txt", 4_321);
    let directory = sandbox.path("other");
    crate::generator::layout::write_layout(&other, &Format::default(), &directory).expect("written");
    let other = format!("{}:ltsc2019", sandbox.layout("other"));
    let compare =
        |before: &str, after: &str, more: &[&str]| sandbox.winslim(&[&["diff", before, after], more].concat());

    compare(&base.reference, &base.reference, &["--exit-code"]).done();
    compare(&base.reference, &other, &[]).done();
    assert_eq!(compare(&base.reference, &other, &["--exit-code"]).code, 1);
    let value = json(compare(&base.reference, &other, &["--format", "json"]));
    assert_eq!(value["added"][0]["path"], "New file.txt");
    assert_eq!(value["added"][0]["after"], 4_321);
    assert_eq!(
        (value["added"].as_array().map(Vec::len), value["changed"].as_array().map(Vec::len)),
        (Some(1), Some(0))
    );
    let back = json(compare(&other, &base.reference, &["--format", "json"]));
    assert_eq!(back["removed"][0]["path"], "New file.txt");

    // What was slimmed differs by what its profile removes, whatever happened to its links.
    let file = sandbox.file("p.toml", &profile(&[r"Windows\WinSxS\amd64_*"], "[layers]\nshadowed = \"drop\"\n"));
    let slim = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &file, "-t", &slim]).done();
    let value = json(compare(&base.reference, &slim, &["--format", "json"]));
    assert_eq!(value["changed"], serde_json::json!([]));
    assert_eq!(value["added"], serde_json::json!([]));
    let removed = value["removed"].as_array().expect("names");
    assert!(!removed.is_empty());
    let is_in_store = |row: &Value| row["path"].as_str().is_some_and(|path| path.starts_with(r"Windows\WinSxS\amd64_"));
    assert!(removed.iter().all(is_in_store), "{removed:#?}");
}

#[test]
fn a_build_has_a_summary_in_markdown() {
    let sandbox = Sandbox::new();
    let (summary, slim) = (sandbox.path("summary.md"), format!("{}:slim", sandbox.layout("slim")));
    let file = summary.to_str().expect("UTF-8");
    sandbox.winslim(&["build", &sample(), "-p", "balanced", "-t", &slim, "--summary", file]).done();
    let text = std::fs::read_to_string(&summary).expect("a summary");
    assert!(text.starts_with("## oci:") && text.contains("| layer | before | after |"), "{text}");
}
