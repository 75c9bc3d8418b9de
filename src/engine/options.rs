//! How a build works.

use super::encoding::Encoding;

/// How images are slimmed and delivered.
#[derive(Debug, Clone)]
pub struct Options {
    /// How new layers are encoded.
    pub encoding: Encoding,
    /// The time of the build in seconds since 1970. `None` keeps the times of the base image.
    pub time: Option<u64>,
    /// `true` to add the results to the index that the target's tag leads to.
    pub append: bool,
    /// `true` to give each image a tag of its own.
    pub tag_children: bool,
    /// `true` to attach its ledger to each image.
    pub attach: bool,
    /// `true` to send new layers to a registry while others are still being rewritten. Nothing leads to them before
    /// [`Build::deliver`](super::Build::deliver).
    pub send_early: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            encoding: Encoding::default(),
            time: None,
            append: false,
            tag_children: false,
            attach: true,
            send_early: true,
        }
    }
}
