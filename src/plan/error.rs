//! Why there is no plan.

use crate::profile::pattern::TooManyPatterns;

/// Why there is no plan.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// Rules with `match = "required"` matched nothing.
    #[error("nothing in this image matches {}, though the profile says `match = \"required\"`", .0.join(" or "))]
    RequiredMatchedNothing(Vec<String>),
    /// More layers than Windows accepts.
    #[error("the image has {0} layers; Windows accepts at most 127")]
    TooManyLayers(usize),
    /// The patterns of all rules together are too many.
    #[error(transparent)]
    Patterns(#[from] TooManyPatterns),
    /// There are more rules than numbers.
    #[error("the profiles have too many rules")]
    TooManyRules,
}
