//! Numbers of rules and patterns.

use crate::numbered::number;

number! {
    /// A rule that removes, by its place in [`super::RuleSet::removes`].
    RuleNumber
}

number! {
    /// A rule that keeps, by its place in [`super::RuleSet::keeps`].
    KeepNumber
}

number! {
    /// A pattern, by its place in a [`super::PatternSet`], or among the patterns of all rules of a plan.
    PatternNumber
}
