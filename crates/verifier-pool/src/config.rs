//! Settings of the verifier pool, with their defaults. Plain data: reading files is not done here.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

const MIB: u64 = 1024 * 1024;

/// Waiting workers, at most: each holds the monitor's programs and rings.
pub const SPARE_WORKERS_MAX: u32 = 16;

/// Settings of the verifier pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the service listens.
    pub address: SocketAddr,
    /// How many artifacts run at once, at least 1.
    pub workers: u32,
    /// Workers that wait for a job with the kernel's part of a run ready; 0 for none, at most
    /// [`SPARE_WORKERS_MAX`].
    #[serde(deserialize_with = "spare_workers")]
    pub spare_workers: u32,
    /// Runs at once never get more memory than this together, in bytes.
    pub memory_total_bytes: u64,
    /// Memory that one run gets, in bytes; not more than `memory_total_bytes`.
    pub run_memory_bytes: u64,
    /// How much a run may print, in bytes; the rest is cut.
    pub output_bytes: u64,
    /// The runner of a submission that names none.
    pub runner: String,
    /// An image of the Docker daemon's that scripts run in under the runner `docker`: it has their
    /// interpreters. Without one that runner takes programs only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_image: Option<String>,
    /// A folder of Sigma (*.yml) and YARA (*.yar) rules beside the built-in ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<PathBuf>,
    /// The largest artifact, in bytes.
    pub artifact_max_bytes: u64,
    /// Uploads at once; one more is answered with 503. A tenant gets half of them, one more of its
    /// own is answered with 429.
    pub uploads_max: u32,
    /// An upload that sends nothing for this long is ended, in milliseconds.
    pub upload_idle_ms: u64,
    /// How long an artifact may run when the submission does not say, in milliseconds.
    pub timeout_default_ms: u64,
    /// The longest a submission may ask for, in milliseconds.
    pub timeout_max_ms: u64,
    /// A worker that is not heard of for this long lost its run to another, in milliseconds.
    pub lease_ms: u64,
    /// A run that fails (the sandbox could not be built, its process died) is tried this often.
    pub attempts_max: u32,
    /// A run is begun this often at all, whatever ended it: being killed with the whole process is
    /// not the artifact's fault, until it happens this often.
    pub claims_max: u32,
    /// Unfinished verifications of one tenant; one more is answered with 429.
    pub queue_max_tenant: u64,
    /// Unfinished verifications of all tenants; one more is answered with 503.
    pub queue_max_all: u64,
    /// Event streams open at once; shared as uploads are.
    pub subscribers_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8090)),
            workers: 2,
            spare_workers: 1,
            memory_total_bytes: 2048 * MIB,
            run_memory_bytes: 512 * MIB,
            output_bytes: MIB,
            runner: "process".to_owned(),
            docker_image: None,
            rules: None,
            artifact_max_bytes: 64 * MIB,
            uploads_max: 32,
            upload_idle_ms: 30_000,
            timeout_default_ms: 30_000,
            timeout_max_ms: 600_000,
            lease_ms: 30_000,
            attempts_max: 3,
            claims_max: 10,
            queue_max_tenant: 1_000,
            queue_max_all: 10_000,
            subscribers_max: 256,
        }
    }
}

fn spare_workers<'de, D: Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    match u32::deserialize(value)? {
        count @ 0..=SPARE_WORKERS_MAX => Ok(count),
        count => Err(D::Error::custom(format!("{count} is too many, at most {SPARE_WORKERS_MAX}"))),
    }
}
