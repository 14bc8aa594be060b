//! Tool `scrape_webpage`.

use super::Omnipotent;
use crate::web;
use dom_query::{Document, Matcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use toolgate_host::egress::Outgoing;

// CATALOGUE 1.16.
const MAX_PAGE: usize = 5 << 20;
const MAX_ELEMENTS: usize = 100;
const MAX_ELEMENT: usize = 1000;
const MAX_LINKS: usize = 50;
// Of a whole page without a selector, in characters.
const MAX_TEXT: usize = 100_000;

/// Fetch a web page and return its title, its text (or that of the elements a CSS selector names) and its links.
/// Only public addresses, unless the operator named others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScrapeWebpage {
    /// `http` or `https` URL of an HTML page.
    url: String,
    /// CSS selector, e.g. `article h2`; at most 100 elements of 1000 characters are returned.
    #[serde(default)]
    selector: Option<String>,
}

/// A page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page {
    /// The URL that answered, after redirects.
    url: String,
    status_code: u16,
    title: String,
    /// One text for each element; without a selector, one for the whole page.
    content: Vec<String>,
    links: Vec<Link>,
    success: bool,
    /// Whether something was cut.
    truncated: bool,
}

/// A link of a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Link {
    text: String,
    /// Absolute.
    url: String,
}

impl Tool for ScrapeWebpage {
    type Server = Omnipotent;
    type Output = Page;
    const SPEC: Spec = Spec::read("scrape_webpage")
        .aliases(&["scrape_webpage_secure"])
        .timeout(secs(40))
        .open_world()
        .without_breaker();

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Page, ToolError> {
        let matcher = match &self.selector {
            None => None,
            Some(css) => Some(
                Matcher::new(css)
                    .map_err(|_| ToolError::invalid(format!("{css:?} is not a CSS selector")))?,
            ),
        };
        let answer =
            server.host.http().send(Outgoing { max_body: MAX_PAGE, ..Outgoing::get(self.url) }).await?;
        let kind = web::media_type(&answer.headers);
        if !matches!(kind.as_str(), "" | "text/html" | "application/xhtml+xml" | "text/plain") {
            return Err(ToolError::invalid(format!(
                "{} is {kind}, not a web page; use http_request",
                answer.url
            )));
        }
        let html = String::from_utf8_lossy(&answer.body).into_owned();
        let (url, status, cut) = (answer.url, answer.status, answer.truncated);
        // A hostile page can take long to parse, so it is not parsed on a thread that others wait for.
        tokio::task::spawn_blocking(move || read(&html, url, matcher, cut))
            .await
            .map_err(|_| ToolError::invalid("the page could not be parsed"))
            .map(|page| Page { status_code: status.as_u16(), success: status.is_success(), ..page })
    }
}

fn read(html: &str, url: String, matcher: Option<Matcher>, cut: bool) -> Page {
    let document = Document::from(html);
    let title = shortened(&document.select("title").first().text(), MAX_ELEMENT).0;
    let (links, more_links) = links(&document, &url);
    document.select("script, style, noscript, template").remove();
    let mut truncated = cut || more_links;
    let content = match matcher {
        Some(matcher) => {
            let found = document.select_matcher(&matcher);
            truncated |= found.length() > MAX_ELEMENTS;
            let texts = found.iter().take(MAX_ELEMENTS).map(|element| {
                let (text, more) = shortened(&element.text(), MAX_ELEMENT);
                truncated |= more;
                text
            });
            texts.collect()
        }
        None => {
            let (text, more) = shortened(&document.select("body").text(), MAX_TEXT);
            truncated |= more;
            vec![text]
        }
    };
    Page { url, status_code: 0, title, content, links, success: false, truncated }
}

fn links(document: &Document, base: &str) -> (Vec<Link>, bool) {
    let base = url::Url::parse(base).ok();
    let found = document.select("a[href]");
    let mut links = Vec::new();
    for anchor in found.iter() {
        let Some(target) = anchor.attr("href").and_then(|href| base.as_ref()?.join(&href).ok()) else {
            continue;
        };
        if !matches!(target.scheme(), "http" | "https") {
            continue;
        }
        if links.len() == MAX_LINKS {
            return (links, true);
        }
        links.push(Link { text: shortened(&anchor.text(), 200).0, url: target.into() });
    }
    (links, false)
}

// Text with its white space folded, cut at so many characters; and whether it was cut.
fn shortened(text: &str, most: usize) -> (String, bool) {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match folded.char_indices().nth(most) {
        Some((at, _)) => (folded[..at].to_owned(), true),
        None => (folded, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, refusal, serve_once};
    use serde_json::json;
    use toolgate_core::Kind;

    const PAGE: &str = "<title> A  page </title><body><script>x()</script><h2>One</h2><h2>Two <b>b</b></h2>\
                        <a href='/next'>Next</a><a href='javascript:x'>no</a></body>";

    fn answer(kind: &str, body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = super::super::server();
        let (url, _seen) = serve_once(answer("text/html", PAGE)).await;
        let page = call::<ScrapeWebpage>(&server, json!({"url": url, "selector": "h2"})).await.unwrap();
        assert_eq!(
            (page["title"].clone(), page["content"].clone()),
            (json!("A page"), json!(["One", "Two b"]))
        );
        assert_eq!(page["links"], json!([{"text": "Next", "url": format!("{url}next")}]));
        let (url, _seen) = serve_once(answer("text/html; charset=utf-8", PAGE)).await;
        let page = call::<ScrapeWebpage>(&server, json!({"url": url})).await.unwrap();
        assert!(!page["content"][0].as_str().unwrap().contains("x()"));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        let kind = async |arguments| refusal::<ScrapeWebpage>(&server, arguments).await;
        assert_eq!(kind(json!({"url": "http://localhost", "selector": "h2["})).await, Kind::Invalid);
        assert_eq!(kind(json!({"url": "http://192.168.0.1/"})).await, Kind::Forbidden);
        let (url, _seen) = serve_once(answer("image/png", "x")).await;
        assert_eq!(kind(json!({"url": url})).await, Kind::Invalid);
    }
}
