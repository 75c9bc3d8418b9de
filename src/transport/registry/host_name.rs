//! What the name of a registry says about how it is reached.

/// Whether a registry is spoken to without TLS: it is on this machine, or the user says so, for all ports or for one.
pub(super) fn is_plain(registry: &str, plain_http: &[String]) -> bool {
    let host = host_of(registry);
    is_loopback(registry)
        || plain_http.iter().any(|plain| plain.eq_ignore_ascii_case(registry) || plain.eq_ignore_ascii_case(host))
}

/// Whether a registry is on this machine: `localhost`, `127.0.0.0/8` or `[::1]`, with any port.
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = host_of(registry);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host without its port.
pub(super) fn host_of(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        // The colons of an IPv6 address are in brackets, and the port after them.
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !registry.ends_with(']') => host,
        _ => registry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_named_registries_are_spoken_to_without_tls() {
        let named = ["plain.example".to_owned(), "one.example:5000".to_owned()];
        let cases = [
            ("localhost", true),
            ("LOCALHOST:5000", true),
            ("127.0.0.1", true),
            ("127.9.8.7:443", true),
            ("[::1]", true),
            ("[::1]:5000", true),
            ("[::2]:5000", false),
            ("128.0.0.1:5000", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("mcr.microsoft.com", false),
            ("plain.example", true),
            ("Plain.example:8080", true),
            ("sub.plain.example", false),
            ("one.example:5000", true),
            ("one.example:5001", false),
            ("one.example", false),
        ];
        for (registry, plain) in cases {
            assert_eq!(is_plain(registry, &named), plain, "{registry}");
        }
    }
}
