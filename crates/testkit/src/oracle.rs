//! `rmcp` 3.9.0 as an oracle: another implementation's client, through the doors its users would take.

use crate::TestGate;
use anyhow::Result;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ClientRequest,
    ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData, Implementation, ProtocolVersion,
    ReadResourceRequestParams, ResourceContents,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt, PeerRequestOptions, RequestContext, RequestHandle, RunningService,
    ServiceError,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// A connected client.
pub struct Oracle {
    service: RunningService<RoleClient, User>,
    user: User,
}

/// Which handshake it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// `initialize`.
    Legacy,
    /// `server/discover`, 2026-07-28.
    Modern,
}

impl Handshake {
    /// Both.
    pub const ALL: [Handshake; 2] = [Handshake::Legacy, Handshake::Modern];

    fn mode(self) -> ClientLifecycleMode {
        match self {
            Handshake::Legacy => ClientLifecycleMode::Initialize,
            Handshake::Modern => {
                ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
            }
        }
    }
}

/// Somebody who fills in every form as `User::form` says and remembers what was asked.
#[derive(Debug, Clone, Default)]
pub struct User {
    asked: Arc<Mutex<Vec<String>>>,
}

impl User {
    /// What every form is filled in with.
    pub fn form() -> Value {
        json!({"username": "ada", "email": "ada@example.org"})
    }
}

impl ClientHandler for User {
    fn get_info(&self) -> ClientConfig {
        let able = ClientCapabilities::builder().enable_elicitation().build();
        ClientConfig::new(able, Implementation::new("toolgate-oracle", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, .. } = request else {
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(Self::form()))
    }
}

impl Oracle {
    /// Over Streamable HTTP, to a gateway's federated endpoint.
    pub async fn http(gate: &TestGate, key: &str, handshake: Handshake) -> Result<Self> {
        Self::at(config(&gate.url("/mcp")).auth_header(key), handshake).await
    }

    /// Over Streamable HTTP, with settings of your choice; see `config`.
    pub async fn at(config: StreamableHttpClientTransportConfig, handshake: Handshake) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let transport = StreamableHttpClientTransport::with_client(client, config);
        let user = User::default();
        let service = user.clone().serve_with_lifecycle(transport, handshake.mode()).await?;
        Ok(Self { service, user })
    }

    /// Over the standard input and output of `toolgate stdio`.
    pub async fn stdio(gate: &TestGate, handshake: Handshake) -> Result<Self> {
        let command = tokio::process::Command::from(gate.command(&["stdio"]));
        let transport = TokioChildProcess::new(command)?;
        let user = User::default();
        let service = user.clone().serve_with_lifecycle(transport, handshake.mode()).await?;
        Ok(Self { service, user })
    }

    /// Names of all tools.
    pub async fn tools(&self) -> Result<Vec<String>> {
        let tools = self.service.peer().list_all_tools().await?;
        Ok(tools.into_iter().map(|tool| tool.name.into_owned()).collect())
    }

    /// Call a tool. When what this returns is dropped before its end, rmcp gives the call up.
    pub async fn call(&self, name: &str, arguments: Value) -> Result<CallToolResult, ServiceError> {
        // Of the service, not its peer: that answers the questions of 2026-07-28 as well.
        self.service.call_tool(params(name, &arguments)).await
    }

    /// Begin a call that can be cancelled by its handle.
    pub async fn begin(
        &self,
        name: &str,
        arguments: Value,
    ) -> Result<RequestHandle<RoleClient>, ServiceError> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params(name, &arguments)));
        self.service.peer().send_cancellable_request(request, PeerRequestOptions::no_options()).await
    }

    /// URIs of all resources.
    pub async fn resources(&self) -> Result<Vec<String>> {
        let resources = self.service.peer().list_all_resources().await?;
        Ok(resources.into_iter().map(|resource| resource.uri.clone()).collect())
    }

    /// The text of a resource with one content.
    pub async fn read(&self, uri: &str) -> Result<String> {
        let read = self.service.read_resource(ReadResourceRequestParams::new(uri)).await?;
        match read.contents.as_slice() {
            [ResourceContents::TextResourceContents { text, .. }] => Ok(text.clone()),
            other => anyhow::bail!("{uri} reads as {other:?}"),
        }
    }

    /// What the user was asked so far.
    pub fn asked(&self) -> Vec<String> {
        self.user.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Say goodbye.
    pub async fn close(self) -> Result<()> {
        self.service.cancel().await?;
        Ok(())
    }
}

/// Where to.
pub fn config(url: &str) -> StreamableHttpClientTransportConfig {
    StreamableHttpClientTransportConfig::with_uri(url)
}

fn params(name: &str, arguments: &Value) -> CallToolRequestParams {
    let mut params = CallToolRequestParams::new(name.to_owned());
    params.arguments = arguments.as_object().cloned();
    params
}
