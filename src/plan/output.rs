//! What comes out of a plan: every layer of the result, as steps that a rewriter carries out in their order.

use super::Plan;
use super::action::Action;
use crate::layer::{EntryId, EntryNumber, LayerNumber, LayerStack};
use crate::numbered::{NumberedVec, number};

number! {
    /// The number of a layer of the result, from the base upward.
    ///
    /// Today every layer of the source becomes the layer of the result with the same number, and files that profiles add
    /// become one more. Nothing may rely on that: the two numbers are different types, and an [`OutputPlan`] names its sources.
    OutputNumber
}

/// Something for each layer of a result.
pub type PerOutput<T> = NumberedVec<OutputNumber, T>;

/// A layer of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPlan {
    /// The layers that its entries come from, each once.
    pub sources: Vec<LayerNumber>,
    /// What is in it: the entries of the first source in their order, then those of the next one.
    pub steps: Vec<Step>,
}

/// What makes an entry of a layer of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// This entry stays, byte for byte.
    Keep(EntryId),
    /// A hard link stays, and points to another name.
    Retarget {
        /// The link.
        entry: EntryId,
        /// The entry whose name it points to.
        target: EntryId,
    },
    /// An entry becomes the holder of its link group: it keeps its name, and takes over the headers, the data and the alternate
    /// data streams of another one.
    Promote {
        /// The entry whose name stays.
        entry: EntryId,
        /// The entry whose headers and data move.
        from: EntryId,
    },
}

impl Step {
    /// The entry of a source that the step is about.
    pub fn entry(self) -> EntryId {
        match self {
            Step::Keep(entry) | Step::Retarget { entry, .. } | Step::Promote { entry, .. } => entry,
        }
    }

    /// Feeds everything that decides what the step writes. It is not fed which layer its entry is in: [`OutputPlan::describe`]
    /// names the sources.
    fn describe(self, stack: &LayerStack, feed: &mut impl FnMut(&[u8])) {
        let mut number = |kind: &[u8], entry: EntryId| {
            feed(kind);
            feed(&u32::from(entry.entry).to_le_bytes());
        };
        match self {
            Step::Keep(entry) => number(b"keep", entry),
            Step::Retarget { entry, target } => {
                number(b"link", entry);
                // Only the name of the target gets into the layer.
                let name = stack.entry(target).path.as_str();
                feed(format!("{} {name}", name.len()).as_bytes());
            }
            Step::Promote { entry, from } => {
                number(b"take", entry);
                feed(format!("{} {}\n", stack.layers()[from.layer].digest, from.entry).as_bytes());
            }
        }
    }
}

impl OutputPlan {
    /// The layer that this one is, byte for byte; `None` if it has to be written.
    pub fn is_layer(&self, stack: &LayerStack) -> Option<LayerNumber> {
        let [source] = *self.sources.as_slice() else { return None };
        let keeps_all = self.steps.len() == stack.layers()[source].entries.len()
            && self.steps.iter().all(|step| matches!(step, Step::Keep(_)));
        keeps_all.then_some(source)
    }

    /// Feeds everything that decides what the layer consists of, for keys of caches.
    pub fn describe(&self, stack: &LayerStack, mut feed: impl FnMut(&[u8])) {
        for &source in &self.sources {
            feed(format!("{}\n", stack.layers()[source].digest).as_bytes());
            for step in self.steps_of(source) {
                step.describe(stack, &mut feed);
            }
            feed(b"end\n");
        }
    }

    /// The steps about entries of a source, in their order.
    pub fn steps_of(&self, source: LayerNumber) -> impl Iterator<Item = Step> {
        self.steps.iter().copied().filter(move |step| step.entry().layer == source)
    }

    /// The entries below a layer whose data this one takes over.
    pub fn takes_over(&self) -> impl Iterator<Item = EntryId> {
        self.steps.iter().filter_map(|step| match step {
            Step::Promote { from, .. } => Some(*from),
            Step::Keep(_) | Step::Retarget { .. } => None,
        })
    }
}

impl Plan {
    /// The layers of the result that come from layers of the source.
    pub fn outputs(&self) -> PerOutput<OutputPlan> {
        let output = |(layer, plan): (LayerNumber, &super::LayerPlan)| {
            let step = |(entry, action): (EntryNumber, &Action)| {
                let entry = EntryId::new(layer, entry);
                match *action {
                    Action::Keep => Some(Step::Keep(entry)),
                    Action::Retarget(target) => Some(Step::Retarget { entry, target }),
                    Action::Promote(from) => Some(Step::Promote { entry, from }),
                    Action::Remove(_) => None,
                }
            };
            OutputPlan { sources: vec![layer], steps: plan.actions.numbered().filter_map(step).collect() }
        };
        self.layers.numbered().map(output).collect()
    }
}

/// The entries of a layer whose data others take over, in order: what a rewriter has to set aside when it reads the layer.
pub fn set_aside(outputs: &PerOutput<OutputPlan>, layer: LayerNumber) -> Vec<EntryNumber> {
    let taken = outputs.iter().flat_map(OutputPlan::takes_over).filter(|from| from.layer == layer);
    let mut entries: Vec<EntryNumber> = taken.map(|from| from.entry).collect();
    entries.sort_unstable();
    entries.dedup();
    entries
}
