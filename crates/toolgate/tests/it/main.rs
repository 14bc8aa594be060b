//! The whole gateway as its users meet it: the real binary, real sockets, a data directory of its own for each test.

// Helpers of tests are not `#[test]` functions, which clippy.toml exempts.
#![allow(clippy::unwrap_used)]

mod audit;
mod bad_input;
mod bad_upstreams;
mod cli;
mod door_http;
mod door_stdio;
mod forward;
mod keys;
mod kill;
mod life;
mod load;
mod load_site;
mod matrix;
mod observe;
mod offers;
mod oracle;
mod rough;
mod schemas;
mod sessions;
mod tasks;
mod tls;
mod tools;
mod upstreams;
mod upstreams_api;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_toolgate");

/// A gateway with every default but the rate limits.
async fn gate() -> toolgate_testkit::TestGate {
    toolgate_testkit::TestGate::quick(BINARY).await.unwrap()
}
