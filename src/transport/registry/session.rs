//! A piece of work in one repository, with the tries that it takes.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;

use super::Registry;
use super::auth::{Access, Scope};
use super::client::{Host, read_bounded};
use super::problem::Problem;
use super::retry::Retries;
use crate::image::document::MAX_DOCUMENT_SIZE;

/// How often a token is renewed without any progress: a registry whose tokens live shorter is of no use, and one that
/// wants better credentials says it with the same status.
const MAX_RENEWALS: usize = 3;

/// Tries something until it succeeds or no further try may help.
///
/// ```text
/// loop {
///     let access = session.access().await?;
///     match (one try).await {
///         Ok(value) => return Ok(value),
///         Err(problem) => session.failed(problem).await?,
///     }
/// }
/// ```
pub(super) struct Session<'a> {
    registry: &'a Registry,
    scope: Scope,
    host: Arc<Host>,
    access: Option<Arc<Access>>,
    retries: Retries,
    /// How often the access was renewed since the last progress.
    renewals: usize,
}

impl Registry {
    /// Sends a request whose answer is small, with access for a scope.
    pub(super) async fn fetch(
        &self,
        scope: Scope,
        build: impl Fn(&Host) -> RequestBuilder,
    ) -> Result<(HeaderMap, Bytes), Problem> {
        Session::new(self, scope).await?.fetch(build).await
    }
}

impl<'a> Session<'a> {
    /// Begins; nothing is sent yet.
    pub async fn new(registry: &'a Registry, scope: Scope) -> Result<Session<'a>, Problem> {
        let host = registry.host(&scope.registry).await?;
        let retries = registry.retries(&scope);
        Ok(Session { registry, scope, host, access: None, retries, renewals: 0 })
    }

    /// The registry.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Access for the next try.
    pub async fn access(&mut self) -> Result<Arc<Access>, Problem> {
        loop {
            match self.registry.access(&self.host, &self.scope).await {
                Ok(access) => {
                    self.access = Some(Arc::clone(&access));
                    return Ok(access);
                }
                Err(problem) => self.retries.pause(problem).await?,
            }
        }
    }

    /// The number of the present try, from 1.
    pub fn attempt(&self) -> usize {
        self.retries.attempt()
    }

    /// Begins to count the tries anew, because a good part of the work was done: a long transfer may break often, and may
    /// outlive several tokens.
    pub fn progressed(&mut self) {
        self.retries.restart();
        self.renewals = 0;
    }

    /// Waits before the next try, or gives the problem back when there should be none.
    ///
    /// A token that the registry does not like any longer is renewed at once, but not again and again.
    pub async fn failed(&mut self, problem: Problem) -> Result<(), Problem> {
        let Some(access) = self.access.take() else { return self.retries.pause(problem).await };
        if problem.status() == Some(401) && access.is_token() && self.renewals < MAX_RENEWALS {
            self.renewals += 1;
            self.registry.forget(&self.scope, &access).await;
            return Ok(());
        }
        self.retries.pause(access.explain(problem)).await
    }

    /// Sends a request whose answer is small, and returns the answer's headers and body.
    pub async fn fetch(&mut self, build: impl Fn(&Host) -> RequestBuilder) -> Result<(HeaderMap, Bytes), Problem> {
        loop {
            let request = self.access().await?.apply(build(&self.host));
            match fetch_once(&self.host, request, self.attempt()).await {
                Ok(answer) => return Ok(answer),
                Err(problem) => self.failed(problem).await?,
            }
        }
    }
}

async fn fetch_once(host: &Host, request: RequestBuilder, attempt: usize) -> Result<(HeaderMap, Bytes), Problem> {
    let _permit = host.permit().await;
    let response = host.send(request, attempt).await?;
    let headers = response.headers().clone();
    Ok((headers, read_bounded(response, MAX_DOCUMENT_SIZE, &host.limits).await?))
}
