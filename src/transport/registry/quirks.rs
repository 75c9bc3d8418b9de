//! What is known about single registries, where they differ from the distribution specification or from each other.

use super::problem::{Problem, SPEC_VIOLATION};

/// How the bytes of a blob are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UploadMode {
    /// In one PUT request: one round trip, and the only mode of Google's registries.
    Monolithic,
    /// In many PATCH requests of at most 4 MiB.
    Chunked,
}

impl UploadMode {
    /// The mode to begin with.
    ///
    /// Azure's registry refuses bodies over about 20 MB (goharbor/harbor#23015). GitHub's takes PATCH requests of at
    /// most 4 MiB (oras-project/rust-oci-client#37).
    pub fn first_for(registry: &str) -> UploadMode {
        let host = registry.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if host == "ghcr.io" || host.ends_with(".azurecr.io") { UploadMode::Chunked } else { UploadMode::Monolithic }
    }

    /// The mode to try when this one failed.
    pub fn other(self) -> UploadMode {
        match self {
            UploadMode::Monolithic => UploadMode::Chunked,
            UploadMode::Chunked => UploadMode::Monolithic,
        }
    }
}

/// Whether a failed upload may succeed in the other mode.
///
/// 413: the body is too large for the registry or a gateway before it. 405: the method is not known. 416: the range of
/// a chunk is not liked. A status against the specification: Amazon's registry answers chunks with 201
/// (jdx/mise#11376). A wrong digest: the registry lost chunks.
pub(super) fn other_mode_may_help(problem: &Problem) -> bool {
    matches!(problem.status(), Some(405 | 413 | 416))
        || problem.code() == SPEC_VIOLATION
        || problem.code() == "DIGEST_INVALID"
}

#[cfg(test)]
mod tests {
    use super::super::problem::Answer;
    use super::*;

    #[test]
    fn the_first_mode_depends_on_the_registry() {
        let cases = [
            ("mcr.microsoft.com", UploadMode::Monolithic),
            ("127.0.0.1:5000", UploadMode::Monolithic),
            ("example.azurecr.io", UploadMode::Chunked),
            ("Example.AzureCR.io:443", UploadMode::Chunked),
            ("azurecr.io.example.com", UploadMode::Monolithic),
            ("ghcr.io", UploadMode::Chunked),
            ("notghcr.io", UploadMode::Monolithic),
        ];
        for (registry, mode) in cases {
            assert_eq!(UploadMode::first_for(registry), mode, "{registry}");
        }
    }

    #[test]
    fn the_other_mode_is_tried_only_where_it_may_help() {
        let answer =
            |status, code: &str| Problem::Answer(Answer { status, code: code.to_owned(), ..Answer::default() });
        assert!(other_mode_may_help(&answer(413, "")));
        assert!(other_mode_may_help(&answer(416, "")));
        assert!(other_mode_may_help(&answer(405, "UNSUPPORTED")));
        assert!(other_mode_may_help(&answer(400, "DIGEST_INVALID")));
        assert!(other_mode_may_help(&answer(406, SPEC_VIOLATION)));
        assert!(!other_mode_may_help(&answer(401, "")));
        assert!(!other_mode_may_help(&answer(500, "")));
    }
}
