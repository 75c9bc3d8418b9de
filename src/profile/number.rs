//! Numbers of rules and patterns: made from positions in lists without ever wrapping.

use std::num::TryFromIntError;

/// Makes a number of something that has its place in a list.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// Its place in the list.
            pub fn place(self) -> usize {
                self.0 as usize
            }
        }

        impl TryFrom<usize> for $name {
            type Error = TryFromIntError;

            fn try_from(place: usize) -> Result<$name, TryFromIntError> {
                u32::try_from(place).map($name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_does_not_fit_is_refused_and_never_wraps() {
        for place in [0, 65_535, 65_536, u32::MAX as usize] {
            assert_eq!(RuleNumber::try_from(place).unwrap().place(), place);
        }
        assert!(PatternNumber::try_from(u32::MAX as usize + 1).is_err());
    }
}
