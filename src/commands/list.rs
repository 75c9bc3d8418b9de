//! `winslim ls`: the files of an image.

use anyhow::Result;

use super::{Surroundings, base, deliver};
use crate::cli::List;
use crate::error::ExitStatus;
use crate::inspect::SizeModel;
use crate::profile::PatternSet;
use crate::report::list::ListReport;

pub(super) async fn run(arguments: List, surroundings: &Surroundings) -> Result<ExitStatus> {
    let patterns = PatternSet::parse(&arguments.patterns)?;
    let base = base::open(&arguments.image, surroundings).await?;
    let model = SizeModel::new(&base.stack);
    let rows = match patterns.is_empty() {
        true => model.list(|_| true),
        false => model.list(|folded| patterns.is_match(folded)),
    };
    let report = ListReport::new(&model, rows);
    if report.is_empty() {
        surroundings.printer.warn(&format!("nothing in the image matches {}", arguments.patterns.join(", ")));
    }
    deliver(&arguments.output, &surroundings.printer, &report)?;
    Ok(ExitStatus::Done)
}
