//! The one spawner: every task has a name, and a status that can be asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Instrument as _;

use crate::shutdown::Shutdown;

/// Spawns tasks that end with the process. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Tasks {
    shutdown: Shutdown,
    status: Arc<Mutex<BTreeMap<&'static str, Status>>>,
}

/// How many tasks of a name there were and are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    pub running: u64,
    pub ended: u64,
    /// Ended by a panic; each is also logged.
    pub panicked: u64,
}

impl Tasks {
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, status: Arc::default() }
    }

    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Starts a task inside the current span. It is tracked: shutdown waits for it.
    #[expect(clippy::disallowed_methods, reason = "this is the spawner")]
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.change(name, |status| status.running += 1);
        let watched = Watched { tasks: self.clone(), name };
        let work = async move {
            let _watched = watched;
            future.await;
        };
        drop(tokio::spawn(self.shutdown.track(work.in_current_span())));
    }

    /// Repeats something with a pause between, until shutdown begins.
    pub fn every<F, W>(&self, name: &'static str, pause: std::time::Duration, mut work: W)
    where
        W: FnMut() -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let shutdown = self.shutdown.clone();
        self.spawn(name, async move {
            while tokio::time::timeout(pause, shutdown.wait_begun()).await.is_err() {
                work().await;
            }
        });
    }

    #[must_use]
    pub fn status(&self) -> BTreeMap<&'static str, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, name: &'static str, change: impl FnOnce(&mut Status)) {
        change(self.status.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default());
    }
}

/// Counts a task's end, however it comes.
struct Watched {
    tasks: Tasks,
    name: &'static str,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let panicked = std::thread::panicking();
        if panicked {
            tracing::error!(task = self.name, "a background task panicked");
        }
        self.tasks.change(self.name, |status| {
            status.running -= 1;
            status.ended += 1;
            status.panicked += u64::from(panicked);
        });
    }
}
