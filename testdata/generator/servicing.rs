//! The servicing layer: the month's update, with new files, links into the base layer, whiteouts and hive deltas.

use super::Scale;
use super::base::{base_names, base_names_32, two_names};
use super::hive::{HiveKind, hive};
use super::layer::Layer;
use super::names::{SERVICING_VERSION, component, stem};
use super::random::{Content, Random};

/// The registry deltas of an upper layer, with the base hive that each belongs to.
pub const DELTAS: [&str; 5] = ["DefaultUser_Delta", "Sam_Delta", "Security_Delta", "Software_Delta", "System_Delta"];

pub fn servicing_layer(scale: &Scale) -> Layer {
    let mut layer = Layer::new("servicing");
    layer.directory("Files");
    fixed_files(&mut layer, scale);
    for number in 0..scale.components {
        update_of(number, &mut layer, scale);
    }
    layer.directory("Hives");
    for name in DELTAS {
        let content = hive(&format!(r"SandboxState\Hives\{}", name.to_lowercase()), HiveKind::Delta);
        layer.file(&format!("Hives/{name}"), Content::Bytes(content)).security = 3;
    }
    utility_vm(&mut layer, scale);
    layer
}

fn fixed_files(layer: &mut Layer, scale: &Scale) {
    // Names that the base layer has in another letter case: these replace them.
    layer.made("Files/Windows/System32/Wbem/WMIPRVSE.EXE", scale.mean);
    layer.made("Files/Windows/System32/drivers/TCPIP.SYS", scale.mean);
    layer.made("Files/Windows/Logs/CBS/cbs.log", scale.mean / 4);
    layer.made("Files/Windows/Temp/update.log", scale.mean / 8);
    layer.made("Files/Windows/WinSxS/Backup/update.bin", scale.mean);
    layer.whiteout("Files/Windows/SystemApps/notes.txt");
    layer.whiteout("Files/Windows/Temp/setup.log");
    layer.whiteout("Files/Windows/Web/Wallpaper/Windows/img0.jpg");

    // Links into the base layer for each case that has gone wrong elsewhere.
    let ado = "Files/Program Files/Common Files/System/ado";
    let store = component("amd64", "m..components-mdac", SERVICING_VERSION);
    layer.hard_link(&format!("{store}/msader15.dll.mui"), &format!("{ado}/en-us/MSADER15.DLL.MUI"));
    layer.hard_link(&format!("{store}/msado15.dll"), &format!("{ado}/msado15.dll"));
    let target = "Files/ProgramData/Ελληνικά/σύνδεσμος.txt";
    layer.hard_link("Files/ProgramData/Ελληνικά/δεύτερος.txt", target);

    layer.made("Files/ProgramData/sample/versions/1.txt", 500);
    layer.symlink("Files/ProgramData/sample/current.txt", r"versions\1.txt", false);
    layer.junction("Files/ProgramData/sample/data", r"C:\ProgramData\sample\versions").attributes = Some(0x410);
    if scale.streams {
        layer.made("Files/ProgramData/sample/download.zip", 900);
        layer.stream("Zone.Identifier", Content::text("[ZoneTransfer]\nZoneId=3\n"));
    }
}

fn update_of(number: u32, layer: &mut Layer, scale: &Scale) {
    let name = format!("{}.dll", stem(number));
    let store = component("amd64", &stem(number), SERVICING_VERSION);
    let [system, stored] = base_names(number);
    let size = Random::new(0x5e41 ^ u64::from(number)).size(scale.mean);
    match number % 4 {
        // New bytes under both names; the base layer's copy is dead weight, or kept by its old name in the store.
        1 => {
            let system =
                if number % 12 == 1 { format!("Files/Windows/System32/{}", name.to_uppercase()) } else { system };
            two_names(layer, [&system, &format!("{store}/{name}")], number as usize / 4 % 2, size);
        }
        // The old bytes under a new name: a link into the base layer, to the name that holds the data or to a link.
        2 => {
            let target = if (number / 4).is_multiple_of(2) { &system } else { &stored };
            layer.hard_link(&format!("{store}/{name}"), &other_case(target, number));
            if let Some([system, stored]) = base_names_32(number) {
                let store = component("wow64", &stem(number), SERVICING_VERSION);
                let target = if (number / 12).is_multiple_of(2) { &stored } else { &system };
                layer.hard_link(&format!("{store}/{name}"), &other_case(target, number + 4));
            }
        }
        // A superseded name of the store goes; for even numbers it is the one that holds the data.
        _ if number.is_multiple_of(16) || number % 16 == 7 => layer.whiteout(&stored),
        _ => {}
    }
}

/// Every third target in another letter case than the base layer has.
fn other_case(target: &str, number: u32) -> String {
    match number / 4 % 3 {
        0 => target.replacen("Windows/", "WINDOWS/", 1).replace(".dll", ".DLL"),
        _ => target.to_owned(),
    }
}

fn utility_vm(layer: &mut Layer, scale: &Scale) {
    layer.directory("UtilityVM");
    layer.directory("UtilityVM/Files");
    layer.made("UtilityVM/Files/EFI/Microsoft/Boot/bootmgfw.efi", scale.mean);
    layer.whiteout("UtilityVM/Files/Windows/System32/advpack.dll");
    for number in (4..scale.components).step_by(8) {
        let name = format!("{}.dll", stem(number));
        let stored = format!("{}/{name}", component("amd64", &stem(number), SERVICING_VERSION));
        layer.made(&stored, scale.mean);
        layer.hard_link(&format!("UtilityVM/Files/Windows/System32/{name}"), &stored);
    }
}
