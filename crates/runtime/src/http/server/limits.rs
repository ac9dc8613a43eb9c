//! What one listener allows. Each bound is closed, counted or answered when it is reached.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Milliseconds a TLS handshake may take; then the connection is closed.
    pub tls_handshake_timeout_ms: u64,
    /// Milliseconds from the first byte of a request (or from the connection, for the first
    /// request) to the end of its header; then the connection is closed.
    pub header_read_timeout_ms: u64,
    /// Header fields of a request; more are answered with 431.
    pub headers_max_count: usize,
    /// Bytes of a request's header, and of an HTTP/2 header list; more are answered with 431.
    /// At least 8192.
    pub headers_max_bytes: u32,
    /// Milliseconds a connection may be open without a request.
    pub idle_timeout_ms: u64,
    /// Milliseconds to wait for more of a request's body; then it is answered with 408.
    pub body_idle_timeout_ms: u64,
    /// Bytes per second below which a body uses up `body_idle_timeout_ms` although something
    /// arrives now and then; 0 lets any byte renew it.
    pub body_rate_min_bytes_per_second: u32,
    /// Milliseconds a client may take nothing of the responses it asked for.
    pub send_idle_timeout_ms: u64,
    /// Open connections. At the bound none is accepted until one ends, and idle ones are ended.
    /// Each takes a file descriptor, and two when it is forwarded.
    pub connections_max: usize,
    /// Open connections of one address (of one /64 with IPv6); more are closed at once. Behind a
    /// load balancer all clients have its address: then this is as large as `connections_max`.
    pub connections_per_address_max: usize,
    /// Requests at the same time on one HTTP/2 connection.
    pub h2_concurrent_streams_max: u32,
    /// HTTP/2 streams reset by the client before they were handled; more end the connection
    /// (CVE-2023-44487).
    pub h2_pending_resets_max: usize,
    /// HTTP/2 streams reset by us because of the client's errors; more end the connection
    /// (RUSTSEC-2024-0003).
    pub h2_local_resets_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tls_handshake_timeout_ms: 10_000,
            header_read_timeout_ms: 10_000,
            headers_max_count: 100,
            headers_max_bytes: 64 * 1024,
            idle_timeout_ms: 75_000,
            body_idle_timeout_ms: 30_000,
            body_rate_min_bytes_per_second: 128,
            send_idle_timeout_ms: 60_000,
            connections_max: 4_096,
            connections_per_address_max: 1_024,
            h2_concurrent_streams_max: 128,
            h2_pending_resets_max: 20,
            h2_local_resets_max: 64,
        }
    }
}

impl Limits {
    /// For a listener whose only clients are other parts of this process, all at one address.
    #[must_use]
    pub fn internal() -> Self {
        let limits = Self::default();
        Self { connections_per_address_max: limits.connections_max, ..limits }
    }

    pub(super) fn tls_handshake(&self) -> Duration {
        Duration::from_millis(self.tls_handshake_timeout_ms)
    }

    pub(super) fn header_read(&self) -> Duration {
        Duration::from_millis(self.header_read_timeout_ms)
    }

    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    pub(super) fn body_idle(&self) -> Duration {
        Duration::from_millis(self.body_idle_timeout_ms)
    }

    pub(super) fn send_idle(&self) -> Duration {
        Duration::from_millis(self.send_idle_timeout_ms)
    }

    /// hyper takes no smaller buffer than 8 KiB.
    pub(super) fn header_bytes(&self) -> u32 {
        self.headers_max_bytes.max(8 * 1024)
    }
}
