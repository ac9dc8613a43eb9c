//! Whether the store takes writes now, found out by writing.

use async_trait::async_trait;
use rusqlite::Connection;

use super::{Database, Store, probe};
use crate::domain::{Health, StoreError};

#[async_trait]
impl Health for Store {
    async fn check(&self) -> Result<(), StoreError> {
        // A full disk may still take a row where SQLite reuses its log, and refuse the next report.
        let folder = self.folder.clone();
        let probing = tokio::task::spawn_blocking(move || probe(&folder)).await;
        probing.map_err(|error| StoreError::Unavailable { reason: error.to_string() })??;
        check(&self.control).await?;
        check(&self.features).await
    }
}

async fn check(database: &Database) -> Result<(), StoreError> {
    let write = |connection: &Connection| -> Result<i64, rusqlite::Error> {
        let sql = "UPDATE health SET checks = checks + 1 WHERE id = 1 RETURNING checks";
        connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
    };
    let written = database.write(write).await?;
    let read = |connection: &Connection| -> Result<i64, rusqlite::Error> {
        let sql = "SELECT checks FROM health WHERE id = 1";
        connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
    };
    // Another check may have counted on meanwhile.
    if database.read(read).await? >= written {
        Ok(())
    } else {
        Err(StoreError::Unavailable { reason: "a write was not read back".to_owned() })
    }
}
