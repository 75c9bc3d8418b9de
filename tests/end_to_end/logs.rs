//! Logs that machines read: one JSON object in each line, with numbers as numbers.

use serde_json::Value;

use crate::sample_base;
use crate::support::Sandbox;

/// The lines of a log as JSON. Each has a time, a level and an event.
#[track_caller]
fn events(log: &str) -> Vec<Value> {
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for event in &events {
        let time = event["time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        assert!(time.is_some() && event["level"].is_string() && event["event"].is_string(), "{event}");
    }
    events
}

#[test]
fn a_build_logs_its_layers_and_rules_as_events() {
    let sandbox = Sandbox::new();
    let base = sample_base(&sandbox);
    let arguments = ["build", &base.reference, "-p", "safe", "-t", &sandbox.layout("slim"), "--log-format", "json"];
    let outcome = sandbox.winslim(&arguments);
    let events = events(&outcome.stderr);
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).cloned().collect::<Vec<Value>>();
    let [image] = &named("slimmed")[..] else { panic!("{events:?}") };
    let before = image["before"].as_u64().expect("a number of bytes");
    assert!(image["after"].as_u64().expect("a number of bytes") < before, "{image}");
    let layers = named("layer");
    assert_eq!(layers.len(), 2, "{events:?}");
    assert_eq!(layers.iter().filter_map(|layer| layer["before"].as_u64()).sum::<u64>(), before);
    assert!(layers.iter().all(|layer| layer["digest"].as_str().expect("a digest").starts_with("sha256:")));
    let rules = named("rule");
    assert!(rules.iter().any(|rule| rule["rule"].as_str().is_some_and(|rule| rule.starts_with("safe/"))), "{rules:?}");
    assert!(!outcome.stderr.contains("before  "), "no table is in a text: {outcome:#?}");
}

#[test]
fn an_error_in_a_log_has_its_exit_code_and_hint() {
    let sandbox = Sandbox::new();
    let profile = sandbox.file("bad.toml", "schema = 1\nname = 'x'\nsumary = 's'\n");
    for (arguments, code, has_hint) in [
        (&["profile", "check", &profile][..], 2, false),
        (&["build", "--file", "missing.toml"], 2, true),
        (&["inspect", "oci:missing"], 1, false),
    ] {
        let outcome = sandbox.winslim(&[arguments, &["--log-format", "json"]].concat());
        assert_eq!(outcome.code, code, "{outcome:#?}");
        let events = events(&outcome.stderr);
        let error = events.last().expect("an error");
        assert_eq!((&error["event"], &error["level"]), (&"error".into(), &"ERROR".into()));
        assert_eq!(error["exitCode"], code, "{error}");
        assert_eq!(error["hint"].is_string(), has_hint, "{error}");
    }
}

#[test]
fn a_verbose_log_has_no_colours_in_a_pipe() {
    let sandbox = Sandbox::new();
    let base = sample_base(&sandbox);
    let outcome = sandbox.winslim(&["build", &base.reference, "-p", "safe", "-t", &sandbox.layout("slim"), "-vv"]);
    assert!(outcome.stderr.contains(" INFO layer is at the target layer=0 digest=sha256:"), "{outcome:#?}");
    assert!(!outcome.stderr.contains('\x1b'), "{outcome:#?}");
}

#[test]
fn help_and_version_are_there_however_they_are_asked_for() {
    let sandbox = Sandbox::new();
    for (one, other) in [(&["help", "build"][..], &["build", "--help"][..]), (&["version"], &["--version"])] {
        assert_eq!(sandbox.winslim(one).done(), sandbox.winslim(other).done());
    }
    let help = sandbox.winslim(&["ls", "--help"]).done();
    assert!(help.contains("markdown") && !help.contains("html"), "{help}");
    sandbox.winslim(&["ls", "oci:x", "--format", "html"]).fails(2, &["invalid value 'html'"]);
}
