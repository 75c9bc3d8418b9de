//! Which texts Go's `base64.StdEncoding` takes: hosts read security descriptors and extended attributes with it.
//!
//! It passes over CR and LF, wants padding, and does not mind bits behind the last byte (`encoding/base64: decodeQuantum`).

/// The number of bytes that a text stands for, or `None` if Go does not take it.
pub(super) fn decoded_length(text: &[u8]) -> Option<usize> {
    let mut rest = text.iter().filter(|byte| !matches!(byte, b'\r' | b'\n'));
    let mut digits = 0_usize;
    loop {
        match rest.next() {
            None => return digits.is_multiple_of(4).then_some(digits / 4 * 3),
            Some(b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/') => digits += 1,
            Some(b'=') => break,
            Some(_) => return None,
        }
    }
    let missing = match digits % 4 {
        2 => rest.next().filter(|byte| **byte == b'=').map(|_| 1)?,
        3 => 2,
        _ => return None,
    };
    rest.next().is_none().then_some(digits / 4 * 3 + missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go 1.19 `base64.StdEncoding.DecodeString` says of each: the number of bytes, or an error.
    const GO: [(&str, Option<usize>); 22] = [
        ("", Some(0)),
        ("\r\n", Some(0)),
        ("AQAA", Some(3)),
        ("AQ==", Some(1)),
        ("AQA=", Some(2)),
        ("AR==", Some(1)),
        ("A\nQ\r=\n=\n", Some(1)),
        ("AQAA\n", Some(3)),
        ("A", None),
        ("AQ", None),
        ("AQA", None),
        ("AQ=", None),
        ("A===", None),
        ("=", None),
        ("====", None),
        ("AQAA=", None),
        ("AQ==AQ==", None),
        ("AQ== ", None),
        ("AQ A", None),
        ("AQ-_", None),
        ("AQA\u{e9}", None),
        ("not base64!", None),
    ];

    #[test]
    fn what_go_takes_is_taken() {
        for (text, length) in GO {
            assert_eq!(decoded_length(text.as_bytes()), length, "{text:?}");
        }
    }
}
