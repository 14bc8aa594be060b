//! Reading columns by position, without trusting that text is UTF-8: a user's statement may have stored any bytes.
//!
//! Called by the modules that run queries. What cannot be read becomes an error or the replacement character, never a
//! panic.

use crate::StoreError;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

pub(crate) fn bytes(row: &SqliteRow, column: usize) -> Result<Option<&[u8]>, StoreError> {
    Ok(row.try_get_unchecked::<Option<&[u8]>, _>(column)?)
}

pub(crate) fn text_opt(row: &SqliteRow, column: usize) -> Result<Option<String>, StoreError> {
    Ok(bytes(row, column)?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

pub(crate) fn text(row: &SqliteRow, column: usize) -> Result<String, StoreError> {
    Ok(text_opt(row, column)?.unwrap_or_default())
}

pub(crate) fn int(row: &SqliteRow, column: usize) -> Result<i64, StoreError> {
    Ok(int_opt(row, column)?.unwrap_or_default())
}

pub(crate) fn int_opt(row: &SqliteRow, column: usize) -> Result<Option<i64>, StoreError> {
    Ok(row.try_get_unchecked::<Option<i64>, _>(column)?)
}

/// A column of epoch microseconds. A number outside jiff's range (years -9999 to 9999) reads as the epoch.
pub(crate) fn time(row: &SqliteRow, column: usize) -> Result<Timestamp, StoreError> {
    Ok(time_opt(row, column)?.unwrap_or(Timestamp::UNIX_EPOCH))
}

pub(crate) fn time_opt(row: &SqliteRow, column: usize) -> Result<Option<Timestamp>, StoreError> {
    let micros = int_opt(row, column)?;
    Ok(micros.map(|micros| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)))
}

/// The present, as stored.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Refuse an empty text or one of more than `max` bytes.
pub(crate) fn bounded(what: &str, text: &str, max: usize) -> Result<(), StoreError> {
    if text.is_empty() {
        return Err(StoreError::invalid(format!("{what} must not be empty")));
    }
    at_most(what, text, max)
}

/// Refuse a text of more than `max` bytes.
pub(crate) fn at_most(what: &str, text: &str, max: usize) -> Result<(), StoreError> {
    if text.len() > max {
        let message = format!("{what} is {} bytes long; at most {max} are allowed", text.len());
        return Err(StoreError::new(toolgate_core::Kind::TooLarge, message));
    }
    Ok(())
}
