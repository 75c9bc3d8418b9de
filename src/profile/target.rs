//! Where added files go: a Windows path below `C:\`, made into a name of the layer.

use crate::layer::LayerPath;
use crate::windows::names::check_file_name;

/// Reads the target of an addition, such as `C:\app` or `app/server.exe`. The error is the end of the sentence
/// "the target `…` …".
pub(super) fn parse(text: &str) -> Result<LayerPath, String> {
    let path = match text.split_once(':') {
        Some((drive, rest)) if drive.eq_ignore_ascii_case("C") && rest.starts_with(['/', '\\']) => rest,
        Some(_) => return Err("is not a path below `C:\\`".to_owned()),
        None => text,
    };
    if path.is_empty() {
        return Err("is empty".to_owned());
    }
    let path = path.strip_prefix(['/', '\\']).unwrap_or(path);
    let path = path.strip_suffix(['/', '\\']).unwrap_or(path);
    if path.is_empty() {
        return Ok(LayerPath::new("Files"));
    }
    let mut name = String::from("Files");
    for component in path.split(['/', '\\']) {
        check_file_name(component)?;
        name.push('/');
        name.push_str(component);
    }
    Ok(LayerPath::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_become_names_of_the_layer() {
        for (text, name) in [
            (r"C:\app", "Files/app"),
            ("c:/App/x y.exe", "Files/App/x y.exe"),
            (r"\app\", "Files/app"),
            ("app", "Files/app"),
            (r"C:\", "Files"),
            ("console", "Files/console"),
        ] {
            assert_eq!(parse(text).unwrap().as_str(), name, "{text}");
        }
    }

    #[test]
    fn what_windows_cannot_name_is_refused() {
        for text in [
            "",
            "D:\\x",
            "C:x",
            "UtilityVM:\\x",
            "a:b",
            "C:\\a:b",
            "C:\\a\\b:",
            "a\\\\b",
            "..",
            "a\\..\\b",
            "a.",
            "a ",
            "a*",
            "a|b",
            "a\0",
            "nul",
            "a\\Com1.txt",
            "lpt9",
            "CON .x",
            "\\\\server\\share",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"x".repeat(256)).is_err());
    }
}
