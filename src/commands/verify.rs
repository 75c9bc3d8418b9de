//! `winslim verify`: would a Windows host import this image?

use anyhow::Result;

use super::{Surroundings, base, deliver, slim};
use crate::cli::Verify;
use crate::error::ExitStatus;
use crate::report::verify::VerifyReport;

pub(super) async fn run(arguments: Verify, surroundings: &Surroundings) -> Result<ExitStatus> {
    let base = base::open(&arguments.image, surroundings).await?;
    let image = &base.image;
    let findings = slim::verify_image(&base.stack, &image.config, &image.manifest, image.index_entry());
    let blobs = base.check_blobs().await?;
    let report = VerifyReport::new(image.reference.to_string(), image.config.os_version.clone(), blobs, findings);
    deliver(&arguments.output, &surroundings.printer, &report)?;
    Ok(if report.imports() { ExitStatus::Done } else { ExitStatus::WouldNotImport })
}
