//! Host and Origin: the first question asked of every request, before any credential is looked at.
//!
//! Called by `app::edge`. A page in a browser can send requests to any address that its attacker's name resolves to (DNS
//! rebinding), but it cannot forge `Host` or `Origin`. So a request must name this gateway: a loopback name with the
//! bound port, the very address it arrived at, or a name from `http.allowed_hosts`. A page that calls must be the
//! gateway's own or come from `http.allowed_origins`. Loopback names are accepted whatever the gateway is bound to: they
//! name the client's own machine, no attacker's name is one of them, and container port mappings need them.

use crate::listen::Ends;
use crate::refusal::Refusal;
use http::{HeaderMap, Uri, header};
use std::net::IpAddr;
use toolgate_core::Kind;

/// `host[:port]`, host in lower case without a final dot and without brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    host: String,
    port: Option<u16>,
}

/// Compiled `allowed_hosts` and `allowed_origins`.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    hosts: Vec<Authority>,
    origins: Vec<String>,
}

/// What the guard learned of a request that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    /// Not from a page, or from one of the gateway's own.
    Own,
    /// From a page of this allowed origin, which needs to see CORS headers.
    Foreign(String),
    /// From any page: what is asked for may be read by all of them.
    Any,
}

impl Rules {
    /// Compile; every problem is named with its path in the configuration.
    pub fn new(hosts: &[String], origins: &[String]) -> Result<Self, Vec<String>> {
        let mut rules = Self::default();
        let mut problems = Vec::new();
        for (i, text) in hosts.iter().enumerate() {
            match Authority::parse(text) {
                Some(authority) => rules.hosts.push(authority),
                None => problems.push(format!(
                    "http.allowed_hosts[{i}]: {text:?} is not a host; write \"gateway.example.com\" or \"gateway.example.com:8443\""
                )),
            }
        }
        for (i, text) in origins.iter().enumerate() {
            match origin(text) {
                Some((canonical, _)) => rules.origins.push(canonical),
                None => problems.push(format!(
                    "http.allowed_origins[{i}]: {text:?} is not a web origin; write \"https://console.example.com\", without a path"
                )),
            }
        }
        if problems.is_empty() { Ok(rules) } else { Err(problems) }
    }

    /// May this request be looked at?
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap, ends: Ends) -> Result<Page, Refusal> {
        let host = self.check_host(uri, headers, ends)?;
        self.check_origin(&host, headers, ends)
    }

    /// The same for what pages of any origin may ask for.
    pub(crate) fn check_any(&self, uri: &Uri, headers: &HeaderMap, ends: Ends) -> Result<Page, Refusal> {
        self.check_host(uri, headers, ends)?;
        Ok(Page::Any)
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap, ends: Ends) -> Result<Authority, Refusal> {
        let host = requested_host(uri, headers)?;
        if !self.host_allowed(&host, ends) {
            return Err(Refusal::new(
                Kind::Forbidden,
                format!(
                    "the request is for host {:?}, which is not this gateway; if clients reach it under that name, add it to http.allowed_hosts",
                    shown(&host.text())
                ),
            ));
        }
        Ok(host)
    }

    fn check_origin(&self, host: &Authority, headers: &HeaderMap, ends: Ends) -> Result<Page, Refusal> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(value) = origins.next() else { return Ok(Page::Own) };
        let parsed = value.to_str().ok().filter(|_| origins.next().is_none()).and_then(origin);
        let Some((canonical, authority)) = parsed else {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            return Err(foreign(&text));
        };
        if self.origins.contains(&canonical) {
            return Ok(Page::Foreign(canonical));
        }
        let default_port = if canonical.starts_with("https:") { 443 } else { 80 };
        let port = |a: &Authority| a.port.unwrap_or(default_port);
        let own = authority.host == host.host && port(&authority) == port(host);
        if own || loopback(&authority, ends) { Ok(Page::Own) } else { Err(foreign(&canonical)) }
    }

    fn host_allowed(&self, host: &Authority, ends: Ends) -> bool {
        let bound = host.port.unwrap_or(ends.default_port()) == ends.local.port();
        let literal =
            host.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == ends.local.ip().to_canonical());
        loopback(host, ends)
            || (bound && literal)
            || self.hosts.iter().any(|h| h.host == host.host && (h.port.is_none() || h.port == host.port))
    }
}

fn foreign(text: &str) -> Refusal {
    let message = format!(
        "pages of origin {:?} may not call this gateway; to let them, add it to http.allowed_origins",
        shown(text)
    );
    Refusal::new(Kind::Forbidden, message)
}

// What a request says of itself is echoed short.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

fn loopback(authority: &Authority, ends: Ends) -> bool {
    let name = authority.host == "localhost"
        || authority.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    name && authority.port.unwrap_or(ends.default_port()) == ends.local.port()
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, after)
            }
            None => {
                let cut = text.find(':').unwrap_or(text.len());
                let (host, after) = text.split_at(cut);
                let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
                if !host.bytes().all(fits) {
                    return None;
                }
                (host, after)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            None if port.is_empty() => None,
            _ => return None,
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        (!host.is_empty() && host.len() <= 253).then_some(Self { host, port })
    }

    fn text(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        self.port.map_or(host.clone(), |port| format!("{host}:{port}"))
    }
}

// `scheme://host[:port]` in canonical form (no default port), and its authority.
fn origin(text: &str) -> Option<(String, Authority)> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let mut authority = Authority::parse(rest)?;
    authority.port = authority.port.filter(|port| *port != default_port);
    Some((format!("{scheme}://{}", authority.text()), authority))
}

// HTTP/2 names the host in `:authority`, HTTP/1.1 in `Host`; when a request has both, they must agree.
/// The host, and port, that a request is for, as it says.
pub(crate) fn asked_host(uri: &Uri, headers: &HeaderMap) -> Result<String, Refusal> {
    requested_host(uri, headers).map(|host| host.text())
}

fn requested_host(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refusal> {
    let mut given = headers.get_all(header::HOST).iter();
    let header = given.next().map(|value| value.to_str().unwrap_or(""));
    if given.next().is_some() {
        return Err(Refusal::invalid("the request has several Host headers; send one"));
    }
    let text = match (uri.authority().map(http::uri::Authority::as_str), header) {
        (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => {
            return Err(Refusal::invalid("the request's target and its Host header name different hosts"));
        }
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return Err(Refusal::invalid("the request has no Host header")),
    };
    Authority::parse(text).ok_or_else(|| Refusal::invalid("the Host header is not host[:port]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(rules: &Rules, local: &str, host: &str, origin: Option<&str>) -> Result<Page, (u16, String)> {
        let ends =
            Ends { local: local.parse().unwrap(), peer: "127.0.0.1:50000".parse().unwrap(), tls: false };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        rules
            .check(&Uri::from_static("/mcp"), &headers, ends)
            .map_err(|r| (r.status_code().as_u16(), r.message().to_owned()))
    }

    fn rules(hosts: &[&str], origins: &[&str]) -> Rules {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        Rules::new(&own(hosts), &own(origins)).unwrap()
    }

    #[test]
    fn hosts() {
        let rules = rules(&["gw.example.com", "other.example.com:8443"], &[]);
        for good in [
            "localhost:8000",
            "LocalHost:8000",
            "127.0.0.1:8000",
            "127.9.9.9:8000",
            "[::1]:8000",
            "10.0.0.5:8000",
            "gw.example.com",
            "gw.example.com:1",
            "GW.example.com.:8000",
            "other.example.com:8443",
        ] {
            assert_eq!(check(&rules, "10.0.0.5:8000", good, None), Ok(Page::Own), "{good}");
        }
        for bad in [
            "localhost",
            "localhost:8001",
            "10.0.0.6:8000",
            "10.0.0.5",
            "evil.com:8000",
            "localhost.evil.com:8000",
            "gw.example.com.evil.com",
            "other.example.com",
            "evilgw.example.com",
            "127.0.0.1.evil.com:8000",
            "2130706433:8000",
            "xgw.example.com",
        ] {
            let (status, text) = check(&rules, "10.0.0.5:8000", bad, None).unwrap_err();
            assert_eq!(status, 403, "{bad}");
            assert!(text.contains("http.allowed_hosts"), "{text}");
        }
        for malformed in
            ["", "localhost:8000:1", "user@localhost:8000", "localhost:x", "localhost:99999", "[::1", "a b"]
        {
            assert_eq!(check(&rules, "10.0.0.5:8000", malformed, None).unwrap_err().0, 400, "{malformed}");
        }
        assert!(check(&rules, "127.0.0.1:80", "localhost", None).is_ok());
        assert!(check(&rules, "[::ffff:10.0.0.5]:8000", "10.0.0.5:8000", None).is_ok());
    }

    #[test]
    fn origins() {
        let rules = rules(&["gw.example.com"], &["https://Console.example.com:443", "http://dev.local:3000"]);
        for own in ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"] {
            assert_eq!(check(&rules, "127.0.0.1:8000", "localhost:8000", Some(own)), Ok(Page::Own), "{own}");
        }
        assert_eq!(
            check(&rules, "127.0.0.1:8000", "gw.example.com", Some("https://gw.example.com")),
            Ok(Page::Own)
        );
        let foreign = "https://console.example.com".to_owned();
        assert_eq!(
            check(&rules, "127.0.0.1:8000", "localhost:8000", Some(&foreign)),
            Ok(Page::Foreign(foreign.clone()))
        );
        for bad in [
            "null",
            "http://evil.com",
            "http://localhost:8001",
            "http://console.example.com",
            "https://dev.local:3000",
            "https://console.example.com.evil.com",
            "file://",
            "http://localhost:8000/",
            "http://x@localhost:8000",
            "https://gw.example.com",
        ] {
            let (status, text) = check(&rules, "127.0.0.1:8000", "localhost:8000", Some(bad)).unwrap_err();
            assert_eq!(status, 403, "{bad}");
            assert!(text.contains("http.allowed_origins"), "{text}");
        }
    }

    #[test]
    fn two_names_for_one_request_are_refused() {
        let ends = Ends {
            local: "127.0.0.1:8000".parse().unwrap(),
            peer: "127.0.0.1:1".parse().unwrap(),
            tls: false,
        };
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("localhost:8000"));
        let target = Uri::from_static("http://evil.com:8000/mcp");
        assert_eq!(Rules::default().check(&target, &headers, ends).unwrap_err().status_code(), 400);
        headers.append(header::HOST, HeaderValue::from_static("evil.com"));
        assert_eq!(
            Rules::default().check(&Uri::from_static("/"), &headers, ends).unwrap_err().status_code(),
            400
        );
        let none = HeaderMap::new();
        assert_eq!(
            Rules::default().check(&Uri::from_static("/"), &none, ends).unwrap_err().status_code(),
            400
        );
    }

    #[test]
    fn rules_are_checked() {
        let problems =
            Rules::new(&["*".into(), "http://a".into()], &["*".into(), "https://a/b".into()]).unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
    }

    #[test]
    fn a_host_without_a_port_means_the_default_one() {
        for (tls, port, allowed) in
            [(true, 443, true), (true, 80, false), (false, 80, true), (false, 443, false)]
        {
            let ends = Ends { local: ([127, 0, 0, 1], port).into(), peer: ([127, 0, 0, 1], 1).into(), tls };
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost".parse().unwrap());
            let checked = Rules::default().check(&Uri::from_static("/"), &headers, ends);
            assert_eq!(checked.is_ok(), allowed, "{tls} {port}");
        }
    }
}
