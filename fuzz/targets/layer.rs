//! Any bytes as two layers of an image: indexed, stored and read back, measured, verified and planned.
#![no_main]

use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use winslim::image::Platform;
use winslim::inspect::SizeModel;
use winslim::layer::{LayerIndex, LayerStack, order};
use winslim::profile::{self, RuleSet};
use winslim::verify::{ImageFacts, Subject, verify};
use winslim::windows::program::Start;

/// Few patterns, because a plan compiles them each time.
const PROFILE: &str = r#"
schema = 1
name = "fuzz"
summary = "Removes something from most inputs"
risk = "low"
[[remove]]
id = "all"
paths = ['Windows\WinSxS', '*.txt', 'UtilityVM:\**']
except = ['Windows\WinSxS\a*']
reason = "to try it"
[[keep]]
paths = ['link']
[layers]
shadowed = "drop"
"#;

static RULES: LazyLock<RuleSet> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("profile.toml");
    std::fs::write(&file, PROFILE).expect("a temporary file");
    profile::load(&[file.to_str().expect("a path in UTF-8")]).expect("a profile")
});

fuzz_target!(|layers: (&[u8], &[u8])| {
    let mut indexes = Vec::new();
    for layer in [layers.0, layers.1] {
        let Ok(index) = LayerIndex::read(Cursor::new(layer), |_| {}) else { continue };
        assert_eq!(LayerIndex::decode(&index.encode(), &index.digest).as_ref(), Some(&index));
        indexes.push(Arc::new(index));
    }
    let stack = LayerStack::new(indexes);
    let image = ImageFacts {
        platform: Platform::default(),
        diff_ids: Vec::new(),
        layers: Vec::new(),
        history: None,
        index_platform: None,
        start: Start::default(),
    };
    verify(&Subject { stack: &stack, image });
    let model = SizeModel::new(&stack);
    model.list(&order::places(stack.names()), |_| true);
    model.dead();
    let _ = winslim::plan::plan(&stack, &RULES, &[]);
});
