//! Slims the bundled sample through the library: `cargo run --example slim -- oci:testdata/sample:ltsc2019 oci:small:ltsc2019 safe`.

#![expect(clippy::print_stdout, reason = "a program prints its result")]

use std::error::Error;

use winslim::engine::{self, Build, Cache, Job, Options, Session};
use winslim::profile;
use winslim::store::Store;
use winslim::transport::Reference;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, target, profiles @ ..] = arguments.as_slice() else {
        return Err("usage: slim BASE TARGET PROFILE…".into());
    };
    let base: Reference = base.parse()?;
    let rules = profile::load(profiles)?;
    let directory = tempfile::tempdir()?;
    let session = Session::new(Store::open(directory.path())?);

    let found = engine::find(&base, None, &session).await?;
    let cache = Cache::open(&[], None, true, &session)?;
    let job = Job { found, rules: &rules, target: target.parse()? };
    let delivery = Build::make(vec![job], Options::default(), &cache, &session).await?.deliver().await?;

    for (name, ledger) in delivery.tagged.iter().zip(&delivery.ledgers) {
        let totals = &ledger.totals;
        println!("{name}: {} bytes instead of {}", totals.compressed_after, totals.compressed_before);
    }
    Ok(())
}
