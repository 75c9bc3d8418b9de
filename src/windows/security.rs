//! The security descriptors that added files and directories get.
//!
//! They give the rights that a new child of `C:\` has on an ordinary Windows: full control for administrators and the
//! system, reading and executing for users, who may also create files and directories in directories. Without a
//! descriptor an added program may not be executable for the user `ContainerUser`.
//!
//! BuildKit gives the files that it adds to Windows layers the same descriptors (moby/buildkit,
//! `util/winlayers/differ.go`). The binary form is that of Microsoft's MS-DTYP, sections 2.4.2 (SID), 2.4.4 (ACE),
//! 2.4.5 (ACL) and 2.4.6 (self-relative security descriptor).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Who a right is for: a security identifier, `S-1-AUTHORITY-SUB…`.
#[derive(Debug, Clone, Copy)]
struct Sid {
    authority: u8,
    sub_authorities: &'static [u32],
}

/// The group of administrators, S-1-5-32-544.
const ADMINISTRATORS: Sid = Sid { authority: 5, sub_authorities: &[32, 544] };
/// The group of users, S-1-5-32-545.
const USERS: Sid = Sid { authority: 5, sub_authorities: &[32, 545] };
/// The operating system, S-1-5-18.
const LOCAL_SYSTEM: Sid = Sid { authority: 5, sub_authorities: &[18] };
/// Stands for whoever creates a child, S-1-3-0.
const CREATOR_OWNER: Sid = Sid { authority: 3, sub_authorities: &[0] };

/// The entry is inherited by files (`OI`).
const FILES_INHERIT: u8 = 1;
/// The entry is inherited by directories (`CI`).
const DIRECTORIES_INHERIT: u8 = 2;
/// The entry is for children only (`IO`).
const INHERIT_ONLY: u8 = 8;

/// Every right to a file (`FA`).
const FULL_CONTROL: u32 = 0x001f_01ff;
/// Every right, in the form that is translated when inherited (`GA`).
const GENERIC_ALL: u32 = 0x1000_0000;
/// Reading and executing.
const READ_AND_EXECUTE: u32 = 0x0012_00a9;
/// Creating directories in a directory (`LC`).
const ADD_DIRECTORY: u32 = 0x4;
/// Creating files in a directory (`DC`).
const ADD_FILE: u32 = 0x2;

/// One entry of an access control list: inheritance, rights, and whom it allows them.
struct Allow(u8, u32, Sid);

/// The value of `MSWINDOWS.rawsd` for an added directory, in base64.
///
/// In SDDL: `O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)`
/// `(A;CI;LC;;;BU)(A;CI;DC;;;BU)`.
pub fn directory_descriptor() -> String {
    const ALL: u8 = FILES_INHERIT | DIRECTORIES_INHERIT;
    STANDARD.encode(self_relative(&[
        Allow(ALL, FULL_CONTROL, ADMINISTRATORS),
        Allow(ALL, FULL_CONTROL, LOCAL_SYSTEM),
        Allow(0, FULL_CONTROL, ADMINISTRATORS),
        Allow(ALL | INHERIT_ONLY, GENERIC_ALL, CREATOR_OWNER),
        Allow(ALL, READ_AND_EXECUTE, USERS),
        Allow(DIRECTORIES_INHERIT, ADD_DIRECTORY, USERS),
        Allow(DIRECTORIES_INHERIT, ADD_FILE, USERS),
    ]))
}

/// The value of `MSWINDOWS.rawsd` for an added file, in base64.
///
/// In SDDL: `O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU)`.
pub fn file_descriptor() -> String {
    STANDARD.encode(self_relative(&[
        Allow(0, FULL_CONTROL, ADMINISTRATORS),
        Allow(0, FULL_CONTROL, LOCAL_SYSTEM),
        Allow(0, READ_AND_EXECUTE, USERS),
    ]))
}

/// A self-relative security descriptor: owned by the administrators, of the system's group, without an audit list.
fn self_relative(allowed: &[Allow]) -> Vec<u8> {
    const HEADER: usize = 20;
    /// The descriptor is self-relative (0x8000) and has a list of who may do what (0x0004).
    const CONTROL: u16 = 0x8004;
    let owner = sid(ADMINISTRATORS);
    let group = sid(LOCAL_SYSTEM);
    let mut bytes = vec![1, 0];
    bytes.extend(CONTROL.to_le_bytes());
    for offset in [HEADER, HEADER + owner.len(), 0, HEADER + owner.len() + group.len()] {
        bytes.extend((offset as u32).to_le_bytes());
    }
    bytes.extend(owner);
    bytes.extend(group);
    bytes.extend(access_control_list(allowed));
    bytes
}

/// An access control list: revision 2, length in bytes, number of entries, entries.
fn access_control_list(allowed: &[Allow]) -> Vec<u8> {
    let mut entries = Vec::new();
    for Allow(inheritance, rights, whom) in allowed {
        let whom = sid(*whom);
        // Type 0 allows.
        entries.extend([0, *inheritance]);
        entries.extend((8 + whom.len() as u16).to_le_bytes());
        entries.extend(rights.to_le_bytes());
        entries.extend(whom);
    }
    let mut bytes = vec![2, 0];
    bytes.extend((8 + entries.len() as u16).to_le_bytes());
    bytes.extend((allowed.len() as u16).to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(entries);
    bytes
}

/// A security identifier: revision 1, number of sub-authorities, six bytes of authority, sub-authorities.
fn sid(sid: Sid) -> Vec<u8> {
    let mut bytes = vec![1, sid.sub_authorities.len() as u8, 0, 0, 0, 0, 0, sid.authority];
    for number in sid.sub_authorities {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn u16_at(bytes: &[u8], offset: usize) -> usize {
        u16::from_le_bytes(bytes[offset..offset + 2].try_into().unwrap()).into()
    }

    fn u32_at(bytes: &[u8], offset: usize) -> u32 {
        u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
    }

    fn read_sid(bytes: &[u8]) -> String {
        let mut text = format!("S-1-{}", bytes[7]);
        for number in 0..usize::from(bytes[1]) {
            text += &format!("-{}", u32_at(bytes, 8 + 4 * number));
        }
        text
    }

    /// Owner, group, and each entry as inheritance, rights and SID.
    fn read(descriptor: &str) -> (String, String, Vec<String>) {
        let bytes = STANDARD.decode(descriptor).unwrap();
        assert_eq!((bytes[0], u16_at(&bytes, 2), u32_at(&bytes, 12)), (1, 0x8004, 0));
        let place = |offset| &bytes[u32_at(&bytes, offset) as usize..];
        let list = place(16);
        assert_eq!(u16_at(list, 2), list.len(), "the list ends the descriptor");
        let mut entries = Vec::new();
        let mut rest = &list[8..];
        while !rest.is_empty() {
            assert_eq!(rest[0], 0);
            entries.push(format!("{} {:#x} {}", rest[1], u32_at(rest, 4), read_sid(&rest[8..])));
            rest = &rest[u16_at(rest, 2)..];
        }
        assert_eq!(entries.len(), u16_at(list, 4));
        (read_sid(place(4)), read_sid(place(8)), entries)
    }

    #[test]
    fn the_descriptors_say_who_may_do_what() {
        let (owner, group, entries) = read(&file_descriptor());
        assert_eq!((&*owner, &*group), ("S-1-5-32-544", "S-1-5-18"));
        assert_eq!(entries, ["0 0x1f01ff S-1-5-32-544", "0 0x1f01ff S-1-5-18", "0 0x1200a9 S-1-5-32-545"]);
        let (owner, group, entries) = read(&directory_descriptor());
        assert_eq!((&*owner, &*group), ("S-1-5-32-544", "S-1-5-18"));
        assert_eq!(
            entries,
            [
                "3 0x1f01ff S-1-5-32-544",
                "3 0x1f01ff S-1-5-18",
                "0 0x1f01ff S-1-5-32-544",
                "11 0x10000000 S-1-3-0",
                "3 0x1200a9 S-1-5-32-545",
                "2 0x4 S-1-5-32-545",
                "2 0x2 S-1-5-32-545",
            ]
        );
    }

    #[test]
    fn the_descriptors_are_those_that_buildkit_writes() {
        for (descriptor, length, digest) in
            [(directory_descriptor(), 216, "854e2b6410a6"), (file_descriptor(), 124, "ec531f963417")]
        {
            assert_eq!(STANDARD.decode(&descriptor).unwrap().len(), length);
            assert_eq!(Digest::of(descriptor.as_bytes()).short(), digest, "{descriptor}");
        }
    }
}
