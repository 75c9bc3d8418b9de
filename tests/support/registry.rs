//! A real registry: Debian's `docker-registry`, as a child process on a free port of this machine.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Who may use a registry with a password.
pub const USER: &str = "tester";
/// The password of [`USER`].
pub const PASSWORD: &str = "correct horse";
/// The bcrypt hash of [`PASSWORD`], as `htpasswd -B` makes it.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2";

/// A running registry; dropping it ends it and deletes what it stored.
pub struct DockerRegistry {
    child: Child,
    directory: TempDir,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl DockerRegistry {
    /// A registry that is open to everybody.
    pub fn start() -> DockerRegistry {
        DockerRegistry::launch("", "")
    }

    /// A registry that wants [`USER`] and [`PASSWORD`].
    pub fn start_with_password() -> DockerRegistry {
        DockerRegistry::launch("", "auth:\n  htpasswd:\n    realm: test\n    path: HTPASSWD\n")
    }

    /// A registry with a certificate and its key, that lets in only who has a certificate of the third file, if there is
    /// one.
    pub fn start_with_tls(certificate: &Path, key: &Path, clients: Option<&Path>) -> DockerRegistry {
        let mut tls = format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display());
        if let Some(clients) = clients {
            tls += &format!("    clientcas: [{}]\n", clients.display());
        }
        DockerRegistry::launch(&tls, "")
    }

    /// A registry with these lines more in the section `http` of its settings, and behind it.
    pub fn start_with(http: &str, more: &str) -> DockerRegistry {
        DockerRegistry::launch(http, more)
    }

    /// Where everything is that the registry knows.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `HOST:PORT/NAME`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Where the registry keeps a blob.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.directory.path().join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// Where the registry keeps all blobs and manifests.
    pub fn blobs(&self) -> Vec<PathBuf> {
        let blobs = self.directory.path().join("storage/docker/registry/v2/blobs");
        let files = walkdir::WalkDir::new(blobs).into_iter().flatten();
        files.filter(|file| file.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
    }

    /// The digest that a tag leads to.
    pub fn tagged(&self, repository: &str, tag: &str) -> String {
        let tags = self.directory.path().join("storage/docker/registry/v2/repositories").join(repository);
        let link = tags.join("_manifests/tags").join(tag).join("current/link");
        std::fs::read_to_string(&link).unwrap_or_else(|error| panic!("{}: {error}", link.display()))
    }

    /// Whether a repository has a tag.
    pub fn has_tag(&self, repository: &str, tag: &str) -> bool {
        let repositories = self.directory.path().join("storage/docker/registry/v2/repositories");
        repositories.join(repository).join("_manifests/tags").join(tag).exists()
    }

    /// Whether anything was ever tagged in a repository.
    pub fn has_tags(&self, repository: &str) -> bool {
        let repositories = self.directory.path().join("storage/docker/registry/v2/repositories");
        repositories.join(repository).join("_manifests/tags").exists()
    }

    fn launch(http: &str, more: &str) -> DockerRegistry {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Another process may take the free port before the registry does.
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = listener.local_addr().expect("the address of a listener").to_string();
            drop(listener);
            let mut child = launch_once(&directory, &address, http, more);
            if comes_up(&mut child, &address) {
                return DockerRegistry { child, directory, address };
            }
        }
        panic!("docker-registry does not start");
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch_once(directory: &TempDir, address: &str, http: &str, more: &str) -> Child {
    let in_directory = |name: &str| directory.path().join(name).display().to_string();
    let text = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
         rootdirectory: {}\nhttp:\n  addr: {address}\n{http}validation:\n  manifests:\n    urls:\n      allow: ['.*']\n{}",
        in_directory("storage"),
        more.replace("HTPASSWD", &in_directory("htpasswd")),
    );
    fs::write(in_directory("htpasswd"), format!("{USER}:{HASH}\n")).expect("a temporary directory to write to");
    fs::write(in_directory("config.yml"), text).expect("a temporary directory to write to");
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(in_directory("config.yml")).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| {
        panic!("cannot run docker-registry: {error}; this test needs the Debian package docker-registry")
    })
}

/// Whether the registry answers; ends it if it does not.
fn comes_up(child: &mut Child, address: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return false;
        }
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}
