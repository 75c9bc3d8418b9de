//! Descriptors: how a manifest or an index points to a blob.

use serde_json::{Value, json};

use super::document::field;
use super::{Digest, Document};

/// The parsed view of a descriptor (OCI image specification, `descriptor.md`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type of the blob.
    pub media_type: String,
    /// The digest of the blob.
    pub digest: Digest,
    /// The size of the blob in bytes.
    pub size: u64,
    /// Where else the blob may be had: foreign layers of Microsoft's images before June 2023.
    pub urls: Vec<String>,
}

impl Descriptor {
    /// Reads a descriptor; the error says what is wrong with it, as the end of a sentence about its document.
    pub fn parse(value: &Value) -> Result<Descriptor, String> {
        let text = |name: &str| field(value, name).and_then(Value::as_str);
        let digest = text("digest").ok_or("has a descriptor without a `digest`")?;
        Ok(Descriptor {
            media_type: text("mediaType").unwrap_or_default().to_owned(),
            digest: digest.parse().map_err(|error| format!("has a descriptor with a wrong digest: {error}"))?,
            size: field(value, "size")
                .and_then(Value::as_u64)
                .ok_or_else(|| format!("has a descriptor without a `size` ({digest})"))?,
            urls: field(value, "urls")
                .and_then(Value::as_array)
                .map(|urls| urls.iter().filter_map(|url| url.as_str().map(str::to_owned)).collect())
                .unwrap_or_default(),
        })
    }

    /// The descriptor of a document.
    pub fn of(document: &Document) -> Descriptor {
        Descriptor {
            media_type: document.media_type().to_owned(),
            digest: document.digest(),
            size: document.size(),
            urls: Vec::new(),
        }
    }

    /// The descriptor of content that is at hand.
    pub fn of_content(media_type: &str, content: &[u8]) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: Digest::of(content),
            size: content.len() as u64,
            urls: Vec::new(),
        }
    }

    /// The descriptor as it is written in a manifest.
    pub fn to_value(&self) -> Value {
        let mut value = json!({"mediaType": self.media_type, "digest": self.digest, "size": self.size});
        if !self.urls.is_empty() {
            value["urls"] = json!(self.urls);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_written_and_read() {
        let mut descriptor = Descriptor::of_content("text/plain", b"some text");
        assert_eq!(descriptor.to_value().as_object().map(|object| object.len()), Some(3));
        descriptor.urls.push("https://example.com".to_owned());
        assert_eq!(Descriptor::parse(&descriptor.to_value()), Ok(descriptor));
    }
}
