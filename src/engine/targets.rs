//! Where the results of a build go: which of them share a target, and the index that these share.

use super::base::FoundImage;
use super::built::Built;
use super::error::TargetError;
use crate::image::OsVersion;
use crate::image::edit::{NewIndexEntry, make_index};
use crate::transport::Reference;

/// A target, and the bases whose results go there.
pub(super) struct Group {
    pub(super) reference: Reference,
    /// The numbers of the bases, the newest version of Windows first.
    pub(super) members: Vec<usize>,
}

/// Groups bases by target. Bases with one target are of different builds of Windows, the newest first: engines take the first
/// entry that fits, and two of one build would leave it to chance which one that is.
pub(super) fn groups(bases: &[(&FoundImage<'_>, &Reference)], append: bool) -> Result<Vec<Group>, TargetError> {
    let mut groups: Vec<Group> = Vec::new();
    for (number, (_, target)) in bases.iter().enumerate() {
        match groups.iter_mut().find(|group| group.reference == **target) {
            Some(group) => group.members.push(number),
            None => groups.push(Group { reference: (*target).clone(), members: vec![number] }),
        }
    }
    for group in groups.iter_mut().filter(|group| group.members.len() > 1) {
        order_members(group, bases)?;
    }
    for (number, group) in groups.iter().enumerate() {
        let archive = |group: &Group| match &group.reference {
            Reference::OciArchive(archive) => Some(archive.path.clone()),
            _ => None,
        };
        let is_archive = archive(group).is_some();
        if is_archive && groups[..number].iter().any(|other| archive(other) == archive(group)) {
            return Err(TargetError::SeveralInArchive(group.reference.to_string()));
        }
        if is_archive && append {
            return Err(TargetError::AppendToArchive(group.reference.to_string()));
        }
    }
    Ok(groups)
}

fn order_members(group: &mut Group, bases: &[(&FoundImage<'_>, &Reference)]) -> Result<(), TargetError> {
    let name = |number: usize| bases[number].0.image.reference.to_string();
    let mut members: Vec<(usize, OsVersion, String)> = Vec::new();
    for &number in &group.members {
        let platform = bases[number].0.image.config.platform();
        let version = platform
            .version()
            .ok_or_else(|| TargetError::NoVersion { base: name(number), target: group.reference.to_string() })?;
        let same = |(_, other, architecture): &&(usize, OsVersion, String)| {
            other.build() == version.build() && *architecture == platform.architecture
        };
        if let Some((other, ..)) = members.iter().find(same) {
            return Err(TargetError::SameBuild { one: name(*other), other: name(number), build: version.build() });
        }
        members.push((number, version, platform.architecture));
    }
    members.sort_by(|(_, one, _), (_, other, _)| other.cmp(one));
    group.members = members.into_iter().map(|(number, ..)| number).collect();
    Ok(())
}

/// Gives all results that share a target one index with an entry for each.
pub(super) fn share_index(group: &Group, built: &mut [Built<'_>]) {
    if group.members.len() < 2 {
        return;
    }
    let entry = |&member: &usize| {
        let Built { base, documents, .. } = &built[member];
        NewIndexEntry {
            manifest: &documents.manifest.document,
            config: &documents.config,
            base: base.image.index_entry(),
        }
    };
    let index = make_index(&group.members.iter().map(entry).collect::<Vec<_>>());
    for &member in &group.members {
        built[member].documents.index = Some(index.clone());
    }
}
