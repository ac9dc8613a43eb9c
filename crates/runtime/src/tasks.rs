//! The one spawner: every task has a name, and a status that can be asked for.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tracing::Instrument as _;
use types::cause::panic_text;

use crate::clock::{Clock as _, System};
use crate::shutdown::Shutdown;

mod told;

/// Spawns tasks that end with the process. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Tasks {
    shutdown: Shutdown,
    status: Arc<Mutex<BTreeMap<&'static str, Status>>>,
}

/// How many tasks of a name there were and are, and of the newest run, when it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    pub running: u64,
    /// Also those ended by a panic, or by the end of the runtime.
    pub ended: u64,
    /// Panics; each is also logged. One ends its task, except in [`Tasks::every`].
    pub panicked: u64,
    /// The pause between repetitions, with [`Tasks::every`].
    pub period: Option<Duration>,
    /// When a task, or its repetition, last began: microseconds since 1970.
    pub last_run_us: Option<i64>,
    /// How long the last one took that has ended.
    pub last_took: Option<Duration>,
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
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        self.start(name, async move { tasks.run(name, future).await });
    }

    #[expect(clippy::disallowed_methods, reason = "this is the spawner")]
    fn start<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.change(name, |status| status.running += 1);
        let watched = Watched { tasks: self.clone(), name };
        let work = async move {
            work.await;
            drop(watched);
        };
        drop(tokio::spawn(self.shutdown.track(work.in_current_span())));
    }

    /// Repeats something with a pause between, until shutdown begins. A panic ends one repetition and
    /// not the next.
    pub fn every<F, W>(&self, name: &'static str, pause: Duration, mut work: W)
    where
        W: FnMut() -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        self.change(name, |status| status.period = Some(pause));
        let tasks = self.clone();
        self.start(name, async move {
            while tokio::time::timeout(pause, tasks.shutdown.wait_begun()).await.is_err() {
                let once = async { work().await };
                tasks.run(name, once).await;
            }
        });
    }

    #[must_use]
    pub fn status(&self) -> BTreeMap<&'static str, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One run, timed. A panic is counted and logged instead of passed on: whatever the future left
    /// half done is its own, nothing of it is used again.
    async fn run(&self, name: &'static str, future: impl Future<Output = ()>) {
        let (began_us, began) = (System.now_us(), Instant::now());
        self.change(name, |status| status.last_run_us = Some(began_us));
        let _timed = Timed { tasks: self, name, began };
        if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
            self.change(name, |status| status.panicked += 1);
            tracing::error!(task = name, panic = panic_text(&*panic), "a background task panicked");
        }
    }

    fn change(&self, name: &'static str, change: impl FnOnce(&mut Status)) {
        change(self.status.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default());
    }
}

/// Tells how long a run took, however it ends.
struct Timed<'a> {
    tasks: &'a Tasks,
    name: &'static str,
    began: Instant,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.tasks.change(self.name, |status| status.last_took = Some(took));
    }
}

/// Counts a task's end, however it comes.
struct Watched {
    tasks: Tasks,
    name: &'static str,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tasks.change(self.name, |status| {
            status.running -= 1;
            status.ended += 1;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::{Notify, oneshot};

    use super::{Arc, Duration, Shutdown, Status, Tasks};
    use crate::metrics::Metrics;

    /// Far more than a test takes.
    const LONG: Duration = Duration::from_secs(60);

    fn tasks() -> Tasks {
        Tasks::new(Shutdown::new())
    }

    /// Running, ended, panicked.
    fn counts(status: Status) -> [u64; 3] {
        [status.running, status.ended, status.panicked]
    }

    async fn drained(tasks: &Tasks) -> Status {
        tasks.shutdown().begin();
        assert!(tasks.shutdown().drained(LONG).await);
        tasks.status()["work"]
    }

    #[tokio::test]
    async fn a_task_is_running_until_it_has_ended_and_shutdown_waits_for_it() {
        let tasks = tasks();
        let (go, wait) = oneshot::channel::<()>();
        tasks.spawn("work", async move { wait.await.unwrap() });
        assert_eq!(counts(tasks.status()["work"]), [1, 0, 0]);
        tasks.shutdown().begin();
        assert!(!tasks.shutdown().drained(Duration::ZERO).await, "it still runs");
        go.send(()).unwrap();
        assert_eq!(counts(drained(&tasks).await), [0, 1, 0]);
    }

    #[tokio::test]
    async fn a_panic_is_counted_once_whether_it_comes_first_or_after_a_wait() {
        let tasks = tasks();
        tasks.spawn("work", async { panic!("at once") });
        tasks.spawn("work", async {
            tokio::task::yield_now().await;
            panic!("{}", "later");
        });
        tasks.spawn("work", async {});
        assert_eq!(counts(drained(&tasks).await), [0, 3, 2]);
    }

    #[tokio::test]
    async fn a_task_that_starts_others_is_waited_for_with_them() {
        let tasks = tasks();
        let inner = tasks.clone();
        tasks.spawn("work", async move {
            inner.shutdown().wait_begun().await;
            inner.clone().spawn("work", async { tokio::task::yield_now().await });
        });
        assert_eq!(counts(drained(&tasks).await), [0, 2, 0]);
    }

    #[tokio::test]
    async fn what_is_repeated_goes_on_after_a_panic_and_stops_at_shutdown() {
        let tasks = tasks();
        let (times, enough) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let (counted, told) = (Arc::clone(&times), Arc::clone(&enough));
        tasks.every("work", Duration::from_millis(1), move || {
            let time = counted.fetch_add(1, Ordering::SeqCst);
            assert_ne!(time, 0, "the first time");
            if time == 3 {
                told.notify_one();
            }
            async move { assert_ne!(time, 1, "the second time") }
        });
        enough.notified().await;
        assert_eq!(counts(drained(&tasks).await), [0, 1, 2]);
        let ended = times.load(Ordering::SeqCst);
        assert!(ended >= 4, "{ended}");
    }

    #[tokio::test]
    async fn the_newest_run_is_told_with_its_time_also_as_metrics() {
        let (tasks, metrics) = (tasks(), Metrics::new("test"));
        tasks.register(&metrics);
        let (began, enough) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, waits) = (Arc::clone(&began), Arc::clone(&enough));
        tasks.every("work", Duration::from_millis(1), move || {
            let (begins, waits) = (Arc::clone(&begins), Arc::clone(&waits));
            async move {
                begins.notify_one();
                waits.notified().await;
            }
        });
        began.notified().await;
        let status = tasks.status()["work"];
        assert_eq!(status.period, Some(Duration::from_millis(1)));
        assert!(status.last_run_us.is_some_and(|at| at > 1_700_000_000_000_000));
        assert_eq!(status.last_took, None, "none has ended");
        enough.notify_one();
        began.notified().await;
        enough.notify_one();
        let status = drained(&tasks).await;
        assert!(status.last_took.is_some());
        let text = metrics.text();
        for line in ["running{task=\"work\"} 0", "ended_total{task=\"work\"} 1"] {
            assert!(text.contains(&format!("\nshieldx_tasks_{line}\n")), "{line}: {text}");
        }
        for name in ["last_run_timestamp_seconds", "last_run_duration_seconds"] {
            assert!(text.contains(&format!("\nshieldx_tasks_{name}{{task=\"work\"}} ")), "{text}");
        }
    }

    #[test]
    fn a_task_that_the_end_of_the_runtime_cuts_off_has_ended_and_not_panicked() {
        let tasks = tasks();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { tasks.spawn("work", std::future::pending()) });
        drop(runtime);
        assert_eq!(counts(tasks.status()["work"]), [0, 1, 0]);
    }
}
