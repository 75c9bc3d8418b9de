//! The PAX records of one entry: what the index keeps of them, and which of them hosts refuse.
//!
//! What Go's `archive/tar` cannot read makes the tar unreadable to every host (`reader.go: mergePAX`); what go-winio cannot read
//! (`backuptar/tar.go`) ends the import at that entry, and is a remark for [`crate::verify`].

use serde::{Deserialize, Serialize};

use super::EntryNumber;
use super::base64::decoded_length;
use super::path::NameMap;
use super::pax;
use super::problem::ScanProblem;

/// Something about an entry that only [`crate::verify`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Remark {
    /// The number of the entry in its layer.
    pub entry: EntryNumber,
    /// What there is to say.
    pub what: Oddity,
}

/// What is odd about an entry's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Oddity {
    /// `MSWINDOWS.fileattr` is not a decimal number of 32 bits.
    Attributes,
    /// `LIBARCHIVE.creationtime` is not a time.
    CreationTime,
    /// `MSWINDOWS.rawsd` is not base64.
    SecurityDescriptor,
    /// `MSWINDOWS.sd` is not a security descriptor in SDDL.
    Sddl,
    /// The security descriptor comes from `MSWINDOWS.sd`, as old writers have it.
    OldSecurityDescriptor,
    /// An `MSWINDOWS.xattr.*` is not base64, or its name or value is too long.
    ExtendedAttribute,
}

/// The records that the index keeps.
#[derive(Debug, Default)]
pub(super) struct Records<'a> {
    pub(super) path: Option<&'a [u8]>,
    pub(super) link: Option<&'a [u8]>,
    pub(super) size: Option<i64>,
    pub(super) modified: Option<i64>,
    pub(super) attributes: Option<u32>,
    /// `MSWINDOWS.rawsd`, if it is base64 and not empty.
    pub(super) security: Option<&'a str>,
    pub(super) mount_point: bool,
    pub(super) oddities: Vec<Oddity>,
}

/// The records with a meaning. Of several with one key the last one counts.
const KEYS: [&[u8]; 16] = [
    b"path",
    b"linkpath",
    b"size",
    b"mtime",
    b"atime",
    b"ctime",
    b"uid",
    b"gid",
    b"MSWINDOWS.fileattr",
    b"MSWINDOWS.rawsd",
    b"MSWINDOWS.sd",
    b"MSWINDOWS.mountpoint",
    b"LIBARCHIVE.creationtime",
    b"GNU.sparse.major",
    b"GNU.sparse.minor",
    b"GNU.sparse.map",
];

/// How the keys of extended attributes begin.
const EXTENDED_ATTRIBUTE: &[u8] = b"MSWINDOWS.xattr.";

/// The longest name and value of an extended attribute, in bytes (go-winio `ea.go`).
const LONGEST_ATTRIBUTE_NAME: usize = 255;
const LONGEST_ATTRIBUTE_VALUE: usize = 65_535;

impl<'a> Records<'a> {
    /// Reads the body of an extended header.
    pub(super) fn read(body: &'a [u8]) -> Result<Records<'a>, ScanProblem> {
        let mut last: [Option<&[u8]>; KEYS.len()] = [None; KEYS.len()];
        let mut extended_attributes: NameMap<&[u8], &[u8]> = NameMap::default();
        let mut has_sparse_map = false;
        for record in pax::records(body) {
            let pax::Record { key, value } = record.ok_or(ScanProblem::Extended)?;
            if let Some(known) = KEYS.iter().position(|known| *known == key) {
                last[known] = Some(value);
            } else if let Some(name) = key.strip_prefix(EXTENDED_ATTRIBUTE) {
                extended_attributes.insert(name, value);
            }
            has_sparse_map |= matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes");
        }
        let [path, link, size, mtime, atime, ctime, uid, gid, attributes, raw, sddl, mount_point, created, sparse @ ..] =
            last;
        if has_sparse_map || is_sparse(sparse) {
            return Err(ScanProblem::Sparse);
        }
        let wrong = ScanProblem::Record;
        // An empty value takes the record back: the field of the header counts.
        let some = |value: Option<&'a [u8]>| value.filter(|value| !value.is_empty());
        for (name, time) in [("atime", atime), ("ctime", ctime)] {
            some(time).map(|time| seconds(time).ok_or(wrong(name))).transpose()?;
        }
        for (name, id) in [("uid", uid), ("gid", gid)] {
            some(id).map(|id| integer(id).ok_or(wrong(name))).transpose()?;
        }
        let mut records = Records {
            path: some(path),
            link: some(link),
            size: some(size).map(|size| integer(size).ok_or(wrong("size"))).transpose()?,
            modified: some(mtime).map(|time| seconds(time).ok_or(wrong("mtime"))).transpose()?,
            // Its presence alone counts, even with an empty value.
            mount_point: mount_point.is_some(),
            ..Records::default()
        };
        records.read_windows(attributes, raw, sddl, created);
        let refused = |(name, value): (&&[u8], &&[u8])| {
            name.len() > LONGEST_ATTRIBUTE_NAME
                || decoded_length(value).is_none_or(|length| length > LONGEST_ATTRIBUTE_VALUE)
        };
        if extended_attributes.iter().any(refused) {
            records.oddities.push(Oddity::ExtendedAttribute);
        }
        Ok(records)
    }

    /// Reads the records that go-winio reads, in which an empty value is one, too.
    fn read_windows(
        &mut self,
        attributes: Option<&[u8]>,
        raw: Option<&'a [u8]>,
        sddl: Option<&[u8]>,
        created: Option<&[u8]>,
    ) {
        if let Some(value) = attributes {
            self.attributes = unsigned(value);
            if self.attributes.is_none() {
                self.oddities.push(Oddity::Attributes);
            }
        }
        if created.is_some_and(|time| seconds(time).is_none()) {
            self.oddities.push(Oddity::CreationTime);
        }
        match (raw.map(|raw| (raw, decoded_length(raw))), sddl) {
            (Some((raw, Some(1..))), _) => self.security = std::str::from_utf8(raw).ok(),
            (Some((_, Some(0))), _) | (None, None) => {}
            (Some((_, None)), _) => self.oddities.push(Oddity::SecurityDescriptor),
            (None, Some(sddl)) if is_sddl(sddl) => self.oddities.push(Oddity::OldSecurityDescriptor),
            (None, Some(_)) => self.oddities.push(Oddity::Sddl),
        }
    }
}

/// Whether Go reads the data of an entry with these records as a sparse file.
fn is_sparse([major, minor, map]: [Option<&[u8]>; 3]) -> bool {
    match (major.unwrap_or_default(), minor.unwrap_or_default()) {
        (b"0", b"0" | b"1") | (b"1", b"0") => true,
        (b"", b"") => map.is_some_and(|map| !map.is_empty()),
        _ => false,
    }
}

/// A decimal number as `strconv.ParseInt` takes it, with or without a sign.
fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A decimal number as `strconv.ParseUint` takes it, without a sign.
fn unsigned(value: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(value).ok()?;
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The whole seconds of a PAX time: `[-]seconds[.fraction]`, rounded down. Nine digits of the fraction count.
fn seconds(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    if whole.starts_with('-') && fraction.bytes().take(9).any(|digit| digit != b'0') {
        // Go's time wraps here, which no host minds.
        Some(seconds.saturating_sub(1))
    } else {
        Some(seconds)
    }
}

/// Whether a text has the form of a security descriptor in SDDL: `O:`, `G:`, `D:` and `S:`, each once at most, and lists of
/// entries in parentheses (MS-DTYP 2.5.1). Blanks do not matter. Whether Windows knows the accounts in it is not looked at.
fn is_sddl(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let text: String = text.chars().filter(|character| *character != ' ').collect();
    let (mut rest, mut parts) = (&*text, ["O:", "G:", "D:", "S:"].map(Some));
    while !rest.is_empty() {
        let begins = |part: &&mut Option<&str>| part.is_some_and(|part| rest.starts_with(part));
        let Some(part) = parts.iter_mut().find(begins).and_then(Option::take) else { return false };
        rest = &rest[part.len()..];
        // The next part begins a letter before its colon.
        let next = rest.find(':').map_or(rest.len(), |colon| colon.saturating_sub(1));
        let end = rest.find('(').map_or(next, |list| next.min(list));
        let Some((word, behind)) = rest.split_at_checked(end) else { return false };
        rest = behind;
        let is_list = matches!(part, "D:" | "S:");
        let of_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == if is_list { b'_' } else { b'-' };
        if !word.bytes().all(of_word) || word.is_empty() && !is_list {
            return false;
        }
        while let (true, Some(entry)) = (is_list, rest.strip_prefix('(')) {
            let Some(end) = end_of_list_entry(entry) else { return false };
            rest = &entry[end..];
        }
    }
    true
}

/// Where an entry of a list ends, behind its parenthesis; conditions in it have parentheses of their own.
fn end_of_list_entry(entry: &str) -> Option<usize> {
    let (mut depth, mut fields) = (1, 1);
    for (at, byte) in entry.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b';' if depth == 1 => fields += 1,
            _ => {}
        }
        if depth == 0 {
            return (6..=8).contains(&fields).then_some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_sddl_is_told() {
        for sddl in [
            "",
            "O:BA",
            "O:BAG:SYD:(A;OICI;FA;;;BA)(A;;0x1200a9;;;BU)",
            "D:PAI(A;;FA;;;SY)S:AI(AU;SAFA;FA;;;WD)",
            "O:S-1-5-32-544G:S-1-5-18D:NO_ACCESS_CONTROL",
            "D:(XA;;FX;;;S-1-1-0;(@User.Title==\"PM\"))",
            " D: (A;;FA;;;WD)",
            "S:D:",
        ] {
            assert!(is_sddl(sddl.as_bytes()), "{sddl}");
        }
        for other in
            ["X", "AQAA", "O:", "O:BAO:BA", "D:(A;;FA)", "D:(A;;FA;;;BA", "ERROR:(D;;GA;;;WD)", "D:(A;;FA;;;BA))"]
        {
            assert!(!is_sddl(other.as_bytes()), "{other}");
        }
        assert!(!is_sddl(b"O:\xff"));
    }

    #[test]
    fn times_are_rounded_down_and_read_as_go_reads_them() {
        for (time, whole) in [
            ("1", Some(1)),
            ("+1.", Some(1)),
            ("-1.5", Some(-2)),
            ("-0.5", Some(-1)),
            ("-1.0000000009", Some(-1)),
            ("1.999999999999", Some(1)),
            ("-9223372036854775808.1", Some(i64::MIN)),
            ("", None),
            (".5", None),
            ("1,25", None),
            ("1.-5", None),
            ("1e5", None),
            ("9223372036854775808", None),
            (" 1", None),
        ] {
            assert_eq!(seconds(time.as_bytes()), whole, "{time:?}");
        }
    }
}
