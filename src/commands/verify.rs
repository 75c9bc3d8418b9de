//! `winslim verify`: would a Windows host import the images of a tag?

use anyhow::Result;

use super::{Surroundings, base, deliver, slim};
use crate::cli::Verify;
use crate::error::ExitStatus;
use crate::report::verify::{VerifyReport, VerifyReports};
use crate::verify::choice;

pub(super) async fn run(arguments: Verify, surroundings: &Surroundings) -> Result<ExitStatus> {
    let found = base::find_all(&arguments.image, surroundings).await?;
    let several = found.images.len() > 1;
    let mut reports = Vec::new();
    for (number, image) in found.images {
        let base = image.index(None).await?;
        let image = &base.image;
        let mut findings = slim::verify_image(&base.stack, &image.config, &image.manifest, image.index_entry());
        if let Some(entries) = &found.index {
            findings.extend(choice::is_taken(entries, &found.platforms, number));
        }
        let blobs = base.check_blobs().await?;
        let name = match several {
            true => format!("{} ({})", image.reference, image.config.platform()),
            false => image.reference.to_string(),
        };
        reports.push(VerifyReport::new(name, image.config.os_version.clone(), blobs, findings));
        if several {
            base.release();
        }
    }
    let report = VerifyReports::new(arguments.image.reference.clone(), reports);
    deliver(&arguments.output, &surroundings.printer, &report)?;
    Ok(if report.imports() { ExitStatus::Done } else { ExitStatus::WouldNotImport })
}
