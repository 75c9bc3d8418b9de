//! winslim makes Windows container base images smaller.

pub mod error;
pub mod gzip;
pub mod hive;
pub mod image;
pub mod inspect;
pub mod layer;
pub mod ledger;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod report;
pub mod rewrite;
pub mod store;
pub mod transport;
pub mod verify;
pub mod windows;
