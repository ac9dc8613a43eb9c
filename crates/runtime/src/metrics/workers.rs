//! What tokio says of the threads and tasks of its runtime. Only what is stable; one runtime serves all
//! services of a process, so each of them tells the same.

use tokio::runtime::{Handle, RuntimeMetrics};

use super::exposition::{Family, Kind, Number, Series, Value};
use super::family::Tell;

#[derive(Debug)]
pub(super) struct Workers(RuntimeMetrics);

impl Workers {
    /// Of the runtime this is called in; absent outside of one.
    pub(super) fn here() -> Option<Self> {
        Handle::try_current().ok().map(|handle| Self(handle.metrics()))
    }
}

impl Tell for Workers {
    fn tell(&self) -> Vec<Family> {
        let workers = self.0.num_workers();
        let gauge = |count: usize| Number::Count(u64::try_from(count).unwrap_or(u64::MAX));
        let mut told = vec![
            family("workers", "Threads that run tasks.", Kind::Gauge, gauge(workers)),
            family(
                "alive_tasks",
                "Tasks that have not ended.",
                Kind::Gauge,
                gauge(self.0.num_alive_tasks()),
            ),
            family(
                "global_queue_depth",
                "Tasks that wait for any thread.",
                Kind::Gauge,
                gauge(self.0.global_queue_depth()),
            ),
        ];
        let (mut busy, mut parks) = (0.0, 0);
        for worker in 0..workers {
            busy += self.0.worker_total_busy_duration(worker).as_secs_f64();
            parks += self.0.worker_park_count(worker);
        }
        let help =
            "Seconds threads ran tasks; its rate by shieldx_runtime_workers is how busy they are.";
        told.push(family("busy_seconds", help, Kind::Counter, Number::Float(busy)));
        let help = "Times threads found nothing to do.";
        told.push(family("parks", help, Kind::Counter, Number::Count(parks)));
        told
    }
}

fn family(name: &str, help: &str, kind: Kind, number: Number) -> Family {
    let value = Value::Number { number, exemplar: None };
    Family {
        name: format!("shieldx_runtime_{name}"),
        help: help.to_owned(),
        kind,
        series: vec![Series { labels: Vec::new(), value }],
        labels: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::Metrics;

    #[test]
    fn a_runtime_tells_of_its_workers_and_outside_there_is_nothing_to_tell() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let metrics = Metrics::new("test");
        metrics.register_process();
        assert!(!metrics.text().contains("shieldx_runtime_workers"));
        runtime.block_on(async { metrics.register_process() });
        let text = metrics.text();
        assert!(text.contains("\nshieldx_runtime_workers 2\n"), "{text}");
        for name in ["alive_tasks", "global_queue_depth", "busy_seconds_total", "parks_total"] {
            assert!(text.contains(&format!("\nshieldx_runtime_{name} ")), "{name}: {text}");
        }
    }
}
