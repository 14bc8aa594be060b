//! The whole crate over a transport in memory: scripted upstreams of both eras, clients of both eras.

mod bounds;
mod crossing;
mod fake;
mod forward;
mod legacy;
mod lists;
mod modern;
mod offers;
mod watching;
pub(crate) mod world;
