//! What lower layers hold only to be replaced or deleted above, as far as it may go: dead weight.

use super::pinned::Pinned;
use crate::layer::{LayerStack, PerEntry, Shadows};
use crate::windows::protected;

/// For each entry: `true` if it is shadowed and may go.
pub(super) type Droppable = PerEntry<bool>;

/// No entry is shadowed, or nobody wants to know.
pub(super) fn nothing(stack: &LayerStack) -> Droppable {
    PerEntry::filled(stack.indexes(), false)
}

/// Finds what is shadowed below `C:\` and may go.
///
/// What nothing can remove stays even if it is shadowed: the host makes the base layer's registry of the hives in it. The
/// UtilityVM stays too: it is processed layer by layer.
pub(super) fn find(stack: &LayerStack, pinned: &Pinned) -> Droppable {
    let shadows = Shadows::find(stack);
    let mut droppable = nothing(stack);
    let names = stack.names();
    for name in names.all() {
        let mut hidden = names
            .entries(name)
            .iter()
            .filter(|id| shadows.hidden_by(**id).is_some() && !pinned.is_untouched(id.layer))
            .peekable();
        if hidden.peek().is_none()
            || !names.text(name).starts_with("FILES/")
            || protected::protected(names.text(name)).is_some()
            || pinned.layer_for(name).is_some()
        {
            continue;
        }
        for &id in hidden {
            droppable[id] = true;
        }
    }
    droppable
}
