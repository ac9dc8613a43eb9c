//! API keys in `control.db`.

use async_trait::async_trait;
use rusqlite::{Error, OptionalExtension as _, Row};

use super::{Store, rows};
use crate::domain::{KeyRecord, Keys, StoreError};

const COLUMNS: &str = "id, hash, tenant, role, name, created_us, expires_us, revoked_us";

#[async_trait]
impl Keys for Store {
    async fn insert_key(&self, key: KeyRecord) -> Result<(), StoreError> {
        let insert = move |connection: &rusqlite::Connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO api_keys (id, hash, tenant, role, name, created_us, expires_us, \
                 revoked_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            statement.execute((
                &key.id,
                key.hash,
                key.tenant.as_str(),
                key.role.as_str(),
                &key.name,
                key.created_us,
                key.expires_us,
                key.revoked_us,
            ))?;
            Ok(())
        };
        self.control.write(insert).await
    }

    async fn key_by_hash(&self, hash: [u8; 32]) -> Result<Option<KeyRecord>, StoreError> {
        let find = move |connection: &rusqlite::Connection| {
            let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE hash = ?1");
            connection.prepare_cached(&sql)?.query_row([hash], key).optional()
        };
        self.control.read(find).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let list = |connection: &rusqlite::Connection| {
            let sql = format!("SELECT {COLUMNS} FROM api_keys ORDER BY created_us, id");
            connection.prepare_cached(&sql)?.query_map([], key)?.collect()
        };
        self.control.read(list).await
    }

    async fn revoke_key(&self, id: &str, now_us: i64) -> Result<bool, StoreError> {
        let id = id.to_owned();
        let revoke = move |connection: &rusqlite::Connection| {
            let sql = "UPDATE api_keys SET revoked_us = ?2 WHERE id = ?1 AND revoked_us IS NULL";
            Ok(connection.prepare_cached(sql)?.execute((id, now_us))? == 1)
        };
        self.control.write(revoke).await
    }
}

fn key(row: &Row<'_>) -> Result<KeyRecord, Error> {
    Ok(KeyRecord {
        id: row.get(0)?,
        hash: row.get(1)?,
        tenant: rows::parsed(row, 2)?,
        role: rows::parsed(row, 3)?,
        name: row.get(4)?,
        created_us: row.get(5)?,
        expires_us: row.get(6)?,
        revoked_us: row.get(7)?,
    })
}
