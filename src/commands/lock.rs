//! `winslim lock`: pins what a build file names, and says what moved since.

use std::collections::BTreeMap;

use anyhow::Result;
use futures_util::future::join_all;

use super::choice::Where;
use super::failure::Usage;
use super::output::{deliver, write_file};
use super::pins::{self, Wanted};
use super::surroundings::Surroundings;
use crate::build_file;
use crate::cli;
use crate::error::ExitStatus;
use crate::lock::{self, Drift, Lock, LockedBase};
use crate::report::lock::DriftReport;
use crate::text::Shown;

pub(super) async fn run(arguments: cli::Lock, surroundings: &Surroundings) -> Result<ExitStatus> {
    let file = build_file::load(&arguments.file, &surroundings.allowed)?;
    let path = pins::lock_path(&arguments.file);
    let old = lock::read(&path, &surroundings.allowed)?;
    let wanted = pins::wanted(&file, &[], &surroundings.allowed)?;
    let follows = follows(&arguments, &wanted)?;

    let old = old.unwrap_or_else(|| Lock::new(Vec::new()));
    let finds = wanted.iter().map(|wanted| {
        let locked = old.base(&wanted.inputs).filter(|_| !follows(wanted));
        async move {
            match locked {
                // What stays locked need not be looked up.
                Some(locked) => Ok(locked.pin.clone()),
                None => anyhow::Ok(pins::pin(&pins::find(&wanted.base, None, Where::BuildFile, surroundings).await?)),
            }
        }
    });
    let mut found = Vec::new();
    let mut failures = BTreeMap::new();
    for (number, pin) in join_all(finds).await.into_iter().enumerate() {
        match pin {
            Ok(pin) => found.push(Some(pin)),
            // A check shows what it can.
            Err(error) if arguments.check => {
                failures.insert(number, error);
                found.push(None);
            }
            Err(error) => return Err(error),
        }
    }
    let now: Vec<_> = wanted.iter().zip(&found).map(|(wanted, pin)| (wanted.inputs.clone(), pin.clone())).collect();
    let bases = wanted.iter().zip(found).filter_map(|(wanted, pin)| Some((wanted.inputs.clone(), pin?)));
    let new = Lock::new(bases.map(|(inputs, pin)| LockedBase { inputs, pin }).collect());
    let mut drift = Drift::new(&old, &now);
    for (number, error) in &failures {
        drift.bases[*number].unknown = Some(format!("{error:#}"));
    }
    for warning in drift.warnings() {
        surroundings.printer.warn(&warning);
    }
    let drifted = !drift.is_none();
    let written = !arguments.check && new != old;
    if written {
        write_file(&path, &Shown::of_escaped(new.to_toml()))?;
    }
    deliver(&arguments.output, &surroundings.printer, &DriftReport::new(path.display().to_string(), drift, written))?;
    if let Some(error) = failures.into_values().next() {
        return Err(error.context("not every tag can be looked up"));
    }
    Ok(if arguments.check && drifted { ExitStatus::Drift } else { ExitStatus::Done })
}

/// Whose tags are looked up although they are locked.
fn follows(arguments: &cli::Lock, wanted: &[Wanted]) -> Result<impl Fn(&Wanted) -> bool> {
    let named = arguments.update.clone();
    for image in named.iter().flatten() {
        if !wanted.iter().any(|wanted| wanted.base.image == *image) {
            let known: Vec<String> = wanted.iter().map(|wanted| format!("`{}`", wanted.base.image)).collect();
            return Err(
                Usage(format!("there is no base `{image}` in the build file; there is {}", known.join(", "))).into()
            );
        }
    }
    let all = arguments.check || named.as_ref().is_some_and(Vec::is_empty);
    Ok(move |wanted: &Wanted| all || named.iter().flatten().any(|image| *image == wanted.base.image))
}
