//! What can be set, and what stands when nothing is.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Settings of ml-service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the service listens.
    pub address: SocketAddr,
    /// Most rows in one batch; 10,000 at most.
    pub rows_max: u32,
    /// Most rows of batches that are being checked or written at the same time, of all tenants;
    /// beyond it a batch is refused with 429.
    pub rows_in_flight_max: u32,
    /// Most entities with latest values in memory, all tenants and views together; beyond it a
    /// batch that brings new ones is refused with 507.
    pub entities_max: u64,
    /// The same for one tenant.
    pub tenant_entities_max: u64,
    /// Most bytes the latest values may take in memory, estimated; beyond it a batch that adds to
    /// them is refused with 507.
    pub index_bytes_max: u64,
    /// Most histories that are being read at the same time; beyond it a reader is refused with
    /// 429.
    pub scans_max: u32,
    /// The latest runs of a workload that an anomaly rests on, 20 to 5,000.
    pub history_window: u32,
    /// Most runs of one tenant kept in memory as reference; beyond it the workload that was not
    /// seen for longest starts again.
    pub tenant_reference_runs_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)),
            rows_max: 10_000,
            rows_in_flight_max: 100_000,
            entities_max: 400_000,
            tenant_entities_max: 200_000,
            index_bytes_max: 1 << 30,
            scans_max: 4,
            history_window: 500,
            tenant_reference_runs_max: 50_000,
        }
    }
}
