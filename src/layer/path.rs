//! Names inside a layer: as the tar says them, and as Windows compares them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a tar entry, exactly as the layer spells it.
///
/// Names come from outside and are not trusted: nothing in winslim uses one as a path on the host. Whether a Windows
/// host would take the name is for [`crate::verify`] to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LayerPath(Box<str>);

/// A name as Windows compares it: separators unified, no `./` in front, no separator at the end, in upper case.
///
/// Two entries with the same folded path are one file to NTFS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FoldedPath(Arc<str>);

/// A map from names, or from what there is as much of as of names.
///
/// Hashing takes a good part of the time in which an image is looked into; this hash is several times faster than the
/// standard one. Its seed differs from process to process, because names are not trusted, and so nothing may depend on
/// the order of the map.
pub type NameMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// The tree of a layer that a name lies in, by its first component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tree {
    /// `Files`: what the container sees as `C:\`.
    Files,
    /// `UtilityVM`: the virtual machine for Hyper-V isolation.
    UtilityVm,
    /// `Hives`: registry deltas of an upper layer.
    Hives,
    /// Anything else.
    Other,
}

impl Tree {
    /// The tree that a name lies in. The first component must be spelled exactly, as hosts compare it.
    pub fn of(name: &str) -> Tree {
        let known = [("Files", Tree::Files), ("UtilityVM", Tree::UtilityVm), ("Hives", Tree::Hives)];
        let is_in = |root: &str| name.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        known.into_iter().find(|(root, _)| is_in(root)).map_or(Tree::Other, |(_, tree)| tree)
    }
}

impl LayerPath {
    /// Takes a name over as it is.
    pub fn new(name: impl Into<Box<str>>) -> LayerPath {
        LayerPath(name.into())
    }

    /// The name as the tar spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as Windows compares it.
    pub fn fold(&self) -> FoldedPath {
        FoldedPath::new(&self.0)
    }

    /// The part after the last separator (`/`), without a separator at the end.
    pub fn file_name(&self) -> &str {
        let name = self.0.trim_end_matches('/');
        name.rsplit('/').next().unwrap_or(name)
    }

    /// What stands before the last separator, or nothing for a name at the top.
    pub fn parent(&self) -> Option<&str> {
        let name = self.0.trim_end_matches('/');
        name.rfind('/').map(|end| &name[..end])
    }

    /// The tree that the name lies in. The first component must be spelled exactly, as hosts compare it.
    pub fn tree(&self) -> Tree {
        Tree::of(&self.0)
    }

    /// The name as people write it on Windows: `Windows\System32\ntdll.dll`, or `UtilityVM:\Windows\…`.
    ///
    /// This is also what the patterns of profiles are compared with. Names outside the two file trees keep their first
    /// component: `Hives\System_Delta`.
    pub fn to_windows(&self) -> String {
        windows_name(&self.0)
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// See [`LayerPath::to_windows`].
pub fn windows_name(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    push_windows_name(&mut text, name);
    text
}

/// Appends what [`LayerPath::to_windows`] says to a text.
pub fn push_windows_name(text: &mut String, name: &str) {
    let name = name.trim_end_matches('/');
    let (beginning, rest) = match name {
        "Files" => ("\\", ""),
        "UtilityVM" | "UtilityVM/Files" => ("UtilityVM:\\", ""),
        _ => match (name.strip_prefix("Files/"), name.strip_prefix("UtilityVM/Files/")) {
            (Some(rest), _) => ("", rest),
            (_, Some(rest)) => ("UtilityVM:\\", rest),
            _ => ("", name),
        },
    };
    text.push_str(beginning);
    let mut components = rest.split('/');
    text.push_str(components.next().unwrap_or_default());
    for component in components {
        text.push('\\');
        text.push_str(component);
    }
}

impl FoldedPath {
    /// Folds a name.
    pub fn new(name: &str) -> FoldedPath {
        let mut folded = String::with_capacity(name.len());
        FoldedPath::fold_into(name, &mut folded);
        FoldedPath(folded.into())
    }

    /// Folds a name into a text that is used again and again, in place of what is in it.
    pub fn fold_into(name: &str, folded: &mut String) {
        let mut name = name;
        while let Some(rest) = name.strip_prefix("./") {
            name = rest;
        }
        let name = name.trim_end_matches(['/', '\\']);
        folded.clear();
        // Almost every name is like that, and an image has a hundred thousand of them: a search that ends early is slower.
        let has_backslash = name.bytes().fold(false, |has, byte| has | (byte == b'\\'));
        if name.is_ascii() && !has_backslash {
            folded.push_str(name);
            folded.make_ascii_uppercase();
            return;
        }
        folded.extend(name.chars().map(|character| if character == '\\' { '/' } else { upper_case(character) }));
    }

    /// The folded name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folded path of the directory that this one is in, or nothing at the top.
    pub fn parent(&self) -> Option<FoldedPath> {
        self.0.rfind('/').map(|end| FoldedPath(self.0[..end].into()))
    }

    /// The folded paths of the directories above this one, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let name = &*self.0;
        name.rmatch_indices('/').map(move |(end, _)| &name[..end])
    }
}

impl std::borrow::Borrow<str> for FoldedPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FoldedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Upper case as NTFS has it: one code unit to one code unit.
///
/// Characters whose upper case is longer (`ß`), lies outside the first plane, or is an ASCII letter for a character that
/// is not one (`ı`, `ſ`) stay themselves, and so does `µ`, as in the table that Windows writes to each volume.
pub fn upper_case(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_uppercase();
    }
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) if !single.is_ascii() && u32::from(single) <= 0xffff && character != 'µ' => single,
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_that_of_ntfs() {
        for (name, folded) in [
            ("Files/Windows/", "FILES/WINDOWS"),
            ("./Files/a", "FILES/A"),
            ("Files\\b", "FILES/B"),
            ("Files/Straße", "FILES/STRAßE"),
            ("Files/Café", "FILES/CAFÉ"),
            ("Files/ıſµ", "FILES/ıſµ"),
        ] {
            assert_eq!(FoldedPath::new(name).as_str(), folded, "{name}");
        }
    }

    #[test]
    fn names_read_as_on_windows() {
        for (name, shown) in [
            ("Files", "\\"),
            ("Files/Windows/System32", "Windows\\System32"),
            ("UtilityVM", "UtilityVM:\\"),
            ("UtilityVM/Files", "UtilityVM:\\"),
            ("UtilityVM/Files/EFI", "UtilityVM:\\EFI"),
            ("Hives/System_Delta", "Hives\\System_Delta"),
        ] {
            assert_eq!(LayerPath::new(name).to_windows(), shown);
        }
    }

    #[test]
    fn ancestors_come_nearest_first() {
        let path = FoldedPath::new("Files/a/b");
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["FILES/A", "FILES"]);
    }
}
