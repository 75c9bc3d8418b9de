//! The settings of all connections.

use std::fs;
use std::path::Path;

use reqwest::{Certificate, Client, ClientBuilder, Identity};

use super::error::RegistryError;
use super::options::{RegistryOptions, Tls};
use super::problem::Problem;
use crate::error::IoContext;

/// How winslim introduces itself.
const USER_AGENT: &str = concat!("winslim/", env!("CARGO_PKG_VERSION"));

/// The settings of all connections. The transparent decoding of bodies is not compiled in: it would change blobs.
///
/// Redirects are followed by [`execute`](super::client::execute), which knows what another host may see.
pub(super) fn client_builder(options: &RegistryOptions, tls: &Tls) -> Result<ClientBuilder, RegistryError> {
    let mut builder = Client::builder()
        .connect_timeout(options.limits.connect)
        .user_agent(USER_AGENT)
        .referer(false)
        .redirect(reqwest::redirect::Policy::none());
    for file in options.authorities.iter().chain(&tls.authority) {
        builder = builder.tls_certs_merge(certificates(file)?);
    }
    if let Some((certificate, key)) = &tls.client {
        let mut pem = fs::read(certificate).context_path("read", certificate)?;
        pem.push(b'\n');
        pem.extend(fs::read(key).context_path("read", key)?);
        // What the parser says of the key is not shown.
        let identity = Identity::from_pem(&pem).map_err(|_| {
            let files = format!("`{}` and `{}`", certificate.display(), key.display());
            RegistryError::Setup(format!("{files} are not the PEM files of a client certificate and its key"))
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, RegistryError> {
    let pem = fs::read(file).context_path("read", file)?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(RegistryError::Setup(format!("`{}` holds no certificate in the PEM format", file.display()))),
    }
}

/// The error for a client that cannot be built.
pub(super) fn setup(error: reqwest::Error) -> RegistryError {
    RegistryError::Setup(Problem::from(error).describe())
}
