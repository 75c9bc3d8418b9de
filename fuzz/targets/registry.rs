//! Any bytes as what a registry answers: challenges, locations, ranges, pauses, errors and documents. What people would see of it
//! is short and has no control characters, and only web servers are connected to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winslim::transport::registry::fuzzing::read_answer;

fuzz_target!(|input: &[u8]| {
    let Some((kind, input)) = input.split_first() else { return };
    let read = read_answer(*kind, input);
    for words in read.words {
        assert!(!words.chars().any(char::is_control), "{words:?}");
        assert!(words.chars().count() < 2000, "{words}");
    }
    for address in read.addresses {
        assert!(address.starts_with("http://") || address.starts_with("https://"), "{address}");
    }
});
