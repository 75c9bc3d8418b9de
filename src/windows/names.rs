//! Which names Windows programs can give to files.

/// Names of devices, which no file can have, with or without an extension
/// (Microsoft, "Naming Files, Paths, and Namespaces").
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// Whether Windows takes a name, without separators, for a device, whatever stands behind its first dot.
pub fn is_device(component: &str) -> bool {
    // Almost no name begins like one.
    if !component.as_bytes().first().is_some_and(|first| b"CPANL".contains(&first.to_ascii_uppercase())) {
        return false;
    }
    let stem = component.split('.').next().unwrap_or(component).trim_end_matches(' ');
    if DEVICES.iter().any(|device| device.eq_ignore_ascii_case(stem)) {
        return true;
    }
    let Some((port, number)) = stem.split_at_checked(3) else { return false };
    (port.eq_ignore_ascii_case("COM") || port.eq_ignore_ascii_case("LPT"))
        && matches!(number, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
}

/// Whether a name, without separators, can be that of a file, and not of an alternate data stream. The error is the end of a
/// sentence about the name.
pub fn check_file_name(name: &str) -> Result<(), String> {
    check_component(name)?;
    match name.contains(':') {
        true => Err(format!("has the component `{name}`; behind a colon, Windows takes it for a stream of a file")),
        false => Ok(()),
    }
}

/// Whether a name, without separators, can be that of a file or of a stream of one (`file:stream`). The error is the end of
/// a sentence about the name.
pub fn check_component(component: &str) -> Result<(), String> {
    if component.is_empty() {
        return Err("has two separators in a row".to_owned());
    }
    // `.` and `..` end with a dot too.
    if component.ends_with(['.', ' ']) {
        return Err(format!("has the component `{component}`; Windows drops a dot or a space at the end of a name"));
    }
    if let Some(wrong) = component.chars().find(|c| c.is_control() || matches!(c, '<' | '>' | '"' | '|' | '?' | '*')) {
        return Err(format!("has the character {wrong:?}, which no Windows name has"));
    }
    if component.encode_utf16().count() > 255 {
        return Err("has a component of more than 255 characters, which NTFS does not take".to_owned());
    }
    if is_device(component) {
        return Err(format!("has the component `{component}`, which is a device on Windows"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_windows_refuses_are_refused() {
        for name in ["", ".", "..", "a.", "a ", "a?b", "a\tb", "nul", "COM1", "lpt9.txt", &"x".repeat(256)] {
            assert!(check_component(name).is_err(), "{name:?}");
        }
        assert!(check_component("a:b").is_ok() && check_file_name("a:b").is_err() && check_file_name("a").is_ok());
        assert!(check_file_name("a.").is_err());
        for name in ["a", "nul-and-more", "com10", "été.txt", ".hidden", &"x".repeat(255)] {
            assert!(check_component(name).is_ok(), "{name:?}");
        }
    }
}
