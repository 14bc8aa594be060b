//! Real processes of an upstream whose callers are kept apart: each has a home of its own, which is kept.

#![allow(clippy::unwrap_used)] // helpers of tests are not `#[test]` functions, which clippy.toml exempts

use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use toolgate_core::caller::Caller;
use toolgate_core::id::CallId;
use toolgate_core::name::ServerName;
use toolgate_core::server::Mount;
use toolgate_core::{Ctx, Effect, JsonText};
use toolgate_upstream::settings::Share;
use toolgate_upstream::transport::stdio::{Ground, Stdio, plan};
use toolgate_upstream::transport::{Open, Transport};
use toolgate_upstream::{Event, Together, Upstream, Upstreams};

// Its one tool notes who called, and says what it finds in its home.
const SERVER: &str = r"
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    method, params = asked['method'], asked.get('params', {})
    if 'id' not in asked: continue
    answer = {'jsonrpc': '2.0', 'id': asked['id']}
    if method == 'initialize':
        answer['result'] = {'protocolVersion': '2025-06-18', 'capabilities': {'tools': {}}, 'serverInfo': {'name': 's', 'version': '1'}}
    elif method == 'tools/list':
        answer['result'] = {'tools': [{'name': 'note', 'inputSchema': {'type': 'object'}}]}
    elif method == 'tools/call':
        home = os.environ['HOME']
        open(os.path.join(home, params['arguments']['who']), 'w').close()
        there = ','.join(sorted(name for name in os.listdir(home) if not name.startswith('.')))
        answer['result'] = {'content': [{'type': 'text', 'text': there}]}
    else:
        answer['error'] = {'code': -32601, 'message': 'no'}
    print(json.dumps(answer), flush=True)
";

fn opener(data: &Path) -> Open {
    let ground = Ground { state: data.join("run"), homes: data.join("homes"), ..Ground::default() };
    Arc::new(move |name, settings, caller| {
        let plan = plan(name, settings, caller, Vec::new(), Vec::new(), &ground);
        Box::pin(async move { Ok(Stdio::start(plan, 1 << 20).await? as Arc<dyn Transport>) })
    })
}

async fn begin(data: &Path, share: Share) -> (Upstreams, Mount) {
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let upstreams =
        Upstreams::new(opener(data), Arc::new(move |event| drop(sender.send(event))), Together::default());
    let settings = Upstream {
        command: Some("/usr/bin/python3".into()),
        args: vec!["-c".into(), SERVER.into()],
        share,
        max_sessions: 8,
        ..Upstream::default()
    };
    upstreams.set(BTreeMap::from([(ServerName::new("notes").unwrap(), settings)]));
    let offered = async {
        loop {
            if let Event::Offers(mount) = events.recv().await.unwrap() {
                return mount;
            }
        }
    };
    let mount = tokio::time::timeout(Duration::from_secs(60), offered).await.expect("it is not offered");
    (upstreams, mount)
}

async fn note(mount: &Mount, who: &str) -> String {
    let arguments = JsonText::of(&json!({ "who": who })).unwrap();
    let caller = Arc::new(Caller::new(who, who, ["admin"]));
    let ctx = Ctx::new(CallId::new(), caller, Effect::Destroy, Instant::now() + Duration::from_secs(60));
    let output = mount.tools[0].prepare(&arguments).unwrap().run(&ctx).await.unwrap();
    let result: serde_json::Value = serde_json::from_str(output.json.get()).unwrap();
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_has_a_home_where_callers_are_kept_apart() {
    for (share, bobs) in
        [(Share::Caller, "bob"), (Share::Session, "bob"), (Share::Auto, "ann,bob"), (Share::All, "ann,bob")]
    {
        let data = tempfile::tempdir().unwrap();
        let apart = bobs == "bob";
        let (upstreams, mount) = begin(data.path(), share).await;
        assert_eq!(note(&mount, "ann").await, "ann", "{share:?}");
        assert_eq!(note(&mount, "bob").await, bobs, "{share:?}");
        let homes = data.path().join("homes");
        let of = if apart { homes.join("notes.callers/ann") } else { homes.join("notes") };
        assert!(of.join("ann").exists());
        drop((upstreams, mount));
        // Another process of hers finds what the first left, and nothing that was for a while.
        let (_upstreams, mount) = begin(data.path(), share).await;
        let again = if apart { "ann" } else { "ann,bob" };
        assert_eq!(note(&mount, "ann").await, again, "{share:?}");
    }
}
