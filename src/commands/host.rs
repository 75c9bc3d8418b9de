//! `winslim host`: on which Windows hosts an image runs, and which base images fit hosts.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, Result};

use super::failure::Usage;
use super::output::deliver;
use super::surroundings::Surroundings;
use crate::cli;
use crate::engine::{REMOVED, UTILITY_VM, has_utility_vm};
use crate::error::{ExitStatus, IoContext};
use crate::image::Digest;
use crate::layer::LayerIndex;
use crate::layer::index::VERSION;
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
            let source = Source::open(&reference, &surroundings.session.registry, &surroundings.session.store).await?;
            let found = source.images().await?;
            let is_windows = |number: &usize| found.images[*number].1.os == "windows";
            let windows: Vec<usize> = (0..found.images.len()).filter(is_windows).collect();
            if windows.is_empty() {
                return Err(Usage(format!("there is no image for Windows at `{reference}`")).into());
            }
            let images: Vec<_> = windows.iter().map(|&number| found.images[number].clone()).collect();
            let number = |number: usize| windows.binary_search(&number).ok();
            let index = found.index.map(|entries| entries.iter().map(|entry| entry.renumbered(&number)).collect());
            let mut without_utility_vm = BTreeSet::new();
            for (number, (digest, _)) in images.iter().enumerate().take(MOST_MANIFESTS) {
                if lacks_utility_vm(&source, digest, surroundings).await? {
                    without_utility_vm.insert(number);
                }
            }
            HostReport::of_image(reference.to_string(), &images, index, without_utility_vm, &machines, skipped)
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

/// The most images of a tag whose manifests are read to find out whether they have a UtilityVM.
const MOST_MANIFESTS: usize = 100;

/// Whether an image is known to have no UtilityVM: winslim says so in the manifest of what it builds, and the index of a base
/// layer that an earlier command has read shows it. The base layer has a UtilityVM if any layer has.
async fn lacks_utility_vm(source: &Source, digest: &Digest, surroundings: &Surroundings) -> Result<bool> {
    let Some(manifest) = source.manifest_at(digest).await? else { return Ok(false) };
    if manifest.annotation(UTILITY_VM) == Some(REMOVED) {
        return Ok(true);
    }
    let Some(base) = manifest.layers.first() else { return Ok(false) };
    let stored = surroundings.session.store.read_index(VERSION, &base.digest)?;
    let index = stored.and_then(|bytes| LayerIndex::decode(&bytes, &base.digest));
    Ok(index.is_some_and(|index| !has_utility_vm(&index)))
}

/// The machines that are asked about, and the nodes that are none of them.
fn machines(arguments: &cli::Host) -> Result<(Vec<Machine>, Vec<Skipped>)> {
    let hosts = &arguments.hosts;
    if let Some(file) = &hosts.nodes {
        let (name, bytes) = if file.as_os_str() == "-" {
            let bytes = read_bounded(io::stdin().lock()).context("cannot read the nodes from standard input")?;
            ("standard input".to_owned(), bytes)
        } else {
            let bytes = File::open(file).and_then(read_bounded).context_path("read", file)?;
            (format!("`{}`", file.display()), bytes)
        };
        if bytes.len() as u64 > MAX_NODES {
            let text = format!(
                "the nodes from {name} have more than {} MiB; write them with `kubectl get nodes -o json` or `-o wide`",
                MAX_NODES >> 20
            );
            return Err(Usage(text).into());
        }
        let nodes = nodes::read(&bytes);
        let nodes = nodes.map_err(|error| Usage(format!("cannot read the nodes from {name}: {error}")))?;
        let (machines, skipped) = Machine::of_nodes(&nodes);
        if machines.len() > MOST_KINDS {
            let text =
                format!("the nodes from {name} are of more than {MOST_KINDS} kinds; give the nodes of one cluster");
            return Err(Usage(text).into());
        }
        return Ok((machines, skipped));
    }
    let machines = match &hosts.build {
        Some(build) => vec![Machine::of(Host::of(*build))],
        None => compatibility::hosts().map(Machine::of).collect(),
    };
    Ok((machines, Vec::new()))
}

/// The most different hosts that are asked about at once. Kubernetes supports 5,000 nodes, most of which are alike.
const MOST_KINDS: usize = 10_000;
/// The most bytes of a list of nodes: one of 5,000 nodes, the most that Kubernetes supports, has about 100 MB as JSON.
const MAX_NODES: u64 = 256 << 20;

/// All bytes of an input, or one more than there may be: a device or a pipe may have no end.
fn read_bounded(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_NODES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
