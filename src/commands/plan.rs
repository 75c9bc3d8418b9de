//! `winslim plan`: what a build would do.

use anyhow::Result;

use super::{Surroundings, base, deliver, slim};
use crate::cli::Plan;
use crate::error::ExitStatus;
use crate::profile;
use crate::report::plan::PlanReport;

pub(super) async fn run(arguments: Plan, surroundings: &Surroundings) -> Result<ExitStatus> {
    let rules = profile::load(&arguments.profiles)?;
    let base = base::open(&arguments.image, surroundings).await?;
    slim::check_base(&base, &surroundings.printer)?;
    let plan = crate::plan::plan(&base.stack, &rules, &[])?;
    let mut warnings = plan.warnings.clone();
    warnings.extend(slim::fit_warnings(&rules, &base.image));
    for warning in &warnings {
        surroundings.printer.warn(warning);
    }
    let reference = base.image.reference.to_string();
    let report = PlanReport::new(&reference, &base.image.config, &base.stack, &rules, &plan, warnings);
    deliver(&arguments.output, &surroundings.printer, &report)?;
    Ok(ExitStatus::Done)
}
