//! One registry host: how it is reached, and the requests to it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, LOCATION, RANGE};
use reqwest::{Client, Method, Request, RequestBuilder, Response, Url};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::connections::{client_builder, setup};
use super::docker_hub::is_docker_hub;
use super::elsewhere::Elsewhere;
use super::error::RegistryError;
use super::host_name::{is_loopback, is_plain};
use super::options::{Limits, RegistryOptions, Tls};
use super::pace::Pace;
use super::problem::Problem;
use super::quirks::UploadMode;
use crate::transport::Repository;

/// How many redirects one request may lead through.
const MAX_REDIRECTS: usize = 10;

/// A registry and the connections to it.
pub(super) struct Host {
    /// Where its API is: host with port.
    pub address: String,
    /// Whether it is spoken to without TLS.
    pub plain: bool,
    /// For requests to the registry itself.
    pub http: Client,
    /// For requests to other hosts that the registry names: its token server, or where it keeps its blobs. They are never
    /// shown the client certificate of the registry.
    pub elsewhere: Arc<Elsewhere>,
    /// How much at once, and how long to wait.
    pub limits: Limits,
    /// One for each request at the same time.
    permits: Semaphore,
    /// The mode of uploading that works best, as far as is known.
    upload_mode: Mutex<UploadMode>,
}

impl Host {
    /// Prepares connections to a registry; nothing is sent yet.
    pub fn new(registry: &str, options: &RegistryOptions, elsewhere: &Arc<Elsewhere>) -> Result<Host, RegistryError> {
        // Docker Hub's API is not at the name that people know.
        let address = if is_docker_hub(registry) { "registry-1.docker.io" } else { registry }.to_owned();
        let direct = is_loopback(registry);
        let tls = options.tls.get(registry).cloned().unwrap_or_default();
        let only_authority = Tls { client: None, ..tls.clone() };
        let builder = client_builder(options, &tls)?;
        let like_others = only_authority == Tls::default();
        let elsewhere =
            if like_others { Arc::clone(elsewhere) } else { Arc::new(Elsewhere::new(options, only_authority)?) };
        Ok(Host {
            http: if direct { builder.no_proxy() } else { builder }.build().map_err(setup)?,
            elsewhere,
            upload_mode: Mutex::new(UploadMode::first_for(&address, options.push_mode)),
            limits: options.limits,
            permits: Semaphore::new(options.limits.connections.max(1)),
            address,
            // Whoever says what TLS needs there wants TLS, on this machine too.
            plain: is_plain(registry, &options.plain_http) && !options.tls.contains_key(registry),
        })
    }

    /// `https://HOST/v2/`.
    pub fn base_url(&self) -> String {
        let scheme = if self.plain { "http" } else { "https" };
        format!("{scheme}://{}/v2/", self.address)
    }

    /// The address of something in a repository, such as `manifests/latest`.
    pub fn url(&self, repository: &Repository, rest: &str) -> String {
        format!("{}{repository}/{rest}", self.base_url())
    }

    /// Waits until there may be one more request to this registry, until what is returned is dropped.
    pub async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.permits.acquire().await.ok()
    }

    /// The mode of uploading to begin with.
    pub fn upload_mode(&self) -> UploadMode {
        *self.upload_mode.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Remembers that a mode worked.
    pub fn prefer(&self, mode: UploadMode) {
        *self.upload_mode.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = mode;
    }

    /// Sends a request to the registry or its token server; every answer that is not a success is a problem.
    pub async fn send(&self, request: RequestBuilder, attempt: usize) -> Result<Response, Problem> {
        send(request, &self.elsewhere, self.limits.stall, attempt).await
    }
}

/// Sends a request and waits for the beginning of the answer; every answer that is not a success is a problem.
pub(super) async fn send(
    request: RequestBuilder,
    elsewhere: &Elsewhere,
    stall: Duration,
    attempt: usize,
) -> Result<Response, Problem> {
    let sent = async { succeeded(execute(request, elsewhere, attempt).await?, elsewhere).await };
    tokio::time::timeout(stall, sent).await.unwrap_or_else(|_| Err(stalled(stall)))
}

/// Makes a problem of every answer that is not a success.
pub(super) async fn succeeded(response: Response, elsewhere: &Elsewhere) -> Result<Response, Problem> {
    if response.status().is_success() { Ok(response) } else { Err(elsewhere.problem_of(response).await) }
}

/// The problem of a server from which nothing comes.
pub(super) fn stalled(stall: Duration) -> Problem {
    Problem::Network { reason: format!("nothing came for {} seconds", stall.as_secs_f32()), transient: true }
}

/// Sends a request, and follows where the answer leads.
///
/// Another host than the first gets nothing but what is asked for: no credentials, no cookies, no body. An upload is not
/// redirected, because its bytes are gone by then. Nobody is led from TLS to plain HTTP, nor to an address that is less public
/// than that of the server that names it.
pub(super) async fn execute(
    request: RequestBuilder,
    elsewhere: &Elsewhere,
    attempt: usize,
) -> Result<Response, Problem> {
    let (mut client, request) = request.build_split();
    let mut request = request?;
    let origin = request.url().origin();
    for _ in 0..=MAX_REDIRECTS {
        let spare = request.try_clone();
        let response = execute_once(&client, request, elsewhere, attempt).await?;
        let (Some(spare), Some(next)) = (spare, redirect(&response)) else { return Ok(response) };
        let by_reading = matches!(*spare.method(), Method::GET | Method::HEAD);
        if next.origin() == origin && (by_reading || matches!(response.status().as_u16(), 307 | 308)) {
            request = spare;
            *request.url_mut() = next;
        } else if by_reading && matches!(next.scheme(), "http" | "https") {
            elsewhere.check_downgrade(response.url(), &next)?;
            client = elsewhere.client(&next, elsewhere.reach_of(&response))?.clone();
            request = Request::new(spare.method().clone(), next);
            for name in [ACCEPT, RANGE] {
                if let Some(value) = spare.headers().get(&name) {
                    request.headers_mut().insert(name, value.clone());
                }
            }
        } else {
            return Ok(response);
        }
    }
    Err(Problem::Network { reason: format!("it redirects more than {MAX_REDIRECTS} times"), transient: false })
}

/// Where an answer leads instead.
fn redirect(response: &Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    response.url().join(response.headers().get(LOCATION)?.to_str().ok()?).ok()
}

async fn execute_once(
    client: &Client,
    request: Request,
    elsewhere: &Elsewhere,
    attempt: usize,
) -> Result<Response, Problem> {
    let (method, url) = (request.method().clone(), request.url().clone());
    let sent = request.headers().get(reqwest::header::CONTENT_LENGTH);
    let sent = sent.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let sent = sent.or_else(|| Some(request.body()?.as_bytes()?.len() as u64));
    let result = client.execute(request).await;
    // Only the host and the path: queries hold signatures, headers hold tokens.
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let path = url.path();
    let proxy = elsewhere.proxy_of(&url);
    match result {
        Ok(response) => {
            let (status, received) = (response.status().as_u16(), response.content_length());
            let bytes = sent.or(received).unwrap_or_default();
            tracing::info!(%method, host, path, status, bytes, attempt, "request");
            match proxy.filter(|_| status == 407) {
                Some(proxy) => Err(Problem::of_proxy(&proxy)),
                None => Ok(response),
            }
        }
        Err(error) => {
            let problem = match proxy {
                Some(proxy) => Problem::through_proxy(error, &proxy, &url),
                None => Problem::from(error),
            };
            tracing::info!(%method, host, path, attempt, reason = problem.describe(), "request failed");
            Err(problem)
        }
    }
}

/// The next piece of a body.
pub(super) async fn next_chunk(
    response: &mut Response,
    stall: Duration,
    pace: &mut Pace,
) -> Result<Option<Bytes>, Problem> {
    let late = Instant::now() + stall;
    let mut chunk = std::pin::pin!(response.chunk());
    loop {
        tokio::select! {
            chunk = &mut chunk => {
                let chunk = chunk?;
                pace.count(chunk.as_ref().map_or(0, Bytes::len) as u64, Instant::now())?;
                return Ok(chunk);
            }
            () = tokio::time::sleep_until(late.min(pace.deadline()).into()) => {
                if Instant::now() >= late {
                    return Err(stalled(stall));
                }
                pace.count(0, Instant::now())?;
            }
        }
    }
}

/// Reads a whole body that must not be larger than `limit` bytes, without trusting the announced length.
pub(super) async fn read_bounded(mut response: Response, limit: u64, limits: &Limits) -> Result<Bytes, Problem> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(Problem::TooLarge { limit });
    }
    let mut body = BytesMut::new();
    let mut pace = Pace::new(limits, Instant::now());
    while let Some(chunk) = next_chunk(&mut response, limits.stall, &mut pace).await? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(Problem::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_is_reached_where_its_api_is() {
        let options = RegistryOptions::default();
        let elsewhere = Arc::new(Elsewhere::new(&options, Tls::default()).unwrap());
        let host = Host::new("docker.io", &options, &elsewhere).unwrap();
        let expected = "https://registry-1.docker.io/v2/library/x/manifests/latest";
        assert_eq!(host.url(&"library/x".parse().unwrap(), "manifests/latest"), expected);
    }
}
