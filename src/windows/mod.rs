//! What is known about Windows itself, apart from any image: its builds, which hosts run images of which, the parts it has, the
//! files that it cannot do without, and how its tools protect files.

pub mod builds;
pub mod compatibility;
pub mod components;
pub mod host;
pub mod machines;
pub mod names;
pub mod nodes;
pub mod program;
pub mod protected;
pub mod security;
pub mod updates;
