//! For each rule, images that break it.

use super::support::*;
use crate::hive::base_block::tests::head;
use crate::image::Digest;
use crate::layer::EntryKind;
use crate::layer::index::Compression;
use crate::layer::records::Oddity;
use crate::verify::RULES;
use crate::verify::Severity::{self, Error, Warning};

type Case = (&'static str, Severity, fn(&mut TestImage));

const SYSTEM: &str = "Files/Windows/System32/config/SYSTEM";
const BCD: &str = "UtilityVM/Files/EFI/Microsoft/Boot/BCD";
const UVM_NTDLL: &str = "UtilityVM/Files/Windows/System32/ntdll.dll";
const SXS: &str = "Files/Windows/WinSxS/one/ntdll.dll";

/// Changes of names.
const NAMES: &[Case] = &[
    ("relative-names", Error, |image| image.add(0, file("/Files/a"))),
    ("relative-names", Error, |image| image.add(0, file("\\Files\\a"))),
    ("relative-names", Error, |image| image.add(0, file("C:/a"))),
    ("relative-names", Error, |image| image.add(0, file("Files/../../a"))),
    ("relative-names", Error, |image| image.add(0, file("Files/..\\a"))),
    ("clean-names", Error, |image| image.add(0, file("./Files/a"))),
    ("clean-names", Error, |image| image.add(0, file("Files//a"))),
    ("clean-names", Error, |image| image.add(0, file("Files/./a"))),
    ("clean-names", Error, |image| image.add(0, file(""))),
    ("trailing-separators", Warning, |image| image.rename(0, "Files/Users", "Files/Users/")),
    ("trailing-separators", Error, |image| image.rename(0, "UtilityVM/Files", "UtilityVM/Files/")),
    ("trailing-separators", Error, |image| image.rename(1, "UtilityVM", "UtilityVM/")),
    ("backslashes", Warning, |image| image.add(0, file("Files\\a"))),
    ("name-characters", Error, |image| image.add(0, file("Files/a<b"))),
    ("name-characters", Error, |image| image.add(0, file("Files/a\0b"))),
    ("name-characters", Error, |image| image.add(0, file("Files/a\nb"))),
    ("name-characters", Error, |image| image.add(0, file("Files/a:b/c"))),
    ("name-endings", Warning, |image| image.add(0, file("Files/a."))),
    ("name-endings", Warning, |image| image.add(0, dir("Files/a "))),
    ("name-endings", Warning, |image| image.add(0, file("Files\\a.\\b"))),
    ("device-names", Warning, |image| image.add(0, file("Files/nul"))),
    ("device-names", Warning, |image| image.add(0, dir("Files/Aux"))),
    ("device-names", Warning, |image| image.add(0, file("Files/COM1.tar.gz"))),
    ("device-names", Warning, |image| image.add(0, file("Files/lpt²"))),
    ("device-names", Warning, |image| image.add(0, file("Files/con .txt"))),
    ("name-lengths", Error, |image| image.add(0, file(&format!("Files/{}", "a".repeat(256))))),
    ("name-lengths", Error, |image| image.add(0, file(&format!("Files/{}", "🦀".repeat(128))))),
    ("name-lengths", Error, |image| image.add(0, file(&format!("Files{}", "/a".repeat(20_000))))),
    ("name-lengths", Error, |image| image.add(0, file(&format!("Files{}", "/a".repeat(16_381))))),
    ("unicode-names", Warning, |image| image.add(0, file("Files/gr<F6>"))),
    ("unicode-names", Warning, |image| image.add(0, file("Files/bad<ED><A0><80>"))),
    ("unicode-names", Error, |image| image.add(0, link("Files/bad<ED><A0><80>", "Files/License.txt"))),
    ("unicode-names", Error, |image| {
        image.add(0, file("Files/gr<F6>"));
        image.add(0, file("Files/GR<E9>"));
    }),
    ("unicode-names", Error, |image| {
        image.add(0, file("Files/gr\u{fffd}"));
        image.add(0, file("Files/gr<F6>"));
    }),
    ("unicode-names", Error, |image| {
        // A surrogate pair of which each half is encoded for itself is the character to Windows.
        image.add(0, file("Files/\u{10000}"));
        image.add(0, file("Files/<ED><A0><80><ED><B0><80>"));
    }),
    ("unicode-names", Warning, |image| {
        // One name only to hosts that do not keep surrogates.
        image.add(0, file("Files/<ED><A0><80>"));
        image.add(0, file("Files/<ED><A0><81>"));
    }),
    ("name-characters", Error, |image| image.add(0, file("Files/a<3C>b"))),
    ("reserved-suffix", Error, |image| image.add(0, file("Files/Windows.$wcidirs$"))),
    ("top-level-names", Error, |image| image.add(0, file("files/a"))),
    ("top-level-names", Error, |image| image.add(0, file("layout"))),
    ("top-level-names", Warning, |image| image.add(0, file("Other"))),
];

/// Changes of order and kind.
const ORDER: &[Case] = &[
    ("layer-roots", Error, |image| drop(image.remove(0, "Files"))),
    ("layer-roots", Error, |image| drop(image.remove(1, "Files"))),
    ("layer-roots", Error, |image| image.remove_tree(1, "Hives")),
    ("layer-roots", Error, |image| image.edit(1, "Hives").kind = EntryKind::File),
    ("parents-first", Error, |image| drop(image.remove(0, "Files/Windows/WinSxS"))),
    ("parents-first", Error, |image| image.add(1, file("Files/Users/a"))),
    ("parents-first", Error, |image| {
        let directory = image.remove(0, "Files/Windows/WinSxS");
        image.add(0, directory);
    }),
    ("parents-first", Error, |image| image.add(0, file("Files/Documents and Settings/a"))),
    ("parents-first", Error, |image| image.add(0, file("Files/License.txt/a"))),
    ("parents-first", Warning, |image| drop(image.remove(1, "UtilityVM/Files/Windows/System32"))),
    ("unique-names", Error, |image| image.add(0, file("Files/License.txt"))),
    ("unique-names", Error, |image| image.add(0, file("Files/LICENSE.txt"))),
    ("unique-names", Error, |image| image.add(1, link("Files/Windows/system32", "Files/License.txt"))),
    ("entry-types", Warning, |image| image.add(0, entry(EntryKind::Other(b'g'), "pax_global_header"))),
    ("parents-first", Error, |image| image.add(0, entry(EntryKind::Other(b'g'), "Files/none/pax"))),
    ("tar-end", Warning, |image| {
        image.layers[0].entries_end = 1024.into();
        image.layers[0].unpacked_size = 1000;
    }),
    ("windows-records", Error, |image| image.remark(0, "Files/License.txt", Oddity::Attributes)),
    ("windows-records", Error, |image| image.remark(0, "Files/License.txt", Oddity::CreationTime)),
    ("windows-records", Error, |image| image.remark(0, "Files/License.txt", Oddity::SecurityDescriptor)),
    ("windows-records", Error, |image| image.remark(0, "Files/License.txt", Oddity::Sddl)),
    ("windows-records", Error, |image| image.remark(1, "Files/Windows", Oddity::ExtendedAttribute)),
    ("security-descriptors", Warning, |image| image.edit(0, "Files/License.txt").security = None),
    ("entry-types", Error, |image| image.add(0, entry(EntryKind::Other(b'3'), "Files/device"))),
    ("directory-attribute", Error, |image| image.edit(0, "Files/Windows").attributes = Some(0x20)),
    ("directory-attribute", Error, |image| image.edit(0, "Files/License.txt").attributes = Some(0x30)),
    ("directory-attribute", Warning, |image| image.edit(0, "Files/Documents and Settings").attributes = Some(0x400)),
];

/// Changes of links.
const LINKS: &[Case] = &[
    ("links-have-targets", Error, |image| image.edit(0, SXS).link = None),
    ("links-have-targets", Error, |image| image.edit(0, "Files/Documents and Settings").link = Some("".into())),
    ("link-targets", Error, |image| image.edit(0, SXS).link = Some("Files/nothing".into())),
    ("link-targets", Error, |image| image.edit(0, SXS).link = Some(SXS.into())),
    ("link-targets", Error, |image| {
        let target = image.remove(0, "Files/Windows/System32/ntdll.dll");
        image.add(0, target);
    }),
    ("link-targets", Error, |image| image.add(1, link("Files/a", "Files/nothing"))),
    ("link-targets", Error, |image| {
        let target = image.remove(1, "Files/Windows/System32/new.dll");
        image.add(1, target);
    }),
    ("link-targets", Error, |image| image.add(1, link("Files/a", "Files/Windows/System32/NEW.dll"))),
    ("link-targets", Error, |image| image.insert_before(1, "UtilityVM", link("Files/Windows/a", UVM_NTDLL))),
    ("link-targets", Error, |image| {
        image.remove_tree(1, "UtilityVM");
        image.add(1, link("Files/Windows/a", UVM_NTDLL));
    }),
    // The servicing layer deletes this one.
    ("link-targets", Error, |image| image.add(1, link("Files/Windows/a", UVM_NTDLL))),
    ("link-targets", Error, |image| image.add(1, link("UtilityVM/Files/Windows/a", UVM_NTDLL))),
    ("link-targets", Error, |image| {
        // A servicing layer links into the base layer, where the file is gone.
        drop(image.remove(0, SXS));
        image.add(1, link("Files/a", SXS));
    }),
    ("link-target-kinds", Error, |image| image.edit(0, SXS).link = Some("Files/Windows".into())),
    ("link-target-kinds", Error, |image| image.edit(0, SXS).link = Some("Files/Windows/System32/nt.dll".into())),
    ("link-target-kinds", Error, |image| image.add(1, link("Files/a", "Files/Users"))),
    ("link-target-kinds", Error, |image| image.add(0, link("Files/a", "Files/Windows/notes.txt:mark"))),
    ("link-spelling", Warning, |image| image.add(0, link("Files/a", "Files/license.txt"))),
    ("link-spelling", Warning, |image| {
        image.add(1, file("Files/Windows/System32/ntdll.dll"));
    }),
    ("link-places", Error, |image| image.add(1, link("Hives/a", "Files/License.txt"))),
    ("link-places", Error, |image| image.add(1, link("Files/a", "files/License.txt"))),
    ("link-counts", Warning, |image| {
        // Links to links count for the file.
        for number in 0..1_021 {
            let target = if number % 2 == 0 { SXS } else { "Files/Windows/System32/ntdll.dll" };
            image.add(1, link(&format!("Files/{number}"), target));
        }
    }),
];

/// Changes of whiteouts.
const WHITEOUTS: &[Case] = &[
    ("no-whiteouts-in-base", Error, |image| image.add(0, whiteout("Files/.wh.a"))),
    ("no-opaque-whiteouts", Error, |image| image.add(1, entry(EntryKind::OpaqueWhiteout, "Files/.wh..wh..opq"))),
    ("whiteout-places", Error, |image| image.add(1, whiteout("Files/.wh."))),
    ("whiteout-places", Error, |image| image.add(1, whiteout("Files/Windows/.wh..."))),
    ("whiteout-places", Error, |image| image.add(1, whiteout(".wh.Files"))),
    ("whiteout-places", Error, |image| image.add(1, whiteout("Hives/.wh.Sam_Delta"))),
    ("whiteout-places", Error, |image| image.add(1, whiteout("UtilityVM/.wh.Files"))),
    ("whiteout-or-entry", Error, |image| image.add(1, whiteout("Files/Windows/System32/.wh.NEW.dll"))),
    ("whiteout-or-entry", Error, |image| image.add(1, whiteout("UtilityVM/Files/Windows/.wh.System32"))),
    ("whiteout-or-entry", Warning, |image| image.add(1, file("UtilityVM/Files/Windows/System32/ntdll.dll"))),
    ("utility-vm-whiteout-targets", Error, |image| image.add(1, whiteout("UtilityVM/Files/Windows/.wh.nothing"))),
    ("utility-vm-whiteout-targets", Error, |image| {
        drop(image.remove(0, "UtilityVM/Files/Windows/System32/ntdll.dll"));
    }),
    ("whiteout-directories", Warning, |image| image.add(1, whiteout("Files/Users/.wh.a"))),
];

/// Changes of hives.
const HIVES: &[Case] = &[
    ("no-hive-deltas-in-base", Error, |image| image.add(0, dir("Hives"))),
    ("hives-present", Error, |image| drop(image.remove(0, SYSTEM))),
    ("hives-present", Error, |image| image.edit(0, SYSTEM).kind = EntryKind::Directory),
    ("hives-present", Warning, |image| {
        drop(image.remove(0, SYSTEM));
        image.add(0, link(SYSTEM, "Files/License.txt"));
    }),
    ("hives-valid", Error, |image| image.edit(0, SYSTEM).head = Some(Box::new([0; 512]))),
    ("hives-valid", Error, |image| image.edit(0, SYSTEM).head = Some(Box::new([0; 5]))),
    ("hives-valid", Error, |image| image.edit(0, SYSTEM).size = 8191),
    ("hives-valid", Warning, |image| image.edit(0, SYSTEM).size = 0),
    ("hives-valid", Error, |image| {
        image.edit(0, SYSTEM).size = 0;
        image.facts.platform.os_version = Some("10.0.26100.1".into());
    }),
    ("hives-clean", Warning, |image| image.edit(0, SYSTEM).head = Some(Box::new(head(&[(4, 8)])))),
    ("hive-delta-names", Warning, |image| image.add(1, file("Hives/Bcd_Delta"))),
    ("hive-delta-names", Warning, |image| image.add(1, dir("Hives/Sam_Delta"))),
    ("hive-deltas-valid", Error, |image| image.edit(1, "Hives/System_Delta").head = Some(Box::new([0; 512]))),
    ("hive-deltas-valid", Warning, |image| image.edit(1, "Hives/System_Delta").head = Some(Box::new(head(&[])))),
    ("hive-deltas-valid", Warning, |image| image.edit(1, "Hives/System_Delta").size = 0),
    ("registry-version", Warning, |image| image.layers[0].registry = says(Some(20348), 737)),
    ("registry-version", Warning, |image| image.layers[0].registry = says(Some(17763), 1)),
    ("registry-version", Warning, |image| {
        image.layers[0].registry = says(Some(17763), 737);
        image.layers[1].registry = says(None, 8511);
    }),
];

/// Changes of the utility VM and of streams.
const UTILITY_VM: &[Case] = &[
    ("utility-vm-directories", Error, |image| drop(image.remove(0, "UtilityVM"))),
    ("utility-vm-directories", Error, |image| drop(image.remove(0, "UtilityVM/Files"))),
    ("utility-vm-directories", Error, |image| image.rename(0, "UtilityVM/Files", "UtilityVM/files")),
    ("utility-vm-directories", Error, |image| drop(image.remove(1, "UtilityVM"))),
    ("utility-vm-directories", Error, |image| {
        let directory = image.remove(1, "UtilityVM");
        image.add(1, directory);
    }),
    ("utility-vm-contents", Error, |image| image.add(1, file("UtilityVM/a"))),
    ("utility-vm-contents", Warning, |image| image.add(0, file("UtilityVM/SystemTemplate.vhdx"))),
    ("utility-vm-below", Error, |image| image.remove_tree(0, "UtilityVM")),
    ("boot-store", Error, |image| drop(image.remove(0, BCD))),
    ("boot-store", Error, |image| image.edit(0, BCD).size = 0),
    ("boot-store", Error, |image| image.edit(0, BCD).head = Some(Box::new([0; 512]))),
    ("boot-store", Warning, |image| image.rename(0, BCD, "UtilityVM/Files/EFI/Microsoft/Boot/bcd")),
    ("boot-store-links", Error, |image| {
        drop(image.remove(0, BCD));
        image.add(0, link(BCD, "Files/License.txt"));
    }),
    ("boot-store-links", Warning, |image| image.add(0, link("Files/a", BCD))),
    ("boot-store-links", Warning, |image| image.add(1, link("UtilityVM/Files/Windows/System32/a", BCD))),
    ("utility-vm-complete", Warning, |image| drop(image.remove(0, "UtilityVM/Files/Windows/System32/config/SYSTEM"))),
    ("streams-behind-owners", Error, |image| image.add(0, stream("Files/License.txt:mark"))),
    ("streams-behind-owners", Error, |image| image.insert_before(0, "Files", stream("Files:mark"))),
    ("streams-behind-owners", Error, |image| {
        image.insert_before(0, "Files/Windows/notes.txt:other", file("Files/Windows/between.txt"));
    }),
    ("streams-behind-owners", Error, |image| {
        image.add(0, link("Files/a", "Files/License.txt"));
        image.add(0, stream("Files/a:mark"));
    }),
];

/// Changes of documents, and of the one document in the image.
const DOCUMENTS: &[Case] = &[
    ("platform", Error, |image| image.facts.platform.os = "linux".into()),
    ("platform", Error, |image| image.facts.platform.architecture = String::new()),
    ("os-version", Warning, |image| image.facts.platform.os_version = None),
    ("os-version", Warning, |image| image.facts.platform.os_version = Some(String::new())),
    ("os-version", Error, |image| image.facts.platform.os_version = Some("10.0".into())),
    ("os-version", Error, |image| image.facts.platform.os_version = Some("10.0.x.1".into())),
    ("index-platform", Error, |image| image.facts.index_platform.as_mut().unwrap().os = "linux".into()),
    ("index-platform", Error, |image| image.facts.index_platform.as_mut().unwrap().architecture = "arm64".into()),
    ("index-platform", Warning, |image| image.facts.index_platform.as_mut().unwrap().os_version = None),
    ("index-platform", Warning, |image| image.facts.index_platform.as_mut().unwrap().os_features.clear()),
    ("layer-count", Error, |image| image.facts.diff_ids.truncate(1)),
    ("layer-count", Error, |image| drop(image.layers.pop())),
    ("diff-ids", Error, |image| image.facts.diff_ids[1] = Digest::of(b"other")),
    ("layer-blobs", Error, |image| image.facts.layers[1].digest = Digest::of(b"other")),
    ("layer-blobs", Error, |image| image.facts.layers[1].size = 1),
    ("history", Warning, |image| image.facts.history = Some(3)),
    ("layer-media-types", Error, |image| image.facts.layers[0].media_type = "application/zip".into()),
    ("layer-media-types", Error, |image| image.facts.layers[0].media_type += "+xz"),
    ("layer-compression", Warning, |image| image.layers[0].compression = Compression::None),
    ("layer-compression", Warning, |image| image.layers[0].compression = Compression::Zstd),
    ("layer-count", Warning, |image| image.facts.layers = vec![image.facts.layers[0].clone(); 126]),
    ("layer-compression", Error, |image| {
        image.facts.layers[0].media_type = "application/vnd.oci.image.layer.v1.tar".into();
    }),
    ("foreign-layers", Warning, |image| {
        image.facts.layers[0].media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
    }),
    ("foreign-layers", Warning, |image| image.facts.layers[0].urls = vec!["https://example.com/layer".into()]),
    ("program", Warning, |image| image.facts.start.cmd = vec![r"C:\app\missing.exe".into()]),
    ("program", Warning, |image| image.facts.start.entrypoint = vec!["missing".into(), "argument".into()]),
    ("licence-document", Warning, |image| drop(image.remove(0, "Files/License.txt"))),
    ("licence-document", Warning, |image| image.add(1, whiteout("Files/.wh.license.txt"))),
];

fn cases() -> impl Iterator<Item = &'static Case> {
    [NAMES, ORDER, LINKS, WHITEOUTS, HIVES, UTILITY_VM, DOCUMENTS].into_iter().flatten()
}

#[test]
fn a_broken_image_is_found_out() {
    for (number, (rule, severity, change)) in cases().enumerate() {
        let mut image = TestImage::sound();
        change(&mut image);
        let findings = image.verify();
        assert!(
            findings.iter().any(|found| found.rule == *rule && found.severity == *severity),
            "case {number}: no {severity:?} of {rule} in {findings:#?}"
        );
    }
}

#[test]
fn every_rule_has_an_image_that_breaks_it() {
    for rule in RULES {
        assert!(cases().any(|(name, ..)| *name == rule.name), "{}", rule.name);
    }
    assert!(cases().all(|(name, ..)| RULES.iter().any(|rule| rule.name == *name)), "no case of an unknown rule");
}

#[test]
fn a_finding_says_where_what_and_what_a_host_would_say() {
    let mut image = TestImage::sound();
    image.add(1, link("Files/a", "Files/nothing"));
    let [finding] = image.verify().try_into().expect("one finding");
    assert_eq!(
        serde_json::to_value(&finding).expect("JSON"),
        serde_json::json!({
            "rule": "link-targets",
            "severity": "error",
            "layer": 1,
            "path": "Files/a",
            "message": "neither this layer nor one below has `Files/nothing`, which this hard link points to",
            "host_error": "failed to find link target for '<name>' -> '<target>'",
        })
    );
}
