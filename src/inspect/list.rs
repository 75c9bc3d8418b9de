//! The entries of an image one by one, as a listing shows them.

use super::{EntrySize, SizeModel};
use crate::layer::{Entry, EntryId, EntryKind, LayerNumber, NameId};
use crate::numbered::NumberedVec;

/// An entry of a listing.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// Its number.
    pub id: EntryId,
    /// What it is.
    pub entry: &'a Entry,
    /// What it takes.
    pub size: &'a EntrySize,
    /// How many names its file has; 1 for what is in no link group.
    pub names: usize,
    /// The entry that holds its data, if that is another one.
    pub holder: Option<&'a Entry>,
    /// The layer that hides its name.
    pub hidden_by: Option<LayerNumber>,
    /// Whether no container sees its data, under no name.
    pub dead: bool,
}

impl SizeModel<'_> {
    /// The entries whose folded path, or that of a directory above, `wanted` accepts; a directory comes right before
    /// what is in it, lower layers before upper ones. `places` come from [`crate::layer::order::places`].
    ///
    /// A stream comes behind its file and is asked for by that one's name; a whiteout is asked for by what it deletes.
    pub fn list(&self, places: &NumberedVec<NameId, u32>, mut wanted: impl FnMut(&str) -> bool) -> Vec<EntryId> {
        let names = self.stack().names();
        let mut is_wanted: NumberedVec<NameId, bool> = NumberedVec::with_capacity(names.count());
        for name in names.all() {
            let directory_is = names.parent(name).is_some_and(|directory| is_wanted[directory]);
            is_wanted.push(directory_is || wanted(names.text(name)));
        }
        let named = self.entries().map(|(id, _, size)| (names.of(EntryId { entry: size.owner, ..id }), id));
        let wanted = named.filter(|(name, _)| is_wanted[*name]);
        let mut all: Vec<(u32, EntryId)> = wanted.map(|(name, id)| (places[name], id)).collect();
        all.sort_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, id)| id).collect()
    }

    /// An entry as a listing shows it. The number must come from the stack.
    pub fn listed(&self, id: EntryId) -> Listed<'_> {
        let group = self.stack().links().group_of(id);
        Listed {
            id,
            entry: self.stack().entry(id),
            size: self.size(id),
            names: group.map_or(1, |group| group.members.len()),
            holder: group.filter(|group| group.holder != id).map(|group| self.stack().entry(group.holder)),
            hidden_by: self.shadows().hidden_by(id),
            dead: self.size(group.map_or(id, |group| group.holder)).dead_by().is_some(),
        }
    }
}

impl Listed<'_> {
    /// The length of the file in bytes, whichever name holds its data.
    pub fn length(&self) -> u64 {
        self.holder.unwrap_or(self.entry).size
    }

    /// What it is, in a letter: `-` file, `d` directory, `h` hard link, `l` symbolic link, `j` junction, `s` stream,
    /// `w` whiteout, `?` anything else.
    pub fn letter(&self) -> char {
        match self.entry.kind {
            EntryKind::File => '-',
            EntryKind::Directory => 'd',
            EntryKind::HardLink => 'h',
            EntryKind::Symlink => 'l',
            EntryKind::Junction => 'j',
            EntryKind::Stream => 's',
            EntryKind::Whiteout | EntryKind::OpaqueWhiteout => 'w',
            EntryKind::Other(_) => '?',
        }
    }

    /// The attributes that people look at, each as its letter or `-`: read-only, hidden, system, archive.
    pub fn attributes(&self) -> [char; 4] {
        let attributes = self.entry.attributes.unwrap_or(0);
        // Win32 `FILE_ATTRIBUTE_*`.
        [(0x1, 'r'), (0x2, 'h'), (0x4, 's'), (0x20, 'a')]
            .map(|(bit, letter)| if attributes & bit == 0 { '-' } else { letter })
    }
}
