//! winslim makes Windows container base images smaller.

pub mod error;
pub mod gzip;
pub mod image;
pub mod layer;
pub mod progress;
pub mod store;
