//! Images packed into one tar: OCI layouts, and what `docker save` writes.

pub mod docker;
pub mod oci;
pub mod tar_file;
