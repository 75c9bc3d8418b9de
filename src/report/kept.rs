//! Why something stays that a rule would remove, in words.

use crate::plan::KeepReason;

/// Why something stays, in words.
pub(super) fn words(reason: &KeepReason) -> String {
    match reason {
        KeepReason::Protected { why } => format!("protected: {why}"),
        KeepReason::KeepRule { profile } => format!("kept by profile {profile}"),
        KeepReason::Growth { layer } => format!("layer {layer} would become larger"),
        KeepReason::UtilityVm => "the UtilityVM goes as a whole or not at all".to_owned(),
    }
}
