//! What the registry in the layers says of the version of Windows, beside what the config says.

#[path = "../../src/hive/tests/software_hive.rs"]
mod software_hive;

use serde_json::Value;

use self::software_hive::{number, software_hive, text};
use crate::generator::Image;
use crate::generator::layer::Kind;
use crate::generator::layout::Format;
use crate::generator::random::Content;
use crate::support::{Sandbox, profile};
use crate::{base_of, tiny_image};

/// The tiny image, whose config says 10.0.17763.8511, with a registry that says this revision.
fn image(revision: u32) -> Image {
    let mut image = tiny_image();
    let base = software_hive(
        false,
        &[
            text("CurrentBuild", "17763"),
            text("EditionID", "ServerDatacenter"),
            text("ProductName", "Windows Server 2019 Datacenter"),
            number("UBR", 1),
        ],
    );
    let delta = software_hive(true, &[number("UBR", revision)]);
    let hives = [(0, "Files/Windows/System32/config/SOFTWARE", base), (1, "Hives/Software_Delta", delta)];
    for (layer, name, hive) in hives {
        let item = image.layers[layer].items.iter_mut().find(|item| item.name == name).expect(name);
        item.kind = Kind::File(Content::Bytes(hive));
    }
    image
}

#[test]
fn the_registry_is_shown_beside_the_config() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &image(8511), &Format::default());
    let shown = sandbox.winslim(&["inspect", &base.reference]).done();
    let line = "registry: Windows Server 2019 Datacenter, edition ServerDatacenter, build 17763, revision 8511";
    assert!(shown.contains(line), "{shown}");
    let page = sandbox.winslim(&["inspect", &base.reference, "--format", "html"]).done();
    assert!(page.contains(line), "{page}");
    let json = sandbox.winslim(&["inspect", &base.reference, "--format", "json"]).done();
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["registry"]["revision"], 8511);
    assert_eq!(json["registry"]["edition"], "ServerDatacenter");
    assert_eq!(json["registry"]["productName"], "Windows Server 2019 Datacenter");
    let verified = sandbox.winslim(&["verify", &base.reference]).done();
    assert!(!verified.contains("registry-version"), "{verified}");
}

#[test]
fn a_registry_that_differs_from_the_config_is_a_warning() {
    let sandbox = Sandbox::new();
    let base = base_of(&sandbox, &image(7919), &Format::default());
    let said = "build 17763, revision 7919, and the config says 10.0.17763.8511";
    let verified = sandbox.winslim(&["verify", &base.reference]).done();
    assert!(verified.contains("registry-version") && verified.contains(said), "{verified}");
    let profile = sandbox.file("profile.toml", &profile(&[r"Windows\Fonts"], ""));
    let target = format!("{}:slim", sandbox.layout("slim"));
    let built = sandbox.winslim(&["build", &base.reference, "-p", &profile, "-t", &target]);
    assert!(built.stderr.contains("warning:") && built.stderr.contains(said), "{built:#?}");
    built.done();
    // Rewriting has changed nothing about it.
    let verified = sandbox.winslim(&["verify", &target]).done();
    assert!(verified.contains(said), "{verified}");
}
