//! One registry host: how it is reached, and the requests to it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response};

use super::credentials::is_docker_hub;
use super::error::RegistryError;
use super::problem::Problem;
use super::upload::Uploads;

/// How long a connection may take to come about.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long an answer may stall before it counts as broken.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// How winslim introduces itself.
pub(super) const USER_AGENT: &str = concat!("winslim/", env!("CARGO_PKG_VERSION"));

/// A registry and the connections to it.
pub(super) struct Host {
    /// Where its API is: host with port.
    pub address: String,
    /// Whether it is spoken to without TLS.
    pub plain: bool,
    /// For requests to the registry itself.
    pub http: Client,
    /// For requests to other hosts that the registry names: its token server.
    pub elsewhere: Client,
    /// Uploads to it.
    pub uploads: Uploads,
}

impl Host {
    /// Prepares connections to a registry; nothing is sent yet.
    pub fn new(registry: &str, plain_http: &[String], elsewhere: &Client) -> Result<Host, RegistryError> {
        // Docker Hub's API is not at the name that people know.
        let address = if is_docker_hub(registry) { "registry-1.docker.io" } else { registry }.to_owned();
        let plain = is_plain(registry, plain_http);
        let direct = is_loopback(registry);
        let builder = if direct { client_builder().no_proxy() } else { client_builder() };
        Ok(Host {
            http: builder.build().map_err(setup)?,
            elsewhere: if direct { client_builder().no_proxy().build().map_err(setup)? } else { elsewhere.clone() },
            uploads: Uploads::new(&address, plain, direct)?,
            address,
            plain,
        })
    }

    /// `https://HOST/v2/`.
    pub fn base_url(&self) -> String {
        let scheme = if self.plain { "http" } else { "https" };
        format!("{scheme}://{}/v2/", self.address)
    }

    /// The address of something in a repository, such as `manifests/latest`.
    pub fn url(&self, repository: &str, rest: &str) -> String {
        format!("{}{repository}/{rest}", self.base_url())
    }
}

/// The settings of all connections. The transparent decoding of bodies is not compiled in: it would change blobs.
pub(super) fn client_builder() -> ClientBuilder {
    Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).user_agent(USER_AGENT).referer(false)
}

/// The error for a client that cannot be built.
pub(super) fn setup(error: reqwest::Error) -> RegistryError {
    RegistryError::Setup(Problem::from(error).describe())
}

/// Sends a request; every answer that is not a success is a problem.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, Problem> {
    let (client, request) = request.build_split();
    let request = request?;
    let (method, url) = (request.method().clone(), request.url().clone());
    let result = client.execute(request).await;
    // Only the host and the path: queries hold signatures, headers hold tokens.
    let (host, path) = (url.host_str().unwrap_or_default(), url.path());
    match result {
        Ok(response) => {
            let status = response.status().as_u16();
            tracing::debug!(%method, host, path, status, bytes = response.content_length(), "request");
            if response.status().is_success() { Ok(response) } else { Err(Problem::of_response(response).await) }
        }
        Err(error) => {
            let problem = Problem::from(error);
            tracing::debug!(%method, host, path, reason = problem.describe(), "request failed");
            Err(problem)
        }
    }
}

/// Reads a whole body that must not be larger than `limit` bytes, without trusting the announced length.
pub(super) async fn read_bounded(mut response: Response, limit: u64) -> Result<Bytes, Problem> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(Problem::TooLarge { limit });
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(Problem::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Whether a registry is spoken to without TLS: it is on this machine, or the user says so, for all ports or for one.
pub(super) fn is_plain(registry: &str, plain_http: &[String]) -> bool {
    let host = host_of(registry);
    is_loopback(registry)
        || plain_http.iter().any(|plain| plain.eq_ignore_ascii_case(registry) || plain.eq_ignore_ascii_case(host))
}

/// Whether a registry is on this machine: `localhost`, `127.0.0.0/8` or `[::1]`, with any port.
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = host_of(registry);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host without its port.
fn host_of(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        // The colons of an IPv6 address are in brackets, and the port after them.
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !registry.ends_with(']') => host,
        _ => registry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_named_registries_are_spoken_to_without_tls() {
        let named = ["plain.example".to_owned(), "one.example:5000".to_owned()];
        let cases = [
            ("localhost", true),
            ("LOCALHOST:5000", true),
            ("127.0.0.1", true),
            ("127.9.8.7:443", true),
            ("[::1]", true),
            ("[::1]:5000", true),
            ("[::2]:5000", false),
            ("128.0.0.1:5000", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("mcr.microsoft.com", false),
            ("plain.example", true),
            ("Plain.example:8080", true),
            ("sub.plain.example", false),
            ("one.example:5000", true),
            ("one.example:5001", false),
            ("one.example", false),
        ];
        for (registry, plain) in cases {
            assert_eq!(is_plain(registry, &named), plain, "{registry}");
        }
    }

    #[test]
    fn docker_hub_is_reached_where_its_api_is() {
        let host = Host::new("docker.io", &[], &Client::new()).unwrap();
        let expected = "https://registry-1.docker.io/v2/library/x/manifests/latest";
        assert_eq!(host.url("library/x", "manifests/latest"), expected);
    }
}
