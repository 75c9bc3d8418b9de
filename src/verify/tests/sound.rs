//! Images that hosts take, and what `verify` promises of every image.

use proptest::prelude::*;

use super::support::*;
use crate::hive::base_block::tests::delta_head;
use crate::layer::{Entry, EntryKind, LayerPath};
use crate::verify::{RULES, Severity};

#[test]
fn a_sound_image_has_no_findings() {
    assert_eq!(TestImage::sound().verify(), []);
}

const SXS: &str = "Files/Windows/WinSxS/one/ntdll.dll";

/// Images near to a broken one, which break no rule.
/// A change of a sound image, with a name.
type Change = (&'static str, fn(&mut TestImage));

const SOUND: &[Change] = &[
    ("a base layer alone", |image| {
        image.layers.truncate(1);
        image.facts.layers.truncate(1);
        image.facts.diff_ids.truncate(1);
        image.facts.history = Some(1);
    }),
    ("no utility VM in any layer", |image| {
        image.remove_tree(0, "UtilityVM");
        image.remove_tree(1, "UtilityVM");
    }),
    ("an empty `Hives`", |image| drop(image.remove(1, "Hives/System_Delta"))),
    ("no attributes on a directory and a file", |image| {
        image.edit(0, "Files/Windows").attributes = None;
        image.edit(0, "Files/License.txt").attributes = None;
    }),
    ("a version without a revision", |image| {
        image.facts.platform.os_version = Some("10.0.17763".into());
        image.facts.index_platform = None;
    }),
    ("a delta with the newer revision", |image| {
        image.layers[0].registry = says(Some(17763), 1);
        image.layers[1].registry = says(None, 737);
    }),
    ("a delta that nobody has read", |image| {
        image.layers[0].registry = says(Some(17763), 1);
        image.add(1, hive("Hives/Software_Delta", delta_head()));
    }),
    ("no history", |image| image.facts.history = None),
    ("zstd, said and done", |image| {
        image.layers[0].compression = crate::layer::index::Compression::Zstd;
        image.facts.layers[0].media_type = "application/vnd.oci.image.layer.v1.tar+zstd".into();
    }),
    ("Docker's type without a suffix", |image| {
        image.facts.layers[0].media_type = "application/vnd.docker.image.rootfs.diff.tar".into();
    }),
    ("features in another order", |image| {
        image.facts.platform.os_features = vec!["a".into(), "b".into()];
        image.facts.index_platform.as_mut().unwrap().os_features = vec!["b".into(), "a".into()];
    }),
    ("a target with `./` in front", |image| {
        image.edit(0, "Files/Windows/WinSxS/one/ntdll.dll").link = Some("./Files/Windows/System32/ntdll.dll".into());
    }),
    ("a component of 255 units", |image| image.add(0, file(&format!("Files/{}", "é".repeat(255))))),
    ("1,023 hard links", |image| {
        // ntdll.dll has three already.
        for number in 0..1_020 {
            image.add(0, link(&format!("Files/{number}"), "Files/Windows/System32/ntdll.dll"));
        }
    }),
    ("a whiteout first in the utility VM", |image| {
        image.insert_before(1, "UtilityVM", whiteout("UtilityVM/Files/EFI/.wh.Microsoft"));
    }),
    ("a target that a layer in between deletes", |image| {
        image.edit_all(1, |entries| entries.retain(|entry| entry.path.tree() != crate::layer::Tree::UtilityVm));
        image.add(1, whiteout("Files/Windows/System32/.wh.ntdll.dll"));
    }),
    ("a descriptor of the old form", |image| {
        image.edit(0, "Files/License.txt").security = None;
        image.remark(0, "Files/License.txt", crate::layer::records::Oddity::OldSecurityDescriptor);
    }),
    ("no descriptor where none is needed", |image| {
        image.edit(0, "Files").security = None;
        image.edit(0, SXS).security = None;
        image.edit(0, "Files/Windows/notes.txt:mark").security = None;
        image.edit(1, "Hives/System_Delta").security = None;
    }),
    ("a link into the utility VM behind its entry", |image| {
        image.add(1, link("Files/Windows/a", "UtilityVM/Files/EFI/Microsoft/Boot/bootmgfw.efi"));
    }),
    ("a link into the utility VM behind a whiteout there", |image| {
        image.insert_before(1, "UtilityVM", whiteout("UtilityVM/Files/EFI/.wh.Microsoft"));
        let system = "UtilityVM/Files/Windows/System32/config/SYSTEM";
        image.insert_before(1, "UtilityVM", link("Files/Windows/a", system));
    }),
    ("names beyond ASCII", |image| {
        image.add(0, file("Files/größe"));
        image.add(0, file("Files/gr\u{fffd}"));
    }),
    ("a BCD that the index kept no head of", |image| {
        image.edit(0, "UtilityVM/Files/EFI/Microsoft/Boot/BCD").head = None;
    }),
];

#[test]
fn images_near_to_broken_ones_have_no_findings() {
    for (name, change) in SOUND {
        let mut image = TestImage::sound();
        change(&mut image);
        assert_eq!(image.verify(), [], "{name}");
    }
}

#[test]
fn many_findings_of_a_rule_are_counted() {
    let mut image = TestImage::sound();
    for number in 0..21 {
        image.add(0, file(&format!("Files/trailing{number}/")));
    }
    image.add(0, dir("UtilityVM/"));
    let findings: Vec<_> = image.verify().into_iter().filter(|found| found.rule == "trailing-separators").collect();
    assert_eq!(findings.len(), 21);
    assert!(findings[..20].iter().all(|found| found.severity == Severity::Warning));
    assert_eq!(findings[20].message, "and 2 more");
    assert_eq!(findings[20].severity, Severity::Error, "one of the rest is an error");
}

#[test]
fn rules_have_different_names_and_say_where_they_come_from() {
    for (number, rule) in RULES.iter().enumerate() {
        assert!(RULES[..number].iter().all(|other| other.name != rule.name), "{}", rule.name);
        assert!(rule.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", rule.name);
        assert!(!rule.summary.is_empty() && !rule.source.is_empty(), "{}", rule.name);
    }
}

#[test]
fn an_image_without_layers_is_no_reason_to_panic() {
    assert!(TestImage::new(Vec::new()).verify().iter().any(|found| found.rule == "layer-count"));
}

fn name() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "Files",
        "files",
        "UtilityVM",
        "Hives",
        "System_Delta",
        "a",
        "A",
        "ß",
        "",
        ".",
        "..",
        ".wh.",
        ".wh.a",
        "a:b",
        ".wh..wh..opq",
        "x\\y",
        "C:",
        "\0",
    ]);
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.join("/"))
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let kind = prop::sample::select(vec![
        EntryKind::Directory,
        EntryKind::File,
        EntryKind::HardLink,
        EntryKind::Symlink,
        EntryKind::Junction,
        EntryKind::Stream,
        EntryKind::Whiteout,
        EntryKind::OpaqueWhiteout,
        EntryKind::Other(255),
    ]);
    let head = prop::option::of(prop::collection::vec(any::<u8>(), 0..8));
    (kind, name(), prop::option::of(name()), head).prop_map(|(kind, name, link, head)| Entry {
        path: LayerPath::new(name),
        link: link.map(Into::into),
        size: u64::MAX / 2,
        head: head.map(Into::into),
        ..entry(kind, "")
    })
}

proptest! {
    #[test]
    fn any_image_gives_the_same_answer_twice(
        layers in prop::collection::vec(prop::collection::vec(any_entry(), 0..12), 0..4)
    ) {
        let image = TestImage::new(layers);
        prop_assert_eq!(image.verify(), image.verify());
    }
}
