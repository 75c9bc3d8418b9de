//! PAX records: `LENGTH KEY=VALUE\n`, as POSIX.1-2001 defines them for extended tar headers, and as Go's `archive/tar` reads them
//! (`strconv.go: parsePAXRecord`).

/// One record. Neither key nor value has to be UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The keyword, such as `path` or `MSWINDOWS.fileattr`.
    pub key: &'a [u8],
    /// The value, without the newline at its end.
    pub value: &'a [u8],
}

/// The records of an extended header, in order. The item is nothing where the header is damaged, and is the last then.
pub fn records(body: &[u8]) -> Records<'_> {
    Records { rest: body }
}

/// See [`records`].
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Option<Record<'a>>;

    fn next(&mut self) -> Option<Option<Record<'a>>> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = split_record(self.rest);
        self.rest = parsed.map_or(&[][..], |(_, rest)| rest);
        Some(parsed.map(|(record, _)| record))
    }
}

/// The first record and what follows it, or nothing if it is damaged.
fn split_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = bytes.iter().position(|&byte| byte == b' ')?;
    // Go takes a sign here, and then the number says a length all the same.
    let length: i64 = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let length = usize::try_from(length).ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    let is_text = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname");
    let has_nul = if is_text { value } else { key }.contains(&0);
    (!key.is_empty() && !has_nul).then_some((Record { key, value }, &bytes[length..]))
}

/// Appends a record, with its own length in front as the format wants it.
pub fn push_record(body: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // Space, equals sign and newline, and then as many digits as the whole length needs, which counts them too.
    let rest = 3 + key.len() + value.len();
    let mut length = rest + 1;
    while length != rest + decimal_digits(length) {
        length = rest + decimal_digits(length);
    }
    body.extend_from_slice(format!("{length} ").as_bytes());
    body.extend_from_slice(key);
    body.push(b'=');
    body.extend_from_slice(value);
    body.push(b'\n');
}

fn decimal_digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn damaged_records_are_seen() {
        for body in [
            "x",
            "5 a=b",
            "6 a=b\n7",
            "999 a=b\n",
            "6 =bb\n",
            "5 ab\n",
            "-6 a=b\n",
            "+6 a=b\n",
            "a 6 b=c\n",
            "9 path=\0\n",
            "8 a\0b=c\n",
        ] {
            assert!(records(body.as_bytes()).any(|record| record.is_none()), "{body:?}");
        }
    }

    #[test]
    fn a_value_may_hold_a_newline_and_an_equals_sign() {
        let mut body = Vec::new();
        push_record(&mut body, b"comment", b"a=b\nc");
        assert_eq!(records(&body).collect::<Vec<_>>(), [Some(Record { key: b"comment", value: b"a=b\nc" })]);
    }

    proptest! {
        #[test]
        fn records_read_as_written(written in prop::collection::vec(("[A-Za-z.]{1,20}", prop::collection::vec(any::<u8>(), 0..200)), 0..5)) {
            let mut body = Vec::new();
            for (key, value) in &written {
                push_record(&mut body, key.as_bytes(), value);
            }
            let text = |key: &[u8]| String::from_utf8(key.to_owned()).unwrap();
            let read: Option<Vec<_>> =
                records(&body).map(|record| record.map(|record| (text(record.key), record.value.to_owned()))).collect();
            prop_assert_eq!(read, Some(written));
        }

        #[test]
        fn any_bytes_end(body in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(records(&body).count() <= body.len());
        }
    }
}
