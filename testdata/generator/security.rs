//! Security descriptors in their self-relative form (MS-DTYP 2.4.6), made from their parts.

/// How many different descriptors [`descriptor`] makes.
pub const DESCRIPTORS: usize = 6;

const ADMINISTRATORS: &[u32] = &[32, 544];
const USERS: &[u32] = &[32, 545];
const SYSTEM: &[u32] = &[18];
const TRUSTED_INSTALLER: &[u32] = &[80, 956008885, 3418522649, 1831038044, 1853292631, 2271478464];

const FULL: u32 = 0x001f_01ff;
const READ: u32 = 0x0012_00a9;
const INHERITED_BY_ALL: u8 = 3;

/// A descriptor by its number: owner, group, and who may do what.
pub fn descriptor(number: usize) -> Vec<u8> {
    match number {
        0 => build(ADMINISTRATORS, SYSTEM, &[(0, FULL, ADMINISTRATORS), (0, FULL, SYSTEM), (0, READ, USERS)]),
        1 => build(
            TRUSTED_INSTALLER,
            TRUSTED_INSTALLER,
            &[(0, FULL, TRUSTED_INSTALLER), (0, READ, ADMINISTRATORS), (0, READ, SYSTEM), (0, READ, USERS)],
        ),
        2 => build(
            SYSTEM,
            SYSTEM,
            &[
                (INHERITED_BY_ALL, FULL, SYSTEM),
                (INHERITED_BY_ALL, FULL, ADMINISTRATORS),
                (INHERITED_BY_ALL, READ, USERS),
            ],
        ),
        3 => build(SYSTEM, SYSTEM, &[(0, FULL, SYSTEM), (0, FULL, ADMINISTRATORS)]),
        4 => build(ADMINISTRATORS, ADMINISTRATORS, &[(INHERITED_BY_ALL, FULL, ADMINISTRATORS)]),
        _ => build(TRUSTED_INSTALLER, SYSTEM, &[(0, READ, USERS)]),
    }
}

fn build(owner: &[u32], group: &[u32], allowed: &[(u8, u32, &[u32])]) -> Vec<u8> {
    let (owner, group) = (sid(owner), sid(group));
    let mut entries = Vec::new();
    for (flags, mask, who) in allowed {
        let who = sid(who);
        entries.extend_from_slice(&[0, *flags]);
        entries.extend_from_slice(&((8 + who.len()) as u16).to_le_bytes());
        entries.extend_from_slice(&mask.to_le_bytes());
        entries.extend_from_slice(&who);
    }
    let group_at = 20 + owner.len();
    let list_at = group_at + group.len();
    let mut bytes = vec![1, 0, 0x04, 0x80];
    for offset in [20, group_at as u32, 0, list_at as u32] {
        bytes.extend_from_slice(&offset.to_le_bytes());
    }
    bytes.extend_from_slice(&owner);
    bytes.extend_from_slice(&group);
    bytes.extend_from_slice(&[2, 0]);
    bytes.extend_from_slice(&((8 + entries.len()) as u16).to_le_bytes());
    bytes.extend_from_slice(&(allowed.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&entries);
    bytes
}

/// A security identifier below the authority 5 (NT).
fn sid(parts: &[u32]) -> Vec<u8> {
    let mut bytes = vec![1, parts.len() as u8, 0, 0, 0, 0, 0, 5];
    for part in parts {
        bytes.extend_from_slice(&part.to_le_bytes());
    }
    bytes
}
