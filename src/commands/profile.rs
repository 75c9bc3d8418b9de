//! `winslim profile`: what profiles there are, and whether one's own are right.

use std::path::PathBuf;

use anyhow::Result;

use crate::cli::Profile;
use crate::error::ExitStatus;
use crate::printer::Printer;
use crate::profile::{describe, load, load_allowing, schema};
use crate::text::Shown;

pub(super) fn run(verb: Profile, allowed: &[PathBuf], printer: &Printer) -> Result<ExitStatus> {
    match verb {
        Profile::List => printer.result(&Shown::lines(&describe::list()?))?,
        Profile::Show { profile, resolved: false } => printer.result(&Shown::lines(&load::text(&profile, allowed)?))?,
        Profile::Show { profile, resolved: true } => {
            printer.result(&describe::rules(&load_allowing(None, &[profile], allowed)?))?
        }
        Profile::Check { profiles } => {
            for profile in &profiles {
                let rules = load_allowing(None, &[profile], allowed)?;
                printer.result(&Shown::line(&format!("{profile}: {}", describe::summary(&rules))))?;
            }
        }
        Profile::Schema => printer.result(&schema::json_schema())?,
    }
    Ok(ExitStatus::Done)
}
