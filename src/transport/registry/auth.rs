//! Access to a repository: what the registry and its token server want to see, and what they gave.
//!
//! The distribution specification's token authentication: the registry answers `/v2/` with a challenge, its token
//! server gives a token for a scope. Done before any transfer, so that a wrong password is reported in the server's own
//! words.

use std::fmt;

use http_auth::ChallengeRef;
use http_auth::parser::ChallengeParser;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{RequestBuilder, Url};
use serde_json::Value;

use super::client::{Host, execute, read_bounded, stalled};
use super::credentials::{Credentials, Identity, password_secrets};
use super::problem::Problem;

/// The most bytes of a token server's answer.
const MAX_TOKEN_SIZE: u64 = 1 << 20;

/// What one piece of work has to be allowed to do, in one repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    /// Host of the registry, as it was written.
    pub registry: String,
    /// Path of the repository.
    pub repository: String,
    /// Whether to push, too.
    pub push: bool,
    /// Another repository to mount blobs from.
    pub mount_from: Option<String>,
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
    let stall = host.limits.stall;
    let asked = execute(host.http.get(host.base_url()), &host.elsewhere, 1);
    let response = tokio::time::timeout(stall, asked).await.unwrap_or_else(|_| Err(stalled(stall)))?;
    let challenges: Vec<String> = response
        .headers()
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    if response.status().is_success() {
        return Ok(Authorization::None);
    }
    if challenges.is_empty() {
        // A registry that is open for reading may still answer 403 or 404 here; one in trouble is asked again.
        let problem = Problem::of_response(response).await;
        return if problem.is_transient() { Err(problem) } else { Ok(Authorization::None) };
    }
    match Challenge::choose(&challenges) {
        Some(Challenge::Bearer { realm, service }) => {
            token(host, scope, identity, &realm, service.as_deref()).await.map(Authorization::Bearer)
        }
        Some(Challenge::Basic) => Ok(match identity {
            Identity::Password { username, password } => {
                Authorization::Basic { username: username.clone(), password: password.clone() }
            }
            Identity::Anonymous | Identity::Token(_) => Authorization::None,
        }),
        None => Ok(Authorization::None),
    }
}

/// Gets a token from the token server that the challenge names.
async fn token(
    host: &Host,
    scope: &Scope,
    identity: &Identity,
    realm: &str,
    service: Option<&str>,
) -> Result<String, Problem> {
    let broken = |reason: String| Problem::Network { reason, transient: false };
    let mut url =
        Url::parse(realm).map_err(|_| broken("its challenge names no proper address of a token server".to_owned()))?;
    // Whoever changes an answer on its way must not get a password that would have gone over TLS.
    if url.scheme() != "https" && !host.plain && *identity != Identity::Anonymous {
        return Err(broken("it asks to send credentials to a token server without TLS".to_owned()));
    }
    let request = if let Identity::Token(refresh) = identity {
        let scopes = scope.names().join(" ");
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("client_id", "winslim"),
            ("scope", scopes.as_str()),
            ("refresh_token", refresh.as_str()),
        ];
        form.extend(service.map(|service| ("service", service)));
        host.elsewhere.post(url).form(&form)
    } else {
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .extend_pairs(scope.names().iter().map(|name| ("scope", name)));
        let request = host.elsewhere.get(url);
        match identity {
            Identity::Password { username, password } => request.basic_auth(username, Some(password)),
            _ => request,
        }
    };
    let body = read_bounded(host.send(request, 1).await?, MAX_TOKEN_SIZE, host.limits.stall).await?;
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    let field = |name: &str| answer.as_ref()?.get(name)?.as_str().filter(|token| !token.is_empty());
    let token = field("token").or_else(|| field("access_token"));
    token.map(str::to_owned).ok_or_else(|| broken("its token server answered without a token".to_owned()))
}

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Bearer { realm: String, service: Option<String> },
    Basic,
}

impl Challenge {
    /// The best of the challenges in the `WWW-Authenticate` headers.
    fn choose(headers: &[String]) -> Option<Challenge> {
        let challenges: Vec<ChallengeRef<'_>> =
            headers.iter().flat_map(|header| ChallengeParser::new(header).map_while(Result::ok)).collect();
        let parameter = |challenge: &ChallengeRef<'_>, name: &str| {
            let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let bearer = challenges.iter().filter(|challenge| challenge.scheme.eq_ignore_ascii_case("Bearer")).find_map(
            |challenge| {
                let realm = parameter(challenge, "realm")?;
                Some(Challenge::Bearer { realm, service: parameter(challenge, "service") })
            },
        );
        let basic = challenges.iter().any(|challenge| challenge.scheme.eq_ignore_ascii_case("Basic"));
        bearer.or(basic.then_some(Challenge::Basic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_read() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        let cases: [(&[&str], Option<Challenge>); 6] = [
            (
                &[r#"Bearer realm="https://a.example/token",service="a.example""#],
                bearer("https://a.example/token", Some("a.example")),
            ),
            (&[r#"bearer realm="https://a.example/token",scope="x:y,z""#], bearer("https://a.example/token", None)),
            (&[r#"Basic realm="x""#], Some(Challenge::Basic)),
            (&[r#"Basic realm="x""#, r#"Bearer realm="https://a.example/""#], bearer("https://a.example/", None)),
            (&["Negotiate"], None),
            (&["=== not a challenge"], None),
        ];
        for (headers, expected) in cases {
            let headers: Vec<String> = headers.iter().map(|&header| header.to_owned()).collect();
            assert_eq!(Challenge::choose(&headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_mount_may_read_its_source() {
        let scope = Scope {
            registry: "a.example".to_owned(),
            repository: "new/app".to_owned(),
            push: true,
            mount_from: Some("windows/base".to_owned()),
        };
        assert_eq!(scope.names(), ["repository:new/app:pull,push", "repository:windows/base:pull"]);
    }

    #[test]
    fn secrets_are_not_shown() {
        let access = Access { authorization: Authorization::Bearer("SECRET".to_owned()), advice: String::new() };
        assert!(!format!("{access:?}").contains("SECRET"));
    }
}
