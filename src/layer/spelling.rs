//! Names as bytes and as text: a name in a tar is bytes, and in winslim it is text that stands for exactly those bytes.
//!
//! Each byte that is not part of valid UTF-8 is spelled `<XX>`, in upper-case hexadecimal digits, and a `<` itself is spelled
//! `<3C>`. No name on NTFS has a `<`, so almost every name is spelled as it is. The spelling is the same in listings, in JSON and in
//! the patterns of profiles.

use std::borrow::Cow;
use std::fmt::Write;

/// Spells the bytes of a name as text.
pub fn spell(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&b'<') => return Cow::Borrowed(text),
        _ => {}
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    let push = |text: &mut String, byte: u8| {
        // Writing into a text cannot fail.
        let _ = write!(text, "<{byte:02X}>");
    };
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '<' => push(&mut text, b'<'),
                character => text.push(character),
            }
        }
        for &byte in chunk.invalid() {
            push(&mut text, byte);
        }
    }
    Cow::Owned(text)
}

/// The bytes that a spelling stands for. A `<` that begins no `<XX>` stands for itself.
pub fn bytes_of(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('<') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let (byte, behind) = match spelled_byte(rest) {
            Some(byte) => (byte, &rest[SPELLED_BYTE..]),
            None => (first, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    Cow::Owned(bytes)
}

/// The length of a byte that is spelled out.
pub const SPELLED_BYTE: usize = 4;

/// Whether a text begins with a byte that is spelled out, in digits of any case.
pub fn is_spelled_byte(text: &str) -> bool {
    text.get(..SPELLED_BYTE).is_some_and(|text| spelled_byte(text.to_ascii_uppercase().as_bytes()).is_some())
}

/// The byte that a text begins with as `<XX>`.
fn spelled_byte(text: &[u8]) -> Option<u8> {
    let (&[b'<', high, low, b'>'], _) = text.split_first_chunk()? else { return None };
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_not_utf8_is_spelled_out() {
        for (bytes, text) in [
            (&b"Files/a"[..], "Files/a"),
            ("Files/größe".as_bytes(), "Files/größe"),
            (b"Files/gr\xf6\xdfe", "Files/gr<F6><DF>e"),
            (b"bad\xed\xa0\x80", "bad<ED><A0><80>"),
            (b"a<F6>b<", "a<3C>F6>b<3C>"),
        ] {
            assert_eq!(spell(bytes), text);
            assert_eq!(bytes_of(text), bytes);
        }
        assert_eq!(bytes_of("a<b<f6>"), &b"a<b<f6>"[..], "no spelling begins here");
    }

    proptest! {
        #[test]
        fn a_spelling_stands_for_its_bytes(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'<'), Just(b'F'), Just(b'>')], 0..60)) {
            let text = spell(&bytes).into_owned();
            prop_assert_eq!(&*bytes_of(&text), &bytes[..]);
        }
    }
}
