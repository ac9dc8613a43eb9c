//! Verifications in `control.db`: what a caller does with them. Statements only; the moves of the
//! queue are in [`super::queue`].

use async_trait::async_trait;
use rusqlite::{Connection, Error, OptionalExtension as _};
use types::Tenant;
use types::text::hex;

use super::{Store, queue, rows};
use crate::domain::{
    Deleted, Lease, NewVerification, Order, Outcome, Page, QueueDepth, State, StoreError,
    Submitted, Verification, Verifications,
};
use crate::keys::random;

#[async_trait]
impl Verifications for Store {
    async fn submit(
        &self,
        new: NewVerification,
        limit_tenant: u64,
        limit_all: u64,
    ) -> Result<Submitted, StoreError> {
        let submit = move |connection: &Connection| {
            if let Some(known) = same_key(connection, &new)? {
                return Ok(known);
            }
            if let Some(full) = over_limit(connection, &new.tenant, limit_tenant, limit_all)? {
                return Ok(full);
            }
            insert(connection, new).map(Submitted::New)
        };
        self.control.write(submit).await
    }

    async fn verification(
        &self,
        tenant: &Tenant,
        id: &str,
    ) -> Result<Option<Verification>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        let find = move |connection: &Connection| {
            let columns = rows::VERIFICATION;
            let sql = format!("SELECT {columns} FROM verifications WHERE tenant = ?1 AND id = ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_row((tenant.as_str(), id), rows::verification).optional()
        };
        self.control.read(find).await
    }

    async fn verifications(
        &self,
        tenant: &Tenant,
        before: Option<&str>,
        state: Option<State>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let (tenant, before) = (tenant.clone(), before.map(str::to_owned));
        let list = move |connection: &Connection| {
            page(connection, &tenant, before.as_deref(), state, limit)
        };
        self.control.read(list).await
    }

    async fn report(&self, tenant: &Tenant, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT report FROM reports WHERE tenant = ?1 AND id = ?2";
        self.find_bytes(sql, tenant, id).await
    }

    async fn delete(&self, tenant: &Tenant, id: &str) -> Result<Deleted, StoreError> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.control.write(move |connection| delete(connection, &tenant, &id)).await
    }

    async fn claim(&self, now_us: i64, lease_until_us: i64) -> Result<Option<Lease>, StoreError> {
        let token = hex(&random::<16>()?);
        let claim =
            move |connection: &Connection| queue::claim(connection, now_us, lease_until_us, token);
        self.control.write(claim).await
    }

    async fn renew(&self, lease: &Lease, lease_until_us: i64) -> Result<bool, StoreError> {
        let held = queue::Held::of(lease);
        self.control.write(move |connection| queue::renew(connection, &held, lease_until_us)).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: Outcome,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let held = queue::Held::of(lease);
        let bytes = match &outcome {
            Outcome::Report { report, .. } => report.len(),
            Outcome::Failed { reason } => reason.len(),
        };
        let finish =
            move |connection: &Connection| queue::finish(connection, &held, &outcome, now_us);
        self.control.writer.write(bytes, finish).await
    }

    async fn release(&self, lease: &Lease) -> Result<bool, StoreError> {
        let held = queue::Held::of(lease);
        self.control.write(move |connection| queue::release(connection, &held)).await
    }

    async fn requeue_all(&self) -> Result<u64, StoreError> {
        self.control.write(queue::requeue_all).await
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        self.control.read(queue::depth).await
    }

    async fn artifact_used(&self, tenant: &Tenant, sha256: &str) -> Result<bool, StoreError> {
        let (tenant, sha256) = (tenant.clone(), sha256.to_owned());
        self.control.read(move |connection| artifact_used(connection, &tenant, &sha256)).await
    }
}

/// What came of an earlier request with the same idempotency key.
fn same_key(connection: &Connection, new: &NewVerification) -> Result<Option<Submitted>, Error> {
    let Some(key) = &new.idempotency_key else { return Ok(None) };
    let columns = rows::VERIFICATION;
    let sql =
        format!("SELECT {columns} FROM verifications WHERE tenant = ?1 AND idempotency_key = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let known = statement.query_row((new.tenant.as_str(), key), rows::verification).optional()?;
    Ok(known.map(|known| {
        if untraced(&known.order) == untraced(&new.order) {
            Submitted::Same(known)
        } else {
            Submitted::Conflict { id: known.id }
        }
    }))
}

/// The order without the trace it belongs to: a request that is sent again is traced anew.
fn untraced(order: &Order) -> Order {
    Order { traceparent: None, ..order.clone() }
}

fn over_limit(
    connection: &Connection,
    tenant: &Tenant,
    limit_tenant: u64,
    limit_all: u64,
) -> Result<Option<Submitted>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(sum(queued + running) FILTER (WHERE tenant = ?1), 0), \
         coalesce(sum(queued + running), 0) FROM queues",
    )?;
    let (of_tenant, of_all) = statement
        .query_row([tenant.as_str()], |row| Ok((rows::count(row, 0)?, rows::count(row, 1)?)))?;
    Ok(if of_tenant >= limit_tenant {
        Some(Submitted::QueueFull { queued: of_tenant, limit: limit_tenant })
    } else if of_all >= limit_all {
        Some(Submitted::QueueFull { queued: of_all, limit: limit_all })
    } else {
        None
    })
}

fn insert(connection: &Connection, new: NewVerification) -> Result<Verification, Error> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO verifications \
         (tenant, id, sha256, work, idempotency_key, state, created_us) \
         VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6)",
    )?;
    statement.execute((
        new.tenant.as_str(),
        &new.id,
        &new.order.sha256,
        rows::to_json(&new.order)?,
        &new.idempotency_key,
        new.created_us,
    ))?;
    Ok(Verification {
        id: new.id,
        tenant: new.tenant,
        order: new.order,
        idempotency_key: new.idempotency_key,
        state: State::Queued,
        attempts: 0,
        created_us: new.created_us,
        started_us: None,
        finished_us: None,
        summary: None,
        failure: None,
    })
}

/// Reads one more than asked for, to know whether there is a next page.
fn page(
    connection: &Connection,
    tenant: &Tenant,
    before: Option<&str>,
    state: Option<State>,
    limit: u32,
) -> Result<Page, Error> {
    let mut sql = format!("SELECT {} FROM verifications WHERE tenant = ?1", rows::VERIFICATION);
    // Each condition is there or not, so that every shape has its index.
    sql.push_str(if before.is_some() { " AND id < ?2" } else { " AND ?2 IS NULL" });
    sql.push_str(if state.is_some() { " AND state = ?3" } else { " AND ?3 IS NULL" });
    sql.push_str(" ORDER BY id DESC LIMIT ?4");
    let mut statement = connection.prepare_cached(&sql)?;
    let wanted = (tenant.as_str(), before, state.map(State::as_str), i64::from(limit) + 1);
    let found: Result<Vec<_>, Error> = statement.query_map(wanted, rows::verification)?.collect();
    let mut items = found?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > shown;
    items.truncate(shown);
    let next = if more { items.last().map(|last| last.id.clone()) } else { None };
    Ok(Page { items, next })
}

fn delete(connection: &Connection, tenant: &Tenant, id: &str) -> Result<Deleted, Error> {
    let sql = "SELECT sha256, state = 'running' FROM verifications WHERE tenant = ?1 AND id = ?2";
    let found: Option<(String, bool)> = connection
        .prepare_cached(sql)?
        .query_row((tenant.as_str(), id), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((sha256, running)) = found else { return Ok(Deleted::NotFound) };
    if running {
        return Ok(Deleted::Running);
    }
    // Its report goes with it (foreign key).
    connection
        .prepare_cached("DELETE FROM verifications WHERE tenant = ?1 AND id = ?2")?
        .execute((tenant.as_str(), id))?;
    let last_use = !artifact_used(connection, tenant, &sha256)?;
    Ok(Deleted::Gone { sha256, last_use })
}

fn artifact_used(connection: &Connection, tenant: &Tenant, sha256: &str) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM verifications WHERE tenant = ?1 AND sha256 = ?2)";
    connection.prepare_cached(sql)?.query_row((tenant.as_str(), sha256), |row| row.get(0))
}
