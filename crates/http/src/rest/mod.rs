//! The REST endpoints: one file each, and the one table that mounts and documents them.
//!
//! Called by `app` (mounting) and `openapi` (the document). An endpoint is added by its file and one line here.

mod health;
mod metrics;
mod openapi_get;
mod ready;
mod route;
mod running;
mod server_get;
mod server_health;
mod server_metrics;
mod server_start;
mod server_stop;
mod servers_list;
mod tool_call;
mod tool_get;
mod tools_list;
mod upstreams;
mod view;

pub(crate) use metrics::PATH as METRICS;
pub(crate) use route::{Answer, At, Route, mount, shape};

use crate::registry;

/// Every REST endpoint.
pub(crate) fn routes() -> Vec<Route> {
    let mut all = vec![
        servers_list::route(),
        server_get::route(),
        server_start::route(),
        server_stop::route(),
        tools_list::route(),
        tool_get::route(),
        tool_call::route(),
        server_health::route(),
        server_metrics::route(),
        health::route(),
        ready::route(),
        metrics::route(),
        upstreams::list::route(),
        upstreams::import::route(),
        upstreams::get::route(),
        upstreams::put::route(),
        upstreams::delete::route(),
        upstreams::test::route(),
        openapi_get::route(),
    ];
    all.extend(registry::routes());
    all
}
