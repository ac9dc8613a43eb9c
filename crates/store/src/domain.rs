//! What services ask of a store, in the words of the domain.
//!
//! Times are microseconds since 1970 (UTC) and are handed in: a store reads no clock. Ids are
//! UUIDv7 as text, so they sort by time. Everything is asked for by tenant: there is no call that
//! finds a row of a tenant without naming the tenant.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use types::{Role, Tenant};

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing more fits; what was accepted stays (HTTP 507).
    #[error("the disk that holds {place} is full")]
    Full { place: String },
    /// The folder cannot be written (HTTP 503).
    #[error("{place} cannot be written: {reason}")]
    ReadOnly { place: String, reason: String },
    /// Busy or shutting down; another try may work (HTTP 503).
    #[error("the store is not available: {reason}")]
    Unavailable { reason: String },
    /// A row does not read back as what was written; needs a person.
    #[error("{place} is damaged: {reason}")]
    Damaged { place: String, reason: String },
}

// --- API keys -------------------------------------------------------------------------------

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Public; the part of the key after `sx_`.
    pub id: String,
    /// SHA-256 of the whole key. The key has 256 random bits, so no slow hash is needed.
    pub hash: [u8; 32],
    pub tenant: Tenant,
    pub role: Role,
    /// What a person calls it.
    pub name: String,
    pub created_us: i64,
    pub expires_us: Option<i64>,
    pub revoked_us: Option<i64>,
}

#[async_trait]
pub trait Keys: Send + Sync + std::fmt::Debug {
    async fn insert_key(&self, key: KeyRecord) -> Result<(), StoreError>;
    async fn key_by_hash(&self, hash: [u8; 32]) -> Result<Option<KeyRecord>, StoreError>;
    /// Oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError>;
    /// Whether there was such a key that was not revoked.
    async fn revoke_key(&self, id: &str, now_us: i64) -> Result<bool, StoreError>;
}

// --- Verifications --------------------------------------------------------------------------

/// Where a verification stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Queued,
    Running,
    /// There is a report.
    Done,
    /// There will be none; `failure` says why.
    Failed,
}

impl State {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
        }
    }
}

/// What is to be run. Immutable once accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// SHA-256 of the artifact, lowercase hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
    pub file_name: String,
    /// What the artifact was recognised as: `elf`, `script`, `python`, `node`, `shell`.
    pub kind: String,
    pub interpreter: Option<String>,
    pub arguments: Vec<String>,
    pub runner: String,
    pub timeout_ms: u64,
    /// `traceparent` of the request that submitted it, so that the run joins its trace.
    pub traceparent: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVerification {
    pub id: String,
    pub tenant: Tenant,
    pub order: Order,
    /// The caller's key for "the same request again", unique per tenant.
    pub idempotency_key: Option<String>,
    pub created_us: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub id: String,
    pub tenant: Tenant,
    pub order: Order,
    pub idempotency_key: Option<String>,
    pub state: State,
    /// How often a worker began it.
    pub attempts: u32,
    pub created_us: i64,
    pub started_us: Option<i64>,
    pub finished_us: Option<i64>,
    pub summary: Option<Summary>,
    pub failure: Option<String>,
}

/// What a list shows of a finished verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// `benign`, `suspicious`, `malicious`, `inconclusive`.
    pub verdict: String,
    pub score: u32,
    pub reason: String,
    /// `full`, `reduced`, `incomplete`.
    pub evidence: String,
}

/// What came of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    New(Verification),
    /// The idempotency key was used before for the same order: that one stands.
    Same(Verification),
    /// The idempotency key was used before for another order.
    Conflict {
        id: String,
    },
    /// The tenant or the whole queue has its fill of unfinished work; nothing was kept.
    QueueFull {
        queued: u64,
        limit: u64,
    },
}

/// A worker's hold on a verification. Only the holder of the newest lease can finish it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub verification: Verification,
    /// Unique per claim.
    pub token: String,
}

/// What a worker makes of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The JSON report, kept as it is.
    Report {
        summary: Summary,
        report: Vec<u8>,
    },
    Failed {
        reason: String,
    },
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub items: Vec<Verification>,
    /// The id to pass as `before` for the next page.
    pub next: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    pub queued: u64,
    pub running: u64,
    /// When the oldest queued one was accepted.
    pub oldest_queued_us: Option<i64>,
}

/// What came of a delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// Gone, with its report. `last_use` says whether no other verification of the tenant names the
    /// artifact any more.
    Gone {
        sha256: String,
        last_use: bool,
    },
    /// It runs; nothing was deleted.
    Running,
    NotFound,
}

/// The queue and its results.
#[async_trait]
pub trait Verifications: Send + Sync + std::fmt::Debug {
    /// Accepts work: durable when it returns. `limits`: unfinished verifications of this tenant and
    /// of all tenants together.
    async fn submit(
        &self,
        new: NewVerification,
        limit_tenant: u64,
        limit_all: u64,
    ) -> Result<Submitted, StoreError>;

    async fn verification(
        &self,
        tenant: &Tenant,
        id: &str,
    ) -> Result<Option<Verification>, StoreError>;

    /// Newest first; `before` is an id from [`Page::next`].
    async fn verifications(
        &self,
        tenant: &Tenant,
        before: Option<&str>,
        state: Option<State>,
        limit: u32,
    ) -> Result<Page, StoreError>;

    /// The report's bytes as they were given.
    async fn report(&self, tenant: &Tenant, id: &str) -> Result<Option<Vec<u8>>, StoreError>;

    async fn delete(&self, tenant: &Tenant, id: &str) -> Result<Deleted, StoreError>;

    /// Takes the next verification: queued, or running under a lease that ended (its worker died).
    /// Tenants take turns, so that one with a long queue does not starve another; within a tenant
    /// the oldest goes first.
    async fn claim(&self, now_us: i64, lease_until_us: i64) -> Result<Option<Lease>, StoreError>;

    /// Makes the lease last longer; `false` when it is no longer ours.
    async fn renew(&self, lease: &Lease, lease_until_us: i64) -> Result<bool, StoreError>;

    /// Finishes it; `false` (and nothing kept) when the lease is no longer ours: somebody else has
    /// it or has finished it.
    async fn finish(
        &self,
        lease: &Lease,
        outcome: Outcome,
        now_us: i64,
    ) -> Result<bool, StoreError>;

    /// Gives it back to the queue, to be claimed again; `false` when it is no longer ours.
    async fn release(&self, lease: &Lease) -> Result<bool, StoreError>;

    /// At start, when this process is the only one that may hold leases: what runs was left by a
    /// process that died, and is queued again. Their number.
    async fn requeue_all(&self) -> Result<u64, StoreError>;

    async fn depth(&self) -> Result<QueueDepth, StoreError>;

    /// Whether a verification of the tenant, in whatever state, names the artifact.
    async fn artifact_used(&self, tenant: &Tenant, sha256: &str) -> Result<bool, StoreError>;
}

// --- contauth -------------------------------------------------------------------------------

/// A session or profile as contauth wrote it; the store does not look inside.
#[async_trait]
pub trait Sessions: Send + Sync + std::fmt::Debug {
    async fn session(&self, tenant: &Tenant, id: &str) -> Result<Option<Vec<u8>>, StoreError>;
    async fn profile(&self, tenant: &Tenant, subject: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Both in one transaction: a session never rests on a profile that was not kept.
    async fn put_session(
        &self,
        tenant: &Tenant,
        id: &str,
        session: Vec<u8>,
        profile: Option<(String, Vec<u8>)>,
        now_us: i64,
    ) -> Result<(), StoreError>;
    /// Removes a subject's profile; whether there was one.
    async fn forget_profile(&self, tenant: &Tenant, subject: &str) -> Result<bool, StoreError>;
    /// Removes sessions not touched since; their number.
    async fn expire_sessions(&self, before_us: i64) -> Result<u64, StoreError>;
}

// --- Feature history ------------------------------------------------------------------------

/// One write: rows of one tenant and view, encoded by ml-service; the store does not look inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub tenant: Tenant,
    pub view: String,
    pub event_min_us: i64,
    pub event_max_us: i64,
    pub rows: u32,
    pub payload: Vec<u8>,
}

/// Append-only history.
#[async_trait]
pub trait FeatureLog: Send + Sync + std::fmt::Debug {
    /// Durable when it returns; gives the segment's position, growing with every append.
    async fn append(&self, segment: Segment) -> Result<u64, StoreError>;
    /// Segments after a position in order, at most `limit`: how an index is rebuilt.
    async fn read_after(
        &self,
        position: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Segment)>, StoreError>;
    /// Segments of one view that overlap the range (both ends inclusive), oldest position first.
    async fn segments(
        &self,
        tenant: &Tenant,
        view: &str,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<(u64, Segment)>, StoreError>;
    /// The same a few at a time: those after a position, at most `limit`, so that a reader's memory
    /// does not grow with the history.
    async fn segments_after(
        &self,
        tenant: &Tenant,
        view: &str,
        from_us: i64,
        to_us: i64,
        position: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Segment)>, StoreError> {
        let mut segments = self.segments(tenant, view, from_us, to_us).await?;
        segments.retain(|(at, _)| *at > position);
        segments.truncate(limit as usize);
        Ok(segments)
    }
}

/// Whether the store can take writes now; the reason when not. Writes something and reads it back.
#[async_trait]
pub trait Health: Send + Sync + std::fmt::Debug {
    async fn check(&self) -> Result<(), StoreError>;
}
