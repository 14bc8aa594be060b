//! The databases of the gateway, and the only crate that knows sqlx.
//!
//! Two SQLite files live in the data directory. [`Store`] (`toolgate.db`) is the gateway's own state and is opened by
//! the binary. [`Shelf`] (`a2a-unified.db`) belongs to the `a2a-unified` tool server: memories, knowledge, statistics,
//! and [`Shelf::sql`] for statements that a model wrote.
//!
//! Invariants: files are 0600; several processes may have both open; a database of a newer schema is refused; an error's
//! public text holds no path. SQL lives in `sql/`, schemas in `migrations/`; neither is built from input.
//!
//! Absent on purpose: a cache (callers keep snapshots, [`Store::data_version`] says when they are old), and PostgreSQL
//! for now. The shelf will stay SQLite: it is one server's private file.

mod db;
mod error;
mod keys;
mod migrate;
mod row;
mod servers;
mod sessions;
mod shelf;
mod store;
mod tasks;
mod upstreams;

pub use error::StoreError;
pub use keys::{Key, KeyHash, NewKey};
pub use sessions::{MAX_SESSION, StoredSession};
pub use shelf::Shelf;
pub use shelf::knowledge::{Doc, Imported, SourceInfo};
pub use shelf::memory::{Memories, Memory};
pub use shelf::search::{Hit, Scope};
pub use shelf::sql::{Rows, SqlLimits};
pub use shelf::stats::{ErrorCount, Failure, LoggedError, Tally, ToolUsage, Usage};
pub use store::Store;
pub use tasks::TaskRow;
pub use upstreams::{NewUpstream, StoredUpstream, Undone};

/// File name of [`Store`] in the data directory.
pub const STATE_FILE: &str = "toolgate.db";
/// File name of [`Shelf`] in the data directory.
pub const SHELF_FILE: &str = "a2a-unified.db";
