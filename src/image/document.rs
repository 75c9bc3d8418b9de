//! A JSON document of an image, kept as the very bytes that its digest covers, beside a parsed view.

use bytes::Bytes;
use serde_json::Value;

use super::Digest;

/// The most bytes that winslim reads as a manifest, an index or a config.
///
/// Registries refuse manifests over 4 MiB; configs of Windows images are a few kilobytes.
pub const MAX_DOCUMENT_SIZE: u64 = 8 << 20;

/// A manifest, index or config: raw bytes, their digest, and the value they parse to.
///
/// Edits go through the value, which keeps unknown fields and the order of keys, and make a new document.
#[derive(Debug, Clone)]
pub struct Document {
    media_type: String,
    bytes: Bytes,
    digest: Digest,
    value: Value,
}

/// A document that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The bytes are not JSON.
    #[error("the {what} {digest} is not JSON: {error}")]
    Json {
        /// `manifest`, `index` or `config`.
        what: &'static str,
        /// The digest of the bytes.
        digest: Digest,
        /// Where and how it is not JSON.
        error: serde_json::Error,
    },
    /// A field is missing or has a value that it cannot have.
    #[error("the {what} {digest} {problem}")]
    Field {
        /// `manifest`, `index` or `config`.
        what: &'static str,
        /// The digest of the document.
        digest: Digest,
        /// What is wrong, as the end of the sentence: ``has no `layers` ``.
        problem: String,
    },
}

impl Document {
    /// Parses the bytes of a document; `what` names it in errors (`manifest`, `index`, `config`).
    pub fn parse(what: &'static str, media_type: impl Into<String>, bytes: Bytes) -> Result<Document, DocumentError> {
        let digest = Digest::of(&bytes);
        let value = serde_json::from_slice(&bytes).map_err(|error| DocumentError::Json { what, digest, error })?;
        Ok(Document { media_type: media_type.into(), bytes, digest, value })
    }

    /// Makes a document of a value: its bytes are the compact JSON of it, in the value's own order of keys.
    pub fn from_value(media_type: impl Into<String>, value: Value) -> Document {
        let bytes = Bytes::from(value.to_string());
        Document { media_type: media_type.into(), digest: Digest::of(&bytes), bytes, value }
    }

    /// The media type under which the document is stored or was served.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The bytes that the digest covers.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The number of bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The parsed view.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// A field of a JSON object, found without regard to the case of its name; an exact match is preferred.
///
/// Microsoft's own configs say `rootfS`, `user` and `cmd`: Go's JSON decoder, for which they were written, ignores case.
pub fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let object = object.as_object()?;
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_order_survive_and_case_does_not_matter() {
        let text = r#"{"z":1, "rootfS":{"type":"layers"},"a":2}"#;
        let document = Document::parse("config", "application/json", Bytes::from_static(text.as_bytes())).unwrap();
        assert_eq!(document.bytes(), text.as_bytes());
        assert_eq!(field(document.value(), "rootfs").unwrap()["type"], "layers");
        let edited = Document::from_value("application/json", document.value().clone());
        assert_eq!(edited.bytes(), &br#"{"z":1,"rootfS":{"type":"layers"},"a":2}"#[..]);
    }
}
