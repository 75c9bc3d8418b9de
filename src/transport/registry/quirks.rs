//! What is known about single registries, where they differ from the distribution specification or from each other.

use super::options::{CHUNK, PushMode};
use super::problem::{Problem, SPEC_VIOLATION};

/// How the bytes of a blob are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UploadMode {
    /// In one PUT request: one round trip, and the only mode of Google's registries.
    Monolithic,
    /// In PATCH requests of so many bytes.
    Chunked(u64),
}

/// Registries that do not take large blobs in one request, by the end of their host names.
///
/// Azure's refuses bodies over about 20 MB (goharbor/harbor#23015). GitHub's takes at most 4 MiB in one PATCH, and so
/// needs them. All others that are known take one request for a blob of any size, and some take nothing else (Google's:
/// oras-project/rust-oci-client#177).
const CHUNKED: [&str; 2] = ["ghcr.io", ".azurecr.io"];

impl UploadMode {
    /// The mode to begin with.
    pub fn first_for(registry: &str, wanted: PushMode) -> UploadMode {
        match wanted {
            PushMode::Monolithic => UploadMode::Monolithic,
            PushMode::Chunked(size) => UploadMode::Chunked(size),
            PushMode::Auto => {
                let host = registry.split(':').next().unwrap_or_default().to_ascii_lowercase();
                let fits = |name: &&str| host == *name || name.starts_with('.') && host.ends_with(*name);
                if CHUNKED.iter().any(fits) { UploadMode::Chunked(CHUNK) } else { UploadMode::Monolithic }
            }
        }
    }

    /// The mode to try when this one failed.
    pub fn other(self) -> UploadMode {
        match self {
            UploadMode::Monolithic => UploadMode::Chunked(CHUNK),
            UploadMode::Chunked(_) => UploadMode::Monolithic,
        }
    }
}

/// Whether a failed upload may succeed in the other mode.
///
/// 413: the body is too large for the registry or a gateway before it. 405 and 501: the method is not known. 416: the
/// range of a chunk is not liked. A status against the specification: the registry does not know the mode well. A wrong
/// digest: the registry lost chunks.
pub(super) fn other_mode_may_help(problem: &Problem) -> bool {
    matches!(problem.status(), Some(405 | 413 | 416 | 501))
        || matches!(problem.code(), SPEC_VIOLATION | "DIGEST_INVALID" | "SIZE_INVALID" | "RANGE_INVALID")
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
            ("example.azurecr.io", UploadMode::Chunked(CHUNK)),
            ("Example.AzureCR.io:443", UploadMode::Chunked(CHUNK)),
            ("azurecr.io.example.com", UploadMode::Monolithic),
            ("ghcr.io", UploadMode::Chunked(CHUNK)),
            ("notghcr.io", UploadMode::Monolithic),
        ];
        for (registry, mode) in cases {
            assert_eq!(UploadMode::first_for(registry, PushMode::Auto), mode, "{registry}");
        }
        assert_eq!(UploadMode::first_for("ghcr.io", PushMode::Monolithic), UploadMode::Monolithic);
        assert_eq!(UploadMode::first_for("a.example", PushMode::Chunked(1 << 20)), UploadMode::Chunked(1 << 20));
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
