//! Asking whether a repository takes pushes, before anything is downloaded or rewritten for it.

use super::auth::Access;
use super::client::Host;
use super::error::RegistryError;
use super::problem::Problem;
use super::session::Session;
use super::upload::Location;
use super::{Registry, push_scope};
use crate::transport::RegistryReference;

impl Registry {
    /// Checks that blobs may be pushed to the repository of `target`: begins an upload, and gives it up again.
    ///
    /// Where an upload cannot be given up, it is kept for the first blob.
    ///
    /// # Errors
    /// When the registry cannot be reached, refuses access, or does not have the repository and does not make it.
    pub async fn check_push(&self, target: &RegistryReference) -> Result<(), RegistryError> {
        let action = format!("push to {}", target.name());
        match self.try_push(target).await {
            Ok(None) => Ok(()),
            Ok(Some(location)) => {
                self.keep_begun(target, location).await;
                Ok(())
            }
            // It takes blobs in another way, or none that it does not have.
            Err(problem) if matches!(problem.status(), Some(405 | 501)) => Ok(()),
            Err(problem) if problem.status() == Some(404) => Err(RegistryError::NoRepository {
                registry: target.registry.clone(),
                repository: target.repository.clone(),
            }),
            Err(problem) => Err(problem.into_error(&action, &target.registry)),
        }
    }

    /// Begins an upload and gives it up. Returns where it is if it cannot be given up.
    async fn try_push(&self, target: &RegistryReference) -> Result<Option<Location>, Problem> {
        let mut session = Session::new(self, push_scope(target)).await?;
        loop {
            let access = session.access().await?;
            let host = session.host();
            match Location::begin(host, &target.repository, &access, session.attempt()).await {
                Ok(location) => return Ok(give_up(host, location, &access).await),
                Err(problem) => session.failed(problem).await?,
            }
        }
    }

    /// Keeps an upload that was begun for the next blob that goes to the repository.
    pub(super) async fn keep_begun(&self, target: &RegistryReference, location: Location) {
        self.begun.lock().await.entry(target.name()).or_default().push(location);
    }

    /// An upload that was begun before, once.
    pub(super) async fn take_begun(&self, target: &RegistryReference) -> Option<Location> {
        self.begun.lock().await.get_mut(&target.name())?.pop()
    }
}

async fn give_up(host: &Host, location: Location, access: &Access) -> Option<Location> {
    match location.give_up(host, access).await {
        Ok(()) => None,
        Err(problem) => {
            tracing::info!(reason = problem.describe(), "the upload cannot be given up; it is for the first blob");
            Some(location)
        }
    }
}
