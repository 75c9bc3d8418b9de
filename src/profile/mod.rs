//! Profiles: what to remove from an image, what to keep, what to add.
//!
//! A profile is a TOML file ([`model`] is its format); [`builtin`] are the ones that are part of winslim. [`load()`] reads
//! profiles with all that they include and gives one [`RuleSet`], whose patterns ([`pattern`]) are ready to be matched
//! with the names of a layer. Whatever is wrong with a profile is a [`ProfileError`] that shows the place.

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

mod bounds;
mod check;
mod fault;
mod number;
mod parse;
mod path;
mod rules;
mod target;

pub mod builtin;
pub mod describe;
pub mod load;
pub mod model;
pub mod pattern;
pub mod schema;

pub use bounds::{OutOfBounds, check_named};
pub use fault::{Faults, ProfileError};
pub use load::{load, load_allowing, load_in};
pub use model::{Risk, Shadowed};
pub use number::{KeepNumber, PatternNumber, RuleNumber};
pub use pattern::{Pattern, PatternError, PatternSet};
pub use rules::{AddRule, KeepRule, Origin, ProfileInfo, RemoveRule, RuleSet};
