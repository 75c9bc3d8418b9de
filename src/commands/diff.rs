//! `winslim diff`: what two images have different.

use anyhow::Result;

use super::choice::Where;
use super::image;
use super::output::deliver;
use super::surroundings::Surroundings;
use crate::cli::Diff;
use crate::engine::BaseImage;
use crate::error::ExitStatus;
use crate::inspect::{self, SizeModel};
use crate::report::diff::DiffReport;

pub(super) async fn run(arguments: Diff, surroundings: &Surroundings) -> Result<ExitStatus> {
    let before = open(&arguments.before, "--platform-before", &arguments, surroundings).await?;
    let after = open(&arguments.after, "--platform-after", &arguments, surroundings).await?;
    let diff = inspect::Diff::new(&SizeModel::new(&before.stack), &SizeModel::new(&after.stack));
    let differs = !diff.is_empty();
    let names = (before.image.reference.to_string(), after.image.reference.to_string());
    deliver(&arguments.output, &surroundings.printer, &DiffReport::new(names.0, names.1, diff, arguments.top))?;
    // The exit code 1 of `diff` is also that of failures, as with the tool of that name and with `git diff`.
    Ok(if differs && arguments.exit_code { ExitStatus::Failed } else { ExitStatus::Done })
}

/// One of the images; `option` chooses the platform of this one alone.
async fn open<'a>(
    reference: &str,
    option: &'static str,
    arguments: &Diff,
    surroundings: &'a Surroundings,
) -> Result<BaseImage<'a>> {
    let own = if option == "--platform-before" { &arguments.platform_before } else { &arguments.platform_after };
    let platform = own.as_ref().or(arguments.platform.as_ref());
    let platform = platform.map(|platform| platform.parse()).transpose()?;
    let found = image::find(&reference.parse()?, platform.as_ref(), Where::Option(option), surroundings).await?;
    Ok(found.index(None).await?)
}
