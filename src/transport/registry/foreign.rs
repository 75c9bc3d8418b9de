//! Foreign layers of images that are not in a registry: a layout or an archive lacks them, and their manifest names URLs.

use std::path::PathBuf;

use super::Registry;
use super::error::RegistryError;
use super::pull::{Download, Foreign, begin};
use super::reach::Reach;
use crate::image::Descriptor;
use crate::progress::Task;
use crate::store::{Store, StoreError};

impl Registry {
    /// Pulls a foreign layer into the store, from the URLs of its manifest; `place` is what lacks it.
    ///
    /// The place is on this machine, and the user chose it, so the URLs may lead to this machine, too, but not to its
    /// link, where the metadata services of clouds are.
    pub async fn pull_foreign(
        &self,
        place: &str,
        descriptor: &Descriptor,
        store: &Store,
        task: &dyn Task,
    ) -> Result<PathBuf, RegistryError> {
        let action = format!("pull the foreign layer {} of {place}", descriptor.digest);
        let content = |error: StoreError| RegistryError::Content { action: action.clone(), error };
        let mut tried_anew = false;
        loop {
            let Some(partial) = begin(descriptor, store).await.map_err(content)? else {
                task.reset_to(descriptor.size);
                return Ok(store.blob_path(&descriptor.digest));
            };
            let mut download = Download::new(partial, descriptor, task, self.options.limits);
            if !download.is_complete() {
                let pulled = self.download_foreign(Reach::Local, &mut download).await;
                match pulled.map_err(|problem| problem.into_error(&action, place))? {
                    Foreign::Complete => {}
                    Foreign::Nowhere(attempts) => {
                        return Err(RegistryError::ForeignLayer {
                            repository: format!("`{place}`"),
                            digest: descriptor.digest,
                            attempts: attempts.join("; "),
                        });
                    }
                }
            }
            let in_pieces = download.in_pieces;
            match download.partial.finish() {
                // Pieces of different servers need not fit together.
                Err(StoreError::WrongDigest { .. }) if in_pieces && !tried_anew => tried_anew = true,
                result => return result.map_err(content),
            }
        }
    }
}
