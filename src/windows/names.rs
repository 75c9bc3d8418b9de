//! Which names Windows programs can give to files.

/// Names of devices, which no file can have, with or without an extension
/// (Microsoft, "Naming Files, Paths, and Namespaces").
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];

/// Whether a name, without separators, can be that of a file. The error is the end of a sentence about the name.
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
    let stem = component.split('.').next().unwrap_or(component).trim_end();
    let numbered = |device: &str| {
        let number = stem.get(..3).filter(|start| start.eq_ignore_ascii_case(device)).and_then(|_| stem.get(3..));
        number.is_some_and(|number| number.len() == 1 && number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    if DEVICES.iter().any(|device| stem.eq_ignore_ascii_case(device)) || numbered("COM") || numbered("LPT") {
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
        for name in ["a", "nul-and-more", "com10", "été.txt", ".hidden", &"x".repeat(255)] {
            assert!(check_component(name).is_ok(), "{name:?}");
        }
    }
}
