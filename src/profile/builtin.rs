//! The profiles that are part of winslim.

/// One built-in profile.
#[derive(Debug)]
pub struct BuiltIn {
    /// The name by which it is asked for; also the name inside it.
    pub name: &'static str,
    /// Its TOML text.
    pub text: &'static str,
}

/// Makes the list from names: each is a file of the directory `profiles`.
macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(BuiltIn { name: $name, text: include_str!(concat!("../../profiles/", $name, ".toml")) }),*]
    };
}

/// All built-in profiles, the ones that combine others last.
pub const ALL: &[BuiltIn] = built_in![
    "safe",
    "native-images",
    "drivers",
    "no-defender",
    "no-speech-ime-help",
    "winsxs",
    "servicing",
    "no-wow64",
    "no-utilityvm",
    "balanced",
    "minimal",
];

/// The built-in profile of that name.
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|profile| profile.name == name)
}
