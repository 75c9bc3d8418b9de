//! Sending the bytes of a blob, through the registry crate: one request or many chunks, from a file, in bounded memory.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use oci_distribution::client::{ClientConfig, ClientProtocol};
use oci_distribution::errors::OciDistributionError;
use oci_distribution::secrets::RegistryAuth;
use oci_distribution::{Client, Reference, RegistryOperation};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use super::auth::{Access, Authorization};
use super::client::{CONNECT_TIMEOUT, USER_AGENT};
use super::error::RegistryError;
use super::problem::Problem;
use super::quirks::UploadMode;
use crate::error::PathError;
use crate::image::Digest;
use crate::progress::Task;

/// How long a registry may take no bytes. The client's own read timeout would not do: it covers the whole of a request
/// until the answer begins, and so the whole upload.
const STALL: Duration = Duration::from_secs(60);

/// How long a registry may think after the last byte: some copy the whole blob to where it stays.
const COMMIT: Duration = Duration::from_secs(15 * 60);

/// How many seconds a token that does not say so itself is used: until the registry refuses it.
const TOKEN_LIFETIME: usize = 86_400;

/// The crate's clients for one registry. The mode of uploading is a setting of a whole client, so there are two.
pub(super) struct Uploads {
    address: String,
    monolithic: Client,
    chunked: Client,
    /// The mode that works best, as far as is known.
    chunks_first: AtomicBool,
}

/// A blob to upload.
pub(super) struct Blob<'a> {
    pub digest: &'a Digest,
    pub size: u64,
    pub path: &'a Path,
}

impl Uploads {
    /// Prepares uploads to the registry at an address; `direct` past any proxy.
    pub fn new(address: &str, plain: bool, direct: bool) -> Result<Uploads, RegistryError> {
        let client = |use_monolithic_push| {
            // A proxy that is set here keeps the client from looking for one in the environment, and an exception for
            // the hosts in question keeps it from being used.
            let proxy = direct.then(|| "http://127.0.0.1".to_owned());
            Client::try_from(ClientConfig {
                protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
                use_monolithic_push,
                platform_resolver: None,
                default_token_expiration_secs: TOKEN_LIFETIME,
                connect_timeout: Some(CONNECT_TIMEOUT),
                user_agent: USER_AGENT,
                http_proxy: proxy.clone(),
                https_proxy: proxy,
                no_proxy: direct.then(|| "localhost,127.0.0.0/8,::1".to_owned()),
                ..ClientConfig::default()
            })
            .map_err(|error| RegistryError::Setup(Problem::of_upload(error).describe()))
        };
        Ok(Uploads {
            address: address.to_owned(),
            monolithic: client(true)?,
            chunked: client(false)?,
            chunks_first: AtomicBool::new(UploadMode::first_for(address) == UploadMode::Chunked),
        })
    }

    /// The mode to begin with.
    pub fn mode(&self) -> UploadMode {
        if self.chunks_first.load(Ordering::Relaxed) { UploadMode::Chunked } else { UploadMode::Monolithic }
    }

    /// Remembers that a mode worked.
    pub fn prefer(&self, mode: UploadMode) {
        self.chunks_first.store(mode == UploadMode::Chunked, Ordering::Relaxed);
    }

    /// Asks the registry to take a blob over from another of its repositories.
    pub async fn mount(&self, access: &Access, repository: &str, source: &str, digest: &Digest) -> Result<(), Problem> {
        let target = self.reference(repository, digest);
        let source = self.reference(source, digest);
        let mount = async {
            self.authorize(&self.monolithic, access, &target).await?;
            self.monolithic.mount_blob(&target, &source, &digest.to_string()).await.map_err(Problem::of_upload)
        };
        tokio::time::timeout(STALL, mount).await.unwrap_or_else(|_| Err(stalled(STALL)))
    }

    /// Sends a blob.
    pub async fn send(
        &self,
        mode: UploadMode,
        access: &Access,
        repository: &str,
        blob: &Blob<'_>,
        task: &dyn Task,
    ) -> Result<(), Problem> {
        let client = match mode {
            UploadMode::Monolithic => &self.monolithic,
            UploadMode::Chunked => &self.chunked,
        };
        let target = self.reference(repository, blob.digest);
        task.reset_to(0);
        let (sender, receiver) = mpsc::unbounded_channel();
        let stream = read(blob, mode, sender).await?;
        let upload = async {
            self.authorize(client, access, &target).await?;
            let result = client.push_blob_stream(&target, stream, &blob.digest.to_string(), Some(blob.size)).await;
            result.map(drop).map_err(Problem::of_upload)
        };
        let result = watch(upload, receiver, blob, task, STALL, COMMIT).await;
        let (host, bytes, done) = (&self.address, blob.size, result.is_ok());
        tracing::debug!(host, repository, ?mode, bytes, done, "upload");
        result
    }

    /// The crate's form of a reference.
    fn reference(&self, repository: &str, digest: &Digest) -> Reference {
        Reference::with_digest(self.address.clone(), repository.to_owned(), digest.to_string())
    }

    /// Hands the access over to the crate, in place of what it had for the repository.
    async fn authorize(&self, client: &Client, access: &Access, target: &Reference) -> Result<(), Problem> {
        let authentication = match &access.authorization {
            Authorization::None => return Ok(()),
            Authorization::Basic { username, password } => RegistryAuth::Basic(username.clone(), password.clone()),
            Authorization::Bearer(token) => RegistryAuth::Bearer(token.clone()),
        };
        let result = client.auth(target, &authentication, RegistryOperation::Push).await;
        result.map(|_| ()).map_err(Problem::of_upload)
    }
}

/// Waits for the end of an upload while the registry takes bytes, and tells the task how many.
///
/// The upload owns all that it uses, so it reports what it reads through a channel to this side, which may borrow.
async fn watch(
    upload: impl Future<Output = Result<(), Problem>>,
    mut receiver: mpsc::UnboundedReceiver<io::Result<u64>>,
    blob: &Blob<'_>,
    task: &dyn Task,
    stall: Duration,
    commit: Duration,
) -> Result<(), Problem> {
    let mut upload = std::pin::pin!(upload);
    let mut sent = 0;
    loop {
        let patience = if sent < blob.size { stall } else { commit };
        tokio::select! {
            // In this order, so that nothing that was read goes uncounted and a read error is not taken for another.
            biased;
            Some(read) = receiver.recv() => {
                let bytes = read.map_err(|error| unreadable(blob, error))?;
                sent += bytes;
                task.advance(bytes);
            }
            result = &mut upload => {
                // The last poll of the upload may have read, and failed to read.
                while let Ok(read) = receiver.try_recv() {
                    task.advance(read.map_err(|error| unreadable(blob, error))?);
                }
                return result;
            }
            () = tokio::time::sleep(patience) => return Err(stalled(patience)),
        }
    }
}

fn stalled(patience: Duration) -> Problem {
    Problem::Network { reason: format!("it took no bytes for {} seconds", patience.as_secs()), transient: true }
}

/// The bytes of the file; how many, or why not, goes to the channel as well.
async fn read(
    blob: &Blob<'_>,
    mode: UploadMode,
    sender: mpsc::UnboundedSender<io::Result<u64>>,
) -> Result<impl Stream<Item = Result<Bytes, OciDistributionError>> + Send + 'static, Problem> {
    let piece = match mode {
        UploadMode::Monolithic => 256 << 10,
        // Each piece becomes a request of its own; the registry crate sends at most so many bytes in one.
        UploadMode::Chunked => 4 << 20,
    };
    let mut file = tokio::fs::File::open(blob.path).await.map_err(|error| unreadable(blob, error))?;
    // Without this the file hands out less than a piece at once.
    file.set_max_buf_size(piece);
    // A file that grows must not send more than was announced.
    let stream = ReaderStream::with_capacity(file.take(blob.size), piece);
    Ok(stream.map(move |piece| {
        let (report, piece) = match piece {
            Ok(bytes) => (Ok(bytes.len() as u64), Ok(bytes)),
            Err(error) => {
                let kind = error.kind();
                (Err(error), Err(OciDistributionError::IoError(kind.into())))
            }
        };
        // Nobody listens any more when the upload has ended otherwise.
        let _ = sender.send(report);
        piece
    }))
}

fn unreadable(blob: &Blob<'_>, error: io::Error) -> Problem {
    RegistryError::File(PathError::new("read", blob.path, error)).into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

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

    /// Watches an upload of a blob of 10 bytes that reports these reads, one every 50 ms, and then ends or does not.
    async fn watched(reads: Vec<io::Result<u64>>, ends: bool) -> (Result<(), Problem>, u64) {
        let digest = Digest::of(b"");
        let blob = Blob { digest: &digest, size: 10, path: Path::new("blob") };
        let (sender, receiver) = mpsc::unbounded_channel();
        let upload = async move {
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
        let result = watch(upload, receiver, &blob, &counter, STALL, 2 * STALL).await;
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
    async fn a_file_that_cannot_be_read_is_named() {
        for ends in [true, false] {
            let error = io::Error::from(io::ErrorKind::PermissionDenied);
            let (result, _) = watched(vec![Ok(3), Err(error)], ends).await;
            assert_eq!(result.unwrap_err().describe(), "cannot read `blob`: permission denied");
        }
    }
}
