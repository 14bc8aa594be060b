//! API keys in `Store`: made and revoked by the operator, read into the snapshot at start and on change.
//!
//! Holds only a hash of a key, never the key. Whether a presented key is right is decided elsewhere, against
//! [`Store::active_keys`]; whoever keeps that list must look at `expires_at` again when the key is used.

use crate::{Store, StoreError, error, row};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use std::fmt;
use toolgate_core::Kind;

const MAX_NAME: usize = 256;
const MAX_ROLES: usize = 64;

/// Hash of an API key. Not shown and not serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash(pub Vec<u8>);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

/// A key to be stored. `id`, `name` and `created_by` at most 256 bytes, `hash` 16 to 128 bytes, at most 64 roles.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub id: String,
    pub name: String,
    pub hash: KeyHash,
    pub roles: Vec<String>,
    pub expires_at: Option<Timestamp>,
    /// Who made it: a caller's id, or `local`.
    pub created_by: String,
}

/// A stored key. Times are RFC 3339 when serialised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    pub id: String,
    pub name: String,
    #[serde(skip)]
    pub hash: KeyHash,
    pub roles: Vec<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub created_by: String,
}

impl Key {
    /// Neither revoked nor expired at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }
}

impl Store {
    /// Store a key; answers it as stored. Conflict when the id or the hash exists.
    pub async fn insert_key(&self, key: NewKey) -> Result<Key, StoreError> {
        for (what, text) in
            [("the key's id", &key.id), ("the key's name", &key.name), ("created_by", &key.created_by)]
        {
            row::bounded(what, text, MAX_NAME)?;
        }
        if !(16..=128).contains(&key.hash.0.len()) {
            return Err(StoreError::invalid("a key's hash has 16 to 128 bytes"));
        }
        if key.roles.len() > MAX_ROLES {
            return Err(StoreError::invalid(format!("a key has at most {MAX_ROLES} roles")));
        }
        for role in &key.roles {
            row::bounded("a role's name", role, MAX_NAME)?;
        }
        let roles = serde_json::to_string(&key.roles).map_err(StoreError::internal)?;
        let created = row::now();
        sqlx::query(include_str!("../sql/keys_insert.sql"))
            .bind(&key.id)
            .bind(&key.name)
            .bind(&key.hash.0)
            .bind(roles)
            .bind(created)
            .bind(key.expires_at.map(Timestamp::as_microsecond))
            .bind(&key.created_by)
            .execute(&self.db.main)
            .await
            .map_err(|error| match error::code(&error) {
                Some(error::CONSTRAINT) => StoreError::new(
                    Kind::Conflict,
                    format!("a key with the id {:?} or the same secret exists", key.id),
                )
                .because(error),
                _ => error.into(),
            })?;
        Ok(Key {
            id: key.id,
            name: key.name,
            hash: key.hash,
            roles: key.roles,
            created_at: Timestamp::from_microsecond(created).unwrap_or(Timestamp::UNIX_EPOCH),
            // As stored: to the microsecond.
            expires_at: key.expires_at.and_then(|end| Timestamp::from_microsecond(end.as_microsecond()).ok()),
            revoked_at: None,
            last_used_at: None,
            created_by: key.created_by,
        })
    }

    /// Every key, also expired and revoked ones, oldest first.
    pub async fn list_keys(&self) -> Result<Vec<Key>, StoreError> {
        let rows = sqlx::query(include_str!("../sql/keys_list.sql")).fetch_all(&self.db.main).await?;
        rows.iter().map(read_key).collect()
    }

    /// Keys that are neither revoked nor expired now.
    pub async fn active_keys(&self) -> Result<Vec<Key>, StoreError> {
        let rows = sqlx::query(include_str!("../sql/keys_active.sql"))
            .bind(row::now())
            .fetch_all(&self.db.main)
            .await?;
        rows.iter().map(read_key).collect()
    }

    /// Revoke a key. False when there is none of that id or it is revoked already.
    pub async fn revoke_key(&self, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query(include_str!("../sql/keys_revoke.sql"))
            .bind(id)
            .bind(row::now())
            .execute(&self.db.main)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Note that a key was used at `at`; an earlier time than the stored one changes nothing. Costs an fsync: callers
    /// gather uses and call this seldom.
    pub async fn touch_key(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query(include_str!("../sql/keys_touch.sql"))
            .bind(id)
            .bind(at.as_microsecond())
            .execute(&self.db.main)
            .await?;
        Ok(())
    }
}

fn read_key(row: &SqliteRow) -> Result<Key, StoreError> {
    // A key whose roles cannot be read must not come out with fewer limits: refuse.
    let roles = serde_json::from_str(&row::text(row, 3)?).map_err(StoreError::internal)?;
    Ok(Key {
        id: row::text(row, 0)?,
        name: row::text(row, 1)?,
        hash: KeyHash(row::bytes(row, 2)?.unwrap_or_default().to_vec()),
        roles,
        created_at: row::time(row, 4)?,
        expires_at: row::time_opt(row, 5)?,
        revoked_at: row::time_opt(row, 6)?,
        last_used_at: row::time_opt(row, 7)?,
        created_by: row::text(row, 8)?,
    })
}
