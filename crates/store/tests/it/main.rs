//! The databases as their users see them: real files in temporary directories, several handles on one file.

#![allow(clippy::unwrap_used)]

mod fixture;
mod log;
mod sessions;
mod shelf;
mod sql;
mod store;
mod tasks;
mod trouble;
mod upstreams;
