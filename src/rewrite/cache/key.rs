//! Keys: digests of all that the result of a piece of work depends on.

use crate::image::Digest;
use crate::image::digest::Hasher;
use crate::layer::LayerStack;
use crate::layer::index::VERSION as INDEX_VERSION;
use crate::plan::{OutputPlan, PerOutput};
use crate::rewrite::Settings;

/// The version of what rewriting writes, for the same layer, plan and settings. It is to be raised with every change.
pub const VERSION: u32 = 6;

/// The key of the index of a layer that nobody rewrites.
pub fn of_index(layer: &Digest) -> Digest {
    Digest::of(format!("winslim index {INDEX_VERSION}\n{layer}").as_bytes())
}

/// The key of a layer of the result. How many threads compress and whether the result is read back changes nothing.
pub fn of_output(stack: &LayerStack, output: &OutputPlan, settings: Settings) -> Digest {
    let Settings { compression, level, recompress, threads: _, read_back: _ } = settings;
    let mut hasher = Hasher::new();
    let tool = concat!("winslim ", env!("CARGO_PKG_VERSION"));
    hasher.update(format!("{tool} layer {VERSION}\n{compression:?} {level} {recompress}\n").as_bytes());
    output.describe(stack, |bytes| hasher.update(bytes));
    hasher.finish()
}

/// The key of the limits at which a build arrives that begins with these outputs, in which every layer is free. There is one
/// value of `settings` for each output.
pub fn of_limits(stack: &LayerStack, free: &PerOutput<OutputPlan>, settings: &PerOutput<Settings>) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"winslim limits\n");
    for (output, &settings) in free.iter().zip(settings) {
        hasher.update(format!("{}\n", of_output(stack, output, settings)).as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::image::media_type::Compression;
    use crate::layer::index::tests::index_of;
    use crate::layer::{EntryId, EntryKind};
    use crate::plan::{Action, Cause, Plan, plan};
    use crate::profile::RuleSet;

    const SETTINGS: Settings =
        Settings { compression: Compression::Gzip, level: 6, recompress: false, threads: 1, read_back: false };

    fn stack(base: &[u8]) -> LayerStack {
        let names = ["Files/a", "Files/b", "Files/c"].map(|name| (EntryKind::File, name));
        let mut layers = [index_of(&names), index_of(&names)];
        layers[0].digest = Digest::of(base);
        LayerStack::new(layers.map(Arc::new).into())
    }

    #[test]
    fn everything_that_changes_the_result_changes_the_key() {
        let (stack, other_base) = (stack(b"base"), stack(b"other"));
        let with = |actions: &[(u32, Action)]| {
            let mut plan = plan(&stack, &RuleSet::default(), &[]).unwrap();
            for (entry, action) in actions {
                plan.layers[1.into()].actions[(*entry).into()] = *action;
            }
            plan
        };
        let output = |plan: &Plan, number: u32| plan.outputs()[number.into()].clone();
        let key = |plan: &Plan| of_output(&stack, &output(plan, 1), SETTINGS);
        let removed = with(&[(0, Action::Remove(Cause::Shadowed))]);
        let promoted = with(&[(1, Action::Promote(EntryId::new(0, 0)))]);
        let different = [
            key(&with(&[])),
            key(&removed),
            key(&with(&[(1, Action::Remove(Cause::Shadowed))])),
            key(&with(&[(1, Action::Retarget(EntryId::new(0, 0)))])),
            key(&with(&[(1, Action::Retarget(EntryId::new(0, 1)))])),
            key(&promoted),
            key(&with(&[(1, Action::Promote(EntryId::new(0, 1)))])),
            of_output(&other_base, &output(&promoted, 1), SETTINGS),
            of_output(&stack, &output(&removed, 0), SETTINGS),
            of_output(&stack, &output(&removed, 1), Settings { level: 7, ..SETTINGS }),
            of_output(&stack, &output(&removed, 1), Settings { recompress: true, ..SETTINGS }),
            of_output(&stack, &output(&removed, 1), Settings { compression: Compression::Zstd, ..SETTINGS }),
            of_limits(&stack, &removed.outputs(), &vec![SETTINGS; 2].into()),
            of_limits(&other_base, &removed.outputs(), &vec![SETTINGS; 2].into()),
            of_limits(&stack, &promoted.outputs(), &vec![SETTINGS; 2].into()),
            of_index(&Digest::of(b"base")),
            of_index(&Digest::of(b"other")),
        ];
        assert_eq!(different.iter().collect::<BTreeSet<_>>().len(), different.len(), "{different:?}");
    }

    #[test]
    fn what_does_not_change_the_result_does_not_change_the_key() {
        let (stack, other_base) = (stack(b"base"), stack(b"other"));
        let mut plan = plan(&stack, &RuleSet::default(), &[]).unwrap();
        plan.layers[1.into()].actions[0.into()] = Action::Remove(Cause::Shadowed);
        plan.layers[1.into()].actions[1.into()] = Action::Retarget(EntryId::new(0, 2));
        let output = |plan: &Plan| plan.outputs()[1.into()].clone();
        let key = of_output(&stack, &output(&plan), SETTINGS);
        assert_eq!(of_output(&other_base, &output(&plan), SETTINGS), key, "no data comes from the base");
        assert_eq!(of_output(&stack, &output(&plan), Settings { threads: 9, read_back: true, ..SETTINGS }), key);
        plan.layers[1.into()].actions[0.into()] = Action::Remove(Cause::Rule(3.into()));
        assert_eq!(of_output(&stack, &output(&plan), SETTINGS), key, "why an entry goes does not matter");
    }
}
