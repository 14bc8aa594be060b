//! rmcp's client against the fixture server behind the gateway's own edge and engine: what the tools of the real binary do
//! not show (a user asked, a call given up, a server that comes back without its sessions). The rest is `oracle` in the
//! tests of `toolgate`. The other clients are in `tests/clients`.

// Helpers of tests are not `#[test]` functions, which clippy.toml exempts.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use toolgate_testkit::oracle::{Handshake, Oracle, User, config};

const LIMIT: Duration = Duration::from_secs(20);

/// `conformance_gate` as a process; killed when dropped.
struct Fixture {
    address: String,
    child: Child,
}

impl Fixture {
    async fn start() -> Self {
        // The kernel names a free port; another process could take it first, and then the fixture ends.
        for _ in 0..10 {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let mut fixture = Self { child: process(&address), address };
            if fixture.comes_up().await {
                return fixture;
            }
        }
        panic!("the fixture does not start");
    }

    async fn comes_up(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT && self.child.try_wait().unwrap().is_none() {
            if reqwest::get(format!("http://{}/health", self.address)).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// `kill -9`, and another one in its place: it knows no session.
    async fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = process(&self.address);
        assert!(self.comes_up().await, "the fixture does not come back");
    }

    fn url(&self) -> String {
        format!("http://{}/mcp/conformance", self.address)
    }

    /// How many calls of `hold` run, by the server's own word.
    async fn holding(&self) -> String {
        let url = format!("{}/tools/holding", self.url());
        let request = reqwest::Client::new().post(url).header("content-type", "application/json");
        let answer = request.body(r#"{"params": {}}"#).send().await.unwrap().text().await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["data"]["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// A number of the metrics page; 0 when it is not there.
    async fn metric(&self, wanted: &str) -> u64 {
        let page = reqwest::get(format!("http://{}/metrics", self.address)).await.unwrap();
        let page = page.text().await.unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Calls of `hold` that ended because they were cancelled; each would run for longer than this test waits.
    async fn cancelled(&self) -> u64 {
        let wanted = r#"mcp_tool_errors_total{server="conformance",tool="hold",error_type="cancelled"}"#;
        self.metric(wanted).await
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn process(address: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_conformance_gate"))
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what}: not within {LIMIT:?}"))
}

async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    within(what, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

async fn says(client: &Oracle, tool: &str, arguments: serde_json::Value) -> String {
    let result = within(tool, client.call(tool, arguments)).await.unwrap();
    assert_ne!(result.is_error, Some(true), "{tool}: {result:?}");
    result.content[0].as_text().unwrap().text.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_calls_reads_and_is_elicited() {
    let fixture = Fixture::start().await;
    for handshake in Handshake::ALL {
        let client = Oracle::at(config(&fixture.url()), handshake).await.unwrap();
        let tools = client.tools().await.unwrap();
        for tool in ["test_simple_text", "test_elicitation", "hold"] {
            assert!(tools.iter().any(|name| name == tool), "{tool} is not among {tools:?}");
        }
        let resources = client.resources().await.unwrap();
        assert!(resources.iter().any(|uri| uri == "test://static-text"), "{resources:?}");
        let text = client.read("test://static-text").await.unwrap();
        assert_eq!(text, "This is the content of the static text resource.", "{handshake:?}");
        let text = says(&client, "test_simple_text", json!({})).await;
        assert_eq!(text, "This is a simple text response for testing.");

        let text = says(&client, "test_elicitation", json!({"message": "Who is it?"})).await;
        assert_eq!(client.asked(), ["Who is it?"], "{handshake:?}");
        for value in User::form().as_object().unwrap().values() {
            assert!(text.contains(value.as_str().unwrap()), "{handshake:?}: {text}");
        }
        // A stream that the server lets go of in the middle is taken up again.
        assert_eq!(says(&client, "test_reconnection", json!({})).await, "Reconnection test completed");
        client.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cancelled_or_dropped_ends_in_the_gateway() {
    let fixture = Fixture::start().await;
    let long = json!({"seconds": 50});
    for handshake in Handshake::ALL {
        let client = Oracle::at(config(&fixture.url()), handshake).await.unwrap();
        for explicit in [false, true] {
            let case = format!("{handshake:?}, explicit: {explicit}");
            let before = fixture.cancelled().await;
            let begun = || async { fixture.holding().await == "1" };
            if explicit {
                let handle = client.begin("hold", long.clone()).await.unwrap();
                until("the call begins", begun).await;
                handle.cancel(Some("nobody waits".to_owned())).await.unwrap();
            } else {
                tokio::select! {
                    end = client.call("hold", long.clone()) => panic!("{case}: it ends by itself: {end:?}"),
                    () = until("the call begins", begun) => {}
                }
            }
            let ended = || async { fixture.holding().await == "0" };
            until(&format!("{case}: the tool ends"), ended).await;
            let recorded = || async { fixture.cancelled().await == before + 1 };
            until(&format!("{case}: the call is recorded as cancelled"), recorded).await;
        }
        // The connection is as good as before.
        says(&client, "test_simple_text", json!({})).await;
        client.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnects_to_a_server_that_lost_its_sessions() {
    let mut fixture = Fixture::start().await;
    for handshake in Handshake::ALL {
        // One that takes up a new session by itself, which is rmcp's default, and one that is told what became of the old.
        let same = Oracle::at(config(&fixture.url()), handshake).await.unwrap();
        let told = config(&fixture.url()).reinit_on_expired_session(false);
        let told = Oracle::at(told, handshake).await.unwrap();
        for client in [&same, &told] {
            says(client, "test_simple_text", json!({})).await;
        }
        fixture.restart().await;
        let second = within("a call", told.call("test_simple_text", json!({}))).await;
        match handshake {
            Handshake::Legacy => {
                let error = format!("{:?}", second.expect_err("the session cannot be known any more"));
                assert!(error.contains("SessionExpired"), "{error}");
            }
            Handshake::Modern => assert_ne!(second.unwrap().is_error, Some(true), "there is no session"),
        }
        let text = says(&same, "test_elicitation", json!({"message": "Who is it now?"})).await;
        assert!(text.contains("ada@example.org"), "{handshake:?}: {text}");
        assert_eq!(same.asked(), ["Who is it now?"], "the new session can do what the old one could");
        same.close().await.unwrap();
        // After a goodbye, which ends the session, a new connection.
        let new = Oracle::at(config(&fixture.url()), handshake).await.unwrap();
        says(&new, "test_simple_text", json!({})).await;
        new.close().await.unwrap();
    }
}
