//! Tool `network_connections`.

use super::Omnipotent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use toolgate_host::system::Connection;

/// Most connections listed.
const MOST: usize = 1000;

/// List TCP and UDP sockets of this machine with their addresses, state and process, at most 1000. Cached for 5 s.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkConnections {}

/// Sockets.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Connections {
    connections: Vec<Connection>,
    /// Sockets there are, listed or not.
    count: usize,
    limited: bool,
}

impl Tool for NetworkConnections {
    type Server = Omnipotent;
    type Output = Connections;
    const SPEC: Spec = Spec::read("network_connections").cache(secs(5));

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Connections, ToolError> {
        let (connections, count) = server.host.system().connections(MOST).await?;
        Ok(Connections { limited: count > connections.len(), connections, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = super::super::server();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let list = call::<NetworkConnections>(&server, json!({})).await.unwrap();
        let found =
            list["connections"].as_array().unwrap().iter().find(|c| c["local_addr"] == *address).unwrap();
        assert_eq!(found["status"], "LISTEN");
        assert_eq!(found["pid"], std::process::id());
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<NetworkConnections>(&server, json!({"kind": "tcp"})).await, Kind::Invalid);
    }
}
