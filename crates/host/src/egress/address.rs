//! The judgement of one IP address: public, private, or a cloud metadata service.
//!
//! Called for literals in URLs and for every DNS answer. Pure. Invariant: an IPv6 form that carries an IPv4 address is
//! judged by that IPv4 address, and an IPv6 address outside of the global unicast space is never public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is, as far as egress is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Public,
    /// Not on the public internet; the text says why.
    Private(&'static str),
    /// A service that hands out the credentials of the machine.
    Metadata,
}

/// First address, prefix length, reason. Sources: the IANA special-purpose registries and RFC 1918, 6598, 5737, 2544.
const V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 8, "this host"),
    ([10, 0, 0, 0], 8, "a private network"),
    ([100, 64, 0, 0], 10, "a carrier-grade NAT network"),
    ([127, 0, 0, 0], 8, "this machine"),
    ([169, 254, 0, 0], 16, "link-local"),
    ([172, 16, 0, 0], 12, "a private network"),
    ([192, 0, 0, 0], 24, "reserved"),
    ([192, 0, 2, 0], 24, "reserved for documentation"),
    ([192, 88, 99, 0], 24, "reserved"),
    ([192, 168, 0, 0], 16, "a private network"),
    ([198, 18, 0, 0], 15, "reserved for benchmarks"),
    ([198, 51, 100, 0], 24, "reserved for documentation"),
    ([203, 0, 113, 0], 24, "reserved for documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// Prefix (first 64 bits), prefix length, reason; all inside 2000::/3, since what is outside is not public anyway.
const V6: &[([u16; 4], u32, &str)] = &[
    ([0x2001, 0, 0, 0], 23, "reserved"),
    ([0x2001, 0xdb8, 0, 0], 32, "reserved for documentation"),
    ([0x3fff, 0, 0, 0], 20, "reserved for documentation"),
];

/// Instance metadata and credential endpoints of the clouds (AWS, GCP, Azure, Alibaba, Oracle, Tencent).
const METADATA_V4: &[[u8; 4]] = &[
    [169, 254, 169, 254],
    [169, 254, 169, 253],
    [169, 254, 170, 2],
    [169, 254, 170, 23],
    [169, 254, 0, 23],
    [100, 100, 100, 200],
    [168, 63, 129, 16],
    [192, 0, 0, 192],
];

const METADATA_V6: &[[u16; 8]] = &[
    [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
    [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253],
    [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23],
    [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254],
];

/// Names of the same services, without trailing dot.
const METADATA_NAMES: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "metadata.azure.com",
    "metadata.tencentyun.com",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "instance-data",
    "instance-data.ec2.internal",
    "rancher-metadata",
];

/// Whether a lower-case host name is that of a metadata service.
pub(super) fn is_metadata_name(name: &str) -> bool {
    METADATA_NAMES.contains(&name)
}

/// Whether a lower-case host name means this machine by definition (RFC 6761).
pub(super) fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

pub(super) fn judge(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(v4) => judge_v4(v4),
        IpAddr::V6(v6) => judge_v6(v6),
    }
}

/// Why an address is none that a name leads to in good faith, even the name of a service on a private network.
pub(super) fn never(address: IpAddr) -> Option<&'static str> {
    if judge(address) == Class::Metadata {
        return Some("it leads to a cloud metadata service");
    }
    if address.is_loopback() {
        return None;
    }
    let address = plain(address);
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let no_host = match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.octets()[0] >= 240,
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    if link_local {
        return Some("it leads to a link-local address");
    }
    (no_host || address.is_multicast()).then_some("it leads to an address that is no host's")
}

fn judge_v4(address: Ipv4Addr) -> Class {
    if METADATA_V4.contains(&address.octets()) {
        return Class::Metadata;
    }
    let bits = u32::from(address);
    for (first, length, reason) in V4 {
        if (bits ^ u32::from(Ipv4Addr::from(*first))) >> (32 - length) == 0 {
            return Class::Private(reason);
        }
    }
    Class::Public
}

fn judge_v6(address: Ipv6Addr) -> Class {
    if METADATA_V6.contains(&address.segments()) {
        return Class::Metadata;
    }
    if address.is_unspecified() || address.is_loopback() {
        return Class::Private("this machine");
    }
    if let Some(v4) = embedded(address) {
        return judge_v4(v4);
    }
    let s = address.segments();
    // ISATAP (RFC 5214) may stand behind any prefix: the tunnel goes to the IPv4 address in the last 32 bits.
    if s[4] & 0xfdff == 0 && s[5] == 0x5efe {
        let inner = judge_v4(tail(s));
        if inner != Class::Public {
            return inner;
        }
    }
    match s[0] {
        0xfc00..=0xfdff => return Class::Private("a private network"),
        0xfe80..=0xfebf => return Class::Private("link-local"),
        0xff00.. => return Class::Private("multicast"),
        0x2000..=0x3fff => {}
        _ => return Class::Private("not global unicast"),
    }
    let high = |p: [u16; 4]| p.iter().fold(0u64, |bits, part| bits << 16 | u64::from(*part));
    let bits = high([s[0], s[1], s[2], s[3]]);
    for (prefix, length, reason) in V6 {
        if (bits ^ high(*prefix)) >> (64 - length) == 0 {
            return Class::Private(reason);
        }
    }
    Class::Public
}

fn tail(s: [u16; 8]) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(s[6]) << 16 | u32::from(s[7]))
}

/// The IPv4 address that an IPv6 address stands for, if it is of a form that a host or a translator turns into IPv4.
pub(super) fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    match s {
        // IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 4291, RFC 2765)
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => Some(tail(s)),
        // NAT64, well-known and local-use prefix (RFC 6052, RFC 8215). Other lengths than /96 of the local-use prefix
        // fall through and are not public.
        [0x64, 0xff9b, 0 | 1, 0, 0, 0, _, _] => Some(tail(s)),
        // 6to4 (RFC 3056)
        [0x2002, high, low, ..] => Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
        // Teredo (RFC 4380): server in the clear, client inverted. A private one of the two decides.
        [0x2001, 0, server_high, server_low, ..] => {
            let server = Ipv4Addr::from(u32::from(server_high) << 16 | u32::from(server_low));
            let client = Ipv4Addr::from(!u32::from(tail(s)));
            Some(if judge_v4(client) == Class::Public { server } else { client })
        }
        _ => None,
    }
}

/// The address under which two spellings of the same target are equal.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn class(text: &str) -> Class {
        judge(text.parse().unwrap())
    }

    #[test]
    fn every_range_is_closed_from_its_first_to_its_last_address() {
        for (first, length, _) in V4 {
            let low = u32::from(Ipv4Addr::from(*first));
            let high = low | (u32::MAX >> length);
            for bits in [low, low + 1, high - 1, high] {
                assert_ne!(judge_v4(bits.into()), Class::Public, "{}", Ipv4Addr::from(bits));
            }
        }
    }

    #[test]
    fn neighbours_of_the_ranges_are_public() {
        for text in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "8.8.8.8",
            "2606:4700::1111",
            "2a00::1",
            "2001:4860:4860::8888",
            "2002:808:808::1",
            "64:ff9b::808:808",
            "64:ff9b:1::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(class(text), Class::Public, "{text}");
        }
    }

    #[test]
    fn v6_that_is_not_public() {
        for text in [
            "::",
            "::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "5f00::1",
            "4000::1",
            "2001:10::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "64:ff9b:1:a9fe:a9:fe00:808:808",
            "::ffff:0:10.0.0.1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "2001:0:808:808:0:0:80ff:fffe",
            "2001:0:a00:1:0:0:f7f7:f7f7",
            "2606:4700::5efe:a00:1",
            "2606:4700::200:5efe:a00:1",
        ] {
            assert_ne!(class(text), Class::Public, "{text}");
        }
    }

    #[test]
    fn metadata_in_every_dress() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd20:ce::254",
            "169.254.170.2",
        ] {
            assert_eq!(class(text), Class::Metadata, "{text}");
        }
    }

    proptest! {
        #[test]
        fn spellings_of_one_v4_are_judged_alike(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from(bits);
            // ::/127 are the unspecified and the loopback address, not compatible forms; both are private as 0/8 is.
            prop_assume!(bits > 1);
            let expected = judge_v4(v4);
            let [a, b, c, d] = v4.octets();
            let (high, low) = (bits >> 16, bits & 0xffff);
            for host in [
                format!("{a}.{b}.{c}.{d}"), format!("{bits}"), format!("0{bits:o}"), format!("{bits:#x}"),
                format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"), format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
                format!("{a}.{}", bits & 0xff_ffff), format!("{a}.{b}.{low}"), format!("{a}.{b}.{c}.{d}."),
                format!("[::ffff:{v4}]"), format!("[::{v4}]"), format!("[::ffff:0:{v4}]"), format!("[64:ff9b::{v4}]"),
                format!("[64:ff9b:1::{v4}]"), format!("[2002:{high:x}:{low:x}::1]"),
            ] {
                let url = url::Url::parse(&format!("http://{host}/")).unwrap();
                let found = match url.host() {
                    Some(url::Host::Ipv4(ip)) => judge(ip.into()),
                    Some(url::Host::Ipv6(ip)) => judge(ip.into()),
                    other => panic!("{host} became {other:?}"),
                };
                prop_assert_eq!(found, expected, "{}", host);
            }
        }
    }
}
