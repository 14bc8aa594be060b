//! A server of another implementation for the official conformance suite: the tools, resources and prompts that the suite
//! calls, on rmcp's server over Streamable HTTP, in both eras. `tests/conformance/through.sh` runs the suite against it, and
//! through the gateway in front of it.
//!
//! `rmcp_server ADDRESS` serves `http://ADDRESS/mcp` until it is killed. An example, so that nothing but tests builds it.
//! What it offers is in `offers`, what its tools do in `tools` and `tasks`, how a client is asked in `asking`.

// Sampling, roots and logging are deprecated in the newest revision, and the suite asks for them.
#![allow(deprecated, clippy::unwrap_used)]

mod asking;
mod offers;
mod tasks;
mod tools;

use anyhow::{Context, Result};
use asking::{Asked, Given, States};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rmcp::model::*;
use rmcp::service::{NotificationContext, Peer, RequestContext, SubscriptionContext};
use rmcp::task_manager::TaskManager;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

/// How soon a client comes back to a stream that was closed.
const RETRY: Duration = Duration::from_millis(100);

/// What changed in what the server offers.
#[derive(Debug, Clone)]
pub enum Change {
    Tools,
    Prompts,
    Resource(String),
}

/// What all sessions and requests of the process share.
pub struct Shared {
    pub tasks: TaskManager,
    pub states: States,
    pub changes: broadcast::Sender<Change>,
    pub sessions: Arc<LocalSessionManager>,
}

/// The handler of one legacy session, or of one modern request.
#[derive(Clone)]
pub struct Everything {
    pub shared: Arc<Shared>,
    subscribed: Arc<Mutex<BTreeSet<String>>>,
    level: Arc<Mutex<Option<LoggingLevel>>>,
}

impl Everything {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, subscribed: Arc::default(), level: Arc::default() }
    }

    /// Whether a line of this level is wanted: by the request in the modern era, by the session in the legacy one.
    pub fn logs(&self, context: &Incoming, level: LoggingLevel) -> bool {
        if modern(context) {
            context.meta.log_level().is_some_and(|least| level as u8 >= least as u8)
        } else {
            self.level.lock().unwrap().is_none_or(|least| level as u8 >= least as u8)
        }
    }

    // Tells a legacy session what changes, until it ends.
    async fn tell(self, peer: Peer<RoleServer>) {
        let mut changes = self.shared.changes.subscribe();
        while let Ok(change) = changes.recv().await {
            let told = match change {
                Change::Tools => peer.notify_tool_list_changed().await,
                Change::Prompts => peer.notify_prompt_list_changed().await,
                Change::Resource(uri) if self.subscribed.lock().unwrap().contains(&uri) => {
                    peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await
                }
                Change::Resource(_) => Ok(()),
            };
            if told.is_err() {
                return;
            }
        }
    }
}

/// Whether the request is of the era without sessions.
pub fn modern(context: &Incoming) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// An object of the protocol, written as it looks on the wire.
pub fn wire<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|why| panic!("{why}: {value}"))
}

/// A request and who made it.
pub type Incoming = RequestContext<RoleServer>;
type Answer<T> = Result<T, ErrorData>;

impl ServerHandler for Everything {
    fn get_info(&self) -> ServerConfig {
        let capabilities = json!({
            "logging": {}, "completions": {}, "prompts": {"listChanged": true}, "tools": {"listChanged": true},
            "resources": {"subscribe": true, "listChanged": true}, "extensions": {TASKS_EXTENSION_ID: {}},
        });
        ServerConfig::new(wire(capabilities)).with_server_info(Implementation::new("rmcp_server", "1"))
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        tokio::spawn(self.clone().tell(context.peer));
    }

    async fn set_level(&self, request: SetLevelRequestParams, _: Incoming) -> Answer<()> {
        *self.level.lock().unwrap() = Some(request.level);
        Ok(())
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Incoming) -> Answer<ListToolsResult> {
        Ok(ListToolsResult::with_all_items(offers::tools()))
    }

    // rmcp checks mirrored headers against it.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        offers::tools().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Incoming) -> Answer<CallToolResponse> {
        self.call(request, context).await
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Incoming,
    ) -> Answer<ListPromptsResult> {
        Ok(ListPromptsResult::with_all_items(offers::prompts()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Incoming,
    ) -> Answer<GetPromptResponse> {
        let arguments = request.arguments.unwrap_or_default();
        if let Some(messages) = offers::prompt(&request.name, &arguments) {
            return Ok(GetPromptResult::new(messages).into());
        }
        if request.name != offers::ASKING_PROMPT {
            return Err(ErrorData::invalid_params(format!("no prompt {}", request.name), None));
        }
        let given = Given { responses: request.input_responses, state: request.request_state };
        let form = asking::form("What context should the prompt use?", "context", "string");
        match asking::ask(&self.shared.states, &context, given, vec![("user_context", form)]).await? {
            Asked::Round(round) => Ok(round.into()),
            Asked::Answers(answers) => {
                let text = format!("In the context of {}", answers["user_context"]["content"]["context"]);
                Ok(GetPromptResult::new(wire(offers::say(&text))).into())
            }
        }
    }

    async fn complete(&self, request: CompleteRequestParams, _: Incoming) -> Answer<CompleteResult> {
        let typed = &request.argument.value;
        let values = ["paris", "park", "party"].into_iter().filter(|value| value.starts_with(typed.as_str()));
        let values = CompletionInfo::with_all_values(values.map(str::to_owned).collect());
        Ok(CompleteResult::new(values.map_err(|why| ErrorData::internal_error(why, None))?))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Incoming,
    ) -> Answer<ListResourcesResult> {
        Ok(ListResourcesResult::with_all_items(offers::resources()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Incoming,
    ) -> Answer<ListResourceTemplatesResult> {
        Ok(ListResourceTemplatesResult::with_all_items(offers::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Incoming,
    ) -> Answer<ReadResourceResponse> {
        let contents = offers::contents(&request.uri);
        let contents = contents.ok_or_else(|| {
            ErrorData::resource_not_found("no such resource", Some(json!({"uri": request.uri})))
        })?;
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: Incoming) -> Answer<()> {
        self.subscribed.lock().unwrap().insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, _: Incoming) -> Answer<()> {
        self.subscribed.lock().unwrap().remove(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Answer<()> {
        let mut changes = self.shared.changes.subscribe();
        let sink = subscription.sink();
        loop {
            let change = tokio::select! {
                () = subscription.cancelled() => return Ok(()),
                change = changes.recv() => change,
            };
            // What was not asked for is refused by the sink.
            let _ = match change {
                Ok(Change::Tools) => sink.notify_tool_list_changed().await,
                Ok(Change::Prompts) => sink.notify_prompt_list_changed().await,
                Ok(Change::Resource(uri)) => sink.notify_resource_updated(uri).await,
                Err(_) => return Ok(()),
            };
        }
    }

    async fn get_task(&self, request: GetTaskParams, _: Incoming) -> Answer<GetTaskResult> {
        self.shared.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Incoming) -> Answer<()> {
        self.shared.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Incoming) -> Answer<()> {
        self.shared.tasks.cancel_task(&request.task_id)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).context("usage: rmcp_server ADDRESS")?;
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.sse_retry = Some(RETRY);
    let shared = Arc::new(Shared {
        tasks: TaskManager::new(),
        states: States::default(),
        changes: broadcast::channel(64).0,
        sessions: Arc::new(sessions),
    });
    let config = StreamableHttpServerConfig::default()
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*"])
        .with_sse_retry(Some(RETRY));
    let sessions = shared.sessions.clone();
    let service = StreamableHttpService::new(move || Ok(Everything::new(shared.clone())), sessions, config);
    let listener = TcpListener::bind(&address).await?;
    println!("http://{address}/mcp");
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
        });
    }
}
