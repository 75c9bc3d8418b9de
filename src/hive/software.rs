//! What Windows says of itself in its SOFTWARE hive, below `Microsoft\Windows NT\CurrentVersion`.

use std::io::{Read, Seek};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reader::{HiveError, HiveReader, Value};

const CURRENT_VERSION: [&str; 3] = ["Microsoft", "Windows NT", "CurrentVersion"];

/// The longest text that is taken for a name, in bytes.
const LONGEST_NAME: usize = 256;

/// What the registry says of the version of Windows, as far as it does: a delta often says only what changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryVersion {
    /// `CurrentBuildNumber` or `CurrentBuild`.
    pub build: Option<u32>,
    /// `UBR`: the revision, which each month's update raises.
    pub revision: Option<u32>,
    /// `EditionID`, such as `ServerDatacenter`.
    pub edition: Option<String>,
    /// `ProductName`, such as `Windows Server 2019 Datacenter`.
    pub product_name: Option<String>,
}

impl RegistryVersion {
    /// What the hives of several layers say together, from the base upward: of two that say the same, the upper one counts.
    /// Nothing if none says anything.
    pub fn of_layers<'a>(layers: impl IntoIterator<Item = &'a RegistryVersion>) -> Option<RegistryVersion> {
        let together = layers.into_iter().cloned().reduce(|below, upper| RegistryVersion {
            build: upper.build.or(below.build),
            revision: upper.revision.or(below.revision),
            edition: upper.edition.or(below.edition),
            product_name: upper.product_name.or(below.product_name),
        });
        together.filter(|together| *together != RegistryVersion::default())
    }

    /// Whether its texts can be shown to people. Those that were read from a hive can.
    pub fn is_printable(&self) -> bool {
        [&self.edition, &self.product_name].into_iter().flatten().all(|text| is_name(text))
    }
}

/// Reads a SOFTWARE hive, or the delta of one.
pub fn read_version(hive: impl Read + Seek) -> Result<RegistryVersion, HiveError> {
    let mut hive = HiveReader::open(hive)?;
    let Some(key) = hive.key(&CURRENT_VERSION)? else { return Ok(RegistryVersion::default()) };
    let mut text = |name: &str| -> Result<Option<String>, HiveError> {
        Ok(match hive.value(key, name)? {
            Some(Value::Text(text)) if is_name(&text) => Some(text),
            _ => None,
        })
    };
    let number = |text: String| text.parse().ok();
    let build = match text("CurrentBuildNumber")?.and_then(number) {
        Some(build) => Some(build),
        None => text("CurrentBuild")?.and_then(number),
    };
    let (edition, product_name) = (text("EditionID")?, text("ProductName")?);
    let revision = match hive.value(key, "UBR")? {
        Some(Value::Number(revision)) => Some(revision),
        _ => None,
    };
    Ok(RegistryVersion { build, revision, edition, product_name })
}

/// Whether a text can be shown to people as a name.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control)
}
