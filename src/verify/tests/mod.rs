//! Every rule is broken at least once, and images that hosts take break none.

mod broken;
mod records;
mod sound;
mod support;
