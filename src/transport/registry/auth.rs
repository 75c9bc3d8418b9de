//! Access to a repository: what the registry and its token server want to see, and what they gave.
//!
//! The distribution specification's token authentication: the registry answers `/v2/` with a challenge, its token
//! server gives a token for a scope. Done before any transfer, so that a wrong password is reported in the server's own
//! words.

use std::fmt;

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;

use super::challenge::Challenge;
use super::client::{Host, execute, read_bounded, stalled};
use super::credentials::{Credentials, password_secrets};
use super::identity::Identity;
use super::problem::Problem;
use super::reach::Reach;
use crate::transport::Repository;

/// The most bytes of a token server's answer.
const MAX_TOKEN_SIZE: u64 = 1 << 20;

/// What one piece of work has to be allowed to do, in one repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    /// Host of the registry, as it was written.
    pub registry: String,
    /// Path of the repository.
    pub repository: Repository,
    /// Whether to push, too.
    pub push: bool,
    /// Another repository to mount blobs from.
    pub mount_from: Option<Repository>,
}

impl Scope {
    /// The scopes in the words of the token specification.
    fn names(&self) -> Vec<String> {
        let actions = if self.push { "pull,push" } else { "pull" };
        let own = format!("repository:{}:{actions}", self.repository);
        let source = self.mount_from.iter().map(|source| format!("repository:{source}:pull"));
        std::iter::once(own).chain(source).collect()
    }
}

/// What is sent with each request.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Authorization {
    /// The registry is open to all.
    None,
    /// Name and password.
    Basic { username: String, password: String },
    /// A token.
    Bearer(String),
}

/// What a registry gave for a scope.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Access {
    pub authorization: Authorization,
    /// Which credentials were used, and what to do if they are refused.
    pub advice: String,
}

impl fmt::Debug for Access {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("advice", &self.advice).finish_non_exhaustive()
    }
}

impl Access {
    /// Asks a registry for access. The registry's refusal tells which credentials were used.
    pub async fn obtain(host: &Host, scope: &Scope, credentials: &Credentials) -> Result<Access, Problem> {
        let authorization = authorize(host, scope, &credentials.identity)
            .await
            .map_err(|problem| problem.without(&credentials.secrets()).with_credentials(&credentials.advice))?;
        Ok(Access { authorization, advice: credentials.advice.clone() })
    }

    /// Adds the authorization to a request to the registry itself.
    pub fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Authorization::None => request,
            Authorization::Basic { username, password } => request.basic_auth(username, Some(password)),
            Authorization::Bearer(token) => request.bearer_auth(token),
        }
    }

    /// Takes what was sent out of the words of an answer, and says which credentials were used.
    pub fn explain(&self, problem: Problem) -> Problem {
        let secrets = match &self.authorization {
            Authorization::None => Vec::new(),
            Authorization::Basic { username, password } => password_secrets(username, password),
            Authorization::Bearer(token) => vec![token.clone()],
        };
        problem.without(&secrets).with_credentials(&self.advice)
    }

    /// Whether the registry gave a token, which runs out some time.
    pub fn is_token(&self) -> bool {
        matches!(self.authorization, Authorization::Bearer(_))
    }
}

async fn authorize(host: &Host, scope: &Scope, identity: &Identity) -> Result<Authorization, Problem> {
    if let Identity::RegistryToken(token) = identity {
        return Ok(Authorization::Bearer(token.clone()));
    }
    let stall = host.limits.stall;
    let asked = execute(host.http.get(host.base_url()), &host.elsewhere, 1);
    let response = tokio::time::timeout(stall, asked).await.unwrap_or_else(|_| Err(stalled(stall)))?;
    let challenges: Vec<String> = response
        .headers()
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    let registry = host.elsewhere.reach_of(&response);
    if response.status().is_success() {
        return Ok(Authorization::None);
    }
    if challenges.is_empty() {
        // A registry that is open for reading may still answer 403 or 404 here; one in trouble is asked again.
        let problem = host.elsewhere.problem_of(response).await;
        return if problem.is_transient() { Err(problem) } else { Ok(Authorization::None) };
    }
    match Challenge::choose(challenges.iter().map(String::as_str)) {
        Some(Challenge::Bearer { realm, service }) => {
            let server = TokenServer { url: realm, service, namer: registry };
            token(host, scope, identity, server).await.map(Authorization::Bearer)
        }
        Some(Challenge::WithoutRealm) => Err(broken("its challenge names no proper address of a token server")),
        Some(Challenge::Basic) => Ok(match identity {
            Identity::Password { username, password } => {
                Authorization::Basic { username: username.clone(), password: password.clone() }
            }
            Identity::Anonymous | Identity::Token(_) | Identity::RegistryToken(_) => Authorization::None,
        }),
        None => Ok(Authorization::None),
    }
}

fn broken(reason: &str) -> Problem {
    Problem::Network { reason: reason.to_owned(), transient: false }
}

/// The token server that a challenge names.
struct TokenServer {
    url: Url,
    service: Option<String>,
    /// How public the registry is that names it.
    namer: Reach,
}

/// Gets a token from the token server that the challenge names.
async fn token(host: &Host, scope: &Scope, identity: &Identity, server: TokenServer) -> Result<String, Problem> {
    let TokenServer { mut url, service, namer } = server;
    // Whoever changes an answer on its way must not get a password that would have gone over TLS, nor name another host that
    // gets it without.
    let may_see_secrets = url.scheme() == "https" || host.plain && host.elsewhere.is_plain(&url);
    if !may_see_secrets && *identity != Identity::Anonymous {
        let name = url.host_str().unwrap_or_default().to_owned();
        let reason = match host.plain {
            true => format!(
                "which would get credentials without TLS; if that is right, allow it with `--plain-http {name}`"
            ),
            false => "which would get credentials without TLS".to_owned(),
        };
        return Err(Problem::Misled { host: name, reason });
    }
    let request = if let Identity::Token(refresh) = identity {
        let scopes = scope.names().join(" ");
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("client_id", "winslim"),
            ("scope", scopes.as_str()),
            ("refresh_token", refresh.as_str()),
        ];
        form.extend(service.as_deref().map(|service| ("service", service)));
        host.elsewhere.request(Method::POST, &url, namer)?.form(&form)
    } else {
        url.query_pairs_mut()
            .extend_pairs(service.as_deref().map(|service| ("service", service)))
            .extend_pairs(scope.names().iter().map(|name| ("scope", name)));
        let request = host.elsewhere.request(Method::GET, &url, namer)?;
        match identity {
            Identity::Password { username, password } => request.basic_auth(username, Some(password)),
            _ => request,
        }
    };
    let body = read_bounded(host.send(request, 1).await?, MAX_TOKEN_SIZE, &host.limits).await?;
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    let field = |name: &str| answer.as_ref()?.get(name)?.as_str().filter(|token| !token.is_empty());
    let token = field("token").or_else(|| field("access_token"));
    token.map(str::to_owned).ok_or_else(|| broken("its token server answered without a token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_may_read_its_source() {
        let scope = Scope {
            registry: "a.example".to_owned(),
            repository: "new/app".parse().unwrap(),
            push: true,
            mount_from: Some("windows/base".parse().unwrap()),
        };
        assert_eq!(scope.names(), ["repository:new/app:pull,push", "repository:windows/base:pull"]);
    }

    #[test]
    fn secrets_are_not_shown() {
        let access = Access { authorization: Authorization::Bearer("SECRET".to_owned()), advice: String::new() };
        assert!(!format!("{access:?}").contains("SECRET"));
    }
}
