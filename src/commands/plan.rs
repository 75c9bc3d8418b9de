//! `winslim plan`: what a build would do.

use std::thread;

use anyhow::Result;

use super::image;
use super::output::deliver_page;
use super::surroundings::Surroundings;
use crate::cli::{PageFormat, Plan};
use crate::engine::{check_base, fit_warnings};
use crate::error::ExitStatus;
use crate::profile;
use crate::report::plan::PlanReport;
use crate::rewrite::additions::Additions;

pub(super) async fn run(arguments: Plan, surroundings: &Surroundings) -> Result<ExitStatus> {
    let rules = profile::load_allowing(None, &arguments.profiles, &surroundings.allowed)?;
    let base = image::open(&arguments.image, surroundings).await?;
    let (stack, rules) = (&*base.stack, &rules);
    // Neither needs the other, and each takes about as long.
    let (checked, plan) = thread::scope(|scope| {
        let plan = scope.spawn(|| crate::plan::plan(stack, rules, &[]));
        let checked = check_base(&base, &surroundings.session);
        (checked, plan.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    checked?;
    let plan = plan?;
    let additions = Additions::collect(&rules.adds, stack)?;
    let mut warnings = plan.warnings.clone();
    warnings.extend(fit_warnings(rules, &base.image, stack, &plan));
    for warning in &warnings {
        surroundings.printer.warn(warning);
    }
    let reference = base.image.reference.to_string();
    let report = PlanReport::new(&reference, &base.image.config, rules, &plan, additions.targets(), warnings);
    let report = match arguments.output.format {
        PageFormat::Json => report.with_changes(stack, rules, &plan),
        _ => report,
    };
    deliver_page(&arguments.output, &surroundings.printer, &report, || report.to_html())?;
    Ok(ExitStatus::Done)
}
