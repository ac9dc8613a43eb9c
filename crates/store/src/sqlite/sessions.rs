//! Sessions and profiles of contauth in `control.db`.

use async_trait::async_trait;
use rusqlite::Connection;
use types::Tenant;

use super::Store;
use crate::domain::{Sessions, StoreError};

/// Sessions removed in one transaction, so that other writes are not held up by a large clearing.
const EXPIRE_MAX: usize = 1_000;

#[async_trait]
impl Sessions for Store {
    async fn session(&self, tenant: &Tenant, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT session FROM sessions WHERE tenant = ?1 AND id = ?2";
        self.find_bytes(sql, tenant, id).await
    }

    async fn profile(&self, tenant: &Tenant, subject: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT profile FROM profiles WHERE tenant = ?1 AND subject = ?2";
        self.find_bytes(sql, tenant, subject).await
    }

    async fn put_session(
        &self,
        tenant: &Tenant,
        id: &str,
        session: Vec<u8>,
        profile: Option<(String, Vec<u8>)>,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        let bytes = session.len() + profile.as_ref().map_or(0, |(_, profile)| profile.len());
        let put = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "INSERT INTO sessions (tenant, id, session, touched_us) \
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant, id) DO UPDATE \
                     SET session = excluded.session, touched_us = excluded.touched_us",
                )?
                .execute((tenant.as_str(), id, session, now_us))?;
            if let Some((subject, profile)) = profile {
                connection
                    .prepare_cached(
                        "INSERT INTO profiles (tenant, subject, profile, touched_us) \
                         VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant, subject) DO UPDATE \
                         SET profile = excluded.profile, touched_us = excluded.touched_us",
                    )?
                    .execute((tenant.as_str(), subject, profile, now_us))?;
            }
            Ok(())
        };
        self.control.writer.write(bytes, put).await
    }

    async fn forget_profile(&self, tenant: &Tenant, subject: &str) -> Result<bool, StoreError> {
        let (tenant, subject) = (tenant.clone(), subject.to_owned());
        let forget = move |connection: &Connection| {
            connection
                .prepare_cached("DELETE FROM profiles WHERE tenant = ?1 AND subject = ?2")?
                .execute((tenant.as_str(), subject))
        };
        Ok(self.control.write(forget).await? > 0)
    }

    async fn expire_sessions(&self, before_us: i64) -> Result<u64, StoreError> {
        let mut expired = 0;
        loop {
            let expire = move |connection: &Connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM sessions WHERE rowid IN \
                         (SELECT rowid FROM sessions WHERE touched_us < ?1 LIMIT ?2)",
                    )?
                    .execute((before_us, i64::try_from(EXPIRE_MAX).unwrap_or(i64::MAX)))
            };
            let removed = self.control.write(expire).await?;
            expired += removed as u64;
            if removed < EXPIRE_MAX {
                return Ok(expired);
            }
        }
    }
}
