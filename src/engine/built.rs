//! A slimmed image.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::base::BaseImage;
use super::result::{Documents, Slimmed};
use crate::image::Digest;
use crate::layer::LayerStack;
use crate::plan::Plan;
use crate::profile::RuleSet;

/// A slimmed image that a Windows host would import. Nothing leads to it before [`super::Build::deliver`].
pub struct Built<'a> {
    /// The image that was slimmed.
    pub base: BaseImage<'a>,
    pub(super) rules: &'a RuleSet,
    pub(super) slimmed: Slimmed,
    pub(super) documents: Documents,
    /// The layers that went to the target while others were being rewritten.
    pub(super) sent: BTreeSet<Digest>,
}

impl Built<'_> {
    /// The layers of the result, from the base upward.
    pub fn stack(&self) -> LayerStack {
        LayerStack::new(self.slimmed.layers.iter().map(|layer| Arc::clone(&layer.index)).collect())
    }

    /// What was carried out.
    pub fn plan(&self) -> &Plan {
        &self.slimmed.plan
    }
}
