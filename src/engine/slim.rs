//! From a base image and rules to the layers of the result: the middle of a build.

use super::base::BaseImage;
use super::cache::Cache;
use super::early_push::Outbox;
use super::encoding::Encoding;
use super::error::EngineError;
use super::result::Slimmed;
use super::rewriter::{Rewriter, Rewritten, publish};
use super::session::Session;
use crate::image::media_type::Compression;
use crate::plan::{LayerLimit, plan};
use crate::profile::RuleSet;
use crate::rewrite::LayerWriter;
use crate::rewrite::additions::Additions;
use crate::rewrite::cache::key;

/// Rewrites what the rules touch, and gives what is finished to the outbox. A layer that would become larger is left as it is,
/// and the plan made anew around it.
pub(super) async fn slim(
    base: &BaseImage<'_>,
    rules: &RuleSet,
    outbox: Outbox,
    encoding: Encoding,
    time: u64,
    cache: &Cache<'_>,
    session: &Session,
) -> Result<Slimmed, EngineError> {
    let additions = Additions::collect(&rules.adds, &base.stack)?;
    let count = base.stack.layers().len();
    let mut plan = self::plan(&base.stack, rules, &[])?;
    let mut rewriter = Rewriter::new(base, outbox, encoding, cache, session)?;
    let mut outputs = plan.outputs();
    let settings = outputs.iter().map(|output| rewriter.settings(output)).collect();
    let limits_key = key::of_limits(&base.stack, &outputs, &settings);
    let mut limits = base.stack.layers().same_length(LayerLimit::Free);
    let known = cache.limits(&limits_key, count).await?;
    if let Some(known) = &known {
        tracing::info!(limits = ?known, "an earlier build tried how far the layers may change");
        plan = self::plan(&base.stack, rules, known)?;
        outputs = plan.outputs();
        limits = known.clone().into();
    }
    let mut layers = loop {
        let layer = match rewriter.layers(&plan, &outputs).await? {
            Rewritten::Layers(layers) => break layers,
            Rewritten::Grown(layer) => layer,
        };
        if limits[layer] == LayerLimit::Untouched {
            return Err(EngineError::GrewUntouched(layer));
        }
        limits[layer] = match limits[layer] {
            LayerLimit::Free if plan.takes_from_below(layer) => LayerLimit::NoPromotion,
            _ => LayerLimit::Untouched,
        };
        tracing::info!(%layer, limit = ?limits[layer], "the rewritten layer is larger than it was; planning around it");
        plan = self::plan(&base.stack, rules, limits.as_slice())?;
        outputs = plan.outputs();
    };
    for (layer, limit) in layers.iter_mut().zip(&limits) {
        layer.would_have_grown = *limit == LayerLimit::Untouched;
    }
    let limits = limits.iter().any(|limit| *limit != LayerLimit::Free).then(|| (limits_key, limits.into_vec()));
    if let Some((key, limits)) = &limits
        && known.as_ref() != Some(limits)
    {
        cache.keep_limits(key, limits)?;
    }
    if !additions.is_empty() {
        let settings = encoding.for_source(Compression::None);
        let mut writer = LayerWriter::new(session.store.temporary()?, settings)?;
        let layer = tokio::task::block_in_place(|| {
            additions.write(&mut writer, time)?;
            let (file, index) = writer.finish()?;
            publish(file, index, settings, None, session)
        })?;
        layers.push(layer);
        rewriter.outbox.take(&layers);
    }
    Ok(Slimmed { plan, layers, limits })
}
