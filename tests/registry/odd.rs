//! A registry in memory that works, but for what a test makes odd about it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use winslim::image::Digest;

use super::http::{Request, Response, Server};

/// What the registry knows when a request comes.
pub struct Usual {
    /// The digest that a tag of the request leads to, or the digest in the request itself.
    pub leads_to: Option<String>,
}

#[derive(Default)]
struct Content {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    tags: BTreeMap<String, String>,
    uploads: BTreeMap<String, Vec<u8>>,
    begun: usize,
}

/// A running registry.
pub struct OddRegistry {
    server: Server,
    content: Arc<Mutex<Content>>,
}

impl OddRegistry {
    /// Starts a registry that answers with what `odd` returns, and as registries do if that is nothing.
    pub fn start(odd: impl Fn(&Request, &Usual) -> Option<Response> + Send + Sync + 'static) -> OddRegistry {
        let content = Arc::new(Mutex::new(Content::default()));
        let shared = Arc::clone(&content);
        let server = Server::start(move |_, request| {
            let mut content = shared.lock().unwrap();
            let usual = Usual { leads_to: content.leads_to(request) };
            odd(request, &usual).unwrap_or_else(|| content.answer(request))
        });
        OddRegistry { server, content }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.server.address()
    }

    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address())
    }

    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// The digest that `REPOSITORY:TAG` leads to.
    pub fn tagged(&self, name: &str) -> Option<String> {
        self.content.lock().unwrap().tags.get(name).cloned()
    }

    /// Uploads that were begun and neither completed nor deleted.
    pub fn open_uploads(&self) -> usize {
        self.content.lock().unwrap().uploads.len()
    }
}

/// Repository, kind and name of `/v2/REPOSITORY/KIND/NAME?QUERY`.
pub fn parts(target: &str) -> Option<(&str, &str, &str)> {
    let path = target.split('?').next()?.strip_prefix("/v2/")?;
    ["/manifests/", "/blobs/"].into_iter().find_map(|kind| {
        let (repository, name) = path.split_once(kind)?;
        Some((repository, kind.trim_matches('/'), name))
    })
}

fn digest_in_query(target: &str) -> Option<String> {
    let (_, digest) = target.split_once("digest=")?;
    Some(digest.replace("%3A", ":"))
}

impl Content {
    fn leads_to(&self, request: &Request) -> Option<String> {
        let (repository, _, name) = parts(&request.target)?;
        if name.starts_with("sha256:") {
            Some(name.to_owned())
        } else {
            self.tags.get(&format!("{repository}:{name}")).cloned()
        }
    }

    fn answer(&mut self, request: &Request) -> Response {
        if request.target == "/v2/" {
            return Response::new(200, "{}");
        }
        let Some((repository, kind, name)) = parts(&request.target) else { return Response::new(404, "") };
        match (request.method.as_str(), kind) {
            ("PUT", "manifests") => {
                let digest = Digest::of(&request.body).to_string();
                self.manifests
                    .insert(digest.clone(), (request.header("content-type").to_owned(), request.body.clone()));
                if !name.starts_with("sha256:") {
                    self.tags.insert(format!("{repository}:{name}"), digest.clone());
                }
                Response::new(201, "").with("docker-content-digest", digest)
            }
            (_, "manifests") => {
                let digest = self.leads_to(request);
                match digest.and_then(|digest| Some((self.manifests.get(&digest)?, digest))) {
                    Some(((media_type, bytes), digest)) => Response::new(200, bytes.clone())
                        .with("content-type", media_type.clone())
                        .with("docker-content-digest", digest),
                    None => Response::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
                }
            }
            ("POST", _) => {
                let upload = self.begun.to_string();
                self.begun += 1;
                self.uploads.insert(upload.clone(), Vec::new());
                Response::new(202, "").with("location", format!("/v2/{repository}/blobs/uploads/{upload}"))
            }
            (method, _) if name.starts_with("uploads/") => {
                let upload = name.trim_start_matches("uploads/");
                let Some(bytes) = self.uploads.get_mut(upload) else {
                    return Response::new(404, r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#);
                };
                bytes.extend_from_slice(&request.body);
                match method {
                    "DELETE" => {
                        self.uploads.remove(upload);
                        Response::new(204, "")
                    }
                    "PATCH" => Response::new(202, "").with("location", format!("/v2/{repository}/blobs/{name}")),
                    _ => {
                        let bytes = self.uploads.remove(upload).unwrap_or_default();
                        let digest = Digest::of(&bytes).to_string();
                        if digest_in_query(&request.target).as_ref() != Some(&digest) {
                            return Response::new(400, r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
                        }
                        self.blobs.insert(digest, bytes);
                        Response::new(201, "")
                    }
                }
            }
            _ => match self.blobs.get(name) {
                Some(bytes) => Response::new(200, bytes.clone()),
                None => Response::new(404, ""),
            },
        }
    }
}
