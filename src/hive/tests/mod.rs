//! Looking into hives, good and bad ones.

mod software_hive;

use std::io::Cursor;

use proptest::prelude::*;

use self::software_hive::{Made, number, software_hive, text};
use super::reader::{HiveError, HiveReader, Value};
use super::software::{RegistryVersion, read_version};

fn version(build: u32, revision: u32) -> RegistryVersion {
    RegistryVersion {
        build: Some(build),
        revision: Some(revision),
        edition: Some("ServerDatacenter".to_owned()),
        product_name: Some("Windows Server 2019 Datacenter".to_owned()),
    }
}

fn values() -> [Made; 6] {
    [
        text("SystemRoot", r"C:\Windows"),
        text("CurrentBuild", "17763"),
        text("currentbuildnumber", "17763"),
        text("EditionID", "ServerDatacenter"),
        text("ProductName", "Windows Server 2019 Datacenter"),
        number("UBR", 8511),
    ]
}

fn read(hive: &[u8]) -> Result<RegistryVersion, HiveError> {
    read_version(Cursor::new(hive))
}

#[test]
fn the_version_is_found() {
    assert_eq!(read(&software_hive(false, &values())).unwrap(), version(17763, 8511));
    let only_build = read(&software_hive(false, &[text("CurrentBuild", "20348")])).unwrap();
    assert_eq!(only_build, RegistryVersion { build: Some(20348), ..RegistryVersion::default() });
    assert_eq!(read(&software_hive(false, &[text("SystemRoot", "C:")])).unwrap(), RegistryVersion::default());
    assert_eq!(read(&software_hive(true, &[])).unwrap(), RegistryVersion::default());
}

#[test]
fn values_that_cannot_be_are_not_taken() {
    let odd = [
        text("CurrentBuild", "many"),
        number("EditionID", 7),
        text("ProductName", "Windows\u{1b}[31m"),
        Made { name: "UBR", kind: 3, data: vec![1, 2, 3, 4] },
    ];
    assert_eq!(read(&software_hive(false, &odd)).unwrap(), RegistryVersion::default());
}

#[test]
fn deltas_lie_over_the_base() {
    let base = read(&software_hive(false, &values())).unwrap();
    let delta = read(&software_hive(true, &[number("UBR", 9000)])).unwrap();
    assert_eq!(delta.build, None);
    assert_eq!(RegistryVersion::of_layers([&base, &delta]), Some(version(17763, 9000)));
    assert_eq!(RegistryVersion::of_layers([]), None);
    assert_eq!(RegistryVersion::of_layers([&RegistryVersion::default()]), None);
}

#[test]
fn what_a_delta_deletes_is_not_there() {
    let find = |delta: bool, change: fn(&mut [u8])| {
        let mut hive = software_hive(delta, &values());
        let name = b"CurrentVersion";
        let at = hive.windows(name.len()).position(|window| window == name).unwrap();
        change(&mut hive[at - 76..]);
        read(&hive).unwrap()
    };
    assert_eq!(find(true, |_| {}), version(17763, 8511));
    assert_eq!(find(true, |node| node[13] = 1), RegistryVersion::default());
    assert_eq!(find(false, |node| node[13] = 1), version(17763, 8511));
    let mut hive = software_hive(true, &values());
    let at = hive.windows(3).position(|window| window == b"UBR").unwrap();
    hive[at - 4] |= 2;
    assert_eq!(read(&hive).unwrap().revision, None);
}

#[test]
fn names_may_be_utf16() {
    let mut hive = software_hive(false, &[number("U\0B\0R\0", 3)]);
    let at = hive.windows(6).position(|window| window == b"U\0B\0R\0").unwrap();
    hive[at - 4] = 0;
    assert_eq!(read(&hive).unwrap().revision, Some(3));
}

#[test]
fn a_hive_without_its_logs_is_not_read() {
    let mut hive = software_hive(false, &values());
    hive[4] = 2;
    hive[508] ^= 3;
    assert!(matches!(read(&hive), Err(HiveError::Dirty)));
}

#[test]
fn keys_and_values_are_found_by_any_spelling() {
    let mut hive = HiveReader::open(Cursor::new(software_hive(false, &values()))).unwrap();
    let key = hive.key(&["MICROSOFT", "windows nt", "CurrentVersion"]).unwrap().unwrap();
    assert_eq!(hive.value(key, "ubr").unwrap(), Some(Value::Number(8511)));
    assert_eq!(hive.value(key, "nothing").unwrap(), None);
    assert_eq!(hive.key(&["Microsoft", "Nothing"]).unwrap(), None);
    assert_eq!(hive.key(&["Classes", "Nothing"]).unwrap(), None);
}

proptest! {
    #[test]
    fn damaged_hives_give_an_answer(
        damage in proptest::collection::vec((4096_usize..8192, any::<u8>()), 1..20),
        cut in 0_usize..8193,
    ) {
        let mut hive = software_hive(false, &values());
        for (at, byte) in damage {
            hive[at] = byte;
        }
        let _ = read(&hive);
        let _ = read(&hive[..cut.min(hive.len())]);
    }
}
