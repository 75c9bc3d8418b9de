//! `winslim diff`: what two images have different.

use anyhow::Result;

use super::{Surroundings, base, deliver};
use crate::cli::{self, Diff};
use crate::error::ExitStatus;
use crate::inspect::{self, SizeModel};
use crate::report::diff::DiffReport;

pub(super) async fn run(arguments: Diff, surroundings: &Surroundings) -> Result<ExitStatus> {
    let image = |reference: &str| cli::Image { reference: reference.to_owned(), platform: arguments.platform.clone() };
    let before = base::open(&image(&arguments.before), surroundings).await?;
    let after = base::open(&image(&arguments.after), surroundings).await?;
    let diff = inspect::Diff::new(&SizeModel::new(&before.stack), &SizeModel::new(&after.stack));
    let differs = !diff.is_empty();
    let names = (before.image.reference.to_string(), after.image.reference.to_string());
    deliver(&arguments.output, &surroundings.printer, &DiffReport::new(names.0, names.1, diff, arguments.top))?;
    // The exit code 1 of `diff` is also that of failures, as with the tool of that name and with `git diff`.
    Ok(if differs && arguments.exit_code { ExitStatus::Failed } else { ExitStatus::Done })
}
