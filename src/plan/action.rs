//! What may happen to an entry and to a layer, in the words that all steps of planning share.

use crate::layer::EntryId;
use crate::profile::RuleNumber;

/// What happens to one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It stays, byte for byte.
    Keep,
    /// It goes.
    Remove(Cause),
    /// It stays a hard link, but points to this entry's name.
    Retarget(EntryId),
    /// It becomes the holder of its link group, with the data and the metadata of this entry.
    Promote(EntryId),
}

/// Why an entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The rule with this number in [`RuleSet::removes`](crate::profile::RuleSet::removes) removes its name.
    Rule(RuleNumber),
    /// A layer above replaces or deletes it.
    Shadowed,
    /// It is a whiteout, and what it deleted is gone.
    Whiteout,
}

/// How far a layer may change, as a build found out by trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LayerLimit {
    /// As the rules want it.
    #[default]
    Free,
    /// No data of a lower layer moves into it: it had become larger than it was.
    NoPromotion,
    /// It stays as it is: it had become larger than it was even so.
    Untouched,
}
