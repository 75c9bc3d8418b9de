//! Who can reach an address: everybody, a company, or one machine and its link.
//!
//! A manifest names addresses of layers, and a registry names its token server and where it keeps blobs. Whoever writes those
//! must not make winslim ask machines that only winslim can reach, such as the metadata service of a cloud. So what an answer
//! names has to be as public as the server that gave the answer, or more.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fmt, io};

/// Who can reach an address; the more public comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// Everybody.
    Public,
    /// A company or a home: RFC 1918, RFC 6598, RFC 4193, and what is set aside for tests.
    Private,
    /// This machine: loopback.
    Local,
    /// This machine's link, where the metadata services of clouds are, and groups of machines: link-local and multicast.
    Link,
}

impl Reach {
    /// The words for an address of this kind.
    fn adjective(self) -> &'static str {
        match self {
            Reach::Public => "public",
            Reach::Private => "private",
            Reach::Local => "loopback",
            Reach::Link => "link-local",
        }
    }

    /// Who can reach an address, by IANA's registries of special-purpose addresses.
    pub fn of(address: IpAddr) -> Reach {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// Who can reach a host that an address names literally, `None` for a name that has to be looked up.
    pub fn of_literal(host: &str) -> Option<Reach> {
        let address: Result<IpAddr, _> = host.trim_start_matches('[').trim_end_matches(']').parse();
        if let Ok(address) = address {
            return Some(Reach::of(address));
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        (name == "localhost" || name.ends_with(".localhost")).then_some(Reach::Local)
    }
}

fn of_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // Linux takes 0.0.0.0 for this machine. 168.63.129.16 is a service of Azure that each machine there reaches.
        [0 | 127, ..] => Reach::Local,
        [169, 254, ..] | [168, 63, 129, 16] | [224..=255, ..] => Reach::Link,
        [10, ..]
        | [100, 64..=127, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [192, 0, 0 | 2, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Reach::Private,
        _ => Reach::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Reach {
    let parts = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        of_v4(Ipv4Addr::new(a, b, c, d))
    };
    let last = embedded(parts[6], parts[7]);
    match parts {
        // Unspecified and loopback.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Reach::Local,
        // IPv4 in IPv6: compatible, mapped, translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => last,
        // NAT64 of a network's own (RFC 8215).
        [0x64, 0xff9b, 1, ..] => last.max(Reach::Private),
        // Teredo hides the client's address by inverting it (RFC 4380).
        [0x2001, 0, ..] => embedded(!parts[6], !parts[7]),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => embedded(high, low),
        // ISATAP (RFC 5214).
        [first, _, _, _, 0 | 0x200, 0x5efe, ..] => of_prefix(first, parts).max(last),
        [first, ..] => of_prefix(first, parts),
    }
}

fn of_prefix(first: u16, parts: [u16; 8]) -> Reach {
    match first {
        // Amazon's metadata service.
        0xfd00 if parts[1] == 0xec2 => Reach::Link,
        0xfe80..=0xfebf | 0xff00.. => Reach::Link,
        // Unique local, site-local (deprecated), discarded, documentation.
        0xfc00..=0xfdff | 0xfec0..=0xfeff | 0x100 => Reach::Private,
        0x2001 if parts[1] == 0xdb8 => Reach::Private,
        0x3fff if parts[1] < 0x1000 => Reach::Private,
        _ => Reach::Public,
    }
}

/// A host that nobody may be led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inward {
    pub host: String,
    /// Who can reach it.
    pub reach: Reach,
}

impl fmt::Display for Inward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inward { host, reach } = self;
        write!(
            f,
            "whose address is {}, unlike the address of the server that names it; if that is right, allow it with `--allow-host \
             {host}`",
            reach.adjective()
        )
    }
}

impl std::error::Error for Inward {}

/// The addresses of a host that may be connected to.
pub(super) fn within(
    limit: Reach,
    host: &str,
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let (kept, refused): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.partition(|address| Reach::of(address.ip()) <= limit);
    match refused.iter().map(|address| Reach::of(address.ip())).min() {
        Some(reach) if kept.is_empty() => Err(Inward { host: host.to_owned(), reach }.into()),
        None if kept.is_empty() => Err(io::Error::from(io::ErrorKind::NotFound).into()),
        _ => Ok(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_public_private_or_local() {
        use Reach::{Link, Local, Private, Public};
        let cases = [
            ("8.8.8.8", Public),
            ("168.63.129.15", Public),
            ("172.15.255.255", Public),
            ("172.32.0.1", Public),
            ("100.63.255.255", Public),
            ("100.128.0.0", Public),
            ("223.255.255.255", Public),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("100.100.100.200", Private),
            ("198.18.0.1", Private),
            ("203.0.113.9", Private),
            ("127.0.0.1", Local),
            ("127.255.255.254", Local),
            ("169.254.169.254", Link),
            ("168.63.129.16", Link),
            ("0.0.0.0", Local),
            ("224.0.0.1", Link),
            ("255.255.255.255", Link),
            ("2606:4700::1111", Public),
            ("fd12:3456::1", Private),
            ("fc00::1", Private),
            ("fec0::1", Private),
            ("2001:db8::1", Private),
            ("::1", Local),
            ("::", Local),
            ("fe80::1", Link),
            ("febf::1", Link),
            ("ff02::1", Link),
            ("fd00:ec2::254", Link),
            ("::ffff:8.8.8.8", Public),
            ("::ffff:10.0.0.1", Private),
            ("::ffff:169.254.169.254", Link),
            ("::ffff:0:127.0.0.1", Local),
            ("::127.0.0.1", Local),
            ("64:ff9b::8.8.8.8", Public),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b::169.254.169.254", Link),
            ("64:ff9b:1::8.8.8.8", Private),
            ("64:ff9b:1::127.0.0.1", Local),
            ("2002:7f00:1::", Local),
            ("2002:a00:1::", Private),
            ("2002:808:808::", Public),
            ("2001:0:1:2:3:4:80ff:fffe", Local),
            ("2001:0:1:2:3:4:f7f7:f7f7", Public),
            ("2606:4700::5efe:10.0.0.1", Private),
        ];
        for (text, expected) in cases {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(Reach::of(address), expected, "{text}");
        }
    }

    #[test]
    fn hosts_that_need_no_looking_up_are_known() {
        let cases = [
            ("127.0.0.1", Some(Reach::Local)),
            ("[::1]", Some(Reach::Local)),
            ("[::ffff:10.0.0.1]", Some(Reach::Private)),
            ("localhost", Some(Reach::Local)),
            ("LocalHost.", Some(Reach::Local)),
            ("a.localhost", Some(Reach::Local)),
            ("localhost.example.com", None),
            ("a.example", None),
        ];
        for (host, expected) in cases {
            assert_eq!(Reach::of_literal(host), expected, "{host}");
        }
    }

    #[test]
    fn only_what_is_public_enough_is_connected_to() {
        let addresses =
            |list: &[&str]| list.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect::<Vec<_>>();
        let within = |limit, list: &[&str]| within(limit, "a.example", addresses(list).into_iter());
        let mixed = ["8.8.8.8", "10.0.0.1", "::1"];
        assert_eq!(within(Reach::Public, &mixed).unwrap(), addresses(&mixed[..1]));
        assert_eq!(within(Reach::Private, &mixed).unwrap(), addresses(&mixed[..2]));
        assert_eq!(within(Reach::Local, &mixed).unwrap(), addresses(&mixed));
        assert!(within(Reach::Local, &["169.254.169.254", "fe80::1"]).is_err());
        let refused = within(Reach::Public, &mixed[1..]).unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&Inward { host: "a.example".to_owned(), reach: Reach::Private }));
        assert!(refused.to_string().contains("`--allow-host a.example`"), "{refused}");
        assert!(within(Reach::Local, &[]).is_err());
    }
}
