//! Any text as patterns and names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winslim::layer::FoldedPath;
use winslim::profile::PatternSet;

fuzz_target!(|input: (Vec<&str>, &str)| {
    let (patterns, name) = input;
    let Ok(set) = PatternSet::parse(&patterns) else { return };
    let folded = FoldedPath::new(name);
    let mut numbers = Vec::new();
    set.matches_into(folded.as_str(), &mut numbers);
    assert_eq!(set.is_match(folded.as_str()), !numbers.is_empty());
    assert_eq!(set.matches(folded.as_str()), numbers.first().copied());
});
