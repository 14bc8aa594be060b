//! `Guard`: the rules, validated, and the judgement of one URL as a first request or as a redirect.
//!
//! Made once by `client::Http`; asked before every hop. Pure: names are judged by their addresses in `resolve`, when
//! they are known. Invariant: a `Target` exists only if `check` returned it.

use super::{
    EgressRules,
    address::{self, Class},
    pattern::{self, Pattern, Service},
};
use crate::HostError;
use std::net::IpAddr;
use toolgate_core::Kind;
use url::{Host, Url};

/// Ports of services that do not speak HTTP, or should not be spoken to by a stranger.
const REFUSED_PORTS: [u16; 15] =
    [22, 23, 25, 53, 110, 143, 993, 995, 1433, 3306, 5432, 6379, 9200, 11211, 27017];
const DEFAULT_REDIRECTS: usize = 5;
const MOST_REDIRECTS: usize = 20;
const MOST_ENTRIES: usize = 1000;
const LONGEST_URL: usize = 8192;

pub(super) struct Guard {
    allow: Vec<Service>,
    only: Vec<Pattern>,
    deny: Vec<Pattern>,
    pub max_redirects: usize,
}

/// A URL that may be asked, as far as can be said without DNS.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub url: Url,
    pub host: Host,
    pub port: u16,
    /// The operator named this service: its address may be private, its port one of the refused.
    pub named: bool,
}

impl Target {
    pub fn same_origin(&self, other: &Target) -> bool {
        self.url.scheme() == other.url.scheme() && self.host == other.host && self.port == other.port
    }

    /// `host:port`, for texts; holds no path or query, where secrets may be.
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Guard {
    /// All problems of the rules in one text.
    pub fn new(rules: &EgressRules) -> Result<Self, HostError> {
        Self::judged(rules).map_err(|problems| HostError::new(Kind::Invalid, problems.join("; ")))
    }

    /// Every problem of the rules, each with its path below `egress`.
    pub fn judged(rules: &EgressRules) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let allow = parse_all("allow_private", &rules.allow_private, Service::parse, &mut problems);
        let only = parse_all("only", &rules.only, Pattern::parse, &mut problems);
        let deny = parse_all("deny", &rules.deny, Pattern::parse, &mut problems);
        for service in &allow {
            let host = &service.host;
            if !only.is_empty() && !only.iter().any(|p| p.matches(host)) {
                problems
                    .push(format!("egress.allow_private: `{host}` is left out by egress.only; add it there"));
            }
            if deny.iter().any(|p| p.matches(host)) {
                problems.push(format!("egress.allow_private: `{host}` is closed by egress.deny; remove one"));
            }
        }
        let max_redirects = rules.max_redirects.unwrap_or(DEFAULT_REDIRECTS);
        if max_redirects > MOST_REDIRECTS {
            problems
                .push(format!("egress.max_redirects: {max_redirects} is too many; at most {MOST_REDIRECTS}"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { allow, only, deny, max_redirects })
    }

    /// Addresses that are never connected to, whatever name leads there.
    pub fn denied_addresses(&self) -> Vec<IpAddr> {
        self.deny.iter().filter_map(Pattern::address).collect()
    }

    /// Judge a URL; `from` is the hop that redirects to it.
    pub fn check(&self, raw: &str, from: Option<&Target>) -> Result<Target, HostError> {
        let mut url = parse(raw)?;
        let host = pattern::host(url.host_str().unwrap_or_default())
            .map_err(|e| invalid(format!("the host of the URL is refused: {e}")))?;
        // The form that was judged is the form that is asked.
        url.set_host(Some(&host.to_string()))
            .map_err(|e| invalid(format!("the host of the URL is refused: {e}")))?;
        let port = url.port_or_known_default().unwrap_or(0);
        if let Some(from) = from
            && from.url.scheme() == "https"
            && url.scheme() == "http"
        {
            return Err(HostError::forbidden(format!(
                "{} redirects from https to http ({host}); that is refused",
                from.place()
            )));
        }
        self.open(&host)?;
        // A service named by the operator may send on to itself; nobody else may send there.
        let named = self.allow.iter().any(|s| {
            s.matches(&host, port) && from.is_none_or(|from| from.named && s.matches(&from.host, from.port))
        });
        let target = Target { url, host, port, named };
        if !named && let Some(reason) = refusal(&target) {
            return Err(self.refuse(&target, from, &reason));
        }
        Ok(target)
    }

    /// Judge the URL of an origin that the operator configured: naming it there opens its address and port, but what
    /// `deny` and `only` close stays closed.
    pub fn origin(&self, raw: &str) -> Result<Target, HostError> {
        let mut url = parse(raw)?;
        let host = pattern::host(url.host_str().unwrap_or_default())
            .map_err(|e| invalid(format!("the host of the URL is refused: {e}")))?;
        url.set_host(Some(&host.to_string()))
            .map_err(|e| invalid(format!("the host of the URL is refused: {e}")))?;
        self.open(&host)?;
        let port = url.port_or_known_default().unwrap_or(0);
        if port == 0 {
            return Err(invalid("port 0 cannot be connected to"));
        }
        Ok(Target { url, host, port, named: true })
    }

    fn open(&self, host: &Host) -> Result<(), HostError> {
        if self.deny.iter().any(|p| p.matches(host)) {
            return Err(HostError::forbidden(format!(
                "host `{host}` is closed by the operator (egress.deny)"
            )));
        }
        if !self.only.is_empty() && !self.only.iter().any(|p| p.matches(host)) {
            return Err(HostError::forbidden(format!(
                "host `{host}` is not among the hosts that the operator opened (egress.only)"
            )));
        }
        Ok(())
    }

    fn refuse(&self, target: &Target, from: Option<&Target>, reason: &str) -> HostError {
        let place = target.place();
        HostError::forbidden(match from {
            Some(from) => {
                format!(
                    "{} redirects to {place}, which is refused: {reason}; ask the right URL directly",
                    from.place()
                )
            }
            None => format!(
                "{place} is refused: {reason}; if it is meant to be reached, an operator adds `{place}` to egress.allow_private"
            ),
        })
    }
}

/// Why a target needs the operator's word, if it does.
fn refusal(target: &Target) -> Option<String> {
    let reason = match &target.host {
        Host::Domain(name) if address::is_localhost(name) => Some("it is this machine".into()),
        Host::Domain(name) if address::is_metadata_name(name) => {
            Some("it is a cloud metadata service".into())
        }
        Host::Domain(_) => None,
        Host::Ipv4(v4) => reason(address::judge((*v4).into())),
        Host::Ipv6(v6) => reason(address::judge((*v6).into())),
    };
    reason.or_else(|| {
        (target.port == 0 || REFUSED_PORTS.contains(&target.port))
            .then(|| format!("port {} is not for HTTP requests", target.port))
    })
}

fn reason(class: Class) -> Option<String> {
    match class {
        Class::Public => None,
        Class::Private(why) => Some(format!("its address is not public ({why})")),
        Class::Metadata => Some("it is a cloud metadata service".into()),
    }
}

fn parse(raw: &str) -> Result<Url, HostError> {
    if raw.len() > LONGEST_URL {
        return Err(invalid(format!("the URL is longer than {LONGEST_URL} bytes")));
    }
    // `url` would drop or reinterpret these, as browsers do; a URL that needs that is a mistake or an attempt.
    if raw.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(invalid(
            "the URL has a space, control character or backslash in it; write it percent-encoded",
        ));
    }
    let mut url =
        Url::parse(raw).map_err(|e| invalid(format!("not a URL: {e}; write it as https://host/path")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(HostError::forbidden(format!(
            "scheme `{}` is refused; only http and https are allowed",
            url.scheme()
        )));
    }
    let after = raw.split_once(':').map_or("", |(_, rest)| rest).trim_start_matches('/');
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Err(HostError::forbidden(
            "a user or password in the URL is refused; send credentials in a header",
        ));
    }
    url.set_fragment(None);
    Ok(url)
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> HostError {
    HostError::new(Kind::Invalid, message)
}

fn parse_all<T>(
    key: &str,
    entries: &[String],
    parse: fn(&str) -> Result<T, String>,
    problems: &mut Vec<String>,
) -> Vec<T> {
    if entries.len() > MOST_ENTRIES {
        problems.push(format!("egress.{key}: {} entries; {MOST_ENTRIES} are the most", entries.len()));
        return Vec::new();
    }
    let mut parsed = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        match parse(entry) {
            Ok(item) => parsed.push(item),
            Err(why) => problems.push(format!("egress.{key}[{index}]: {entry:?} is not accepted: {why}")),
        }
    }
    parsed
}
