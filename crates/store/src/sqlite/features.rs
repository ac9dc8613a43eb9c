//! Feature history in `features.db`.

use async_trait::async_trait;
use rusqlite::{Connection, Error, Row};
use types::Tenant;

use super::{Store, rows};
use crate::domain::{FeatureLog, Segment, StoreError};

const COLUMNS: &str = "position, tenant, view, event_min_us, event_max_us, rows, payload";

#[async_trait]
impl FeatureLog for Store {
    async fn append(&self, segment: Segment) -> Result<u64, StoreError> {
        let bytes = segment.payload.len();
        let append = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "INSERT INTO segments (tenant, view, event_min_us, event_max_us, rows, payload) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING position",
                )?
                .query_row(
                    (
                        segment.tenant.as_str(),
                        &segment.view,
                        segment.event_min_us,
                        segment.event_max_us,
                        segment.rows,
                        &segment.payload,
                    ),
                    |row| rows::count(row, 0),
                )
        };
        self.features.writer.write(bytes, append).await
    }

    async fn read_after(
        &self,
        position: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Segment)>, StoreError> {
        let read = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM segments WHERE position > ?1 ORDER BY position LIMIT ?2"
            );
            let after = rows::signed(position)?;
            connection.prepare_cached(&sql)?.query_map((after, limit), segment)?.collect()
        };
        self.features.read(read).await
    }

    async fn segments(
        &self,
        tenant: &Tenant,
        view: &str,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<(u64, Segment)>, StoreError> {
        let (tenant, view) = (tenant.clone(), view.to_owned());
        let read = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM segments WHERE tenant = ?1 AND view = ?2 \
                 AND event_max_us >= ?3 AND event_min_us <= ?4 ORDER BY position"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map((tenant.as_str(), view, from_us, to_us), segment)?.collect()
        };
        self.features.read(read).await
    }

    async fn segments_after(
        &self,
        tenant: &Tenant,
        view: &str,
        from_us: i64,
        to_us: i64,
        position: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Segment)>, StoreError> {
        let (tenant, view) = (tenant.clone(), view.to_owned());
        let read = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM segments WHERE tenant = ?1 AND view = ?2 AND position > ?3 \
                 AND event_max_us >= ?4 AND event_min_us <= ?5 ORDER BY position LIMIT ?6"
            );
            let after = rows::signed(position)?;
            let mut statement = connection.prepare_cached(&sql)?;
            let range = (tenant.as_str(), view, after, from_us, to_us, limit);
            statement.query_map(range, segment)?.collect()
        };
        self.features.read(read).await
    }
}

fn segment(row: &Row<'_>) -> Result<(u64, Segment), Error> {
    let segment = Segment {
        tenant: rows::parsed(row, 1)?,
        view: row.get(2)?,
        event_min_us: row.get(3)?,
        event_max_us: row.get(4)?,
        rows: row.get(5)?,
        payload: row.get(6)?,
    };
    Ok((rows::count(row, 0)?, segment))
}
