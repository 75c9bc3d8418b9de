//! `winslim verify`: would a Windows host import the images of a tag?

use anyhow::Result;

use super::choice::{self as platforms, Where};
use super::output::deliver;
use super::surroundings::Surroundings;
use crate::cli::Verify;
use crate::engine::{check_blobs, find_all, verify_image};
use crate::error::ExitStatus;
use crate::report::verify::{Blobs, VerifyReport, VerifyReports};
use crate::transport::Reference;
use crate::verify::choice;

pub(super) async fn run(arguments: Verify, surroundings: &Surroundings) -> Result<ExitStatus> {
    let reference: Reference = arguments.image.reference.parse()?;
    let platform = arguments.image.platform.as_deref().map(str::parse).transpose()?;
    let found = find_all(&reference, platform.as_ref(), &surroundings.session).await;
    let found = found.map_err(|error| platforms::explain(error, Where::Option("--platform")))?;
    let several = found.images.len() > 1;
    let mut reports = Vec::new();
    for (number, image) in found.images {
        let base = image.index(None).await?;
        let image = &base.image;
        let mut findings = verify_image(&base.stack, &image.config, &image.manifest, image.index_entry());
        if let Some(entries) = &found.index {
            findings.extend(choice::is_taken(entries, &found.platforms, number));
        }
        let checked = check_blobs(&base).await?;
        let blobs = Blobs { read: checked.read, cached: checked.known };
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
