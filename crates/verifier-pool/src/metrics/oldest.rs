//! How long the oldest waits: reckoned when it is asked for, so that it grows also while the queue
//! cannot be looked at.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};
use runtime::clock::Clock;

/// Nobody waits.
const NOBODY: i64 = i64::MAX;

/// A gauge of seconds. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub(crate) struct Oldest {
    since_us: Arc<AtomicI64>,
    clock: Arc<dyn Clock>,
}

impl Oldest {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { since_us: Arc::new(AtomicI64::new(NOBODY)), clock }
    }

    /// Since when the oldest waits, microseconds since 1970; `None` when nobody does.
    pub(crate) fn set(&self, since_us: Option<i64>) {
        self.since_us.store(since_us.unwrap_or(NOBODY), Ordering::Relaxed);
    }

    fn seconds(&self) -> f64 {
        let since_us = self.since_us.load(Ordering::Relaxed);
        let age_us = self.clock.now_us().saturating_sub(since_us).max(0);
        Duration::from_micros(age_us.unsigned_abs()).as_secs_f64()
    }
}

impl TypedMetric for Oldest {
    const TYPE: MetricType = MetricType::Gauge;
}

impl EncodeMetric for Oldest {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.encode_gauge(&self.seconds())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::clock::Manual;

    use super::Oldest;

    #[test]
    fn it_grows_until_somebody_else_is_the_oldest() {
        let clock = Arc::new(Manual::at(1_000_000));
        let oldest = Oldest::new(Arc::clone(&clock) as _);
        assert_eq!(oldest.seconds(), 0.0);
        oldest.set(Some(500_000));
        assert_eq!(oldest.seconds(), 0.5);
        clock.advance_us(2_000_000);
        assert_eq!(oldest.seconds(), 2.5);
        oldest.set(Some(9_000_000));
        assert_eq!(oldest.seconds(), 0.0, "a clock that went back");
        oldest.set(None);
        assert_eq!(oldest.seconds(), 0.0);
    }
}
