//! What tests share: the real gateway process on a directory and a port of its own, and requests in both eras.
//!
//! A dev-dependency only. `rmcp` lives here as an oracle: another implementation's client, used as its users would.

pub mod conformance;
pub mod events;
pub mod front;
pub mod gate;
pub mod mcp;
pub mod oracle;

pub use gate::TestGate;
