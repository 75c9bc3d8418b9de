//! Everything that reads what a registry sends, without a network: for the fuzz target `registry`.

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RANGE, RETRY_AFTER};

use super::challenge::Challenge;
use super::docker_config::DockerConfig;
use super::headers::announced_digest;
use super::problem::{Answer, Problem, retry_after};
use super::pull::{ContentRange, read_document};
use super::upload::{resolve, taken};
use crate::image::{Document, Index, Manifest};
use crate::transport::Reference;
use crate::transport::referrers::with_entry;

/// What came of reading.
#[derive(Debug, Default)]
pub struct Read {
    /// Words of the registry that people would see.
    pub words: Vec<String>,
    /// Addresses that would be connected to.
    pub addresses: Vec<String>,
}

/// How many kinds of answers there are.
pub const KINDS: u8 = 9;

/// Reads one kind of answer. Where there are two parts, a line feed is between them.
pub fn read_answer(kind: u8, input: &[u8]) -> Read {
    let mut read = Read::default();
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (first, second) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match kind % KINDS {
        0 => {
            let headers = [text(first), text(second)];
            if let Some(Challenge::Bearer { realm, .. }) = Challenge::choose(headers.iter().map(String::as_str)) {
                read.addresses.push(realm.into());
            }
        }
        1 => {
            let (own, location) = (Url::parse(&text(first)), text(second));
            let address = own.ok().and_then(|own| resolve(&own, &own, &location));
            read.addresses.extend(address.map(String::from));
        }
        2 => drop(ContentRange::of(&headers(&[(CONTENT_RANGE, first)]))),
        3 => drop(taken(&headers(&[(RANGE, first)]))),
        4 => drop(retry_after(&headers(&[(RETRY_AFTER, first), (DATE, second)]))),
        5 => {
            let status = first.first().map_or(400, |byte| 400 + u16::from(*byte));
            let problem = Problem::Answer(Answer::of_body(status, second));
            read.words.push(problem.without(&[text(first)]).describe());
        }
        6 | 7 => {
            let Ok(Reference::Registry(reference)) = "a.example/x:y".parse() else { return read };
            let sent = headers(&[(CONTENT_TYPE, first), (HeaderName::from_static("docker-content-digest"), first)]);
            announced_digest(&sent);
            match read_document(&reference, &sent, Bytes::copy_from_slice(second)) {
                Ok(document) => read_further(&document),
                Err(error) => read.words.push(error.to_string()),
            }
        }
        _ => {
            if let Err(problem) = DockerConfig::parse(input).and_then(|config| {
                config.helper("a.example", "x/y");
                config.identity("a.example", "x/y").map(drop)
            }) {
                read.words.push(problem);
            }
        }
    }
    read
}

/// What is done with a document: it is read as an index, a manifest and a list of referrers.
fn read_further(document: &Document) {
    if let Ok(index) = Index::parse(document.clone()) {
        drop(index);
    }
    if let Ok(manifest) = Manifest::parse(document.clone()) {
        drop(manifest);
    }
    if let Ok(Some(list)) = with_entry(Some(document), document) {
        drop(list);
    }
}

/// Headers as they come; what no server can send is not there.
fn headers(fields: &[(HeaderName, &[u8])]) -> HeaderMap {
    let field = |(name, value): &(HeaderName, &[u8])| Some((name.clone(), HeaderValue::from_bytes(value).ok()?));
    fields.iter().filter_map(field).collect()
}
