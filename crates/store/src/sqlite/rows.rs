//! From rows to the words of the domain and back. A value that does not read back as what was
//! written is an error of the column it is in, never a default.

use rusqlite::types::Type;
use rusqlite::{Error, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::{State, Verification};

/// Columns of [`verification`], in its order.
pub(crate) const VERIFICATION: &str = "tenant, id, work, idempotency_key, state, attempts, \
     created_us, started_us, finished_us, summary, failure";

pub(crate) fn verification(row: &Row<'_>) -> Result<Verification, Error> {
    let summary: Option<String> = row.get(9)?;
    Ok(Verification {
        tenant: parsed(row, 0)?,
        id: row.get(1)?,
        order: json(2, &row.get::<_, String>(2)?)?,
        idempotency_key: row.get(3)?,
        state: state(row, 4)?,
        attempts: row.get(5)?,
        created_us: row.get(6)?,
        started_us: row.get(7)?,
        finished_us: row.get(8)?,
        summary: summary.map(|text| json(9, &text)).transpose()?,
        failure: row.get(10)?,
    })
}

/// A text column as the type that writes itself like this.
pub(crate) fn parsed<T>(row: &Row<'_>, column: usize) -> Result<T, Error>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error: T::Err| unreadable(column, error.to_string()))
}

/// A number that is never negative.
pub(crate) fn count(row: &Row<'_>, column: usize) -> Result<u64, Error> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| Error::IntegralValueOutOfRange(column, number))
}

pub(crate) fn json<T: DeserializeOwned>(column: usize, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error.to_string()))
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))
}

/// A number for the database, which knows no unsigned ones.
pub(crate) fn signed(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))
}

fn state(row: &Row<'_>, column: usize) -> Result<State, Error> {
    let text: String = row.get(column)?;
    [State::Queued, State::Running, State::Done, State::Failed]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| unreadable(column, format!("{text:?} is no state")))
}

fn unreadable(column: usize, reason: String) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, reason.into())
}
