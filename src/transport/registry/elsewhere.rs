//! Other hosts than the registry: token servers, where registries keep their blobs, and the addresses of foreign layers.
//!
//! The registry or a manifest names them, so they never see more than the request itself, they may not be less public than
//! whoever names them, and nobody is led from TLS to plain HTTP.
//!
//! The limit holds for the address that is connected to. With a proxy that is the proxy's own address, and the proxy looks the
//! name up; then only addresses that are written as such, and `localhost`, can be refused.

use std::sync::OnceLock;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Method, RequestBuilder, Response, Url};

use super::connections::{client_builder, setup};
use super::error::RegistryError;
use super::host_name::{host_of, is_loopback};
use super::options::{RegistryOptions, Tls};
use super::problem::{Answer, Problem, retry_after};
use super::reach::{Inward, Reach, within};

/// The most bytes of an error's body that are read.
const MAX_ERROR_SIZE: usize = 64 << 10;

/// The connections to other hosts.
pub(super) struct Elsewhere {
    options: RegistryOptions,
    /// What they need beside the authorities of all hosts: never a client certificate.
    tls: Tls,
    proxies: Matcher,
    proxied: OnceLock<Client>,
    /// By how public their addresses have to be.
    direct: [OnceLock<Client>; 4],
}

impl Elsewhere {
    /// Prepares connections; nothing is sent yet.
    pub fn new(options: &RegistryOptions, tls: Tls) -> Result<Elsewhere, RegistryError> {
        let elsewhere = Elsewhere {
            options: options.clone(),
            tls,
            proxies: Matcher::from_system(),
            proxied: OnceLock::new(),
            direct: [const { OnceLock::new() }; 4],
        };
        // What is wrong with the settings shows here.
        elsewhere.proxied()?;
        Ok(elsewhere)
    }

    /// The proxy between here and an address, as `HOST:PORT`. This machine is never asked through one.
    pub fn proxy_of(&self, url: &Url) -> Option<String> {
        if is_loopback(url.host_str()?) {
            return None;
        }
        let proxy = self.proxies.intercept(&url.as_str().parse().ok()?)?;
        Some(proxy.uri().authority()?.to_string().rsplit('@').next()?.to_owned())
    }

    /// A request to an address that an answer from `namer` names.
    pub fn request(&self, method: Method, url: &Url, namer: Reach) -> Result<RequestBuilder, Problem> {
        Ok(self.client(url, namer)?.request(method, url.clone()))
    }

    /// The connections to an address that an answer from `namer` names.
    pub fn client(&self, url: &Url, namer: Reach) -> Result<&Client, Problem> {
        let host = url.host_str().unwrap_or_default();
        let is_allowed = self.options.allowed_hosts.iter().any(|allowed| allowed.is_of(url));
        let limit = if is_allowed { Reach::Link } else { namer };
        if let Some(reach) = Reach::of_literal(host).filter(|reach| *reach > limit) {
            return Err(Problem::Misled {
                host: host.to_owned(),
                reason: Inward { host: host.to_owned(), reach }.to_string(),
            });
        }
        Ok(if self.proxy_of(url).is_some() { self.proxied()? } else { self.direct(limit)? })
    }

    /// Fails if an answer from one address that names another would lead from TLS to plain HTTP, unless the user said that the
    /// other speaks nothing else.
    pub fn check_downgrade(&self, from: &Url, to: &Url) -> Result<(), Problem> {
        if from.scheme() != "https" || to.scheme() != "http" || self.is_plain(to) {
            return Ok(());
        }
        let host = to.host_str().unwrap_or_default().to_owned();
        let reason = format!("without TLS; if that is right, allow it with `--plain-http {host}`");
        Err(Problem::Misled { host, reason })
    }

    /// Whether the user said that a host speaks plain HTTP, at whatever port; this machine may always.
    pub fn is_plain(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let named = |plain: &String| host_of(plain).eq_ignore_ascii_case(host);
        is_loopback(host) || self.options.plain_http.iter().any(named)
    }

    /// How public the server is that gave an answer. Behind a proxy, that of its address if it is written as such; nobody knows
    /// what a name means there, so it counts as public.
    pub fn reach_of(&self, response: &Response) -> Reach {
        let url = response.url();
        match response.remote_addr() {
            Some(address) if self.proxy_of(url).is_none() => Reach::of(address.ip()),
            _ => Reach::of_literal(url.host_str().unwrap_or_default()).unwrap_or(Reach::Public),
        }
    }

    /// Reads the answer of a request that did not succeed.
    pub async fn problem_of(&self, mut response: Response) -> Problem {
        let status = response.status().as_u16();
        let reach = Some(self.reach_of(&response));
        let proxy = self.proxy_of(response.url());
        let retry_after = retry_after(response.headers());
        let mut body = Vec::new();
        // A body that breaks off says less, and the status still counts.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ERROR_SIZE {
                break;
            }
        }
        let mut answer = Answer { retry_after, reach, ..Answer::of_body(status, &body) };
        // A gateway's status is the proxy's own if the registry says nothing about it.
        if let Some(proxy) = proxy.filter(|_| matches!(status, 502..=504) && answer.message.is_empty()) {
            answer.message = format!("perhaps from the proxy {proxy}");
        }
        Problem::Answer(answer)
    }

    fn proxied(&self) -> Result<&Client, RegistryError> {
        built(&self.proxied, || client_builder(&self.options, &self.tls)?.build().map_err(setup))
    }

    fn direct(&self, limit: Reach) -> Result<&Client, RegistryError> {
        let place = match limit {
            Reach::Public => &self.direct[0],
            Reach::Private => &self.direct[1],
            Reach::Local => &self.direct[2],
            Reach::Link => &self.direct[3],
        };
        let resolver = Limited { limit };
        built(place, || {
            client_builder(&self.options, &self.tls)?.no_proxy().dns_resolver(resolver).build().map_err(setup)
        })
    }
}

fn built(
    place: &OnceLock<Client>,
    build: impl FnOnce() -> Result<Client, RegistryError>,
) -> Result<&Client, RegistryError> {
    if let Some(client) = place.get() {
        return Ok(client);
    }
    let client = build()?;
    Ok(place.get_or_init(|| client))
}

/// Looks names up, and gives only addresses that are public enough to whoever connects.
struct Limited {
    limit: Reach,
}

impl Resolve for Limited {
    fn resolve(&self, name: Name) -> Resolving {
        let limit = self.limit;
        Box::pin(async move {
            let host = name.as_str();
            let addresses = within(limit, host, tokio::net::lookup_host((host, 0)).await?)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elsewhere() -> Elsewhere {
        let options = RegistryOptions {
            plain_http: vec!["plain.example:5000".to_owned()],
            allowed_hosts: ["10.0.0.1", "10.0.0.2:8080"].map(|host| host.parse().unwrap()).to_vec(),
            ..RegistryOptions::default()
        };
        Elsewhere::new(&options, Tls::default()).unwrap()
    }

    #[test]
    fn nobody_is_led_to_an_address_that_is_less_public() {
        let elsewhere = elsewhere();
        let (public, private, local) = (Reach::Public, Reach::Private, Reach::Local);
        let cases = [
            ("https://8.8.8.8/", public, true),
            ("https://a.example/", public, true),
            ("https://192.168.0.1/", public, false),
            ("https://192.168.0.1/", private, true),
            ("https://127.0.0.1:5000/", private, false),
            ("https://127.0.0.1:5000/", local, true),
            // Nor is the metadata service of a cloud, by a layout on this machine.
            ("http://169.254.169.254/latest/meta-data", local, false),
            ("http://[fd00:ec2::254]/latest/meta-data", local, false),
            ("http://169.254.169.254/latest/meta-data", private, false),
            // Spellings of loopback.
            ("https://0x7f.1/", public, false),
            ("https://2130706433/", public, false),
            ("https://[::ffff:127.0.0.1]/", public, false),
            ("https://localhost./", public, false),
            // What the user allows.
            ("https://10.0.0.1/", public, true),
            ("https://10.0.0.1:9000/", public, true),
            ("https://10.0.0.2:8080/", public, true),
            ("https://10.0.0.2/", public, false),
            ("https://10.0.0.3/", public, false),
        ];
        for (url, namer, fine) in cases {
            let client = elsewhere.client(&Url::parse(url).unwrap(), namer);
            assert_eq!(client.is_ok(), fine, "{url} from {namer:?}");
            if let Err(problem) = client {
                assert!(problem.describe().contains("--allow-host"), "{}", problem.describe());
            }
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_inward_is_not_connected_to() {
        let elsewhere = elsewhere();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        // Past the check of what is written, as a name would be that somebody has made resolve to this machine.
        for limit in [Reach::Public, Reach::Private] {
            let client = elsewhere.direct(limit).unwrap();
            let error = client.get(format!("http://localhost:{port}/")).send().await.unwrap_err();
            let problem = Problem::from(error);
            assert!(matches!(&problem, Problem::Misled { host, .. } if host == "localhost"), "{problem:?}");
        }
        assert!(listener.accept().is_err(), "nobody has connected");
    }

    #[test]
    fn nobody_is_led_from_tls_to_plain_http() {
        let elsewhere = elsewhere();
        let cases = [
            ("https://a.example/", "https://b.example/", true),
            ("https://a.example/", "http://b.example/", false),
            ("https://a.example/", "http://a.example/", false),
            ("https://a.example/", "http://a.example:443/", false),
            ("http://a.example/", "http://b.example/", true),
            ("https://a.example/", "http://plain.example/", true),
            ("https://a.example/", "http://plain.example:8080/", true),
            ("https://a.example/", "http://localhost:8080/", true),
        ];
        for (from, to, fine) in cases {
            let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
            assert_eq!(elsewhere.check_downgrade(&from, &to).is_ok(), fine, "{from} to {to}");
        }
    }
}
