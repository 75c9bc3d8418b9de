//! Hard links: whichever name holds the data, and wherever the other names are.

use std::collections::BTreeSet;

use crate::generator::Image;
use crate::generator::layer::{Kind, Layer};
use crate::generator::layout::Format;
use crate::support::{Manifest, Sandbox, check, profile};
use crate::{base_of, tiny_image};

/// Builds with a profile that removes the paths, and lets the checker compare.
#[track_caller]
fn build_and_check(image: &Image, removed: &[&str], more: &str, options: &[&str]) {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, image, &Format::default());
    let profile = sandbox.file("profile.toml", &profile(removed, more));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).done();
    let options = [options, &["--removed"], removed].concat();
    check(&base.directory, &sandbox.path("slim"), &options);
}

/// The tiny image, with one file under so many names; each name is its layer, its path and what it links to.
///
/// Each layer has ballast to lose as well: one that became larger would be left as it is.
fn image_with(names: &[(usize, &str, Option<&str>)]) -> Image {
    let mut image = tiny_image();
    image.layers[0].made("Files/ballast/0.bin", 20_000);
    image.layers[1].made("Files/ballast/1.bin", 20_000);
    for (layer, name, target) in names {
        match target {
            Some(target) => image.layers[*layer].hard_link(&format!("Files/{name}"), &format!("Files/{target}")),
            None => image.layers[*layer].made(&format!("Files/{name}"), 3_000),
        };
    }
    image
}

#[test]
fn data_moves_to_a_name_that_stays() {
    for (names, removed) in [
        (vec![(0, "a/1", None), (0, "b/1", Some("a/1"))], r"a"),
        (vec![(0, "a/1", None), (0, "b/1", Some("a/1"))], r"b"),
        (vec![(0, "a/1", None), (0, "b/1", Some("a/1")), (0, "c/1", Some("a/1"))], r"a"),
        // A link to a link, of which the middle goes.
        (vec![(0, "a/1", None), (0, "b/1", Some("a/1")), (0, "c/1", Some("b/1"))], r"b"),
        (vec![(0, "a/1", None), (0, "b/1", Some("a/1")), (0, "c/1", Some("b/1"))], r"{a,b}"),
        // Across layers: to a name in the layer above, in the same letter case and in another.
        (vec![(0, "a/1", None), (1, "b/1", Some("a/1"))], r"a"),
        (vec![(0, "a/One", None), (1, "b/1", Some("A/oNE"))], r"a"),
        (vec![(0, "a/1", None), (1, "b/1", Some("a/1")), (1, "c/1", Some("a/1"))], r"a"),
        (vec![(0, "a/1", None), (1, "b/1", Some("a/1")), (1, "c/1", Some("b/1"))], r"a"),
        // A name stays in the base layer: the link above follows it there.
        (vec![(0, "a/1", None), (0, "b/1", Some("a/1")), (1, "c/1", Some("a/1"))], r"a"),
        (vec![(0, "a/1", None), (0, "b/1", Some("a/1")), (1, "c/1", Some("b/1"))], r"b"),
        // The name that the layer above replaces.
        (vec![(0, "a/1", None), (0, "b/1", Some("a/1")), (1, "a/1", None)], r"b"),
        (vec![(0, "a/1", None), (0, "b/1", Some("a/1")), (1, "A/1", None)], r"A"),
        // Names over 100 characters and in other alphabets, at both ends.
        (vec![(0, "a/Ελληνικά.dll", None), (0, "b/日本語.dll", Some("a/Ελληνικά.dll"))], r"a"),
    ] {
        build_and_check(&image_with(&names), &[removed, "ballast"], "", &[]);
    }
}

#[test]
fn data_moves_to_a_name_that_is_too_long_for_a_header() {
    let long = format!("b/{}/{}.dll", "d".repeat(90), "n".repeat(200));
    build_and_check(&image_with(&[(0, "a/1", None), (0, &long, Some("a/1"))]), &["a", "ballast"], "", &[]);
    build_and_check(&image_with(&[(0, &long, None), (0, "c/1", Some(&long))]), &["b", "ballast"], "", &[]);
    build_and_check(&image_with(&[(0, "a/1", None), (1, &long, Some("a/1"))]), &["a", "ballast"], "", &[]);
}

#[test]
fn compressed_data_is_copied_to_its_new_name() {
    // What is compressed anew is not compressed at all here, so that a layer shows what was copied: whatever else it holds
    // takes far less than the five million bytes that the data takes unpacked.
    for upper in [0, 1] {
        let mut image = tiny_image();
        image.layers[0].made("Files/a/1", 5_000_000);
        image.layers[upper].hard_link("Files/b/1", "Files/a/1");
        for layer in [0, 1] {
            image.layers[layer].made("Files/ballast/1", 6_000_000);
        }
        let sandbox = Sandbox::new();
        let base = base_of(&sandbox, &image, &Format::default());
        let profile = sandbox.file("profile.toml", &profile(&["a", "ballast"], ""));
        let target = format!("{}:slim", sandbox.layout("slim"));
        sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target, "--level", "0"]).done();
        check(&base.directory, &sandbox.path("slim"), &["--removed", "a", "ballast"]);
        let blobs = Manifest::of_layout(&sandbox.path("slim")).layers();
        let sizes = blobs.iter().map(|blob| sandbox.path("slim/blobs").join(blob.replace(':', "/")));
        let sizes: Vec<u64> = sizes.map(|blob| std::fs::metadata(blob).expect("a layer").len()).collect();
        assert_ne!(blobs[upper], base.written.layers[upper].blob.digest);
        assert!(sizes.iter().sum::<u64>() < 4_000_000, "{sizes:?}");
    }
}

#[test]
fn both_orders_of_the_sample() {
    for removed in [r"Windows\WinSxS\{amd64,wow64}_*", r"Windows\SysWOW64", r"Windows\WinSxS\amd64_*_10.0.17763.1_*"] {
        build_and_check(&tiny_image(), &[removed], "", &[]);
        build_and_check(&tiny_image().walked(), &[removed], "", &[]);
    }
}

#[test]
fn a_walk_changes_the_order_and_which_name_holds_the_data_and_nothing_else() {
    let (mixed, walked) = (tiny_image(), tiny_image().walked());
    for (mixed, walked) in mixed.layers.iter().zip(&walked.layers) {
        let names = |layer: &Layer| layer.items.iter().map(|item| item.name.clone()).collect::<BTreeSet<_>>();
        assert_eq!(names(mixed), names(walked));
        let place = |name: &str| walked.items.iter().position(|item| item.name == name);
        for (number, item) in walked.items.iter().enumerate() {
            // Streams lie behind their owners, and all else behind its directory.
            let owner = item.name.rsplit_once([':', '/']).map(|(owner, _)| owner);
            assert!(owner.is_none_or(|owner| place(owner) < Some(number)), "{}", item.name);
            if let Kind::HardLink(target) = &item.kind
                && let Some(target) = place(target)
            {
                let holds_data = matches!(walked.items[target].kind, Kind::File(_));
                assert!(target < number && holds_data, "{}", item.name);
            }
        }
    }
}

#[test]
fn data_moves_across_layers_in_the_sample() {
    let removed =
        [r"Windows\System32\certcli.dll", r"Windows\WinSxS\amd64_*_10.0.17763.1_*", r"Program Files\Common Files"];
    build_and_check(&tiny_image(), &removed, "", &[]);
}

#[test]
fn the_utility_vm_goes_from_every_layer() {
    build_and_check(&tiny_image(), &[r"UtilityVM:\"], "", &[]);
}

#[test]
fn a_file_goes_with_its_streams_and_its_whiteouts() {
    let removed = [r"ProgramData\sample\download.zip", r"Windows\SystemApps", r"Windows\System32\wbem", r"Windows\Web"];
    build_and_check(&tiny_image(), &removed, "", &[]);
}

#[test]
fn what_is_kept_beats_what_is_removed() {
    let more = "[[keep]]\npaths = ['Windows\\WinSxS\\amd64_microsoft.windows.common-controls_*']\nreason = \"looks\"\n";
    let keep = ["--keep", r"Windows\WinSxS\amd64_microsoft.windows.common-controls_*"];
    build_and_check(&tiny_image(), &[r"Windows\WinSxS\amd64_*"], more, &keep);
}

#[test]
fn names_that_are_replaced_above_can_be_dropped() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &tiny_image(), &Format::default());
    let profile = sandbox.file("profile.toml", &profile(&[], "[layers]\nshadowed = \"drop\"\n"));
    let target = format!("{}:slim", sandbox.layout("slim"));
    sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]).done();
    check(&base.directory, &sandbox.path("slim"), &["--shadowed"]);
    let after = Manifest::of_layout(&sandbox.path("slim"));
    assert!(after.sizes()[0] < base.written.layers[0].blob.size, "nothing was dropped");
}

#[test]
fn no_link_leads_into_a_utility_vm_that_is_not_there_yet() {
    let mut image = tiny_image();
    image.layers[0].made("Files/a/1", 3_000);
    image.layers[0].hard_link("UtilityVM/Files/a1", "Files/a/1");
    for ballast in ["Files/ballast/0.bin", "Files/ballast/1.bin"] {
        image.layers[0].made(ballast, 20_000);
    }
    // The update links to a file of the base, and has nothing of the UtilityVM.
    let mut update = Layer::new("update");
    update.directory("Files");
    update.directory("Hives");
    update.hard_link("Files/x/1", "Files/a/1");
    update.made("Files/ballast/2.bin", 20_000);
    image.layers.push(update);
    build_and_check(&image, &["a", "ballast"], "", &[]);
}
