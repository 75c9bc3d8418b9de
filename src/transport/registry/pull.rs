//! Pulling: documents into memory, blobs into the store.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

use super::client::{Host, next_chunk, send};
use super::elsewhere::Elsewhere;
use super::error::RegistryError;
use super::headers::announced_digest;
use super::options::Limits;
use super::pace::Pace;
use super::problem::{Problem, shorten};
use super::reach::Reach;
use super::retry::PROGRESS;
use super::retry::Retries;
use super::session::Session;
use super::{Registry, pull_scope};
use crate::image::document::{MAX_DOCUMENT_SIZE, field};
use crate::image::media_type;
use crate::image::{Descriptor, Digest, Document};
use crate::progress::Task;
use crate::store::{Filling, Partial, Store, StoreError};
use crate::transport::RegistryReference;

/// The documents that winslim understands, for the `Accept` header.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
                                   application/vnd.docker.distribution.manifest.list.v2+json, \
                                   application/vnd.oci.image.manifest.v1+json, \
                                   application/vnd.docker.distribution.manifest.v2+json";

/// How often to look whether another task or process has completed a blob.
const WAIT_FOR_OTHERS: Duration = Duration::from_millis(100);

impl Registry {
    /// Pulls the manifest or index that a reference leads to, from this registry and no mirror of it.
    pub(super) async fn document_at(&self, reference: &RegistryReference) -> Result<Document, RegistryError> {
        let name = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => "latest".to_owned(),
        };
        let action = format!("pull the manifest of {reference}");
        let url = |host: &Host| host.url(&reference.repository, &format!("manifests/{name}"));
        let pulled = self.fetch(pull_scope(reference), |host| host.http.get(url(host)).header(ACCEPT, ACCEPTED)).await;
        let (headers, bytes) = match pulled {
            Ok(pulled) => pulled,
            Err(problem) if problem.status() == Some(404) => {
                return Err(self.unknown(reference, &name, problem.code()).await);
            }
            Err(problem) => return Err(problem.into_error(&action, &reference.registry)),
        };
        let actual = Digest::of(&bytes);
        match reference.digest.or_else(|| announced_digest(&headers)) {
            Some(expected) if expected != actual => {
                return Err(RegistryError::WrongDigest { action, expected, actual });
            }
            _ => {}
        }
        read_document(reference, &headers, bytes)
    }

    /// Pulls a small blob into memory, from this registry and no mirror of it.
    pub(super) async fn pull_small_at(
        &self,
        reference: &RegistryReference,
        descriptor: &Descriptor,
    ) -> Result<Bytes, RegistryError> {
        let action = format!("pull the blob {} of {}", descriptor.digest, reference.name());
        if descriptor.size > MAX_DOCUMENT_SIZE {
            return Err(RegistryError::TooLarge { action, limit: MAX_DOCUMENT_SIZE });
        }
        let pulled = self.fetch(pull_scope(reference), |host| blob_request(host, reference, descriptor)).await;
        let bytes = match pulled {
            Ok((_, bytes)) => bytes,
            Err(problem) if problem.status() == Some(404) => return Err(unknown_blob(reference, descriptor)),
            Err(problem) => return Err(problem.into_error(&action, &reference.registry)),
        };
        let (expected, actual) = (descriptor.digest, Digest::of(&bytes));
        if bytes.len() as u64 != descriptor.size {
            let error =
                StoreError::WrongSize { digest: expected, expected: descriptor.size, actual: bytes.len() as u64 };
            return Err(RegistryError::Content { action, error });
        }
        if actual != expected {
            return Err(RegistryError::WrongDigest { action, expected, actual });
        }
        Ok(bytes)
    }

    /// Pulls a blob into the store, from this registry and no mirror of it.
    pub(super) async fn pull_blob_at(
        &self,
        reference: &RegistryReference,
        descriptor: &Descriptor,
        store: &Store,
        task: &dyn Task,
    ) -> Result<PathBuf, RegistryError> {
        let action = format!("pull the layer {} of {}", descriptor.digest, reference.name());
        let content = |error: StoreError| RegistryError::Content { action: action.clone(), error };
        let mut tried_anew = false;
        loop {
            let Some(partial) = begin(descriptor, store).await.map_err(content)? else {
                task.reset_to(descriptor.size);
                return Ok(store.blob_path(&descriptor.digest));
            };
            let mut download = Download::new(partial, descriptor, task, self.options.limits);
            if let Err(problem) = self.download(reference, &mut download).await {
                return Err(match problem {
                    Problem::Answer(answer) if answer.status == 404 => unknown_blob(reference, descriptor),
                    problem => problem.into_error(&action, &reference.registry),
                });
            }
            let in_pieces = download.in_pieces;
            match download.partial.finish() {
                // Pieces that do not fit together, of different runs or of different servers behind one name.
                Err(StoreError::WrongDigest { .. }) if in_pieces && !tried_anew => tried_anew = true,
                result => return result.map_err(content),
            }
        }
    }

    /// Completes a download: from the registry, or else from the URLs of a foreign layer.
    async fn download(&self, reference: &RegistryReference, download: &mut Download<'_>) -> Result<(), Problem> {
        if download.is_complete() {
            return Ok(());
        }
        let descriptor = download.descriptor;
        let mut session = Session::new(self, pull_scope(reference)).await?;
        let result = loop {
            let access = session.access().await?;
            let request = access.apply(blob_request(session.host(), reference, descriptor));
            let host = session.host();
            let permit = host.permit().await;
            let sent = download.request(request, &host.elsewhere, session.attempt()).await;
            drop(permit);
            let Err(problem) = sent else { break Ok(()) };
            if download.has_progressed() {
                session.progressed();
            }
            if let Err(problem) = session.failed(problem).await {
                break Err(problem);
            }
        };
        let answer = match result {
            Err(Problem::Answer(answer)) if !descriptor.urls.is_empty() => answer,
            result => return result,
        };
        // Nobody knows how public a registry is of which nothing is known but its name.
        let namer = answer.reach.unwrap_or(Reach::Public);
        let registry = format!("{}: {}", reference.registry, Problem::Answer(answer).describe());
        match self.download_foreign(namer, download).await? {
            Foreign::Complete => Ok(()),
            Foreign::Nowhere(attempts) => Err(RegistryError::ForeignLayer {
                repository: reference.name(),
                digest: descriptor.digest,
                attempts: [registry].into_iter().chain(attempts).collect::<Vec<_>>().join("; "),
            }
            .into()),
        }
    }

    /// Completes the download of a foreign layer from the URLs of its manifest, which came from a server as public as `namer`.
    pub(super) async fn download_foreign(&self, namer: Reach, download: &mut Download<'_>) -> Result<Foreign, Problem> {
        let mut attempts = Vec::new();
        for url in &download.descriptor.urls {
            let url = match Url::parse(url) {
                Ok(url) if matches!(url.scheme(), "http" | "https") => url,
                _ => {
                    attempts.push("a URL that is neither http nor https".to_owned());
                    continue;
                }
            };
            let mut retries = Retries::new(self.options.limits);
            let problem = loop {
                // Never with credentials: the manifest, which anybody may have written, chooses the host
                // (CVE-2020-15157).
                let sent = match self.elsewhere.request(Method::GET, &url, namer) {
                    Ok(request) => download.request(request, &self.elsewhere, retries.attempt()).await,
                    Err(problem) => Err(problem),
                };
                match sent {
                    Ok(()) => return Ok(Foreign::Complete),
                    Err(problem @ Problem::Final(_)) => return Err(problem),
                    Err(problem) => {
                        if download.has_progressed() {
                            retries.restart();
                        }
                        if let Err(problem) = retries.pause(problem).await {
                            break problem;
                        }
                    }
                }
            };
            attempts.push(format!(
                "{}: {}",
                url.host_str().unwrap_or_default(),
                without_secrets_of_others(&problem, namer)
            ));
        }
        Ok(Foreign::Nowhere(attempts))
    }

    /// What a 404 for a manifest means. Many registries say the same of a missing tag and a missing repository, so the
    /// list of tags is asked for, too.
    async fn unknown(&self, reference: &RegistryReference, name: &str, code: &str) -> RegistryError {
        let known = code != "NAME_UNKNOWN" && {
            let url = |host: &Host| host.url(&reference.repository, "tags/list?n=1");
            let listed = self.fetch(pull_scope(reference), |host| host.http.get(url(host))).await;
            !matches!(listed, Err(problem) if problem.code() == "NAME_UNKNOWN")
        };
        match reference.digest {
            _ if !known => RegistryError::UnknownRepository {
                registry: reference.registry.clone(),
                repository: reference.repository.clone(),
            },
            Some(digest) => RegistryError::UnknownManifest { repository: reference.name(), digest },
            None => RegistryError::UnknownTag { repository: reference.name(), tag: name.to_owned() },
        }
    }
}

/// Makes a document of what came, and finds out its media type: its own word for it is covered by the digest, so it
/// counts more than the registry's.
pub(super) fn read_document(
    reference: &RegistryReference,
    headers: &HeaderMap,
    bytes: Bytes,
) -> Result<Document, RegistryError> {
    let served = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let served = served.split(';').next().unwrap_or_default().trim();
    let parse = |media_type: &str, bytes| {
        let wrong = |error| RegistryError::Document { reference: reference.to_string(), error };
        Document::parse("manifest", media_type, bytes).map_err(wrong)
    };
    let document = parse(served, bytes)?;
    let own = field(document.value(), "mediaType").and_then(|value| value.as_str()).unwrap_or(served).to_owned();
    if !media_type::is_index(&own) && !media_type::is_manifest(&own) {
        return Err(RegistryError::NotAnImage { reference: reference.to_string(), media_type: shorten(&own) });
    }
    if own == served {
        return Ok(document);
    }
    parse(&own, document.bytes().clone())
}

fn blob_request(host: &Host, reference: &RegistryReference, descriptor: &Descriptor) -> RequestBuilder {
    host.http.get(host.url(&reference.repository, &format!("blobs/{}", descriptor.digest)))
}

fn unknown_blob(reference: &RegistryReference, descriptor: &Descriptor) -> RegistryError {
    RegistryError::UnknownBlob { repository: reference.name(), digest: descriptor.digest }
}

/// Begins or continues a download; nothing when the blob is in the store. While someone else downloads it, this waits
/// without holding up the other downloads of this thread.
pub(super) async fn begin(descriptor: &Descriptor, store: &Store) -> Result<Option<Partial>, StoreError> {
    loop {
        if store.blob(&descriptor.digest).is_some() {
            return Ok(None);
        }
        match store.try_fill(&descriptor.digest, descriptor.size)? {
            Filling::Begun(partial) => return Ok(Some(partial)),
            Filling::Complete => return Ok(None),
            Filling::Elsewhere => tokio::time::sleep(WAIT_FOR_OTHERS).await,
        }
    }
}

/// What came of the URLs of a foreign layer.
pub(super) enum Foreign {
    /// The layer is there.
    Complete,
    /// None of them has it; for each, why.
    Nowhere(Vec<String>),
}

/// What to say of a server that a manifest names. Whoever wrote the manifest may read this log, and must not learn from it what
/// a server does that only winslim can reach. If the manifest came from a public server, all others are public, too.
fn without_secrets_of_others(problem: &Problem, namer: Reach) -> String {
    match problem {
        Problem::Answer(answer) if answer.reach == Some(Reach::Public) => {
            StatusCode::from_u16(answer.status).map_or_else(|_| answer.status.to_string(), |status| status.to_string())
        }
        Problem::Network { .. } if namer == Reach::Public => problem.describe(),
        Problem::Network { .. } | Problem::Answer(_) => "it does not give the layer".to_owned(),
        Problem::Misled { .. } | Problem::TooLarge { .. } | Problem::Final(_) => problem.describe(),
    }
}

/// A blob on its way into the store.
pub(super) struct Download<'a> {
    pub(super) partial: Partial,
    descriptor: &'a Descriptor,
    task: &'a dyn Task,
    /// How long nothing may come, and how slow it may be.
    limits: Limits,
    /// Whether the server is asked for the missing part only.
    ranges: bool,
    /// How far the download had come when it last counted as progress.
    furthest: u64,
    /// Whether the bytes come from more than one answer.
    pub(super) in_pieces: bool,
}

impl<'a> Download<'a> {
    pub(super) fn new(
        partial: Partial,
        descriptor: &'a Descriptor,
        task: &'a dyn Task,
        limits: Limits,
    ) -> Download<'a> {
        let furthest = partial.length();
        task.reset_to(furthest);
        Download { partial, descriptor, task, limits, ranges: true, furthest, in_pieces: furthest > 0 }
    }

    /// Whether a good part has come since this was last asked.
    fn has_progressed(&mut self) -> bool {
        let progress = self.partial.length() >= self.furthest + PROGRESS;
        if progress {
            self.furthest = self.partial.length();
        }
        progress
    }

    pub(super) fn is_complete(&self) -> bool {
        self.partial.length() == self.descriptor.size
    }

    /// Sends the request for what is missing, and takes in what comes.
    async fn request(&mut self, request: RequestBuilder, elsewhere: &Elsewhere, attempt: usize) -> Result<(), Problem> {
        let offset = self.partial.length();
        if offset > 0 && !self.ranges {
            self.restart()?;
        }
        let offset = self.partial.length();
        let request = match self.descriptor.size.checked_sub(1) {
            // With an end, because some servers refuse ranges without one.
            Some(last) if offset > 0 => request.header(RANGE, format!("bytes={offset}-{last}")),
            _ => request,
        };
        match send(request, elsewhere, self.limits.stall, attempt).await {
            Ok(response) => self.receive(response, offset).await,
            Err(problem) if problem.status() == Some(416) && offset > 0 => {
                self.ranges = false;
                Err(Problem::Network { reason: "it refuses to continue the download".to_owned(), transient: true })
            }
            Err(problem) => Err(problem),
        }
    }

    async fn receive(&mut self, mut response: Response, offset: u64) -> Result<(), Problem> {
        let size = self.descriptor.size;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let part = ContentRange::of(response.headers());
            if offset == 0 || part.is_none_or(|part| part.start != offset || part.size.is_some_and(|all| all != size)) {
                self.ranges = false;
                let reason = "it sent another part of the blob than was asked for".to_owned();
                return Err(Problem::Network { reason, transient: true });
            }
            self.in_pieces = true;
        } else {
            if let Some(actual) = response.content_length().filter(|announced| *announced > size) {
                let error = StoreError::WrongSize { digest: self.descriptor.digest, expected: size, actual };
                return Err(self.content(error));
            }
            if offset > 0 {
                // The server does not know ranges and begins at the first byte.
                self.restart()?;
                self.in_pieces = false;
            }
        }
        let mut pace = Pace::new(&self.limits, Instant::now());
        loop {
            match next_chunk(&mut response, self.limits.stall, &mut pace).await {
                Ok(Some(chunk)) => {
                    self.partial.append(&chunk).map_err(|error| self.content(error))?;
                    self.task.advance(chunk.len() as u64);
                }
                // Whatever comes of the connection after the last byte.
                Ok(None) | Err(_) if self.is_complete() => return Ok(()),
                Ok(None) => return Err(self.broken("the connection ended")),
                Err(problem) => return Err(self.broken(&problem.describe())),
            }
        }
    }

    /// The problem of an answer that broke off.
    fn broken(&self, reason: &str) -> Problem {
        let (length, size) = (self.partial.length(), self.descriptor.size);
        Problem::Network { reason: format!("{reason} after {length} of {size} bytes"), transient: true }
    }

    fn restart(&mut self) -> Result<(), Problem> {
        self.task.reset_to(0);
        self.partial.restart().map_err(|error| self.content(error.into()))
    }

    fn content(&self, error: StoreError) -> Problem {
        let action = format!("pull the layer {}", self.descriptor.digest);
        RegistryError::Content { action, error }.into()
    }
}

/// Which part an answer holds: `Content-Range: bytes 5-9/10`, or `*` for a size that the server does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    start: u64,
    size: Option<u64>,
}

impl ContentRange {
    pub fn of(headers: &HeaderMap) -> Option<ContentRange> {
        let range = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes")?.trim_start();
        let (start, rest) = range.split_once('-')?;
        let size = rest.split_once('/').and_then(|(_, size)| size.trim().parse().ok());
        Some(ContentRange { start: start.trim().parse().ok()?, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn which_part_an_answer_holds_is_read() {
        let part = |start, size| Some(ContentRange { start, size });
        let cases = [
            ("bytes 5-9/10", part(5, Some(10))),
            ("bytes 0-9/*", part(0, None)),
            ("bytes 0-9", part(0, None)),
            ("bytes */10", None),
            ("5-9", None),
            ("", None),
        ];
        for (value, expected) in cases {
            assert_eq!(ContentRange::of(&headers("content-range", value)), expected, "{value}");
        }
    }

    #[test]
    fn a_document_says_itself_what_it_is() {
        let reference = RegistryReference {
            registry: "a.example".to_owned(),
            repository: "x".parse().unwrap(),
            tag: Some("y".parse().unwrap()),
            digest: None,
        };
        let read = |served: &'static str, body: &'static str| {
            read_document(&reference, &headers("content-type", served), Bytes::from_static(body.as_bytes()))
        };
        let index = r#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#;
        assert_eq!(read("text/plain", index).unwrap().media_type(), media_type::OCI_INDEX);
        let without = read("application/vnd.oci.image.manifest.v1+json; charset=utf-8", "{}").unwrap();
        assert_eq!(without.media_type(), media_type::OCI_MANIFEST);
        assert!(matches!(read("application/json", "{}"), Err(RegistryError::NotAnImage { .. })));
        assert!(matches!(read(media_type::OCI_INDEX, "no"), Err(RegistryError::Document { .. })));
    }
}
