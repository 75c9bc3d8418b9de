//! The nodes of a Kubernetes cluster, as `kubectl get nodes -o json` or `-o wide` prints them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host::{Host, Version};

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// The Windows on it; nothing on a node of another system.
    pub windows: Option<Windows>,
    /// What its system calls itself, such as `Ubuntu 16.04.6 LTS`.
    pub os_image: String,
    /// Its container engine, such as `containerd://1.7.20`.
    pub runtime: String,
    /// The processor architecture in Go's words; the table does not say it.
    pub architecture: Option<String>,
    /// What a pod has to tolerate to run there; the table does not say it.
    pub taints: Option<Vec<Taint>>,
}

/// The Windows on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Windows {
    /// Its version is known.
    Known(Host),
    /// Its version cannot be read: the text in its place.
    Unknown(String),
}

/// What keeps pods off a node unless they tolerate it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Taint {
    /// Its name.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
    /// What it does: `NoSchedule`, `PreferNoSchedule`, `NoExecute`.
    pub effect: String,
}

/// Text that is not a list of nodes.
#[derive(Debug, thiserror::Error)]
pub enum NodesError {
    /// There is nothing in it.
    #[error("there is nothing in it; write it with `kubectl get nodes -o json` or `kubectl get nodes -o wide`")]
    Empty,
    /// It begins like JSON but is none, or is that of something else.
    #[error("it is not the JSON of `kubectl get nodes -o json`: {0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON, but of something else.
    #[error("it is the JSON of a `{0}` and not of a list of nodes; write it with `kubectl get nodes -o json`")]
    Kind(String),
    /// Its first line is not the one of the wide table.
    #[error("its first line has no column `{0}`; write it with `kubectl get nodes -o wide`, or `-o json`")]
    Header(&'static str),
    /// A line of the table that cannot be divided into columns.
    #[error("line {0} has fewer columns than the first line; write it with `kubectl get nodes -o json`")]
    Row(usize),
}

/// Reads the nodes from the bytes of a file: UTF-8, or UTF-16 as Windows PowerShell redirects it.
pub fn read(bytes: &[u8]) -> Result<Vec<Node>, NodesError> {
    match bytes {
        [0xff, 0xfe, units @ ..] => {
            let units = units.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
            parse(&char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect::<String>())
        }
        bytes => parse(&String::from_utf8_lossy(bytes)),
    }
}

/// Reads the nodes.
pub fn parse(text: &str) -> Result<Vec<Node>, NodesError> {
    let text = text.trim_start_matches('\u{feff}');
    match text.trim_start().chars().next() {
        None => Err(NodesError::Empty),
        Some('{' | '[') => from_json(text),
        Some(_) => from_table(text),
    }
}

#[derive(Deserialize)]
struct JsonList {
    #[serde(default)]
    kind: String,
    items: Option<Vec<JsonNode>>,
}

#[derive(Deserialize)]
struct JsonNode {
    metadata: JsonMetadata,
    #[serde(default)]
    spec: JsonSpec,
    #[serde(default)]
    status: JsonStatus,
}

#[derive(Deserialize)]
struct JsonMetadata {
    name: String,
    #[serde(default)]
    labels: Labels,
}

#[derive(Deserialize, Default)]
struct Labels {
    #[serde(default, rename = "node.kubernetes.io/windows-build")]
    windows_build: String,
    #[serde(default, rename = "kubernetes.io/os")]
    os: String,
    #[serde(default, rename = "kubernetes.io/arch")]
    architecture: String,
}

#[derive(Deserialize, Default)]
struct JsonSpec {
    #[serde(default)]
    taints: Vec<Taint>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct JsonStatus {
    #[serde(default)]
    node_info: NodeInfo,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NodeInfo {
    kernel_version: String,
    os_image: String,
    operating_system: String,
    container_runtime_version: String,
    architecture: String,
}

fn from_json(text: &str) -> Result<Vec<Node>, NodesError> {
    let list: JsonList = serde_json::from_str(text)?;
    let items = match (list.items, list.kind.as_str()) {
        (Some(items), _) => items,
        (None, "Node") => vec![serde_json::from_str(text)?],
        (None, kind) => return Err(NodesError::Kind(kind.to_owned())),
    };
    Ok(items.into_iter().map(from_item).collect())
}

fn from_item(item: JsonNode) -> Node {
    let (info, labels) = (item.status.node_info, item.metadata.labels);
    let either = |first: String, second: String| if first.is_empty() { second } else { first };
    let system = either(info.operating_system, labels.os);
    // The label has no revision, but a node that has not reported yet may have it.
    let version = either(info.kernel_version, labels.windows_build);
    Node {
        name: item.metadata.name,
        windows: (system == "windows").then(|| windows(&version, &info.os_image)),
        os_image: info.os_image,
        runtime: info.container_runtime_version,
        architecture: Some(either(info.architecture, labels.architecture)).filter(|text| !text.is_empty()),
        taints: Some(item.spec.taints),
    }
}

fn windows(version: &str, os_image: &str) -> Windows {
    match version.parse::<Version>() {
        Ok(version) if os_image.is_empty() => Windows::Known(Host::of(version)),
        Ok(version) => Windows::Known(Host::named(version, os_image)),
        Err(_) => Windows::Unknown(version.to_owned()),
    }
}

/// The columns of the table that are read.
const COLUMNS: [&str; 4] = ["NAME", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"];

fn from_table(text: &str) -> Result<Vec<Node>, NodesError> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((_, header)) = lines.next() else { return Err(NodesError::Empty) };
    let header = header.trim_end();
    let names: Vec<&str> = header.split_whitespace().collect();
    let mut columns = [0; COLUMNS.len()];
    for (column, wanted) in columns.iter_mut().zip(COLUMNS) {
        *column = names.iter().position(|name| *name == wanted).ok_or(NodesError::Header(wanted))?;
    }
    let mut nodes = Vec::new();
    for (number, line) in lines {
        let cells = match by_gaps(line) {
            cells if cells.len() == names.len() => cells,
            _ => by_header(header, line),
        };
        let cell = |column: usize| cells.get(columns[column]).copied().filter(|cell| !cell.is_empty());
        let (Some(name), Some(os_image), Some(kernel), Some(runtime)) = (cell(0), cell(1), cell(2), cell(3)) else {
            return Err(NodesError::Row(number + 1));
        };
        nodes.push(Node {
            name: name.to_owned(),
            windows: os_image.contains("Windows").then(|| windows(kernel, os_image)),
            os_image: os_image.to_owned(),
            runtime: runtime.to_owned(),
            architecture: None,
            taints: None,
        });
    }
    Ok(nodes)
}

/// The cells of a line: what two or more spaces, or a tab, keep apart.
fn by_gaps(line: &str) -> Vec<&str> {
    line.split("  ").flat_map(|part| part.split('\t')).map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// The cells of a line below the columns of the header, counted in characters: for lines with empty cells.
fn by_header<'a>(header: &str, line: &'a str) -> Vec<&'a str> {
    let before = std::iter::once(' ').chain(header.chars());
    let begins = header.chars().zip(before).enumerate().filter(|(_, (this, before))| *before == ' ' && *this != ' ');
    let mut places: Vec<usize> = begins.map(|(column, _)| place(line, column)).collect();
    places.push(line.len());
    places.windows(2).filter_map(|pair| line.get(*pair.first()?..*pair.last()?)).map(str::trim).collect()
}

/// Where a column of a line begins, in bytes.
fn place(line: &str, column: usize) -> usize {
    line.char_indices().nth(column).map_or(line.len(), |(place, _)| place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::windows::host::Edition;

    fn version(node: &Node) -> String {
        match &node.windows {
            Some(Windows::Known(host)) => host.version.to_string(),
            Some(Windows::Unknown(text)) => format!("unknown: {text}"),
            None => "no Windows".to_owned(),
        }
    }

    const WIDE: &str = "\
NAME           STATUS   ROLES    AGE   VERSION   INTERNAL-IP   EXTERNAL-IP   OS-IMAGE                         KERNEL-VERSION      CONTAINER-RUNTIME
linux-node     Ready    agent    5d    v1.17.0   10.0.0.5      <none>        Ubuntu 16.04.6 LTS               4.15.0-1063-azure   docker://19.3.5
windows-node   Ready    <none>   5d    v1.17.0   10.0.0.4      <none>        Windows Server 2019 Datacenter   10.0.17763.737      docker://19.3.5
other          Ready    <none>   5d    v1.35.0                 <none>        Windows Server 2025 Datacenter   10.0.26100.1742     containerd://2.2.0
";

    #[test]
    fn the_wide_table_is_read() {
        let nodes = parse(WIDE).unwrap();
        let seen: Vec<_> =
            nodes.iter().map(|node| (node.name.as_str(), version(node), node.runtime.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("linux-node", "no Windows".to_owned(), "docker://19.3.5"),
                ("windows-node", "10.0.17763.737".to_owned(), "docker://19.3.5"),
                ("other", "10.0.26100.1742".to_owned(), "containerd://2.2.0"),
            ]
        );
        assert_eq!((nodes[0].os_image.as_str(), &nodes[0].taints), ("Ubuntu 16.04.6 LTS", &None));
    }

    #[test]
    fn a_table_need_not_be_aligned() {
        let header = "NAME   STATUS   ROLES   AGE   VERSION   INTERNAL-IP   EXTERNAL-IP   OS-IMAGE   KERNEL-VERSION   CONTAINER-RUNTIME";
        let row = "windows-node   Ready   <none>   5d   v1.17.0   10.0.0.4   <none>   Windows Server 2019 Datacenter   10.0.17763.737   docker://19.3.5";
        for text in [format!("{header}\n{row}\n"), format!("{header}\r\n{row}\r\n").replace("   ", "\t")] {
            let nodes = parse(&text).unwrap();
            assert_eq!((nodes.len(), version(&nodes[0])), (1, "10.0.17763.737".to_owned()));
        }
        assert_eq!(parse(header).unwrap(), []);
    }

    #[test]
    fn json_is_read() {
        let item = |name: &str, system: &str, kernel: &str, image: &str| {
            json!({"metadata": {"name": name, "labels": {"kubernetes.io/os": system}},
                   "spec": {"taints": [{"key": "os", "value": "windows", "effect": "NoSchedule"}]},
                   "status": {"nodeInfo": {"kernelVersion": kernel, "osImage": image, "operatingSystem": system,
                              "containerRuntimeVersion": "containerd://1.7.20", "architecture": "amd64"}}})
        };
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            item("a", "windows", "10.0.20348.2402", "Windows Server 2022 Datacenter: Azure Edition"),
            item("b", "linux", "5.15.0", "Ubuntu 22.04"),
            item("c", "windows", "unknown", ""),
            item("d", "windows", "10.0.19045.4170", "Windows 10 Pro"),
        ]});
        let nodes = parse(&list.to_string()).unwrap();
        let versions: Vec<String> = nodes.iter().map(version).collect();
        assert_eq!(versions, ["10.0.20348.2402", "no Windows", "unknown: unknown", "10.0.19045.4170"]);
        let Some(Windows::Known(host)) = &nodes[3].windows else { panic!("{nodes:?}") };
        assert_eq!(host.edition, Edition::Windows10);
        assert_eq!(nodes[0].architecture.as_deref(), Some("amd64"));
        let taint = Taint { key: "os".to_owned(), value: "windows".to_owned(), effect: "NoSchedule".to_owned() };
        assert_eq!(nodes[0].taints, Some(vec![taint]));

        let mut one = item("a", "windows", "10.0.20348.2402", "");
        one["kind"] = json!("Node");
        assert_eq!(parse(&one.to_string()).unwrap().len(), 1);
        assert_eq!(parse(r#"{"kind": "List", "items": []}"#).unwrap(), []);
    }

    #[test]
    fn a_node_that_has_not_reported_has_its_labels() {
        let labels = json!({"kubernetes.io/os": "windows", "kubernetes.io/arch": "amd64",
                            "node.kubernetes.io/windows-build": "10.0.17763"});
        let nodes = parse(&json!({"items": [{"metadata": {"name": "a", "labels": labels}}]}).to_string()).unwrap();
        assert_eq!((version(&nodes[0]), nodes[0].architecture.as_deref()), ("10.0.17763".to_owned(), Some("amd64")));
    }

    #[test]
    fn files_of_windows_powershell_are_read() {
        let units = WIDE.replace('\n', "\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        assert_eq!(read(&[&[0xff, 0xfe], &units[..]].concat()).unwrap(), parse(WIDE).unwrap());
        assert_eq!(read(WIDE.as_bytes()).unwrap(), parse(WIDE).unwrap());
        assert!(matches!(read(&[0xff, 0xfe, 0]), Err(NodesError::Empty)));
    }

    #[test]
    fn other_text_is_refused() {
        for (text, problem) in [
            ("", "nothing in it"),
            (" \n", "nothing in it"),
            ("{\"items\": [", "it is not the JSON of"),
            ("[]", "it is not the JSON of"),
            ("{\"items\": [{}]}", "missing field `metadata`"),
            ("{\"kind\": \"Pod\"}", "JSON of a `Pod`"),
            ("NAME   STATUS   ROLES   AGE   VERSION\na   Ready   <none>   5d   v1\n", "no column `OS-IMAGE`"),
            ("NAME   OS-IMAGE   KERNEL-VERSION   CONTAINER-RUNTIME\nä   b\n", "line 2 has fewer columns"),
            ("error: You must be logged in", "no column `NAME`"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[ -~äß\t\n]{0,80}") {
            let _ = parse(&text);
            let _ = parse(&format!("NAME  OS-IMAGE    KERNEL-VERSION  CONTAINER-RUNTIME\n{text}"));
            let _ = parse(&format!("ÄÄ NAME  OS-IMAGE {text} KERNEL-VERSION  CONTAINER-RUNTIME\n{text}"));
        }
    }
}
