//! What commands that work on images share.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use etcetera::BaseStrategy;

use super::events::Printed;
use super::failure::Usage;
use crate::bytes::ByteSize;
use crate::cli::Global;
use crate::engine::Session;
use crate::error::IoContext;
use crate::printer::Printer;
use crate::store::Store;
use crate::temporary::TemporaryDirectory;
use crate::transport::RegistryOptions;

/// What commands that work on images need beside their arguments.
pub(super) struct Surroundings {
    pub(super) session: Session,
    pub(super) printer: Printer,
    /// Directories in which profiles may name files, besides their own.
    pub(super) allowed: Vec<PathBuf>,
}

impl Surroundings {
    pub(super) fn new(global: &Global, registry: RegistryOptions, printer: Printer) -> Result<Surroundings> {
        let store = Store::open(cache_directory(global)?)?;
        Surroundings::with(store, global, registry, printer)
    }

    /// For commands that only read documents: without a cache, a temporary directory takes its place.
    pub(super) fn without_cache(
        global: &Global,
        registry: RegistryOptions,
        printer: Printer,
        directory: &OnceCell<TemporaryDirectory>,
    ) -> Result<Surroundings> {
        let store = match cache_directory(global).and_then(|directory| Ok(Store::open(directory)?)) {
            Ok(store) => store,
            Err(error) => {
                tracing::info!(error = format!("{error:#}"), "there is no cache, and this command needs none");
                let place = std::env::temp_dir();
                let made = TemporaryDirectory::new_in(&place).context_path("create a directory in", &place)?;
                Store::open_private(directory.get_or_init(|| made).path())?
            }
        };
        Surroundings::with(store, global, registry, printer)
    }

    fn with(store: Store, global: &Global, registry: RegistryOptions, printer: Printer) -> Result<Surroundings> {
        let session = Session {
            registry,
            progress: Arc::from(printer.progress()),
            events: Arc::new(Printed(printer)),
            max_unpacked: global.max_unpacked.as_deref().map(|text| size("--max-unpacked", text)).transpose()?,
            ..Session::new(store)
        };
        Ok(Surroundings { session, printer, allowed: global.allow_path.clone() })
    }
}

/// A size such as `20GB`, `500 MiB` or `0`, given with this option.
pub(super) fn size(option: &str, text: &str) -> Result<u64, Usage> {
    let ByteSize(bytes) = text.parse().map_err(|error| Usage(format!("{option} `{text}` {error}")))?;
    Ok(bytes)
}

pub(super) fn cache_directory(global: &Global) -> Result<PathBuf> {
    if let Some(directory) = &global.cache_dir {
        return Ok(directory.clone());
    }
    let strategy = etcetera::choose_base_strategy()
        .map_err(|_| anyhow::anyhow!("there is no home directory to keep the cache in; name one with --cache-dir"))?;
    Ok(strategy.cache_dir().join("winslim"))
}
