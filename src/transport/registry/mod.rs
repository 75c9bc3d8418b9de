//! Images of registries, by the OCI distribution specification.
//!
//! A [`Registry`] pulls and pushes documents and blobs. What it does for its callers: it finds the credentials, gets
//! and renews tokens, tries again after failures that pass, continues downloads where they broke, checks sizes and
//! digests, and knows the peculiarities of single registries. All its methods may run side by side.

mod auth;
mod challenge;
mod client;
mod connections;
mod credentials;
mod docker_config;
mod docker_hub;
mod elsewhere;
mod error;
mod foreign;
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod helper;
mod host_name;
mod identity;
mod mirror;
mod options;
mod pace;
mod permission;
mod problem;
mod pull;
mod push;
mod quirks;
mod reach;
mod referrer;
mod referrers_of;
mod retry;
mod session;
mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use self::auth::{Access, Scope};
use self::client::Host;
use self::credentials::{Credentials, Environment};
use self::elsewhere::Elsewhere;
pub use self::error::RegistryError;
use self::helper::Helpers;
pub use self::options::{
    AddressHost, Limits, Login, Mirror, OptionError, PushMode, RegistryName, RegistryOptions, Tls,
};
use self::problem::Problem;
use self::retry::Retries;
use self::upload::Location;
use super::RegistryReference;

/// A client of all registries that a command has to do with.
pub struct Registry {
    options: RegistryOptions,
    environment: Environment,
    helpers: Helpers,
    /// For hosts that are not registries: they never get credentials of a registry.
    elsewhere: Arc<Elsewhere>,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
    access: Mutex<BTreeMap<Scope, Arc<Access>>>,
    /// Uploads that were begun and have no bytes yet, by `REGISTRY/REPOSITORY`: they are for the next blobs.
    begun: Mutex<BTreeMap<String, Vec<Location>>>,
    /// Mirrors that could not be reached, and are not asked again.
    lost_mirrors: Mutex<BTreeSet<String>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Registry {
    /// A client with these options. Nothing is sent yet.
    ///
    /// # Errors
    /// When TLS certificates or a proxy's address in the environment cannot be used.
    pub fn new(options: &RegistryOptions) -> Result<Registry, RegistryError> {
        Ok(Registry {
            options: options.clone(),
            environment: Environment::of_process(),
            helpers: Helpers::new(options.limits.helper),
            elsewhere: Arc::new(Elsewhere::new(options, Tls::default())?),
            hosts: Mutex::default(),
            access: Mutex::default(),
            begun: Mutex::default(),
            lost_mirrors: Mutex::default(),
        })
    }

    /// The tries for one piece of work.
    fn retries(&self, scope: &Scope) -> Retries {
        let mirrors = || self.options.mirrors.values().flatten();
        let is_mirror = !scope.push && mirrors().any(|mirror| mirror.registry == scope.registry);
        if is_mirror { Retries::of_mirror(self.options.limits) } else { Retries::new(self.options.limits) }
    }

    async fn host(&self, registry: &str) -> Result<Arc<Host>, RegistryError> {
        let mut hosts = self.hosts.lock().await;
        if let Some(host) = hosts.get(registry) {
            return Ok(Arc::clone(host));
        }
        let host = Arc::new(Host::new(registry, &self.options, &self.elsewhere)?);
        hosts.insert(registry.to_owned(), Arc::clone(&host));
        Ok(host)
    }

    /// The access for a scope: asked for once, however many transfers need it at the same time.
    async fn access(&self, host: &Host, scope: &Scope) -> Result<Arc<Access>, Problem> {
        let mut known = self.access.lock().await;
        if let Some(access) = known.get(scope) {
            return Ok(Arc::clone(access));
        }
        let credentials = self.credentials(scope).await?;
        let access = Arc::new(Access::obtain(host, scope, &credentials).await?);
        known.insert(scope.clone(), Arc::clone(&access));
        Ok(access)
    }

    /// Forgets an access that the registry refused, unless another transfer has got a new one meanwhile.
    async fn forget(&self, scope: &Scope, refused: &Arc<Access>) {
        let mut known = self.access.lock().await;
        if known.get(scope).is_some_and(|access| Arc::ptr_eq(access, refused)) {
            known.remove(scope);
        }
    }

    async fn credentials(&self, scope: &Scope) -> Result<Credentials, RegistryError> {
        if let Some(login) = self.options.login.as_ref().filter(|login| login.registry == scope.registry) {
            return Ok(Credentials::of_login(login));
        }
        let (environment, helpers, scope) = (self.environment.clone(), self.helpers.clone(), scope.clone());
        // Files and helpers block.
        let found = tokio::task::spawn_blocking(move || {
            Credentials::find(&environment, &helpers, &scope.registry, scope.repository.as_str())
        });
        found.await.map_err(|error| RegistryError::Setup(format!("looking for credentials failed: {error}")))?
    }
}

/// The scope for reading from a repository.
fn pull_scope(reference: &RegistryReference) -> Scope {
    Scope {
        registry: reference.registry.clone(),
        repository: reference.repository.clone(),
        push: false,
        mount_from: None,
    }
}

/// The scope for writing to a repository.
fn push_scope(reference: &RegistryReference) -> Scope {
    Scope { push: true, ..pull_scope(reference) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_client_is_shown_but_its_options() {
        let registry =
            Registry::new(&RegistryOptions { plain_http: vec!["a.example".to_owned()], ..Default::default() });
        let shown = format!("{:?}", registry.unwrap());
        assert!(shown.starts_with(r#"Registry { options: RegistryOptions { plain_http: ["a.example"],"#), "{shown}");
    }

    /// Transfers run as tasks of a runtime with several threads, which only compiles when their futures are `Send`.
    #[expect(dead_code, reason = "it has to compile, not to run")]
    fn transfers_can_be_tasks(
        registry: &Registry,
        reference: &RegistryReference,
        descriptor: &crate::image::Descriptor,
        document: &crate::image::Document,
        store: &crate::store::Store,
    ) {
        fn is_send(_: impl Send) {}
        let (task, path) = (&crate::progress::Silent, std::path::Path::new(""));
        is_send(registry.document(reference));
        is_send(registry.pull_small(reference, descriptor));
        is_send(registry.pull_blob(reference, descriptor, store, task));
        is_send(registry.push_blob(reference, &descriptor.digest, 0, path, None, task));
        is_send(registry.push_document(reference, document, None));
        is_send(registry.push_referrer(reference, document, document));
        is_send(registry.check_push(reference));
    }
}
