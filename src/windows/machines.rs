//! The machines that are asked about: nodes that are alike count as one.

use std::collections::HashMap;

use super::compatibility::{Engine, Isolation, Offer, Outcome, Verdict, judge};
use super::host::Host;
use super::nodes::{Node, Taint, Windows};

/// A host, and the nodes that are like it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    /// The Windows on it.
    pub host: Host,
    /// Its processor architecture in Go's words.
    pub architecture: String,
    /// Its container engine as its nodes report it, if there are nodes.
    pub runtime: Option<String>,
    /// The nodes that are like this.
    pub nodes: Vec<String>,
    /// What keeps pods off these nodes; nothing where that is not known.
    pub taints: Option<Vec<Taint>>,
}

/// How an image gets along with a machine under one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The engine.
    pub engine: Engine,
    /// Whether it is the one that the nodes have.
    pub in_use: bool,
    /// What it does.
    pub verdict: Verdict,
}

/// A node that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What it is called.
    pub name: String,
    /// Why not.
    pub reason: String,
    /// Whether it has a Windows, of which only the version is not known: nobody can tell what runs there.
    pub is_windows: bool,
}

impl Machine {
    /// A machine of a host, without nodes.
    pub fn of(host: Host) -> Machine {
        Machine { host, architecture: "amd64".to_owned(), runtime: None, nodes: Vec::new(), taints: None }
    }

    /// The machines that the nodes are, in their order, and the nodes that are none.
    pub fn of_nodes(nodes: &[Node]) -> (Vec<Machine>, Vec<Skipped>) {
        let (mut machines, mut skipped): (Vec<Machine>, Vec<Skipped>) = (Vec::new(), Vec::new());
        let mut numbers: HashMap<Machine, usize> = HashMap::new();
        for node in nodes {
            let mut skip = |reason: String, is_windows: bool| {
                skipped.push(Skipped { name: node.name.clone(), reason, is_windows });
            };
            let host = match &node.windows {
                Some(Windows::Known(host)) => host.clone(),
                Some(Windows::Unknown(text)) => {
                    skip(format!("its version of Windows is not known: `{text}`"), true);
                    continue;
                }
                None => {
                    skip(format!("no Windows: {}", node.os_image), false);
                    continue;
                }
            };
            let machine = Machine {
                architecture: node.architecture.clone().unwrap_or_else(|| "amd64".to_owned()),
                runtime: Some(node.runtime.clone()),
                nodes: Vec::new(),
                taints: node.taints.clone(),
                ..Machine::of(host)
            };
            let number = *numbers.entry(machine).or_insert_with_key(|machine| {
                machines.push(machine.clone());
                machines.len() - 1
            });
            machines[number].nodes.push(node.name.clone());
        }
        (machines, skipped)
    }

    /// How the machine gets along with what a tag leads to, under containerd and under Docker.
    pub fn judge(&self, offer: &Offer) -> [Judgement; 2] {
        let own = self.runtime.as_deref().and_then(Engine::of_runtime);
        let containerd = own.filter(|engine| *engine != Engine::Docker).unwrap_or(Engine::Containerd);
        [containerd, Engine::Docker].map(|engine| Judgement {
            engine,
            in_use: own == Some(engine),
            verdict: judge(&self.host, &self.architecture, engine, offer),
        })
    }

    /// Whether a container runs with the isolation that the machine has by default: under the engine that it has, or if that
    /// is not known, under any.
    pub fn runs(&self, judgements: &[Judgement]) -> bool {
        let isolation = Isolation::default_of(&self.host);
        let known = judgements.iter().any(|judgement| judgement.in_use);
        let counting = judgements.iter().filter(|judgement| judgement.in_use || !known);
        counting.map(|judgement| judgement.verdict.answer(isolation)).any(|answer| answer.outcome != Outcome::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Platform;
    use crate::windows::nodes::parse;

    fn offer(version: &str) -> Offer {
        let platform = Platform {
            os: "windows".to_owned(),
            architecture: "amd64".to_owned(),
            os_version: Some(version.to_owned()),
            ..Platform::default()
        };
        Offer::of_index(vec![platform])
    }

    #[test]
    fn nodes_that_are_alike_are_one_machine() {
        let header = "NAME  OS-IMAGE  KERNEL-VERSION  CONTAINER-RUNTIME";
        let nodes = parse(&format!(
            "{header}\na  Windows Server 2022  10.0.20348.1  containerd://1.7.20\nb  Ubuntu  5.15  containerd://1.7.20\n\
             c  Windows Server 2022  10.0.20348.1  containerd://1.7.20\nd  Windows Server 2022  10.0.20348.2  docker://20.10.9\n\
             e  Windows Server  <unknown>  docker://20.10.9\n"
        ));
        let (machines, skipped) = Machine::of_nodes(&nodes.unwrap());
        let names: Vec<_> = machines.iter().map(|machine| machine.nodes.join(",")).collect();
        assert_eq!(names, ["a,c", "d"]);
        let skipped: Vec<_> =
            skipped.iter().map(|node| (node.name.as_str(), node.reason.as_str(), node.is_windows)).collect();
        assert_eq!(skipped[0], ("b", "no Windows: Ubuntu", false));
        assert_eq!(skipped[1], ("e", "its version of Windows is not known: `<unknown>`", true));
        let in_use = |machine: &Machine| machine.judge(&offer("10.0.20348.1")).map(|judgement| judgement.in_use);
        assert_eq!((in_use(&machines[0]), in_use(&machines[1])), ([true, false], [false, true]));
    }

    #[test]
    fn grouping_takes_time_in_proportion_to_the_nodes() {
        let node = |number: u32| Node {
            name: format!("n{number}"),
            windows: Some(Windows::Known(Host::of(format!("10.0.20348.{number}").parse().unwrap()))),
            os_image: String::new(),
            runtime: String::new(),
            architecture: None,
            taints: None,
        };
        // Every pair of 200,000 nodes compared would take many minutes.
        let begin = std::time::Instant::now();
        let (machines, _) = Machine::of_nodes(&(0..200_000).map(node).collect::<Vec<_>>());
        assert_eq!(machines.len(), 200_000);
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "{:?}", begin.elapsed());
    }

    #[test]
    fn what_runs_is_asked_with_the_default_isolation() {
        for (host, image, runs) in [
            ("10.0.17763.8511", "10.0.17763.8511", true),
            ("10.0.20348.1", "10.0.17763.8511", false),
            ("10.0.19045.1", "10.0.17763.8511", true),
            ("10.0.19045.1", "10.0.20348.1", false),
            ("10.0.14393", "10.0.14393.1", true),
        ] {
            let machine = Machine::of(Host::of(host.parse().unwrap()));
            assert_eq!(machine.runs(&machine.judge(&offer(image))), runs, "{image} on {host}");
        }
    }
}
