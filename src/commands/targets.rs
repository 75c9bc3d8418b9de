//! Where the results of a build go: which of them share a target, and the index that these share.

use anyhow::Result;

use super::base::FoundImage;
use super::build::{Built, values};
use super::failure::Usage;
use super::order::Name;
use crate::image::edit::{NewIndexEntry, make_index};
use crate::transport::Reference;

/// A target, and the bases whose results go there.
pub(super) struct Group {
    pub(super) reference: Reference,
    /// The numbers of the bases, the newest version of Windows first.
    pub(super) members: Vec<usize>,
}

/// Finds the target of every base. Bases with one target are of different builds of Windows, and are put the newest first:
/// engines take the first entry that fits, and two of one build would leave it to chance which one that is.
pub(super) fn groups(target: &Name, found: &[FoundImage<'_>]) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for (number, found) in found.iter().enumerate() {
        let reference = target.reference(&values(found))?;
        match groups.iter_mut().find(|group| group.reference == reference) {
            Some(group) => group.members.push(number),
            None => groups.push(Group { reference, members: vec![number] }),
        }
    }
    for group in groups.iter_mut().filter(|group| group.members.len() > 1) {
        order_members(group, found)?;
    }
    for (number, group) in groups.iter().enumerate() {
        let archive = |group: &Group| match &group.reference {
            Reference::OciArchive(archive) => Some(archive.path.clone()),
            _ => None,
        };
        if archive(group).is_some() && groups[..number].iter().any(|other| archive(other) == archive(group)) {
            let text = format!(
                "an archive is written as a whole, so `{}` cannot have several targets in it; put the placeholder into the \
                 name of the file, or write `oci:DIRECTORY`",
                group.reference
            );
            return Err(Usage(text).into());
        }
    }
    Ok(groups)
}

fn order_members(group: &mut Group, found: &[FoundImage<'_>]) -> Result<()> {
    let mut members = Vec::new();
    for &number in &group.members {
        let platform = found[number].image.config.platform();
        let version = platform.version().ok_or_else(|| {
            let base = &found[number].image.reference;
            Usage(format!(
                "`{base}` does not say its version of Windows, so it cannot share the target `{}`",
                group.reference
            ))
        })?;
        let same = |(_, other, architecture): &&(usize, crate::image::OsVersion, String)| {
            other.build() == version.build() && *architecture == platform.architecture
        };
        if let Some((other, ..)) = members.iter().find(same) {
            let name = |number: usize| &found[number].image.reference;
            let text = format!(
                "`{}` and `{}` are both of Windows build {}, and no index should have two of one build: hosts would take either; \
                 put `{{tag}}` or `{{os.version}}` into the target",
                name(*other),
                name(number),
                version.build(),
            );
            return Err(Usage(text).into());
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
