//! How a verification moves: claimed, renewed, finished, given back. Every function runs inside one
//! transaction of the one writer, so that what it reads cannot change before it writes.
//!
//! A lease is held by whoever has its token; each claim makes a new one, so that a worker that was
//! taken for dead cannot finish what another one has begun since.

use rusqlite::{Connection, Error, OptionalExtension as _};

use super::rows;
use crate::domain::{Lease, Outcome, QueueDepth, Verification};

/// What of a lease the statements need.
#[derive(Debug)]
pub(crate) struct Held {
    tenant: String,
    id: String,
    token: String,
}

impl Held {
    pub(crate) fn of(lease: &Lease) -> Self {
        Self {
            tenant: lease.verification.tenant.as_str().to_owned(),
            id: lease.verification.id.clone(),
            token: lease.token.clone(),
        }
    }
}

pub(crate) fn claim(
    connection: &Connection,
    now_us: i64,
    lease_until_us: i64,
    token: String,
) -> Result<Option<Lease>, Error> {
    let Some(tenant) = next_tenant(connection, now_us)? else { return Ok(None) };
    let verification = take_oldest(connection, &tenant, now_us, lease_until_us, &token)?;
    connection
        .prepare_cached(
            "UPDATE queues SET turn = (SELECT max(turn) + 1 FROM queues) WHERE tenant = ?1",
        )?
        .execute([tenant])?;
    Ok(Some(Lease { verification, token }))
}

/// Of the tenants that have something to take, the one with the least running under living leases;
/// among equals the one that waited longest for its turn.
fn next_tenant(connection: &Connection, now_us: i64) -> Result<Option<String>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT tenant FROM ( \
             SELECT tenant, queued, running, turn, \
                 (SELECT count(*) FROM verifications AS v WHERE v.tenant = queues.tenant \
                  AND v.state = 'running' AND v.lease_until_us <= ?1) AS abandoned \
             FROM queues WHERE queued > 0 OR running > 0) \
         WHERE queued > 0 OR abandoned > 0 \
         ORDER BY running - abandoned, turn, tenant LIMIT 1",
    )?;
    statement.query_row([now_us], |row| row.get(0)).optional()
}

fn take_oldest(
    connection: &Connection,
    tenant: &str,
    now_us: i64,
    lease_until_us: i64,
    token: &str,
) -> Result<Verification, Error> {
    let sql = format!(
        "UPDATE verifications \
         SET state = 'running', attempts = attempts + 1, started_us = ?2, lease_until_us = ?3, \
             lease_token = ?4 \
         WHERE tenant = ?1 AND id = (SELECT min(id) FROM ( \
             SELECT min(id) AS id FROM verifications WHERE tenant = ?1 AND state = 'queued' \
             UNION ALL \
             SELECT min(id) FROM verifications \
             WHERE tenant = ?1 AND state = 'running' AND lease_until_us <= ?2)) \
         RETURNING {}",
        rows::VERIFICATION
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row((tenant, now_us, lease_until_us, token), rows::verification)
}

pub(crate) fn renew(
    connection: &Connection,
    held: &Held,
    lease_until_us: i64,
) -> Result<bool, Error> {
    let sql = "UPDATE verifications SET lease_until_us = ?4 \
               WHERE tenant = ?1 AND id = ?2 AND lease_token = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.execute((&held.tenant, &held.id, &held.token, lease_until_us))? == 1)
}

pub(crate) fn finish(
    connection: &Connection,
    held: &Held,
    outcome: &Outcome,
    now_us: i64,
) -> Result<bool, Error> {
    let (state, summary, failure) = match outcome {
        Outcome::Report { summary, .. } => ("done", Some(rows::to_json(summary)?), None),
        Outcome::Failed { reason } => ("failed", None, Some(reason)),
    };
    let sql = "UPDATE verifications SET state = ?4, summary = ?5, failure = ?6, finished_us = ?7, \
                   lease_token = NULL, lease_until_us = NULL \
               WHERE tenant = ?1 AND id = ?2 AND lease_token = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let changed = statement.execute((
        &held.tenant,
        &held.id,
        &held.token,
        state,
        summary,
        failure,
        now_us,
    ))?;
    if changed == 1
        && let Outcome::Report { report, .. } = outcome
    {
        connection
            .prepare_cached("INSERT INTO reports (tenant, id, report) VALUES (?1, ?2, ?3)")?
            .execute((&held.tenant, &held.id, report))?;
    }
    Ok(changed == 1)
}

pub(crate) fn release(connection: &Connection, held: &Held) -> Result<bool, Error> {
    let sql = "UPDATE verifications SET state = 'queued', started_us = NULL, lease_token = NULL, \
                   lease_until_us = NULL \
               WHERE tenant = ?1 AND id = ?2 AND lease_token = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.execute((&held.tenant, &held.id, &held.token))? == 1)
}

pub(crate) fn requeue_all(connection: &Connection) -> Result<u64, Error> {
    let sql = "UPDATE verifications SET state = 'queued', started_us = NULL, lease_token = NULL, \
                   lease_until_us = NULL \
               WHERE state = 'running'";
    Ok(connection.prepare_cached(sql)?.execute([])? as u64)
}

pub(crate) fn depth(connection: &Connection) -> Result<QueueDepth, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(sum(queued), 0), coalesce(sum(running), 0), \
         (SELECT min(created_us) FROM verifications WHERE state = 'queued') FROM queues",
    )?;
    statement.query_row([], |row| {
        Ok(QueueDepth {
            queued: rows::count(row, 0)?,
            running: rows::count(row, 1)?,
            oldest_queued_us: row.get(2)?,
        })
    })
}
