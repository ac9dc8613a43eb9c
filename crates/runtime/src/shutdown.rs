//! How a process ends: stop accepting, let what runs finish, and not longer than a deadline.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Shared by everything that must end together. Cloning gives another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everybody to finish.
    pub fn begin(&self) {
        self.token.cancel();
        self.tracker.close();
    }

    #[must_use]
    pub fn begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Completes when [`Self::begin`] was called.
    pub async fn wait_begun(&self) {
        self.token.cancelled().await;
    }

    /// A future that is waited for at the end: a connection, a worker.
    pub fn track<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.tracker.track_future(future)
    }

    /// Waits for everything that is tracked; `false` when the deadline came first.
    pub async fn drained(&self, deadline: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}
