//! Tasks as metrics. Their names are in the code, so there are as many series as there are names.

use super::{Status, Tasks};
use crate::metrics::exposition::{Family, Kind, Number, Series, Value};
use crate::metrics::{Metrics, Tell};

impl Tasks {
    /// Adds the tasks to a service's metrics. They are the process's: give them one place.
    pub fn register(&self, metrics: &Metrics) {
        metrics.tell(self.clone());
    }
}

impl Tell for Tasks {
    fn tell(&self) -> Vec<Family> {
        let tasks = self.status();
        let family = |name: &str, help: &str, kind, number: &dyn Fn(&Status) -> Option<Number>| {
            let series = tasks.iter().filter_map(|(task, status)| {
                let value = Value::Number { number: number(status)?, exemplar: None };
                Some(Series { labels: vec![("task".to_owned(), (*task).to_owned())], value })
            });
            Family {
                name: format!("shieldx_tasks_{name}"),
                help: help.to_owned(),
                kind,
                series: series.collect(),
                labels: vec!["task"],
            }
        };
        let count = |count: u64| Some(Number::Count(count));
        vec![
            family("running", "Background tasks that run.", Kind::Gauge, &|status| {
                count(status.running)
            }),
            family("ended", "Background tasks that ended.", Kind::Counter, &|status| {
                count(status.ended)
            }),
            family("panicked", "Panics in background tasks.", Kind::Counter, &|status| {
                count(status.panicked)
            }),
            family(
                "last_run_timestamp_seconds",
                "When a background task or its repetition last began, in seconds since 1970.",
                Kind::Gauge,
                #[expect(clippy::cast_precision_loss, reason = "it is exact until the year 2255")]
                &|status| status.last_run_us.map(|us| Number::Float(us as f64 / 1e6)),
            ),
            family(
                "last_run_duration_seconds",
                "Seconds the last run of a background task took that has ended.",
                Kind::Gauge,
                &|status| status.last_took.map(|took| Number::Float(took.as_secs_f64())),
            ),
        ]
    }
}
