//! What is different now from what a lock says.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Inputs, Lock, Named, Pin, TOOL};
use crate::image::Digest;
use crate::windows::updates;

/// What it can mean that a tag went back.
pub const WENT_BACK: &str = "an update was withdrawn, or the tag was set by mistake";

/// All that is different.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The version of winslim in the lock, if it is not this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_by: Option<String>,
    /// Every base of the build file and of the lock.
    pub bases: Vec<BaseDrift>,
}

/// What is different about a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaseDrift {
    /// The image, as the build file names it.
    pub image: String,
    /// The platform, as the build file asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Where the base is.
    pub place: Place,
    /// What happened to the tag, if it no longer leads to what is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<Move>,
    /// Profiles that are others.
    pub profiles: Vec<Change>,
    /// Added files and directories that are others.
    pub sources: Vec<Change>,
    /// Why nobody knows whether the tag moved, if it cannot be looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// Where a base is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the build file and in the lock.
    Both,
    /// In the build file alone.
    NotLocked,
    /// In the lock alone.
    OnlyLocked,
}

/// A profile or a source that is not the one in the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// What happened to a profile or a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It holds something else.
    Changed,
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It counts at another place than before.
    Reordered,
}

/// A tag that leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// Where to.
    pub direction: Direction,
    /// What is locked.
    pub before: Release,
    /// What there is now.
    pub after: Release,
    /// The layers of both, those of the new image first.
    pub layers: Vec<LayerDrift>,
    /// Compressed bytes of the layers that the locked image has not.
    pub new_bytes: u64,
}

/// Where a tag went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To a later version of Windows.
    Forward,
    /// To an earlier version of Windows.
    Back,
    /// To another image of the same version of Windows.
    SameVersion,
    /// To the same image in another index.
    SameImage,
    /// An image does not say its version.
    Unknown,
}

/// One image that a tag leads or led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The digest of the index or, if there is none, of the manifest.
    pub root: String,
    /// The digest of the manifest.
    pub manifest: String,
    /// The version of Windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Its build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<u32>,
    /// Its revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// Microsoft's number of the update that has this revision, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<String>,
    /// The day of that update, or its month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
    /// Sizes of all layers in bytes.
    pub compressed: u64,
}

/// A layer of the old or the new image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerDrift {
    /// Its number in the new image; in the old one if it is gone.
    pub layer: usize,
    /// Which image has it.
    pub state: LayerState,
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Which image has a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LayerState {
    /// Both.
    Same,
    /// The new one.
    New,
    /// The old one.
    Gone,
}

impl Drift {
    /// Compares a lock with what the build file asks for now and, where it was looked up, with what the tags lead to now.
    pub fn new(lock: &Lock, now: &[(Inputs, Option<Pin>)]) -> Drift {
        let mut bases: Vec<BaseDrift> = now.iter().map(|(inputs, pin)| base(lock, inputs, pin.as_ref())).collect();
        for locked in &lock.bases {
            if !now.iter().any(|(inputs, _)| inputs.is_same_base(&locked.inputs)) {
                bases.push(BaseDrift::new(&locked.inputs, Place::OnlyLocked));
            }
        }
        Drift { locked_by: (lock.winslim != TOOL).then(|| lock.winslim.clone()), bases }
    }

    /// Whether nothing is different.
    pub fn is_none(&self) -> bool {
        self.locked_by.is_none() && self.bases.iter().all(BaseDrift::is_none)
    }

    /// The bases whose tags went back to an earlier version of Windows, as warnings.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.bases.iter().filter_map(|base| {
            let moved = base.moved.as_ref().filter(|moved| moved.direction == Direction::Back)?;
            let version = |release: &Release| release.os_version.clone().unwrap_or_default();
            Some(format!(
                "`{}` went back from {} to {}: {WENT_BACK}",
                base.image,
                version(&moved.before),
                version(&moved.after),
            ))
        })
    }
}

impl BaseDrift {
    fn new(inputs: &Inputs, place: Place) -> BaseDrift {
        BaseDrift {
            image: inputs.image.clone(),
            platform: inputs.platform.clone(),
            place,
            moved: None,
            profiles: Vec::new(),
            sources: Vec::new(),
            unknown: None,
        }
    }

    /// Whether nothing is different.
    pub fn is_none(&self) -> bool {
        self.place == Place::Both
            && self.moved.is_none()
            && self.profiles.is_empty()
            && self.sources.is_empty()
            && self.unknown.is_none()
    }
}

fn base(lock: &Lock, inputs: &Inputs, pin: Option<&Pin>) -> BaseDrift {
    let Some(locked) = lock.base(inputs) else { return BaseDrift::new(inputs, Place::NotLocked) };
    BaseDrift {
        moved: pin
            .filter(|pin| pin.root() != locked.pin.root() || pin.manifest != locked.pin.manifest)
            .map(|pin| moved(&locked.pin, pin)),
        profiles: changes(&locked.inputs.profiles, &inputs.profiles),
        sources: changes(&locked.inputs.sources, &inputs.sources),
        ..BaseDrift::new(inputs, Place::Both)
    }
}

/// What became of named things; the order counts, because later profiles override earlier ones.
fn changes(before: &[Named], after: &[Named]) -> Vec<Change> {
    let find = |list: &[Named], name: &str| list.iter().position(|named| named.name == name);
    let change = |named: &Named, kind| Change { name: named.name.clone(), kind };
    let mut changes = Vec::new();
    for named in after {
        match find(before, &named.name) {
            None => changes.push(change(named, ChangeKind::Added)),
            Some(place) if before[place].digest != named.digest => changes.push(change(named, ChangeKind::Changed)),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|named| find(after, &named.name).is_none());
    changes.extend(gone.map(|named| change(named, ChangeKind::Removed)));
    if changes.is_empty() && before != after {
        let moved = before.iter().zip(after).find(|(before, after)| before != after);
        changes.extend(moved.map(|(_, after)| change(after, ChangeKind::Reordered)));
    }
    changes
}

fn moved(before: &Pin, after: &Pin) -> Move {
    let has = |pin: &Pin, digest: &Digest| pin.layers.iter().any(|layer| layer.digest == *digest);
    let row = |(layer, found): (usize, &super::Layer), state| LayerDrift {
        layer,
        state,
        digest: found.digest.to_string(),
        size: found.size,
    };
    let mut layers = Vec::new();
    for (number, layer) in after.layers.iter().enumerate() {
        let state = if has(before, &layer.digest) { LayerState::Same } else { LayerState::New };
        layers.push(row((number, layer), state));
    }
    let gone = before.layers.iter().enumerate().filter(|(_, layer)| !has(after, &layer.digest));
    layers.extend(gone.map(|layer| row(layer, LayerState::Gone)));
    let new = layers.iter().filter(|layer| layer.state == LayerState::New);
    Move {
        direction: direction(before, after),
        before: Release::of(before),
        after: Release::of(after),
        new_bytes: new.fold(0, |sum, layer| sum.saturating_add(layer.size)),
        layers,
    }
}

fn direction(before: &Pin, after: &Pin) -> Direction {
    if before.manifest == after.manifest {
        return Direction::SameImage;
    }
    match (before.version(), after.version()) {
        (Some(before), Some(after)) if after > before => Direction::Forward,
        (Some(before), Some(after)) if after < before => Direction::Back,
        (Some(_), Some(_)) => Direction::SameVersion,
        _ => Direction::Unknown,
    }
}

impl Release {
    fn of(pin: &Pin) -> Release {
        let version = pin.version();
        let update = version.and_then(|version| updates::find(version.build(), version.revision()));
        Release {
            root: pin.root().to_string(),
            manifest: pin.manifest.to_string(),
            os_version: pin.os_version.clone(),
            build: version.map(|version| version.build()),
            revision: version.map(|version| version.revision()),
            update: update.map(|update| update.article.to_owned()),
            released: update.map(|update| update.released()),
            compressed: pin.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size)),
        }
    }
}
