//! Where requests wait before they are refused. A place costs a little memory, so there is a bound:
//! a tarpit must not be a way to fill the machine.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use runtime::shutdown::Shutdown;
use tokio::sync::Semaphore;

use crate::meters::Meters;

#[derive(Debug)]
pub(crate) struct Tarpit {
    wait: Duration,
    places: Arc<Semaphore>,
    waiting: Gauge,
    full: Counter,
    shutdown: Shutdown,
}

impl Tarpit {
    pub(crate) fn new(wait_ms: u64, places: usize, meters: &Meters, shutdown: Shutdown) -> Self {
        Self {
            wait: Duration::from_millis(wait_ms),
            places: Arc::new(Semaphore::new(places)),
            waiting: meters.tarpitted.clone(),
            full: meters.tarpit_full.clone(),
            shutdown,
        }
    }

    /// Waits, unless the tarpit is full or the process ends. When the client leaves, the server
    /// drops this, and the place is free.
    pub(crate) async fn wait(&self) {
        let Ok(_place) = self.places.try_acquire() else {
            self.full.inc();
            return;
        };
        let _counted = Counted::enter(&self.waiting);
        tokio::select! {
            () = tokio::time::sleep(self.wait) => {}
            () = self.shutdown.wait_begun() => {}
        }
    }
}

struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn enter(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
