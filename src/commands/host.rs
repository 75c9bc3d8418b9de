//! `winslim host`: on which Windows hosts an image runs, and which base images fit hosts.

use std::fs;
use std::io::{self, Read};

use anyhow::{Context, Result};

use super::failure::Usage;
use super::{Surroundings, deliver};
use crate::cli;
use crate::error::{ExitStatus, IoContext};
use crate::printer::Failure;
use crate::report::host::HostReport;
use crate::transport::{Reference, Source};
use crate::windows::compatibility;
use crate::windows::host::Host;
use crate::windows::machines::{Machine, Skipped};
use crate::windows::nodes;

pub(super) async fn run(arguments: cli::Host, surroundings: &Surroundings) -> Result<ExitStatus> {
    let (machines, skipped) = machines(&arguments)?;
    let report = match &arguments.image {
        None => HostReport::of_base_tags(&machines, skipped),
        Some(image) => {
            let reference: Reference = image.parse()?;
            let source = Source::open(&reference, &surroundings.registry, &surroundings.store).await?;
            let found = source.images().await?;
            let is_windows = |number: &usize| found.images[*number].1.os == "windows";
            let windows: Vec<usize> = (0..found.images.len()).filter(is_windows).collect();
            if windows.is_empty() {
                return Err(Usage(format!("there is no image for Windows at `{reference}`")).into());
            }
            let images: Vec<_> = windows.iter().map(|&number| found.images[number].clone()).collect();
            let number = |number: usize| windows.binary_search(&number).ok();
            let index = found.index.map(|entries| entries.iter().map(|entry| entry.renumbered(&number)).collect());
            HostReport::of_image(reference.to_string(), &images, index, &machines, skipped)
        }
    };
    if report.is_empty() {
        surroundings.printer.warn("there is no Windows host among the nodes");
    }
    deliver(&arguments.output, &surroundings.printer, &report)?;
    let failing: Vec<String> = report.failing().collect();
    if !arguments.check || failing.is_empty() {
        return Ok(ExitStatus::Done);
    }
    let message = format!("the image does not run on: {}", failing.join("; "));
    surroundings.printer.fail(&Failure { message: &message, status: Some(ExitStatus::Policy), ..Failure::default() });
    Ok(ExitStatus::Policy)
}

/// The machines that are asked about, and the nodes that are none of them.
fn machines(arguments: &cli::Host) -> Result<(Vec<Machine>, Vec<Skipped>)> {
    let hosts = &arguments.hosts;
    if let Some(file) = &hosts.nodes {
        let (name, bytes) = if file.as_os_str() == "-" {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).context("cannot read the nodes from standard input")?;
            ("standard input".to_owned(), bytes)
        } else {
            (format!("`{}`", file.display()), fs::read(file).context_path("read", file)?)
        };
        let nodes = nodes::read(&bytes);
        let nodes = nodes.map_err(|error| Usage(format!("cannot read the nodes from {name}: {error}")))?;
        return Ok(Machine::of_nodes(&nodes));
    }
    let machines = match &hosts.build {
        Some(build) => vec![Machine::of(Host::of(*build))],
        None => compatibility::hosts().map(Machine::of).collect(),
    };
    Ok((machines, Vec::new()))
}
