//! Tool `get_stackoverflow_qa`.

use super::{A2aUnified, bounded};
use dom_query::Document;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use toolgate_core::param::Within;
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

const MAX_TOPIC: usize = 256;

/// Questions of Stack Overflow with these words in their title, the most relevant first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetStackoverflowQa {
    /// Words of the title, e.g. `rust borrow checker`.
    topic: String,
    /// Questions at most, 1 to 100.
    #[serde(default)]
    limit: Within<1, 100, 5>,
}

/// Questions found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Questions {
    topic: String,
    questions: Vec<Question>,
    count: usize,
    success: bool,
}

/// One question.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Question {
    title: String,
    score: i64,
    /// How many answers it has.
    answers: u64,
    link: String,
    tags: Vec<String>,
}

// What Stack Exchange answers, as far as it is used.
#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    /// Seconds to wait before the next request.
    #[serde(default)]
    backoff: Option<u64>,
}

#[derive(Deserialize)]
struct Item {
    title: String,
    score: i64,
    answer_count: u64,
    link: String,
    #[serde(default)]
    tags: Vec<String>,
}

impl Tool for GetStackoverflowQa {
    type Server = A2aUnified;
    type Output = Questions;
    const SPEC: Spec = Spec::read("get_stackoverflow_qa").cache(secs(3600)).open_world();

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Questions, ToolError> {
        bounded("topic", &self.topic, MAX_TOPIC)?;
        let pagesize = self.limit.get().to_string();
        let asked = [
            ("intitle", self.topic.trim()),
            ("site", "stackoverflow"),
            ("sort", "relevance"),
            ("order", "desc"),
            ("pagesize", pagesize.as_str()),
        ];
        let page: Page = server.stackexchange.get(&server.host, &["2.3", "search"], &asked).await?;
        if let Some(seconds) = page.backoff {
            server.stackexchange.pause(Duration::from_secs(seconds));
        }
        let questions: Vec<_> = page.items.into_iter().take(self.limit.count()).map(Question::from).collect();
        Ok(Questions { topic: self.topic, count: questions.len(), questions, success: true })
    }
}

impl From<Item> for Question {
    fn from(item: Item) -> Self {
        Self {
            // Titles come as HTML: `Vec&lt;T&gt;`.
            title: Document::from(item.title.as_str()).text().trim().to_owned(),
            score: item.score,
            answers: item.answer_count,
            link: item.link,
            tags: item.tags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{server, server_with};
    use super::*;
    use crate::testing::{call, refusal, serve_once};
    use serde_json::json;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use toolgate_core::Kind;

    // One question and `backoff` 9, as gzip: Stack Exchange compresses every answer.
    const PAGE: &[u8] = &[
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 37, 141, 65, 14, 130, 48, 20, 68, 175, 66, 190, 73, 55, 84, 27, 52,
        46, 104, 23, 94, 194, 232, 194, 16, 82, 75, 193, 134, 210, 66, 251, 137, 26, 194, 221, 45, 113, 51,
        153, 89, 188, 55, 11, 24, 212, 67, 4, 254, 88, 0, 13, 90, 13, 28, 238, 175, 111, 102, 98, 118, 211,
        138, 88, 20, 87, 210, 161, 200, 136, 28, 198, 148, 187, 83, 41, 100, 70, 166, 217, 163, 240, 77, 243,
        47, 23, 160, 16, 149, 15, 137, 221, 23, 20, 164, 139, 111, 29, 106, 229, 103, 135, 192, 143, 20, 172,
        113, 125, 210, 190, 16, 199, 200, 25, 139, 7, 253, 73, 54, 171, 217, 196, 138, 132, 162, 236, 182,
        127, 8, 115, 196, 52, 85, 158, 67, 181, 86, 20, 158, 82, 245, 190, 109, 129, 151, 20, 182, 31, 89, 7,
        61, 72, 227, 140, 235, 128, 159, 215, 31, 67, 60, 221, 125, 186, 0, 0, 0,
    ];

    #[tokio::test]
    async fn happy() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (server, _, _dir) = server_with(&format!("http://{}", listener.local_addr().unwrap()));
        let seen = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                PAGE.len()
            );
            stream.write_all(&[head.as_bytes(), PAGE].concat()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        let server = Arc::new(server);
        let found = call::<GetStackoverflowQa>(&server, json!({"topic": "vec odd"})).await.unwrap();
        let question = json!({
            "title": "Why is Vec<T> & 'a \"odd\"?", "score": -1, "answers": 2, "link": "https://s.example/q/1",
            "tags": ["rust", "c++"],
        });
        assert_eq!(found, json!({"topic": "vec odd", "questions": [question], "count": 1, "success": true}));
        let request = seen.await.unwrap();
        let query = "intitle=vec+odd&site=stackoverflow&sort=relevance&order=desc&pagesize=5";
        assert!(request.starts_with(&format!("GET /2.3/search?{query} HTTP/1.1\r\n")), "{request}");
        let early = call::<GetStackoverflowQa>(&server, json!({"topic": "more"})).await.unwrap_err();
        assert_eq!(early.kind, Kind::Unavailable);
        assert!(early.message.contains("try again in 9 s") || early.message.contains("in 8 s"), "{early}");
    }

    #[tokio::test]
    async fn refused() {
        let (quiet, _dir) = server();
        assert_eq!(refusal::<GetStackoverflowQa>(&quiet, json!({"topic": ""})).await, Kind::Invalid);
        assert_eq!(
            refusal::<GetStackoverflowQa>(&quiet, json!({"topic": "x".repeat(257)})).await,
            Kind::TooLarge
        );

        let said =
            r#"{"error_id": 502, "error_name": "throttle_violation", "error_message": "too many requests"}"#;
        let answer = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{said}", said.len());
        let (url, _seen) = serve_once(answer).await;
        let (limited, _, _dir) = server_with(&url);
        let error = call::<GetStackoverflowQa>(&Arc::new(limited), json!({"topic": "x"})).await.unwrap_err();
        assert_eq!((error.kind, error.message.contains("in 60 s")), (Kind::Unavailable, true), "{error}");
    }
}
