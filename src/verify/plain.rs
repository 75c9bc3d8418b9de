//! Names in which no rule about names finds anything, told in one pass over them: almost all names are like that.

use crate::layer::Tree;

/// Whether a name is one of the plain names of a Windows layer.
///
/// It lies at or below `Files`, `Hives` or `UtilityVM`, spelled like this; it has ASCII characters only, and none of them is a
/// backslash or one that Windows names cannot have; no component is empty, begins or ends with a dot or ends with a space; it
/// is short, and does not end with `$`. Other names may be good, too, but rules have to look.
pub(super) fn is_plain(name: &str) -> bool {
    if matches!(Tree::of(name), Tree::Other) || name.len() > 255 || name.ends_with('$') {
        return false;
    }
    // Without an early end, because almost every name is looked at to its end anyway.
    let (mut before, mut wrong) = (SEPARATOR, 0);
    for &byte in name.as_bytes() {
        let class = CLASSES[usize::from(byte)];
        wrong |= (class & ODD) | (NOT_BEHIND[usize::from(before)] & class);
        before = class;
    }
    wrong == 0 && before == PLAIN
}

const PLAIN: u8 = 0;
const DOT: u8 = 1;
const SPACE: u8 = 2;
const SEPARATOR: u8 = 4;
const ODD: u8 = 8;

/// What may not stand behind a character of each class.
const NOT_BEHIND: [u8; 16] = {
    let mut classes = [0; 16];
    classes[DOT as usize] = SEPARATOR;
    classes[SPACE as usize] = SEPARATOR;
    classes[SEPARATOR as usize] = SEPARATOR | DOT;
    classes
};

/// The class of each byte.
const CLASSES: [u8; 256] = {
    let mut classes = [ODD; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        classes[byte] = match byte as u8 {
            b' ' => SPACE,
            b'.' => DOT,
            b'/' => SEPARATOR,
            b'<' | b'>' | b':' | b'"' | b'|' | b'?' | b'*' | b'\\' => ODD,
            _ => PLAIN,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_told_from_others() {
        for name in ["Files", "Files/a b/c..d.e", "Hives/System_Delta", "UtilityVM/Files/$x/(y)", "Files/a.wh.b"] {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "",
            "/Files",
            "Files/",
            "files",
            "File",
            "Other/a",
            "./Files",
            "Files//a",
            "Files/./a",
            "Files/../a",
            "Files/.wh.a",
            "Files/a.",
            "Files/a./b",
            "Files/a /b",
            "Files/a ",
            "Files/a\\b",
            "Files/a:b",
            "Files/a\0b",
            "Files/a\u{7f}",
            "Files/caf\u{e9}",
            "Files/a.$wcidirs$",
            "Files/a?",
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
        assert!(!is_plain(&format!("Files/{}", "a".repeat(250))));
    }
}
