//! Any bytes as the headers of an entry: records read as they are written, and edited headers can be scanned.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winslim::layer::header::{HeaderEdit, edit};
use winslim::layer::pax::{push_record, records};

fuzz_target!(|input: (&str, Vec<u8>)| {
    let (name, body) = input;
    let mut written = Vec::new();
    for record in records(&body).map_while(|record| record) {
        push_record(&mut written, record.key, record.value);
    }
    assert!(records(&written).all(|record| record.is_some()));
    let change = HeaderEdit { path: Some(name), link: None };
    if let Ok(edited) = edit(&body, change) {
        assert!(edited.len().is_multiple_of(512));
        assert_eq!(edit(&edited, HeaderEdit::default()).as_deref(), Ok(&*edited));
    }
});
