//! Sending the bytes of one blob: in one request or in many, from a file, in bounded memory.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, LOCATION, RANGE};
use reqwest::{Body, Method, RequestBuilder, Response, Url};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use super::auth::Access;
use super::client::{Host, execute, succeeded};
use super::error::RegistryError;
use super::headers::announced_digest;
use super::options::Limits;
use super::pace::Pace;
use super::problem::Problem;
use super::quirks::UploadMode;
use super::reach::Reach;
use super::retry::PROGRESS;
use crate::error::PathError;
use crate::image::Digest;
use crate::progress::Task;
use crate::transport::Repository;

/// How much of the file is read at once.
const PIECE: usize = 256 << 10;

/// How much of that is offered at once to the connection: so little that a slow one is seen to take something.
const SLICE: usize = 16 << 10;

/// A blob to upload.
pub(super) struct Blob<'a> {
    pub digest: &'a Digest,
    pub size: u64,
    pub path: &'a Path,
}

/// Where a registry takes the bytes of a blob.
#[derive(Debug, Clone)]
pub(super) struct Location {
    url: Url,
    /// How public the server is that named it.
    namer: Reach,
}

impl Location {
    /// Asks a registry to begin an upload.
    pub async fn begin(
        host: &Host,
        repository: &Repository,
        access: &Access,
        attempt: usize,
    ) -> Result<Location, Problem> {
        let request = host.http.post(uploads_url(host, repository)?);
        let response = host.send(access.apply(request).header(CONTENT_LENGTH, 0), attempt).await?;
        location(host, &response)
    }

    /// Tells the registry that nothing comes.
    pub async fn give_up(&self, host: &Host, access: &Access) -> Result<(), Problem> {
        host.send(addressed(host, Method::DELETE, self.clone(), access)?, 1).await.map(drop)
    }
}

/// What a registry says to taking a blob over from another repository.
pub(super) enum Mount {
    /// It has done so.
    Done,
    /// It wants the bytes, and takes them here.
    Upload(Location),
}

/// Asks the registry to take a blob over from another of its repositories.
pub(super) async fn mount(
    host: &Host,
    access: &Access,
    repository: &Repository,
    source: &Repository,
    digest: &Digest,
) -> Result<Mount, Problem> {
    let _permit = host.permit().await;
    let mut url = uploads_url(host, repository)?;
    url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", source.as_str());
    let request = access.apply(host.http.post(url)).header(CONTENT_LENGTH, 0);
    let response = host.send(request, 1).await?;
    if response.status().as_u16() == 201 {
        return Ok(Mount::Done);
    }
    Ok(Mount::Upload(location(host, &response)?))
}

/// A blob on its way to a registry, through all tries that it takes.
pub(super) struct Upload<'a> {
    host: &'a Host,
    repository: &'a Repository,
    blob: &'a Blob<'a>,
    task: &'a dyn Task,
    mode: UploadMode,
    /// Where the registry takes bytes, once it has said so.
    location: Option<Location>,
    /// So many bytes the registry has, as far as it has said.
    offset: u64,
    /// Whether it may have taken more, or lost all.
    doubtful: bool,
    /// How far the upload had come when that last counted as progress.
    furthest: u64,
}

impl<'a> Upload<'a> {
    /// Begins where the registry has said that it takes bytes, or asks for such a place.
    pub fn new(
        host: &'a Host,
        repository: &'a Repository,
        blob: &'a Blob<'a>,
        location: Option<Location>,
        task: &'a dyn Task,
    ) -> Upload<'a> {
        let mode = host.upload_mode();
        Upload { host, repository, blob, task, mode, location, offset: 0, doubtful: false, furthest: 0 }
    }

    /// How the bytes are sent.
    pub fn mode(&self) -> UploadMode {
        self.mode
    }

    /// Begins again in another mode.
    pub fn switch(&mut self, mode: UploadMode) {
        self.mode = mode;
        self.begin_anew();
    }

    /// Whether a good part has arrived since this was last asked.
    pub fn has_progressed(&mut self) -> bool {
        let progress = self.offset >= self.furthest + PROGRESS;
        if progress {
            self.furthest = self.offset;
        }
        progress
    }

    /// Sends what the registry does not have yet.
    pub async fn send(&mut self, access: &Access, attempt: usize) -> Result<(), Problem> {
        let _permit = self.host.permit().await;
        let sent = self.try_send(access, attempt).await;
        if let Err(problem) = &sent {
            match self.mode {
                // Nobody knows what became of the bytes.
                UploadMode::Monolithic => self.begin_anew(),
                // A registry that wants another token or a pause has not looked at the bytes.
                UploadMode::Chunked(_) => self.doubtful |= !matches!(problem.status(), Some(401 | 429)),
            }
        }
        sent
    }

    async fn try_send(&mut self, access: &Access, attempt: usize) -> Result<(), Problem> {
        if self.doubtful {
            self.ask(access, attempt).await?;
        }
        if self.location.is_none() {
            self.location = Some(Location::begin(self.host, self.repository, access, attempt).await?);
        }
        self.task.reset_to(self.offset);
        if let UploadMode::Chunked(size) = self.mode {
            while self.offset < self.blob.size {
                self.send_chunk(size, access, attempt).await?;
            }
        }
        let location = self.location_with_digest()?;
        let rest = self.blob.size - self.offset;
        let response = self.transfer(self.request(Method::PUT, location, access)?, rest, attempt).await?;
        match announced_digest(response.headers()) {
            Some(actual) if actual != *self.blob.digest => Err(RegistryError::WrongDigest {
                action: format!("push the blob {}", self.blob.digest),
                expected: *self.blob.digest,
                actual,
            }
            .into()),
            _ => Ok(()),
        }
    }

    async fn send_chunk(&mut self, size: u64, access: &Access, attempt: usize) -> Result<(), Problem> {
        let length = size.min(self.blob.size - self.offset);
        let end = self.offset + length;
        let location = self.location()?.clone();
        let request = self.request(Method::PATCH, location, access)?;
        let request = request.header(CONTENT_RANGE, format!("{}-{}", self.offset, end - 1));
        let response = self.transfer(request, length, attempt).await?;
        self.move_to(&response)?;
        if taken(response.headers()).is_none_or(|taken| taken == end) {
            self.offset = end;
            return Ok(());
        }
        // The answers of some registries count otherwise here, so what they say when they are asked decides.
        let begun = self.offset;
        self.ask(access, attempt).await?;
        if self.location.is_none() || self.offset <= begun {
            self.begin_anew();
            return Err(Problem::violation("it took a chunk and does not have its bytes"));
        }
        self.task.reset_to(self.offset);
        Ok(())
    }

    /// Asks how much the registry has. One that cannot say gets everything again.
    async fn ask(&mut self, access: &Access, attempt: usize) -> Result<(), Problem> {
        let Some(location) = self.location.clone() else {
            self.begin_anew();
            return Ok(());
        };
        let asked = self.host.send(addressed(self.host, Method::GET, location, access)?, attempt).await;
        match asked {
            Ok(response) => match taken(response.headers()) {
                Some(taken) if taken <= self.blob.size => {
                    self.move_to(&response)?;
                    self.offset = taken;
                    self.doubtful = false;
                }
                _ => self.begin_anew(),
            },
            Err(problem) if problem.is_transient() || matches!(problem.status(), None | Some(401)) => {
                return Err(problem);
            }
            Err(_) => self.begin_anew(),
        }
        Ok(())
    }

    fn begin_anew(&mut self) {
        (self.location, self.offset, self.doubtful) = (None, 0, false);
    }

    fn location(&self) -> Result<&Location, Problem> {
        self.location.as_ref().ok_or_else(no_location)
    }

    fn location_with_digest(&self) -> Result<Location, Problem> {
        let mut location = self.location()?.clone();
        location.url.query_pairs_mut().append_pair("digest", &self.blob.digest.to_string());
        Ok(location)
    }

    /// The next bytes go where the answer says, if it says so.
    fn move_to(&mut self, response: &Response) -> Result<(), Problem> {
        if response.headers().contains_key(LOCATION) {
            self.location = Some(location(self.host, response)?);
        }
        Ok(())
    }

    fn request(&self, method: Method, location: Location, access: &Access) -> Result<RequestBuilder, Problem> {
        Ok(addressed(self.host, method, location, access)?.header(CONTENT_TYPE, "application/octet-stream"))
    }

    /// Sends a request with the next bytes of the file.
    async fn transfer(&self, request: RequestBuilder, length: u64, attempt: usize) -> Result<Response, Problem> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let body = Body::wrap_stream(read(self.blob, self.offset, length, sender).await?);
        let request = request.header(CONTENT_LENGTH, length).body(body);
        let elsewhere = &self.host.elsewhere;
        let sent = async { succeeded(execute(request, elsewhere, attempt).await?, elsewhere).await };
        let transfer = Transfer { path: self.blob.path, length, limits: self.host.limits };
        transfer.watch(sent, receiver, self.task).await
    }
}

fn uploads_url(host: &Host, repository: &Repository) -> Result<Url, Problem> {
    let url = host.url(repository, "blobs/uploads/");
    Url::parse(&url).map_err(|_| RegistryError::Setup(format!("`{}` is not the name of a host", host.address)).into())
}

/// A request to where the registry takes bytes. When that is another host, it gets no credentials.
fn addressed(host: &Host, method: Method, location: Location, access: &Access) -> Result<RequestBuilder, Problem> {
    let Location { url, namer } = location;
    let own = Url::parse(&host.base_url()).is_ok_and(|own| own.origin() == url.origin());
    Ok(if own { access.apply(host.http.request(method, url)) } else { host.elsewhere.request(method, &url, namer)? })
}

/// Where the registry takes bytes.
fn location(host: &Host, response: &Response) -> Result<Location, Problem> {
    let text = response.headers().get(LOCATION).and_then(|location| location.to_str().ok()).ok_or_else(no_location)?;
    let own = Url::parse(&host.base_url()).map_err(|_| no_location())?;
    let url = resolve(&own, response.url(), text).ok_or_else(no_location)?;
    host.elsewhere.check_downgrade(&own, &url)?;
    Ok(Location { url, namer: host.elsewhere.reach_of(response) })
}

/// The address that an answer from `answered` names.
///
/// Behind a gateway, registries sometimes forget that they are spoken to with TLS; then winslim does not.
pub(super) fn resolve(own: &Url, answered: &Url, text: &str) -> Option<Url> {
    let mut url = answered.join(text).ok()?;
    if url.scheme() == "http" && own.scheme() == "https" && url.host() == own.host() && url.port() == own.port() {
        // Both are schemes of the web, between which one can always change.
        let _ = url.set_scheme("https");
    }
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn no_location() -> Problem {
    Problem::violation("it does not say where it takes the bytes of a blob")
}

/// How many bytes the registry has, by its `Range: 0-N`, where N is the last one. Docker's registry says `0-0` for none.
pub(super) fn taken(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(RANGE)?.to_str().ok()?.trim().trim_start_matches("bytes=");
    match range.split_once('-')? {
        ("0", "0") => Some(0),
        ("0", last) => last.parse::<u64>().ok()?.checked_add(1),
        _ => None,
    }
}

/// One request with bytes of a file.
struct Transfer<'a> {
    path: &'a Path,
    length: u64,
    limits: Limits,
}

impl Transfer<'_> {
    /// Waits for the answer while the registry takes bytes, and tells the task how many.
    ///
    /// The request owns all that it sends, so it reports what it reads through a channel to this side, which may borrow.
    async fn watch<T>(
        &self,
        sent: impl Future<Output = Result<T, Problem>>,
        mut receiver: mpsc::UnboundedReceiver<io::Result<u64>>,
        task: &dyn Task,
    ) -> Result<T, Problem> {
        let mut sent = std::pin::pin!(sent);
        let mut read = 0;
        let mut pace = Pace::new(&self.limits, Instant::now());
        let mut last = Instant::now();
        loop {
            let sends = read < self.length;
            let patience = if sends { self.limits.stall } else { self.limits.commit };
            let late = last + patience;
            let wake = if sends { late.min(pace.deadline()) } else { late };
            tokio::select! {
                // In this order, so that nothing that was read goes uncounted and a read error is not taken for another.
                biased;
                Some(piece) = receiver.recv() => {
                    let bytes = piece.map_err(|error| unreadable(self.path, error))?;
                    read += bytes;
                    last = Instant::now();
                    task.advance(bytes);
                    if read < self.length {
                        pace.count(bytes, last)?;
                    }
                }
                result = &mut sent => {
                    // The last poll of the request may have read, and failed to read.
                    while let Ok(piece) = receiver.try_recv() {
                        task.advance(piece.map_err(|error| unreadable(self.path, error))?);
                    }
                    return result;
                }
                () = tokio::time::sleep_until(wake.into()) => {
                    if Instant::now() < late {
                        pace.count(0, Instant::now())?;
                        continue;
                    }
                    let reason = format!("it took no bytes for {} seconds", patience.as_secs_f32());
                    return Err(Problem::Network { reason, transient: true });
                }
            }
        }
    }
}

/// Bytes of the file; how many, or why not, goes to the channel as well.
async fn read(
    blob: &Blob<'_>,
    offset: u64,
    length: u64,
    sender: mpsc::UnboundedSender<io::Result<u64>>,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, Problem> {
    let unreadable = |error| unreadable(blob.path, error);
    let mut file = tokio::fs::File::open(blob.path).await.map_err(unreadable)?;
    file.seek(SeekFrom::Start(offset)).await.map_err(unreadable)?;
    // Without this the file hands out less than a piece at once.
    file.set_max_buf_size(PIECE);
    // A file that grows must not send more than was announced.
    let stream = ReaderStream::with_capacity(file.take(length), PIECE);
    let slices = stream.flat_map(|piece| {
        let slices = match piece {
            Ok(bytes) => slices(bytes),
            Err(error) => vec![Err(error)],
        };
        futures_util::stream::iter(slices)
    });
    Ok(slices.map(move |piece| {
        let (report, piece) = match piece {
            Ok(bytes) => (Ok(bytes.len() as u64), Ok(bytes)),
            Err(error) => {
                let kind = error.kind();
                (Err(error), Err(kind.into()))
            }
        };
        // Nobody listens any more when the request has ended otherwise.
        let _ = sender.send(report);
        piece
    }))
}

/// The same bytes in small parts, without copying them.
fn slices(mut bytes: Bytes) -> Vec<io::Result<Bytes>> {
    let mut slices = Vec::with_capacity(bytes.len().div_ceil(SLICE));
    while bytes.len() > SLICE {
        slices.push(Ok(bytes.split_to(SLICE)));
    }
    slices.push(Ok(bytes));
    slices
}

fn unreadable(path: &Path, error: io::Error) -> Problem {
    RegistryError::File(PathError::new("read", path, error)).into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicU64);

    impl Task for Counter {
        fn advance(&self, bytes: u64) {
            self.0.fetch_add(bytes, Ordering::SeqCst);
        }
        fn reset_to(&self, _: u64) {}
        fn finish(&self) {}
    }

    const STALL: Duration = Duration::from_millis(200);

    /// Watches a request with 10 bytes that reports these reads, one every 50 ms, and then ends or does not.
    async fn watched(reads: Vec<io::Result<u64>>, ends: bool) -> (Result<(), Problem>, u64) {
        watched_with(Limits { stall: STALL, commit: 2 * STALL, ..Limits::default() }, reads, ends).await
    }

    async fn watched_with(limits: Limits, reads: Vec<io::Result<u64>>, ends: bool) -> (Result<(), Problem>, u64) {
        let transfer = Transfer { path: Path::new("blob"), length: 10, limits };
        let (sender, receiver) = mpsc::unbounded_channel();
        let sent = async move {
            for read in reads {
                tokio::time::sleep(STALL / 4).await;
                let _ = sender.send(read);
            }
            if !ends {
                std::future::pending::<()>().await;
            }
            Ok(())
        };
        let counter = Counter::default();
        let result = transfer.watch(sent, receiver, &counter).await;
        (result, counter.0.into_inner())
    }

    #[tokio::test]
    async fn an_upload_may_take_longer_than_a_stall() {
        let (result, counted) = watched((0..10).map(|_| Ok(1)).collect(), true).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(counted, 10);
    }

    #[tokio::test]
    async fn an_upload_that_stalls_is_given_up_for_another_try() {
        for reads in [vec![], vec![Ok(3)], vec![Ok(10)]] {
            let (result, _) = watched(reads, false).await;
            assert!(matches!(&result, Err(problem) if problem.is_transient()), "{result:?}");
        }
    }

    #[tokio::test]
    async fn an_upload_that_only_drips_is_given_up() {
        let limits = Limits { slow: STALL, least_rate: 1000, stall: 1000 * STALL, ..Limits::default() };
        let (result, counted) = watched_with(limits, (0..9).map(|_| Ok(1)).collect(), false).await;
        assert!(result.is_err_and(|problem| problem.describe().contains("bytes passed in")), "{counted}");
        assert!(counted < 9);
        // What has all been sent is not measured any more: the registry thinks.
        let limits = Limits { commit: 2 * STALL, ..limits };
        let (result, _) = watched_with(limits, vec![Ok(10)], false).await;
        assert!(result.is_err_and(|problem| problem.describe().contains("took no bytes")));
    }

    #[test]
    fn the_slices_of_a_piece_are_the_piece() {
        for length in [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE] {
            let piece: Vec<u8> = (0..=255).cycle().take(length).collect();
            let slices: Vec<Bytes> = slices(piece.clone().into()).into_iter().map(Result::unwrap).collect();
            assert!(slices.iter().all(|slice| slice.len() <= SLICE));
            assert_eq!(slices.concat(), piece);
        }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named() {
        for ends in [true, false] {
            let error = io::Error::from(io::ErrorKind::PermissionDenied);
            let (result, _) = watched(vec![Ok(3), Err(error)], ends).await;
            assert_eq!(result.unwrap_err().describe(), "cannot read `blob`: permission denied");
        }
    }

    #[test]
    fn uploads_go_where_the_registry_says_and_stay_with_tls() {
        let own = Url::parse("https://a.example/v2/").unwrap();
        let answered = Url::parse("https://a.example/v2/x/blobs/uploads/").unwrap();
        let cases = [
            ("/v2/x/blobs/uploads/1?_state=s", "https://a.example/v2/x/blobs/uploads/1?_state=s"),
            ("https://a.example/1", "https://a.example/1"),
            ("http://a.example/1", "https://a.example/1"),
            ("http://a.example:8080/1", "http://a.example:8080/1"),
            ("https://b.example/1", "https://b.example/1"),
            ("http://b.example/1", "http://b.example/1"),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(&own, &answered, text).unwrap().as_str(), expected, "{text}");
        }
        for text in ["http://[", "ftp://a.example/1", "data:x", "file:///etc/passwd"] {
            assert!(resolve(&own, &answered, text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_a_registry_has_is_read() {
        let cases = [
            ("0-0", Some(0)),
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("5-9", None),
            ("0-18446744073709551615", None),
            ("", None),
        ];
        for (range, expected) in cases {
            let headers = HeaderMap::from_iter([(RANGE, range.parse().unwrap())]);
            assert_eq!(taken(&headers), expected, "{range}");
        }
    }
}
