//! What the tag of a target leads to before a build moves it, and how the results join it.

use serde_json::{Value, json};

use super::built::Built;
use super::session::Session;
use super::targets::Group;
use crate::image::document::field;
use crate::image::edit::{NewIndexEntry, make_index};
use crate::image::{Descriptor, Digest, Document, Index, Platform, media_type};
use crate::transport::registry::RegistryError;
use crate::transport::{Reference, RegistryOptions, Source, TransportError};

/// The images that a tag leads to.
pub(super) struct Present {
    root: Document,
    /// The entries of its index; one that is made here if the tag leads to a manifest.
    entries: Vec<Value>,
    images: Vec<(Digest, Platform)>,
}

/// What must be equal for an image to take the place of another.
type Slot = (String, String, Option<u32>);

fn slot(platform: &Platform) -> Slot {
    (platform.os.clone(), platform.architecture.clone(), platform.version().map(|version| version.build()))
}

/// Reads what a tag leads to now; `None` if it leads to nothing. Mirrors are not asked: they may be behind.
pub(super) async fn read(reference: &Reference, session: &Session) -> Result<Option<Present>, TransportError> {
    let is_there = match reference {
        Reference::Registry(_) => true,
        Reference::Layout(layout) => layout.path.join("index.json").is_file(),
        Reference::OciArchive(_) | Reference::DockerArchive(_) => false,
    };
    if !is_there {
        return Ok(None);
    }
    let options = RegistryOptions { mirrors: Default::default(), ..session.registry.clone() };
    let source = Source::open(reference, &options, &session.store).await?;
    let root = match source.root_document().await {
        Ok(root) => root,
        Err(
            TransportError::NoSuchImage { .. }
            | TransportError::Registry(
                RegistryError::UnknownTag { .. }
                | RegistryError::UnknownRepository { .. }
                | RegistryError::NotAnImage { .. },
            ),
        ) => return Ok(None),
        Err(error) => return Err(error),
    };
    let images = source.images().await?.images;
    let entries = match Index::is_index(&root) {
        true => field(root.value(), "manifests").and_then(Value::as_array).cloned().unwrap_or_default(),
        false => {
            let mut entry = Descriptor::of(&root).to_value();
            if let Some(platform) = source.listed_platform(&root).await? {
                entry["platform"] = platform;
            }
            vec![entry]
        }
    };
    Ok(Some(Present { root, entries, images }))
}

impl Present {
    /// The platforms of the images that the results of a build do not replace by a newer one of the same kind.
    pub(super) fn others(&self, group: &Group, built: &[Built<'_>]) -> Vec<String> {
        let own = slots(group, built);
        let others = self.images.iter().filter(|(_, platform)| !own.contains(&slot(platform)));
        others.map(|(_, platform)| platform.to_string()).collect()
    }

    /// The index with the results of a build in it: they replace images for the same system, architecture and build, with the
    /// attestations of these; everything else stays as it is. Newer versions of Windows come first.
    pub(super) fn joined(&self, group: &Group, built: &[Built<'_>]) -> Document {
        let own = slots(group, built);
        let platform = |entry: &Value| {
            let digest: Digest = field(entry, "digest")?.as_str()?.parse().ok()?;
            self.images.iter().find(|(image, _)| *image == digest).map(|(_, platform)| platform)
        };
        let is_replaced = |entry: &Value| platform(entry).is_some_and(|platform| own.contains(&slot(platform)));
        let replaced: Vec<&Value> = self.entries.iter().filter(|entry| is_replaced(entry)).collect();
        let attests_replaced = |entry: &Value| {
            let subject = field(entry, "annotations").and_then(|notes| notes.get("vnd.docker.reference.digest"));
            subject.is_some_and(|subject| replaced.iter().any(|entry| field(entry, "digest") == Some(subject)))
        };
        let mut entries: Vec<(Value, Option<Platform>)> = self
            .entries
            .iter()
            .filter(|entry| !is_replaced(entry) && !attests_replaced(entry))
            .map(|entry| (entry.clone(), platform(entry).cloned()))
            .collect();
        for &member in &group.members {
            let Built { base, documents, .. } = &built[member];
            let new = NewIndexEntry {
                manifest: &documents.manifest.document,
                config: &documents.config,
                base: base.image.index_entry(),
            };
            let entry = make_index(&[new]).value()["manifests"][0].clone();
            let own = documents.config.platform();
            let is_windows =
                |platform: &Option<Platform>| platform.as_ref().is_some_and(|platform| platform.os == "windows");
            let older = entries
                .iter()
                .position(|(_, other)| is_windows(other) && other.as_ref().and_then(Platform::version) < own.version());
            let behind = || entries.iter().rposition(|(_, other)| is_windows(other)).map_or(0, |last| last + 1);
            entries.insert(older.unwrap_or_else(behind), (entry, Some(own)));
        }
        let manifests: Vec<Value> = entries.into_iter().map(|(entry, _)| entry).collect();
        let mut value = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
        if let Some(annotations) = field(self.root.value(), "annotations").filter(|_| Index::is_index(&self.root)) {
            value["annotations"] = annotations.clone();
        }
        Document::from_value(media_type::OCI_INDEX, value)
    }
}

fn slots(group: &Group, built: &[Built<'_>]) -> Vec<Slot> {
    group.members.iter().map(|&member| slot(&built[member].documents.config.platform())).collect()
}
