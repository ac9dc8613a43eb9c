//! Whom a command may talk to, and which addresses are never meant by a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::spec::Allowed;

/// The list of a run.
#[derive(Debug, Clone)]
pub(super) struct Allow(Vec<Allowed>);

impl Allow {
    pub(super) fn new(list: &[Allowed]) -> Self {
        let plain = |entry: &Allowed| {
            let host = entry.host.trim_end_matches('.').trim_matches(['[', ']']);
            Allowed { host: host.to_ascii_lowercase(), port: entry.port }
        };
        Self(list.iter().map(plain).collect())
    }

    /// Whether the name is on the list, with whatever port.
    pub(super) fn names(&self, name: &str) -> bool {
        self.0.iter().any(|entry| entry.host == name)
    }

    /// Whether this host may be reached at this port. An address counts however it is written.
    pub(super) fn permits(&self, host: &str, port: u16) -> bool {
        let same = |entry: &Allowed| match (entry.host.parse::<IpAddr>(), host.parse::<IpAddr>()) {
            (Ok(one), Ok(other)) => one.to_canonical() == other.to_canonical(),
            _ => entry.host == host,
        };
        self.0.iter().any(|entry| entry.port == port && same(entry))
    }
}

/// Whether a name may lead to this address. Everything that is the host itself, its neighbours, or
/// a service of its cloud is refused, also behind the ways to write an IPv4 address in IPv6:
/// whoever controls a name controls where it points. Source: the IANA special-purpose address
/// registries (RFC 6890), without the blocks for documentation: they are nobody's neighbours.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let within = |network: [u8; 4], prefix: u32| {
        let mask = u32::MAX << (32 - prefix);
        u32::from(ip) & mask == u32::from(Ipv4Addr::from(network)) & mask
    };
    ![
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([224, 0, 0, 0], 4),
        ([240, 0, 0, 0], 4),
    ]
    .into_iter()
    .any(|(network, prefix)| within(network, prefix))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, _, _, g, h] = ip.segments();
    let last = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        // NAT64 (RFC 6052) and 6to4 (RFC 3056) carry an IPv4 address.
        (0x64, 0xff9b) if (c, d) == (0, 0) => is_public_v4(last(g, h)),
        (0x2002, _) => is_public_v4(last(b, c)),
        // Teredo and other protocol assignments.
        (0x2001, 0..=0x1ff) => false,
        // Global unicast is 2000::/3; everything else is special.
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::{Allow, is_public};
    use crate::spec::Allowed;

    #[test]
    fn what_a_name_may_lead_to() {
        for ip in ["1.1.1.1", "192.0.1.1", "2606:4700::1", "64:ff9b::101:101", "2002:101:101::1"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "198.18.4.0",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::1",
            "2001:0:1::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn the_list_is_host_and_port() {
        let entry = |host: &str, port| Allowed { host: host.to_owned(), port };
        let allow = Allow::new(&[entry("A.example.", 443), entry("[2606:4700::1]", 80)]);
        assert!(allow.names("a.example") && allow.permits("a.example", 443));
        assert!(!allow.permits("a.example", 80) && !allow.permits("b.a.example", 443));
        assert!(allow.permits("2606:4700:0::1", 80));
    }
}
