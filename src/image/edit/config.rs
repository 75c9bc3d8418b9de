//! A new config: other layers, more history, other settings of what runs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{list_at, object_at, spell_keys};
use crate::image::{Config, Digest, Document, HistoryEntry, media_type};

/// What is to change in a config. The default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigEdit {
    /// The digests of the uncompressed layers, the base first, if they are others than before.
    pub diff_ids: Option<Vec<Digest>>,
    /// Steps that follow the present ones. An added layer needs a step with `empty_layer` false, a rewritten one must
    /// have none but such with `empty_layer` true: engines count the steps that made a layer.
    pub history: Vec<HistoryEntry>,
    /// Other settings of what runs.
    pub settings: ImageSettings,
}

/// Settings of what runs in a container of the image. What is empty or nothing stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageSettings {
    /// Environment variables, by name; the case of a name does not matter, as in Windows.
    pub env: BTreeMap<String, String>,
    /// The command. Takes the place of the old one.
    pub cmd: Option<Vec<String>>,
    /// The entry point. Drops the old command too, which was not written as arguments for it.
    pub entrypoint: Option<Vec<String>>,
    /// The user, such as `ContainerUser`.
    pub user: Option<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// Ports to expose besides the present ones, as `8080/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// The signal that stops the container.
    pub stop_signal: Option<String>,
    /// Labels, by name.
    pub labels: BTreeMap<String, String>,
}

/// Makes the changed config; without a change it is the same document.
///
/// Well-known keys get their usual spelling (`rootfS` becomes `rootfs`), because not every reader ignores case.
pub fn edit_config(config: &Config, edit: &ConfigEdit) -> Document {
    let (false, Value::Object(object)) = (*edit == ConfigEdit::default(), config.document.value()) else {
        return config.document.clone();
    };
    let mut object = object.clone();
    spell(&mut object);
    fit_history(&mut object, config.diff_ids.len());
    if let Some(diff_ids) = &edit.diff_ids {
        object_at(&mut object, "rootfs").insert("diff_ids".to_owned(), json!(diff_ids));
    }
    if !edit.history.is_empty() {
        list_at(&mut object, "history").extend(edit.history.iter().map(history_value));
    }
    if edit.settings != ImageSettings::default() {
        apply(&edit.settings, object_at(&mut object, "config"));
    }
    Document::from_value(media_type::OCI_CONFIG, Value::Object(object))
}

/// The keys of the OCI image specification (`config.md`) and of Docker's image format.
fn spell(object: &mut Map<String, Value>) {
    const TOP: [&str; 10] = [
        "created",
        "author",
        "architecture",
        "variant",
        "os",
        "os.version",
        "os.features",
        "config",
        "rootfs",
        "history",
    ];
    const SETTINGS: [&str; 25] = [
        "User",
        "ExposedPorts",
        "Env",
        "Entrypoint",
        "Cmd",
        "Volumes",
        "WorkingDir",
        "Labels",
        "StopSignal",
        "ArgsEscaped",
        "Hostname",
        "Domainname",
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "Tty",
        "OpenStdin",
        "StdinOnce",
        "Image",
        "OnBuild",
        "Shell",
        "Healthcheck",
        "StopTimeout",
        "NetworkDisabled",
        "MacAddress",
    ];
    const HISTORY: [&str; 5] = ["created", "created_by", "author", "comment", "empty_layer"];
    spell_keys(object, &TOP);
    if let Some(Value::Object(rootfs)) = object.get_mut("rootfs") {
        spell_keys(rootfs, &["type", "diff_ids"]);
    }
    if let Some(Value::Object(settings)) = object.get_mut("config") {
        spell_keys(settings, &SETTINGS);
    }
    for entry in object.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(entry) = entry {
            spell_keys(entry, &HISTORY);
        }
    }
}

/// Makes a history tell of as many layers as there are. Several registries and engines refuse another number; none at all is right.
///
/// Steps that are missing are those of the lowest layers, because tools that add to an image add to its history; a step too many is
/// likely one that set something and does not say that it made no layer.
fn fit_history(object: &mut Map<String, Value>, layers: usize) {
    let Some(history) = object.get_mut("history").and_then(Value::as_array_mut).filter(|history| !history.is_empty())
    else {
        return;
    };
    let makes_layer = |step: &Value| step.get("empty_layer").and_then(Value::as_bool) != Some(true);
    let told = history.iter().filter(|step| makes_layer(step)).count();
    for step in history.iter_mut().rev().filter(|step| makes_layer(step)).take(told.saturating_sub(layers)) {
        match step {
            Value::Object(step) => drop(step.insert("empty_layer".to_owned(), json!(true))),
            other => *other = json!({"empty_layer": true}),
        }
    }
    let missing =
        json!({"created_by": "unknown", "comment": "winslim: the image's history did not tell of this layer"});
    history.splice(0..0, std::iter::repeat_n(missing, layers.saturating_sub(told)));
}

fn history_value(entry: &HistoryEntry) -> Value {
    let mut object = Map::new();
    for (name, text) in [("created", &entry.created), ("created_by", &entry.created_by), ("comment", &entry.comment)] {
        if let Some(text) = text {
            object.insert(name.to_owned(), json!(text));
        }
    }
    if entry.empty_layer {
        object.insert("empty_layer".to_owned(), json!(true));
    }
    Value::Object(object)
}

fn apply(settings: &ImageSettings, object: &mut Map<String, Value>) {
    if !settings.env.is_empty() {
        merge_env(list_at(object, "Env"), &settings.env);
    }
    if settings.cmd.is_some() || settings.entrypoint.is_some() {
        // It says that the old command line was escaped already; the new one is a list of arguments.
        object.shift_remove("ArgsEscaped");
    }
    if let Some(entrypoint) = &settings.entrypoint {
        object.insert("Entrypoint".to_owned(), json!(entrypoint));
        if settings.cmd.is_none() {
            object.shift_remove("Cmd");
        }
    }
    if let Some(cmd) = &settings.cmd {
        object.insert("Cmd".to_owned(), json!(cmd));
    }
    for (name, text) in
        [("User", &settings.user), ("WorkingDir", &settings.workdir), ("StopSignal", &settings.stop_signal)]
    {
        if let Some(text) = text {
            object.insert(name.to_owned(), json!(text));
        }
    }
    if !settings.exposed_ports.is_empty() {
        let ports = object_at(object, "ExposedPorts");
        for port in &settings.exposed_ports {
            ports.entry(port).or_insert(json!({}));
        }
    }
    if !settings.labels.is_empty() {
        let labels = object_at(object, "Labels");
        labels.extend(settings.labels.iter().map(|(name, text)| (name.clone(), json!(text))));
    }
}

/// Sets variables in a list of `NAME=value`: in the place of the old value, or at the end.
fn merge_env(list: &mut Vec<Value>, env: &BTreeMap<String, String>) {
    for (name, value) in env {
        let same_name = |old: &Value| {
            let old = old.as_str().and_then(|text| text.split_once('='));
            old.is_some_and(|(old, _)| old.to_lowercase() == name.to_lowercase())
        };
        let place = list.iter().position(same_name).unwrap_or(list.len());
        list.retain(|old| !same_name(old));
        list.insert(place, json!(format!("{name}={value}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys in Microsoft's odd case, fields that nobody knows, and an order of its own.
    fn config() -> Config {
        let value = json!({
            "zebra": [1], "architecture": "amd64", "os": "windows", "os.version": "10.0.17763.1", "os.features": ["win32k"],
            "history": [{"Created_By": "Apply image 10.0.17763.1", "unknown": 1}],
            "rootfS": {"type": "layers", "diff_ids": [Digest::of(b"old")]},
            "config": {"user": "ContainerUser", "cmd": ["cmd"], "Env": ["Path=C:\\", "X=1", "PATH=D:\\"], "Odd": null, "ArgsEscaped": true},
        });
        Config::parse(Document::from_value("", value)).unwrap()
    }

    #[test]
    fn without_a_change_the_document_is_the_same() {
        assert_eq!(edit_config(&config(), &ConfigEdit::default()).digest(), config().document.digest());
    }

    #[test]
    fn layers_and_history_change_and_all_else_stays() {
        let history = vec![
            HistoryEntry { created_by: Some("rewritten".to_owned()), empty_layer: true, ..HistoryEntry::default() },
            HistoryEntry {
                created: Some("2026".to_owned()),
                comment: Some("added".to_owned()),
                ..HistoryEntry::default()
            },
        ];
        let diff_ids = Some(vec![Digest::of(b"new"), Digest::of(b"top")]);
        let edited = edit_config(&config(), &ConfigEdit { diff_ids, history, ..ConfigEdit::default() });
        let expected = json!({
            "zebra": [1], "architecture": "amd64", "os": "windows", "os.version": "10.0.17763.1", "os.features": ["win32k"],
            "history": [{"created_by": "Apply image 10.0.17763.1", "unknown": 1},
                        {"created_by": "rewritten", "empty_layer": true}, {"created": "2026", "comment": "added"}],
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"new"), Digest::of(b"top")]},
            "config": {"User": "ContainerUser", "Cmd": ["cmd"], "Env": ["Path=C:\\", "X=1", "PATH=D:\\"], "Odd": null, "ArgsEscaped": true},
        });
        assert_eq!(edited.value().to_string(), expected.to_string());
        let layers = Config::parse(edited).unwrap().history.iter().filter(|entry| !entry.empty_layer).count();
        assert_eq!(layers, 2);
    }

    #[test]
    fn a_history_that_does_not_fit_is_made_to_fit() {
        let fitted = |layers: usize, history: Value| {
            let diff_ids = vec![Digest::of(b"layer"); layers];
            let value =
                json!({"os": "windows", "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history});
            let config = Config::parse(Document::from_value("", value)).unwrap();
            let step =
                HistoryEntry { created_by: Some("new".to_owned()), empty_layer: true, ..HistoryEntry::default() };
            let edited = edit_config(&config, &ConfigEdit { history: vec![step], ..ConfigEdit::default() });
            let history = Config::parse(edited).unwrap().history;
            history
                .iter()
                .map(|step| (step.created_by.clone().unwrap_or_default(), step.empty_layer))
                .collect::<Vec<_>>()
        };
        let step = |name: &str, empty: bool| (name.to_owned(), empty);
        let only = json!([{"created_by": "only"}]);
        let (unknown, new) = (step("unknown", false), step("new", true));
        assert_eq!(fitted(3, only.clone()), [unknown.clone(), unknown, step("only", false), new.clone()]);
        assert_eq!(fitted(1, only), [step("only", false), new.clone()]);
        let many = json!([{"created_by": "a"}, {"created_by": "b", "Empty_Layer": true}, {"created_by": "c"}, 5]);
        assert_eq!(fitted(1, many), [step("a", false), step("b", true), step("c", true), step("", true), new]);
    }

    #[test]
    fn settings_are_merged() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let settings = ImageSettings {
            env: pairs(&[("path", "E:\\"), ("NEW", "a=b")]),
            entrypoint: Some(texts(&["server.exe"])),
            workdir: Some("C:\\app".to_owned()),
            exposed_ports: BTreeSet::from(["8080/tcp".to_owned()]),
            labels: pairs(&[("team", "platform")]),
            ..ImageSettings::default()
        };
        let edited = edit_config(&config(), &ConfigEdit { settings, ..ConfigEdit::default() });
        let expected = json!({
            "User": "ContainerUser", "Env": ["path=E:\\", "X=1", "NEW=a=b"], "Odd": null, "Entrypoint": ["server.exe"],
            "WorkingDir": "C:\\app", "ExposedPorts": {"8080/tcp": {}}, "Labels": {"team": "platform"},
        });
        assert_eq!(edited.value()["config"].to_string(), expected.to_string());

        let settings =
            ImageSettings { cmd: Some(texts(&["a", "b c"])), user: Some("u".to_owned()), ..ImageSettings::default() };
        let edited = edit_config(&config(), &ConfigEdit { settings, ..ConfigEdit::default() });
        assert_eq!(edited.value()["config"]["Cmd"], json!(["a", "b c"]));
        assert_eq!(edited.value()["config"]["User"], "u");
    }

    #[test]
    fn settings_of_the_wrong_kind_are_replaced() {
        let mut value = config().document.value().clone();
        value["config"] = json!({"Env": null, "Labels": 1});
        let config = Config::parse(Document::from_value("", value)).unwrap();
        let one = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let settings = ImageSettings { env: one.clone(), labels: one, ..ImageSettings::default() };
        let edited = edit_config(&config, &ConfigEdit { settings, ..ConfigEdit::default() });
        assert_eq!(edited.value()["config"], json!({"Env": ["a=b"], "Labels": {"a": "b"}}));
    }
}
