//! `rmcp` 3.9.0 as an oracle: another implementation's client, through the doors its users would take.

use crate::TestGate;
use anyhow::Result;
use rmcp::model::{CallToolRequestParams, CallToolResult, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{RoleClient, service::ServiceError};
use serde_json::Value;

/// A connected client.
pub struct Oracle(RunningService<RoleClient, ()>);

/// Which handshake it uses.
#[derive(Debug, Clone, Copy)]
pub enum Handshake {
    /// `initialize`.
    Legacy,
    /// `server/discover`, 2026-07-28.
    Modern,
}

impl Handshake {
    fn mode(self) -> ClientLifecycleMode {
        match self {
            Handshake::Legacy => ClientLifecycleMode::Initialize,
            Handshake::Modern => {
                ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
            }
        }
    }
}

impl Oracle {
    /// Over Streamable HTTP.
    pub async fn http(gate: &TestGate, key: &str, handshake: Handshake) -> Result<Self> {
        let config = StreamableHttpClientTransportConfig::with_uri(gate.url("/mcp")).auth_header(key);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let transport = StreamableHttpClientTransport::with_client(client, config);
        Ok(Self(().serve_with_lifecycle(transport, handshake.mode()).await?))
    }

    /// Over the standard input and output of `toolgate stdio`.
    pub async fn stdio(gate: &TestGate, handshake: Handshake) -> Result<Self> {
        let command = tokio::process::Command::from(gate.command(&["stdio"]));
        let transport = TokioChildProcess::new(command)?;
        Ok(Self(().serve_with_lifecycle(transport, handshake.mode()).await?))
    }

    /// Names of all tools.
    pub async fn tools(&self) -> Result<Vec<String>> {
        Ok(self.0.peer().list_all_tools().await?.into_iter().map(|tool| tool.name.into_owned()).collect())
    }

    /// Call a tool.
    pub async fn call(&self, name: &str, arguments: Value) -> Result<CallToolResult, ServiceError> {
        let mut params = CallToolRequestParams::new(name.to_owned());
        params.arguments = arguments.as_object().cloned();
        self.0.peer().call_tool(params).await
    }

    /// Say goodbye.
    pub async fn close(self) -> Result<()> {
        self.0.cancel().await?;
        Ok(())
    }
}
