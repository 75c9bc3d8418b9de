//! OCI image documents, without any I/O: digests, media types, manifests, indexes, configs and platforms.
//!
//! A [`Document`] keeps the bytes that a digest covers beside the value they parse to. [`Index`], [`Manifest`] and
//! [`Config`] are views of it; [`edit`] makes new documents of old ones.

pub mod config;
pub mod descriptor;
pub mod digest;
pub mod document;
pub mod edit;
pub mod index;
pub mod listing;
pub mod manifest;
pub mod media_type;
pub mod os_version;
pub mod platform;
pub mod select;

pub use config::{Config, HistoryEntry};
pub use descriptor::Descriptor;
pub use digest::Digest;
pub use document::Document;
pub use index::{Index, IndexEntry};
pub use manifest::Manifest;
pub use media_type::Compression;
pub use os_version::OsVersion;
pub use platform::{Platform, PlatformRequest};
