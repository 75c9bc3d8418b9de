//! The base layer: `Files`, then `UtilityVM` with links into it; no whiteouts, no `Hives`, no alternate data streams.

use super::Scale;
use super::hive::{HiveKind, hive};
use super::layer::Layer;
use super::names::{BASE_VERSION, EMPTY, FILES, LOADER, component, stem};
use super::random::{Content, Random, seed_of};

const LICENCE: &str = "SAMPLE LICENCE\n\nThis tree was invented to try winslim on. It holds no file of anybody's Windows, and \
nothing in it runs.\nDo with it what you like; but this document stays in the image, as the real one must.\n";

/// The registry hives that every base layer has below `Files/Windows/System32/config`.
pub const HIVES: [&str; 5] = ["DEFAULT", "SAM", "SECURITY", "SOFTWARE", "SYSTEM"];

pub fn base_layer(scale: &Scale) -> Layer {
    let mut layer = Layer::new("base");
    layer.directory("Files");
    layer.file("Files/License.txt", Content::text(LICENCE)).security = 0;
    layer.junction("Files/Documents and Settings", r"C:\Users").attributes = Some(0x2416);
    layer.symlink("Files/Users/All Users", r"C:\ProgramData", true);
    fixed_files(&mut layer, scale);
    odd_names(&mut layer, scale);
    odd_records(&mut layer);
    for number in 0..scale.components {
        files_of(number, &mut layer, scale);
    }
    utility_vm(&mut layer, scale);
    layer
}

fn fixed_files(layer: &mut Layer, scale: &Scale) {
    for name in HIVES {
        let content = hive(&format!(r"\SystemRoot\System32\Config\{name}"), HiveKind::Base);
        layer.file(&format!("Files/Windows/System32/config/{name}"), Content::Bytes(content)).security = 3;
    }
    for name in FILES {
        layer.made(&format!("Files/{name}"), scale.size(name));
    }
    for name in EMPTY {
        layer.directory(&format!("Files/{name}"));
    }
    for (number, name) in LOADER.iter().enumerate() {
        let stored = format!("{}/{name}", component("amd64", &name.to_lowercase().replace('.', "-"), BASE_VERSION));
        two_names(layer, [&stored, &format!("Files/Windows/System32/{name}")], number % 2, scale.size(name));
    }
}

/// Names over 100 and over 255 characters, and names in other alphabets.
fn odd_names(layer: &mut Layer, scale: &Scale) {
    let long = "a-directory-with-a-name-that-goes-on-and-on-for-about-eighty-characters-in-all-its-parts";
    layer.made(&format!("Files/ProgramData/{long}/{long}/{long}/end.txt"), scale.mean / 8);
    layer.made("Files/ProgramData/Übersicht/Größe – naïve façade.txt", scale.mean / 8);
    layer.made("Files/ProgramData/日本語/説明書.txt", scale.mean / 8);
    let target = "Files/ProgramData/Übersicht/Größe – naïve façade.txt";
    layer.hard_link("Files/ProgramData/Ελληνικά/σύνδεσμος.txt", target);
}

/// Extended attributes, and PAX headers that fill their blocks to the last byte.
fn odd_records(layer: &mut Layer) {
    let purge = ("$KERNEL.PURGE.ESBCACHE".to_owned(), seed_of("cache").to_le_bytes().to_vec());
    for (name, size) in [("attributes.bin", None), ("block.bin", Some(512)), ("two-blocks.bin", Some(1024))] {
        let item = layer.made(&format!("Files/ProgramData/records/{name}"), 700);
        item.pax_size = size;
        item.security = 3;
        if size.is_none() {
            item.extended.push(purge.clone());
            item.extended.push(("$CI.CATALOGHINT".to_owned(), b"sample.cat".to_vec()));
        }
    }
}

/// One file under two names; `holder` says which of them holds the data, and the other is the link.
pub fn two_names(layer: &mut Layer, names: [&str; 2], holder: usize, size: u64) {
    layer.made(names[holder], size).security = 1;
    layer.hard_link(names[1 - holder], names[holder]);
}

/// The names that the `number`th file of the system has in the base layer: in `System32` and in the component store.
pub fn base_names(number: u32) -> [String; 2] {
    let stem = stem(number);
    [format!("Files/Windows/System32/{stem}.dll"), format!("{}/{stem}.dll", component("amd64", &stem, BASE_VERSION))]
}

/// The same for the 32-bit copy, which every third file has.
pub fn base_names_32(number: u32) -> Option<[String; 2]> {
    let stem = stem(number);
    let stored = format!("{}/{stem}.dll", component("wow64", &stem, BASE_VERSION));
    number.is_multiple_of(3).then(|| [format!("Files/Windows/SysWOW64/{stem}.dll"), stored])
}

fn files_of(number: u32, layer: &mut Layer, scale: &Scale) {
    let stem = stem(number);
    let mut random = Random::new(u64::from(number));
    let mut size = || random.size(scale.mean);
    let [system, stored] = base_names(number);
    two_names(layer, [&system, &stored], number as usize % 2, size());
    if let Some([system, stored]) = base_names_32(number) {
        two_names(layer, [&system, &stored], number as usize / 3 % 2, size());
    }
    if number.is_multiple_of(5) {
        let name = component("amd64", &stem, BASE_VERSION).replace("/WinSxS/", "/WinSxS/Manifests/");
        layer.made(&format!("{name}.manifest"), size() / 16);
    }
    if number.is_multiple_of(6) {
        let hash = seed_of(&stem);
        let directory = format!("Files/Windows/assembly/NativeImages_v4.0.30319_64/{stem}/{hash:016x}{hash:016x}");
        layer.made(&format!("{directory}/{stem}.ni.dll"), size());
        layer.made(&format!("{directory}/{stem}.ni.dll.aux"), 300);
    }
    if number.is_multiple_of(7) {
        let package = format!("Microsoft-Windows-{stem}-Package~31bf3856ad364e35~amd64~~{BASE_VERSION}");
        layer.made(&format!("Files/Windows/servicing/Packages/{package}.cat"), size() / 8);
        layer.made(&format!("Files/Windows/servicing/Packages/{package}.mum"), size() / 32);
    }
    if number.is_multiple_of(9) {
        let directory = format!(
            "Files/Windows/System32/DriverStore/FileRepository/prn{stem}.inf_amd64_{:08x}",
            seed_of(&stem) >> 32
        );
        layer.made(&format!("{directory}/prn{stem}.inf"), size() / 16);
        layer.made(&format!("{directory}/Amd64/{stem}.gpd"), size());
    }
    if number.is_multiple_of(10) {
        layer.directory(&format!("Files/Windows/INF/{stem}"));
    }
}

/// The small machine for Hyper-V isolation: a few files of its own, links into `Files` for the rest.
fn utility_vm(layer: &mut Layer, scale: &Scale) {
    layer.directory("UtilityVM");
    layer.directory("UtilityVM/Files");
    let store = hive(r"\EFI\Microsoft\Boot\BCD", HiveKind::Base);
    layer.file("UtilityVM/Files/EFI/Microsoft/Boot/BCD", Content::Bytes(store));
    layer.made("UtilityVM/Files/EFI/Microsoft/Boot/bootmgfw.efi", scale.mean);
    for name in ["SOFTWARE", "SYSTEM"] {
        let content = hive(&format!(r"\SystemRoot\System32\Config\{name}"), HiveKind::Base);
        layer.file(&format!("UtilityVM/Files/Windows/System32/config/{name}"), Content::Bytes(content));
    }
    layer.hard_link("UtilityVM/Files/License.txt", "Files/License.txt");
    for name in LOADER {
        let name = format!("Files/Windows/System32/{name}");
        layer.hard_link(&format!("UtilityVM/{name}"), &name);
    }
    for number in (0..scale.components).step_by(4) {
        let [system, stored] = base_names(number);
        // Every other link goes to a name that is itself a link.
        let target = if number / 4 % 2 == 0 { &system } else { &stored };
        layer.hard_link(&format!("UtilityVM/{system}"), target);
    }
}
