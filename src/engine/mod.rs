//! An image in, an image out: the work of a build, and what every command needs before it can look at an image.
//!
//! [`find`] finds an image, [`FoundImage::index`] makes the indexes of its layers, and everything that only looks works on the
//! [`BaseImage`] that results. [`Build::make`] slims images and [`Build::deliver`] puts the results at their targets: layers
//! and documents first, the tag last. What people may want to know meanwhile is an [`Event`].
//!
//! The engine is asynchronous because it waits for registries. It needs a multi-threaded Tokio runtime. It never prints.

mod attach;
mod base;
mod blobs;
mod build;
mod built;
mod cache;
mod check;
mod damage;
mod documents;
mod early_push;
mod encoding;
mod error;
mod event;
mod fit;
mod ledger;
mod make;
mod options;
mod present;
mod push;
mod read;
mod result;
mod rewriter;
mod session;
mod slim;
mod targets;

pub use attach::Attachment;
pub use base::{BaseImage, FoundImage, FoundImages, find, find_all};
pub use blobs::{CheckedBlobs, check_blobs};
pub use build::{Build, Delivery, Job};
pub use built::Built;
pub use cache::Cache;
pub use check::{check_base, verify_image};
pub use documents::{REMOVED, UTILITY_VM, has_utility_vm};
pub use encoding::Encoding;
pub use error::{EngineError, LayerError, TargetError, UnusableCache, WouldNotImport};
pub use event::{Event, Events, Importance};
pub use fit::fit_warnings;
pub use options::Options;
pub use session::Session;
