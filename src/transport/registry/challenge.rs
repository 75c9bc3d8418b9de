//! What a registry asks for when it refuses a request: the challenges of its `WWW-Authenticate` headers (RFC 9110,
//! section 11.6.1).
//!
//! Registries and the gateways before them write these headers in many ways, so this reader takes what it can and skips the
//! rest: one broken challenge does not hide the next.

use reqwest::Url;

/// The most bytes of one header that are read.
const MAX_HEADER: usize = 16 << 10;

/// How to authenticate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a token of the token server at `realm`.
    Bearer {
        /// The address of the token server.
        realm: Url,
        /// What the registry is called there.
        service: Option<String>,
    },
    /// With name and password.
    Basic,
    /// With a token, but nobody can tell from where.
    WithoutRealm,
}

impl Challenge {
    /// Returns the best challenge of all headers: a token server that can be asked, or else name and password.
    pub fn choose<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
        let (mut basic, mut without_realm) = (None, None);
        for offer in headers.into_iter().flat_map(offers) {
            if offer.scheme.eq_ignore_ascii_case("Bearer") {
                match offer.parameter("realm").and_then(realm) {
                    Some(realm) => return Some(Challenge::Bearer { realm, service: offer.parameter("service") }),
                    None => without_realm = Some(Challenge::WithoutRealm),
                }
            } else if offer.scheme.eq_ignore_ascii_case("Basic") {
                basic = Some(Challenge::Basic);
            }
        }
        basic.or(without_realm)
    }
}

/// The address in a challenge, if it is one that can be asked.
fn realm(text: String) -> Option<Url> {
    Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// One challenge as it is written.
struct Offer<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, String)>,
}

impl Offer<'_> {
    fn parameter(&self, name: &str) -> Option<String> {
        let found = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }
}

/// Splits a header into its challenges.
fn offers(header: &str) -> Vec<Offer<'_>> {
    let mut text = &header[..header.floor_char_boundary(MAX_HEADER)];
    let mut offers: Vec<Offer<'_>> = Vec::new();
    while !text.is_empty() {
        text = text.trim_start_matches([' ', '\t', ',']);
        let (word, rest) = split_word(text);
        if word.is_empty() {
            // No scheme and no parameter begins like this.
            let mut characters = text.chars();
            characters.next();
            text = characters.as_str();
            continue;
        }
        let after = rest.trim_start_matches([' ', '\t']);
        match (after.strip_prefix('='), offers.last_mut()) {
            (Some(value), Some(offer)) => {
                let (value, rest) = split_value(value.trim_start_matches([' ', '\t']));
                offer.parameters.push((word, value));
                text = rest;
            }
            _ => {
                offers.push(Offer { scheme: word, parameters: Vec::new() });
                text = rest;
            }
        }
    }
    offers
}

/// Splits off the characters of an RFC 9110 token.
fn split_word(text: &str) -> (&str, &str) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len()))
}

/// Splits off a value: a quoted string, or everything up to the next comma, because some registries do not quote addresses.
fn split_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(',').unwrap_or(text.len()));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer { realm: Url::parse(realm).unwrap(), service: service.map(str::to_owned) })
    }

    #[test]
    fn the_challenge_is_read() {
        let cases: [(&[&str], Option<Challenge>); 9] = [
            (
                &[r#"Bearer realm="https://a.example/token",service="a.example""#],
                bearer("https://a.example/token", Some("a.example")),
            ),
            (&[r#"bearer realm="https://a.example/token",scope="x:y,z""#], bearer("https://a.example/token", None)),
            (&[r#"Basic realm="x""#], Some(Challenge::Basic)),
            (&[r#"Basic realm="x""#, r#"Bearer realm="https://a.example/""#], bearer("https://a.example/", None)),
            (&["Negotiate"], None),
            (&["=== not a challenge"], None),
            (&[r#"Bearer realm = "https://a.example/\t" , service=b"#], bearer("https://a.example/t", Some("b"))),
            (&[r#"Bearer realm="https://a.example/unfinished"#], bearer("https://a.example/unfinished", None)),
            (&["Bearer realm=https://a.example/token,service=b"], bearer("https://a.example/token", Some("b"))),
        ];
        for (headers, expected) in cases {
            assert_eq!(Challenge::choose(headers.iter().copied()), expected, "{headers:?}");
        }
    }

    #[test]
    fn several_challenges_stand_in_one_header() {
        let cases = [
            (
                r#"Basic realm="x", Bearer realm="https://a.example/",service="s""#,
                bearer("https://a.example/", Some("s")),
            ),
            (
                r#"Bearer realm="https://a.example/",service="s", Basic realm="x""#,
                bearer("https://a.example/", Some("s")),
            ),
            (r#"Negotiate, Basic realm="x, Bearer realm=y""#, Some(Challenge::Basic)),
            (r#"Negotiate dG9rZW4=, Basic realm="x""#, Some(Challenge::Basic)),
            (r#"NTLM,Basic"#, Some(Challenge::Basic)),
        ];
        for (header, expected) in cases {
            assert_eq!(Challenge::choose([header]), expected, "{header}");
        }
    }

    #[test]
    fn a_token_server_that_cannot_be_asked_does_not_hide_the_password() {
        for realm in ["", "Registry Realm", "/token", "ftp://a.example/", "file:///etc/passwd", "https://"] {
            let broken = format!("Bearer realm=\"{realm}\",service=\"x\"");
            assert_eq!(Challenge::choose([broken.as_str()]), Some(Challenge::WithoutRealm), "{realm}");
            assert_eq!(Challenge::choose([broken.as_str(), "Basic realm=\"x\""]), Some(Challenge::Basic), "{realm}");
            let both = format!("{broken}, Basic realm=\"x\"");
            assert_eq!(Challenge::choose([both.as_str()]), Some(Challenge::Basic), "{realm}");
        }
    }
}
