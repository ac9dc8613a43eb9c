//! The ledger as services use it: counters in, statuses, alerts and answers out, over real files and
//! sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alertmanager;
mod api;
mod backfill;
mod crash;
mod disk;
mod door;
mod engine;
mod measure;
mod support;
mod tell;
