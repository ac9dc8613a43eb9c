//! Gauges that are read when somebody asks for them: sizes of what lives elsewhere, which a copy in a
//! metric would only be out of step with.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;

use super::Metrics;

/// Gives the value now. It must be quick and may not block for long: all metrics wait for it.
pub type Read = Box<dyn Fn() -> f64 + Send + Sync>;

#[derive(Clone)]
struct Readings {
    label: &'static str,
    of: Arc<[(&'static str, Read)]>,
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readings").field("label", &self.label).finish_non_exhaustive()
    }
}

impl EncodeMetric for Readings {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (value, read) in self.of.iter() {
            encoder.encode_family(&[(self.label, *value)])?.encode_gauge(&read())?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

impl Metrics {
    /// A gauge for each value of a label, read whenever the metrics are.
    pub fn readings(
        &self,
        name: &str,
        help: &str,
        label: &'static str,
        of: impl IntoIterator<Item = (&'static str, Read)>,
    ) {
        self.register(name, help, Readings { label, of: of.into_iter().collect() });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use crate::metrics::Metrics;

    #[test]
    fn what_is_told_is_what_is_so_at_that_moment() {
        let metrics = Metrics::new("x");
        let size = Arc::new(AtomicU32::new(1));
        let read = Arc::clone(&size);
        let read: super::Read = Box::new(move || f64::from(read.load(Ordering::SeqCst)));
        metrics.readings("shieldx_x_entries", "Entries", "cache", [("sessions", read)]);
        for value in [1, 7, 3] {
            size.store(value, Ordering::SeqCst);
            let line = format!("shieldx_x_entries{{cache=\"sessions\"}} {value}.0\n");
            assert!(metrics.text().contains(&line), "{}", metrics.text());
        }
        assert!(metrics.text().contains("# TYPE shieldx_x_entries gauge\n"));
    }
}
