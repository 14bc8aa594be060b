//! The HTTP transports against real sockets that behave well, badly, and in bad faith.

#![allow(clippy::unwrap_used)]

mod faults;
mod server;
mod sse;
mod streamable;
mod streams;
