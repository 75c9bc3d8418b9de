//! Any text as what people type: references, platforms, versions, digests and conditions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winslim::image::{Digest, OsVersion, PlatformRequest};
use winslim::inspect::policy::Condition;
use winslim::transport::Reference;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        let shown = reference.to_string();
        assert_eq!(shown.parse::<Reference>().as_ref(), Ok(&reference), "{shown}");
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    let _ = text.parse::<PlatformRequest>();
    let _ = text.parse::<OsVersion>();
    let _ = text.parse::<Condition>();
});
