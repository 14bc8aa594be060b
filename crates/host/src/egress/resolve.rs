//! The resolver that `reqwest` connects by: it asks DNS once and hands on only the addresses that were judged.
//!
//! One per client: the public client's drops everything that is not public, the other one serves only services that the
//! operator named. `connect` asks the same questions for origins that the operator configured. Invariant: a connection to a name can only go to an address returned here. Not called for IP
//! literals, which `rules` judges.

use super::address::{self, Class};
use crate::HostError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::Kind;

const DNS_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses tried per name.
const MOST_ADDRESSES: usize = 16;

/// Whose names a resolver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Any name; public addresses only.
    Public,
    /// Names in `allow_private`; private addresses too.
    Named,
    /// The name of an origin that the operator configured; private addresses too, but none of those that only a hijacked
    /// name leads to (`address::never`).
    Origin,
}

pub(super) struct Resolver {
    scope: Scope,
    denied: Arc<[IpAddr]>,
}

impl Resolver {
    pub fn new(scope: Scope, denied: Arc<[IpAddr]>) -> Self {
        Self { scope, denied }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (scope, denied) = (self.scope, Arc::clone(&self.denied));
        Box::pin(async move {
            let kept = judged(name.as_str(), scope, &denied).await?;
            Ok(Box::new(kept.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// Ask DNS once; the addresses that may be connected to.
pub(super) async fn judged(name: &str, scope: Scope, denied: &[IpAddr]) -> Result<Vec<IpAddr>, HostError> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    keep(&name, lookup(&name).await?, scope, denied)
}

async fn lookup(name: &str) -> Result<Vec<IpAddr>, HostError> {
    if address::is_localhost(name) {
        // RFC 6761: never asked of DNS.
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    match tokio::time::timeout(DNS_TIMEOUT, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(found)) => Ok(found.map(|a| a.ip()).collect()),
        Ok(Err(e)) => Err(unresolved(name, &e)),
        Err(_) => Err(HostError::new(
            Kind::Timeout,
            format!("host `{name}` was not resolved within {} s; DNS does not answer", DNS_TIMEOUT.as_secs()),
        )),
    }
}

/// What `getaddrinfo` says of a name that does not exist or has no address (glibc, musl, macOS). The standard library
/// keeps the text only, not the code.
const NO_SUCH_NAME: [&str; 5] = [
    "Name or service not known",
    "No address associated with",
    "Name does not resolve",
    "Name has no usable address",
    "nodename nor servname",
];

/// A name that does not exist is the caller's to correct: trying again gives the same answer.
fn unresolved(name: &str, error: &std::io::Error) -> HostError {
    let text = error.to_string();
    if NO_SUCH_NAME.iter().any(|known| text.contains(known)) {
        let text =
            format!("there is no host `{name}` (DNS cannot resolve it): check the spelling of the host name");
        return HostError::new(Kind::NotFound, text);
    }
    HostError::new(
        Kind::Unavailable,
        format!("host `{name}` cannot be resolved ({error}): DNS does not answer; try again later"),
    )
}

/// The addresses of a DNS answer that may be connected to; refused when none is left.
fn keep(name: &str, found: Vec<IpAddr>, scope: Scope, denied: &[IpAddr]) -> Result<Vec<IpAddr>, HostError> {
    let mut why = "it has no address";
    let mut kept = Vec::new();
    for ip in found {
        let allowed = match address::judge(ip) {
            _ if denied.contains(&address::plain(ip)) => {
                Err("its address is closed by the operator (egress.deny)")
            }
            Class::Public => Ok(()),
            _ if scope == Scope::Origin => address::never(ip).map_or(Ok(()), Err),
            // Only the service's own name opens it: another name that leads there does not, even when allowed.
            Class::Metadata if scope == Scope::Named && address::is_metadata_name(name) => Ok(()),
            Class::Metadata => Err("it leads to a cloud metadata service"),
            Class::Private(_) if scope == Scope::Named => Ok(()),
            Class::Private(_) => Err(
                "its address is not public; if it is meant to be reached, an operator adds `host:port` to egress.allow_private",
            ),
        };
        match allowed {
            Ok(()) if kept.len() < MOST_ADDRESSES && !kept.contains(&ip) => kept.push(ip),
            Ok(()) => {}
            Err(reason) => why = reason,
        }
    }
    if kept.is_empty() {
        return Err(HostError::forbidden(format!("host `{name}` is refused: {why}")));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn a_mixed_answer_keeps_only_what_is_public() {
        let kept =
            keep("a.test", ips(&["10.0.0.1", "8.8.8.8", "::1", "8.8.8.8"]), Scope::Public, &[]).unwrap();
        assert_eq!(kept, ips(&["8.8.8.8"]));
    }

    #[test]
    fn nothing_left_is_refused() {
        for found in [&["127.0.0.1", "::1"][..], &["169.254.169.254"], &["64:ff9b::a00:1"], &[]] {
            assert_eq!(keep("a.test", ips(found), Scope::Public, &[]).unwrap_err().kind, Kind::Forbidden);
        }
    }

    #[test]
    fn a_named_service_may_be_private_but_not_metadata_under_another_name() {
        assert!(keep("db.test", ips(&["10.0.0.1"]), Scope::Named, &[]).is_ok());
        assert!(keep("db.test", ips(&["169.254.169.254"]), Scope::Named, &[]).is_err());
        assert!(keep("metadata.google.internal", ips(&["169.254.169.254"]), Scope::Named, &[]).is_ok());
    }

    #[test]
    fn a_configured_origin_may_be_private_but_not_what_only_a_hijacked_name_leads_to() {
        for good in ["10.0.0.1", "127.0.0.1", "::1", "192.168.1.2", "fd00::1", "100.64.0.1"] {
            assert!(keep("mcp.test", ips(&[good]), Scope::Origin, &[]).is_ok(), "{good}");
        }
        for bad in [
            "169.254.169.254",
            "169.254.1.1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "fe80::1",
            "ff02::1",
            "::ffff:169.254.1.1",
        ] {
            assert!(keep("mcp.test", ips(&[bad]), Scope::Origin, &[]).is_err(), "{bad}");
        }
        assert!(keep("mcp.test", ips(&["10.0.0.1"]), Scope::Origin, &ips(&["10.0.0.1"])).is_err());
    }

    #[test]
    fn a_denied_address_is_closed_under_every_name() {
        let denied = ips(&["8.8.8.8"]);
        assert!(keep("a.test", ips(&["8.8.8.8", "64:ff9b::808:808"]), Scope::Public, &denied).is_err());
    }

    #[test]
    fn a_misspelled_name_is_not_a_failing_dns() {
        let kind = |text: &str| {
            let error = std::io::Error::other(format!("failed to lookup address information: {text}"));
            unresolved("exmaple.test", &error).kind
        };
        for text in
            ["Name or service not known", "No address associated with hostname", "Name does not resolve"]
        {
            assert_eq!(kind(text), Kind::NotFound, "{text}");
            assert!(!kind(text).retryable() && !kind(text).is_fault());
        }
        for text in ["Temporary failure in name resolution", "Try again", "Non-recoverable failure"] {
            assert_eq!(kind(text), Kind::Unavailable, "{text}");
        }
    }

    #[tokio::test]
    async fn localhost_is_this_machine_without_dns() {
        assert_eq!(lookup("x.localhost").await.unwrap(), ips(&["127.0.0.1", "::1"]));
    }
}
