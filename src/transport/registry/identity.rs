//! Who to be at a registry.

use std::fmt;

/// Who to be at a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nobody.
    Anonymous,
    /// Name and password.
    Password { username: String, password: String },
    /// A token that the registry's token server exchanges for others.
    Token(String),
    /// A token that goes to the registry as it is.
    RegistryToken(String),
}

impl fmt::Debug for Identity {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Identity::Anonymous => "Anonymous",
            Identity::Password { .. } => "Password",
            Identity::Token(_) => "Token",
            Identity::RegistryToken(_) => "RegistryToken",
        })
    }
}
