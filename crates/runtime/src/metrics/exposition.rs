//! What a registry has at one moment, and the three formats it is asked for in.
//!
//! ```text
//! prometheus-client's registry ─▶ its own text ─▶ read ─┐
//!                                                       ├─▶ families ─▶ OpenMetrics text · Prometheus text · protobuf
//! bounded families, traced counters and histograms ─────┘
//! ```
//!
//! The library's encoder is closed: nobody else can make an exemplar for it, and its histograms have
//! exemplars or native buckets, not both. So what it registers is read from the one thing it gives,
//! and everything is written here.

use std::fmt;

mod protobuf;
mod read;
mod text;

/// All series of one name. Sorted by the names and values of labels they are not: they stand in the
/// order in which their owner tells them.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Without the endings `_total` and `_info`.
    pub name: String,
    /// A sentence.
    pub help: String,
    pub kind: Kind,
    pub series: Vec<Series>,
    /// Names of its labels, where they are known without a series.
    pub labels: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
    Unknown,
}

impl Kind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
            Self::Unknown => "unknown",
        }
    }

    /// What the samples of such a family end in, histograms aside.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram | Self::Unknown => "",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Names and values.
    pub labels: Vec<(String, String)>,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter, a gauge or an info (which is 1).
    Number {
        number: Number,
        exemplar: Option<Exemplar>,
    },
    Histogram(Box<Histogram>),
}

/// A number without loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Count(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "Prometheus' own numbers are floats")]
            Self::Count(count) => count as f64,
            #[expect(clippy::cast_precision_loss, reason = "Prometheus' own numbers are floats")]
            Self::Signed(signed) => signed as f64,
            Self::Float(float) => float,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Signed(signed) => signed.fmt(f),
            Self::Float(float) if float.is_nan() => f.write_str("NaN"),
            Self::Float(float) if *float == f64::INFINITY => f.write_str("+Inf"),
            Self::Float(float) if *float == f64::NEG_INFINITY => f.write_str("-Inf"),
            // `1.0`, and not `1`: OpenMetrics wants canonical floats where a number may be one.
            Self::Float(float) => fmt::Debug::fmt(float, f),
        }
    }
}

/// A histogram at one moment: all its numbers are of the same observations.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    pub sum: f64,
    pub count: u64,
    /// By upper bound, the last one `+Inf`.
    pub buckets: Vec<Bucket>,
    pub native: Option<Native>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Inclusive.
    pub upper: f64,
    /// Observations up to it.
    pub cumulative: u64,
    pub exemplar: Option<Exemplar>,
}

/// Sparse buckets whose bounds are powers of 2^(2^-schema).
#[derive(Debug, Clone, PartialEq)]
pub struct Native {
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: u64,
    /// Index and count, by index. The bucket `i` ends at 2^(i × 2^-schema).
    pub positive: Vec<(i32, u64)>,
}

/// An event behind a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    pub labels: Vec<(String, String)>,
    pub value: Number,
    /// Seconds since 1970.
    pub at_s: Option<f64>,
}

/// The ids of the traces that exemplars name.
pub(super) fn traces(families: &[Family]) -> impl Iterator<Item = &str> {
    let series = families.iter().flat_map(|family| &family.series);
    let exemplars = series.flat_map(|series| match &series.value {
        Value::Number { exemplar, .. } => exemplar.iter().collect::<Vec<_>>(),
        Value::Histogram(histogram) => {
            histogram.buckets.iter().filter_map(|bucket| bucket.exemplar.as_ref()).collect()
        }
    });
    let labels = exemplars.flat_map(|exemplar| &exemplar.labels);
    labels.filter(|(name, _)| name == "trace_id").map(|(_, id)| id.as_str())
}

/// How families are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which knows no exemplars.
    Text,
    /// `io.prometheus.client.MetricFamily`, each behind its length. The only one with native buckets.
    Protobuf,
}

impl Format {
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    #[must_use]
    pub fn write(self, families: &[Family]) -> Vec<u8> {
        match self {
            Self::OpenMetrics => text::open_metrics(families).into_bytes(),
            Self::Text => text::plain(families).into_bytes(),
            Self::Protobuf => protobuf::write(families),
        }
    }
}

pub(super) use read::read;
pub(super) use text::open_metrics;

#[cfg(test)]
mod tests;
