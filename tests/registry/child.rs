//! Tests in a process of their own: for those that need an environment, or that measure memory.

use std::path::PathBuf;
use std::process::Command;

const MARK: &str = "WINSLIM_TEST_DOCKER_CONFIG";

/// Runs the calling test, whose name is `test`, once more in a process of its own.
///
/// There, returns an empty directory that is `DOCKER_CONFIG`. In the caller's process, returns nothing when that went
/// well, and panics otherwise.
pub fn own_docker_config(test: &str) -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os(MARK) {
        return Some(PathBuf::from(directory));
    }
    let directory = tempfile::tempdir().unwrap();
    // Credential helpers may be there, too.
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(MARK, directory.path())
        .env("DOCKER_CONFIG", directory.path())
        .env("PATH", format!("{}:{path}", directory.path().display()))
        .env_remove("REGISTRY_AUTH_FILE")
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    None
}
