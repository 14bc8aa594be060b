//! Start/stop state of servers in `Store`: what the operator last asked for, kept over restarts.
//!
//! A server that is not listed was never started or stopped by hand; its configuration decides.

use crate::{Store, StoreError, row};
use std::collections::BTreeMap;

impl Store {
    /// Servers that were started (true) or stopped (false) by hand.
    pub async fn server_states(&self) -> Result<BTreeMap<String, bool>, StoreError> {
        let rows = sqlx::query(include_str!("../sql/servers_list.sql")).fetch_all(&self.db.main).await?;
        rows.iter().map(|row| Ok((row::text(row, 0)?, row::int(row, 1)? != 0))).collect()
    }

    /// Keep whether a server is to run. The name has at most 128 bytes.
    pub async fn set_server_running(&self, name: &str, running: bool) -> Result<(), StoreError> {
        row::bounded("the server's name", name, 128)?;
        sqlx::query(include_str!("../sql/servers_set.sql"))
            .bind(name)
            .bind(running)
            .bind(row::now())
            .execute(&self.db.main)
            .await?;
        Ok(())
    }
}
