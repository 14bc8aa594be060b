//! The host names and services that an operator writes into `EgressRules`, parsed.
//!
//! Used by `rules` only. Invariant: hosts are in the one form that `url` gives them (lower case, IDNA, numeric IPv4
//! forms resolved), so that comparing is equality.

use super::address;
use std::net::IpAddr;
use url::Host;

/// A host as `url` reads it, without trailing dot, an IPv4-mapped address as IPv4.
pub(super) fn host(text: &str) -> Result<Host, String> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let host = Host::parse(bare).map_err(|e| format!("not a host name or IP address ({e})"))?;
    match &host {
        Host::Domain(name) if name.is_empty() || name.len() > 253 => {
            Err("a host name has 1 to 253 characters".into())
        }
        Host::Domain(name) if name.split('.').any(|label| label.is_empty() || label.len() > 63) => {
            Err("a part of the host name is empty or longer than 63 characters".into())
        }
        _ => Ok(canonical(host)),
    }
}

fn canonical(host: Host) -> Host {
    match host {
        Host::Ipv6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => Host::Ipv4(v4),
            None => Host::Ipv6(v6),
        },
        other => other,
    }
}

pub(super) fn ip(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Ipv4(v4) => Some((*v4).into()),
        Host::Ipv6(v6) => Some((*v6).into()),
        Host::Domain(_) => None,
    }
}

/// `host` or `host:port`: one entry of `allow_private`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub host: Host,
    pub port: Option<u16>,
}

impl Service {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") || text.contains(['/', '@', '?', '#']) {
            return Err(
                "write only `host` or `host:port`, without scheme, path, user or network prefix".into()
            );
        }
        if text.contains('*') {
            return Err("a private service is named one by one, without `*`".into());
        }
        if let Ok(v6) = text.parse() {
            return Ok(Self { host: canonical(Host::Ipv6(v6)), port: None });
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (text, None),
        };
        let port = match port {
            None => None,
            Some(digits) => match digits.parse::<u16>() {
                Ok(number) if number > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Some(number),
                _ => return Err("the port is a number from 1 to 65535".into()),
            },
        };
        Ok(Self { host: host(name)?, port })
    }

    pub fn matches(&self, host: &Host, port: u16) -> bool {
        self.host == *host && self.port.is_none_or(|own| own == port)
    }
}

/// `example.org` (itself only) or `*.example.org` (everything beneath it): one entry of `only` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Exact(Host),
    /// With the leading dot.
    Beneath(String),
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") || text.contains(['/', '@', '?', '#']) {
            return Err("write only a host, such as `example.org` or `*.example.org`".into());
        }
        if let Ok(v6) = text.parse() {
            return Ok(Self::Exact(canonical(Host::Ipv6(v6))));
        }
        let (wild, name) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if name.contains('*') {
            return Err("`*` stands only at the front, as in `*.example.org`".into());
        }
        match (wild, host(name)?) {
            (true, Host::Domain(domain)) => Ok(Self::Beneath(format!(".{domain}"))),
            (true, _) => Err("`*.` goes before a host name, not before an IP address".into()),
            (false, host) => Ok(Self::Exact(host)),
        }
    }

    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Beneath(suffix), Host::Domain(name)) => name.ends_with(suffix.as_str()),
            (Self::Beneath(_), _) => false,
            (Self::Exact(own), _) => match (ip(own), ip(host)) {
                (Some(a), Some(b)) => address::plain(a) == address::plain(b),
                _ => own == host,
            },
        }
    }

    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Exact(host) => ip(host).map(address::plain),
            Self::Beneath(_) => None,
        }
    }
}
