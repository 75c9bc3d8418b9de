//! `winslim inspect`: where the bytes of an image are.

use std::fs;

use anyhow::{Context, Result};

use super::choice::{self, Where};
use super::failure::Usage;
use super::image;
use super::output::deliver_page;
use super::surroundings::Surroundings;
use crate::cli::{self, Inspect};
use crate::error::{ExitStatus, IoContext};
use crate::hive::RegistryVersion;
use crate::inspect::policy::{Condition, Facts, Measure, dive_rules};
use crate::inspect::{By, Grouping, SizeModel};
use crate::printer::Failure;
use crate::report::html;
use crate::report::inspect::{Header, InspectReport, show};
use crate::transport::{Reference, Source};

pub(super) async fn run(arguments: Inspect, surroundings: &Surroundings) -> Result<ExitStatus> {
    let conditions = conditions(&arguments)?;
    let before = match &arguments.against {
        Some(against) => Some(compressed(against, &arguments.image, surroundings).await?),
        None => None,
    };
    let base = image::open(&arguments.image, surroundings).await?;
    let layers = base.stack.layers();
    if let Some(layer) = arguments.layer
        && layers.get(layer.into()).is_none()
    {
        let count = layers.len();
        return Err(Usage(format!("there is no layer {layer}: the image has {count}, the first is 0")).into());
    }
    let model = SizeModel::new(&base.stack);
    let config = &base.image.config;
    let registry = RegistryVersion::of_layers(layers.iter().filter_map(|layer| layer.registry.as_ref()));
    let digest = base.image.manifest.document.digest();
    let header = Header::new(base.image.reference.to_string(), digest, config, registry);
    let grouping = Grouping { by: by(&arguments), layer: arguments.layer.map(Into::into) };
    let mut report = InspectReport::new(header.clone(), config, &model, grouping, arguments.top);

    let facts = Facts {
        totals: model.totals(),
        unpacked_above_base: layers.iter().skip(1).map(|layer| layer.data_size()).sum(),
        compressed_before: before,
    };
    let mut broken = Vec::new();
    for condition in &conditions {
        let verdict = condition.judge(&facts);
        report.add_policy(condition, &verdict);
        if verdict.failed {
            broken.push(format!("{condition} (it is {})", show(verdict.value)));
        }
    }
    deliver_page(&arguments.output, &surroundings.printer, &report, || {
        html::inspect::page(&header, config, &model, &broken)
    })?;
    if broken.is_empty() {
        return Ok(ExitStatus::Done);
    }
    let text = format!("`{}` does not meet the policy: {}", base.image.reference, broken.join(", "));
    surroundings.printer.fail(&Failure { message: &text, status: Some(ExitStatus::Policy), ..Failure::default() });
    Ok(ExitStatus::Policy)
}

fn by(arguments: &Inspect) -> By {
    match arguments.by {
        cli::By::Layer => By::Layer,
        cli::By::Component => By::Component,
        cli::By::Directory => By::Directory { depth: arguments.depth },
        cli::By::Extension => By::Extension,
        cli::By::File => By::File,
    }
}

/// All conditions that fail the run.
fn conditions(arguments: &Inspect) -> Result<Vec<Condition>> {
    let mut conditions: Vec<Condition> =
        arguments.fail_if.iter().map(|text| Condition::parse(text)).collect::<Result<_, _>>()?;
    if arguments.against.is_none() && conditions.iter().any(|condition| condition.measure() == Measure::Growth) {
        return Err(Usage("a condition on growth needs --against IMAGE to compare with".to_owned()).into());
    }
    if let Some(file) = &arguments.dive_ci {
        let text = fs::read_to_string(file).context_path("read", file)?;
        conditions.extend(dive_rules(&text).with_context(|| format!("in `{}`", file.display()))?);
    }
    Ok(conditions)
}

/// The compressed size of an image, by its manifest alone.
async fn compressed(reference: &str, like: &cli::Image, surroundings: &Surroundings) -> Result<u64> {
    let reference: Reference = reference.parse()?;
    let platform = like.platform.as_deref().map(str::parse).transpose()?;
    let source = Source::open(&reference, &surroundings.session.registry, &surroundings.session.store).await?;
    let image = source.resolve(platform.as_ref()).await;
    let image = image.map_err(|error| choice::explain(error, Where::Option("--platform")))?;
    Ok(image.manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size)))
}
