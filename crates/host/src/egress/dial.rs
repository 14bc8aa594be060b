//! `Dial`: opens a TCP connection to a judged host and port, for the proxy of confined children (`child::proxy`).
//!
//! The same rules and the same resolver as `Http`: a name is looked up once, its answer is judged, and the connection
//! goes to one of the addresses that were kept. What travels over the connection is not looked at.

use super::EgressRules;
use super::pattern::{self, Pattern};
use super::resolve::{self, Scope};
use super::rules::{Guard, Target};
use crate::HostError;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use toolgate_core::Kind;
use url::Host;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MOST_ENTRIES: usize = 1000;

/// One entry of a child's list: `api.example.org`, `*.example.org`, either with `:port`.
struct Place {
    host: Pattern,
    port: Option<u16>,
}

pub(crate) struct Dial {
    guard: Guard,
    denied: Vec<IpAddr>,
    allow: Vec<Place>,
}

impl Dial {
    /// `rules` hold for everybody; `allow` narrows them further, to everything they leave open when it is empty.
    pub fn new(rules: &EgressRules, allow: &[String]) -> Result<Self, HostError> {
        let guard = Guard::new(rules)?;
        if allow.len() > MOST_ENTRIES {
            let text = format!("egress: {} entries; {MOST_ENTRIES} are the most", allow.len());
            return Err(HostError::new(Kind::Invalid, text));
        }
        let place = |entry: &String| {
            Place::parse(entry).map_err(|why| {
                HostError::new(Kind::Invalid, format!("egress: {entry:?} is not accepted: {why}"))
            })
        };
        Ok(Self {
            denied: guard.denied_addresses(),
            guard,
            allow: allow.iter().map(place).collect::<Result<_, _>>()?,
        })
    }

    /// Judge and connect. Errors: `Forbidden` when a rule stops it, `NotFound`, `Timeout`, `Unavailable`.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, HostError> {
        let target = self.check(host, port)?;
        let scope = if target.named { Scope::Named } else { Scope::Public };
        let addresses = match &target.host {
            Host::Domain(name) => resolve::judged(name, scope, &self.denied).await?,
            Host::Ipv4(v4) => vec![IpAddr::from(*v4)],
            Host::Ipv6(v6) => vec![IpAddr::from(*v6)],
        };
        let addresses: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&addresses[..])).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(e)) => {
                let text = format!("{} cannot be connected to: {e}", target.place());
                Err(HostError::new(Kind::Unavailable, text))
            }
            Err(_) => {
                let text = format!("{} did not answer within {CONNECT_TIMEOUT:?}", target.place());
                Err(HostError::new(Kind::Timeout, text))
            }
        }
    }

    fn check(&self, host: &str, port: u16) -> Result<Target, HostError> {
        let bracketed = host.contains(':') && !host.starts_with('[');
        let url =
            if bracketed { format!("https://[{host}]:{port}/") } else { format!("https://{host}:{port}/") };
        let target = self.guard.check(&url, None)?;
        if !self.allow.is_empty() && !self.allow.iter().any(|place| place.matches(&target)) {
            return Err(HostError::forbidden(format!(
                "{} is not among the hosts that this server may connect to; an operator adds it to its `egress`",
                target.place()
            )));
        }
        Ok(target)
    }
}

impl Place {
    fn parse(entry: &str) -> Result<Self, String> {
        let (host, port) = match entry.rsplit_once(':') {
            // An IPv6 address without brackets has no port.
            Some((host, port)) if !port.ends_with(']') && (!host.contains(':') || host.ends_with(']')) => {
                let number = port.parse::<u16>().ok().filter(|n| *n > 0);
                (host, Some(number.ok_or("the port is a number from 1 to 65535")?))
            }
            _ => (entry, None),
        };
        Ok(Self { host: Pattern::parse(host)?, port })
    }

    fn matches(&self, target: &Target) -> bool {
        self.port.is_none_or(|port| port == target.port) && self.host.matches(&target.host)
    }
}

/// `host:port` of a request to a proxy.
pub(crate) fn authority(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    pattern::host(host).ok().map(|_| (bare, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(allow: &[&str]) -> Dial {
        Dial::new(&EgressRules::default(), &allow.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
            .unwrap()
    }

    #[test]
    fn public_hosts_when_nothing_is_listed() {
        let dial = dial(&[]);
        assert!(dial.check("example.org", 443).is_ok());
        assert!(dial.check("2606:4700::1111", 443).is_ok());
        for (host, port) in [
            ("127.0.0.1", 80),
            ("localhost", 8080),
            ("169.254.169.254", 80),
            ("10.0.0.1", 443),
            ("::1", 443),
            ("::ffff:127.0.0.1", 443),
            ("example.org", 22),
            ("0x7f.1", 80),
        ] {
            assert_eq!(dial.check(host, port).err().map(|e| e.kind), Some(Kind::Forbidden), "{host}:{port}");
        }
    }

    #[test]
    fn only_what_is_listed() {
        let dial = dial(&["api.example.org", "*.example.com:443", "[2606:4700::1111]:8443"]);
        for (host, port, open) in [
            ("api.example.org", 80, true),
            ("API.example.org", 443, true),
            ("example.org", 443, false),
            ("x.api.example.org", 443, false),
            ("a.b.example.com", 443, true),
            ("a.example.com", 80, false),
            ("example.com", 443, false),
            ("2606:4700::1111", 8443, true),
            ("2606:4700::1111", 443, false),
        ] {
            assert_eq!(dial.check(host, port).is_ok(), open, "{host}:{port}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_when_it_is_written() {
        for bad in ["http://a.org", "a.org:0", "a.org:99999", "a.*.org", "a.org/x", ""] {
            assert!(Dial::new(&EgressRules::default(), &[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn authorities() {
        assert_eq!(authority("a.org:443"), Some(("a.org", 443)));
        assert_eq!(authority("[::1]:80"), Some(("::1", 80)));
        for bad in ["a.org", "a.org:0", ":443", "a b:1", "a.org:x", "u@a.org:1/"] {
            assert_eq!(authority(bad), None, "{bad}");
        }
    }
}
