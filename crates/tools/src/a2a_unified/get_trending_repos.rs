//! Tool `get_trending_repos`.

use super::{A2aUnified, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::param::Within;
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

const MAX_LANGUAGE: usize = 64;

/// The public GitHub repositories with the most stars, of one programming language or of all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetTrendingRepos {
    /// Programming language as GitHub names it, e.g. `rust`, `C++`, `Jupyter Notebook`.
    #[serde(default)]
    language: Option<String>,
    /// Repositories at most, 1 to 100.
    #[serde(default)]
    limit: Within<1, 100, 10>,
}

/// Repositories, those with the most stars first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Trending {
    repos: Vec<Repo>,
    count: usize,
    language: Option<String>,
    success: bool,
}

/// One repository.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Repo {
    /// Owner and name.
    name: String,
    stars: u64,
    description: Option<String>,
    url: String,
    language: Option<String>,
}

// What GitHub answers, as far as it is used.
#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    full_name: String,
    stargazers_count: u64,
    description: Option<String>,
    html_url: String,
    language: Option<String>,
}

impl Tool for GetTrendingRepos {
    type Server = A2aUnified;
    type Output = Trending;
    const SPEC: Spec = Spec::read("get_trending_repos").cache(secs(3600)).open_world();

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Trending, ToolError> {
        let language = given(self.language);
        let query = match &language {
            None => "stars:>1000".to_owned(),
            Some(language) => format!("language:\"{}\"", checked(language)?),
        };
        let per_page = self.limit.get().to_string();
        let asked =
            [("q", query.as_str()), ("sort", "stars"), ("order", "desc"), ("per_page", per_page.as_str())];
        let page: Page = server.github.get(&server.host, &["search", "repositories"], &asked).await?;
        let repos: Vec<_> = page.items.into_iter().take(self.limit.count()).map(Repo::from).collect();
        Ok(Trending { count: repos.len(), repos, language, success: true })
    }
}

// A quote would end the language and begin other qualifiers of the search.
fn checked(language: &str) -> Result<&str, ToolError> {
    let language = language.trim();
    if language.len() > MAX_LANGUAGE || language.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
        return Err(ToolError::invalid(format!(
            "language must be a name as GitHub shows it, of at most {MAX_LANGUAGE} bytes, without quotes"
        )));
    }
    Ok(language)
}

impl From<Item> for Repo {
    fn from(item: Item) -> Self {
        Self {
            name: item.full_name,
            stars: item.stargazers_count,
            description: item.description,
            url: item.html_url,
            language: item.language,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{server, server_with};
    use super::*;
    use crate::testing::{call, refusal, serve_once};
    use serde_json::{Value, json};
    use std::sync::Arc;
    use toolgate_core::Kind;

    async fn asked(answer: String, arguments: Value) -> (Result<Value, ToolError>, String) {
        let (url, seen) = serve_once(answer).await;
        let (server, _, _dir) = server_with(&url);
        (call::<GetTrendingRepos>(&Arc::new(server), arguments).await, seen.await.unwrap())
    }

    fn ok(body: &Value) -> String {
        let body = body.to_string();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn happy() {
        let item = json!({
            "id": 1, "full_name": "a/b", "stargazers_count": 7, "description": null, "html_url": "https://g/a/b",
            "language": "C++", "owner": {"login": "a"},
        });
        let page = ok(&json!({"total_count": 1, "items": [item]}));
        let (answer, request) = asked(page, json!({"language": "C++", "limit": "100"})).await;
        let repo = json!({"name": "a/b", "stars": 7, "description": null, "url": "https://g/a/b", "language": "C++"});
        assert_eq!(answer.unwrap(), json!({"repos": [repo], "count": 1, "language": "C++", "success": true}));
        let first = request.lines().next().unwrap();
        let expected =
            "GET /search/repositories?q=language%3A%22C%2B%2B%22&sort=stars&order=desc&per_page=100 HTTP/1.1";
        assert_eq!(first, expected);
        assert!(request.contains("user-agent: toolgate/"), "{request}");
        let (answer, request) = asked(ok(&json!({"items": []})), json!({"language": ""})).await;
        assert_eq!(answer.unwrap(), json!({"repos": [], "count": 0, "language": null, "success": true}));
        assert!(request.contains("q=stars%3A%3E1000&"), "{request}");
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        let kind = async |arguments| refusal::<GetTrendingRepos>(&server, arguments).await;
        assert_eq!(kind(json!({"language": "x\" stars:>1"})).await, Kind::Invalid);
        assert_eq!(kind(json!({"language": "x".repeat(65)})).await, Kind::Invalid);

        let reset = jiff::Timestamp::now().as_second() + 40;
        let limited = format!(
            "HTTP/1.1 403 Forbidden\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: {reset}\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        let error = asked(limited, json!({})).await.0.unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable);
        assert!(["39 s", "40 s", "41 s"].iter().any(|wait| error.message.contains(wait)), "{error}");

        let said = r#"{"message": "Validation Failed"}"#;
        let unknown = format!("HTTP/1.1 422 Unprocessable\r\nContent-Length: {}\r\n\r\n{said}", said.len());
        let error = asked(unknown, json!({"language": "nonesuch"})).await.0.unwrap_err();
        assert_eq!(
            (error.kind, error.message.contains("Validation Failed")),
            (Kind::Invalid, true),
            "{error}"
        );
        let html = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>".to_owned();
        assert_eq!(asked(html, json!({})).await.0.unwrap_err().kind, Kind::Unavailable);
    }
}
