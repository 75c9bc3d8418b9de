//! `winslim ls`: the files of an image.

use std::panic::resume_unwind;
use std::thread;

use anyhow::Result;

use super::image;
use super::output::deliver;
use super::surroundings::Surroundings;
use crate::cli::List;
use crate::error::ExitStatus;
use crate::inspect::SizeModel;
use crate::layer::order;
use crate::profile::PatternSet;
use crate::report::list::ListReport;

pub(super) async fn run(arguments: List, surroundings: &Surroundings) -> Result<ExitStatus> {
    let patterns = PatternSet::parse(&arguments.patterns)?;
    let base = image::open(&arguments.image, surroundings).await?;
    let stack = &*base.stack;
    let (model, places) = thread::scope(|scope| {
        let places = scope.spawn(|| order::places(stack.names()));
        (SizeModel::new(stack), places.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let entries = model.list(&places, |folded| patterns.is_empty() || patterns.is_match(folded));
    let report = ListReport::new(&model, entries);
    if report.is_empty() {
        surroundings.printer.warn(&format!("nothing in the image matches {}", arguments.patterns.join(", ")));
    }
    deliver(&arguments.output, &surroundings.printer, &report)?;
    Ok(ExitStatus::Done)
}
