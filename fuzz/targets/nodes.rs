//! Any bytes as what `kubectl get nodes` printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winslim::windows::machines::Machine;
use winslim::windows::nodes;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(nodes) = nodes::read(bytes) {
        Machine::of_nodes(&nodes);
    }
});
