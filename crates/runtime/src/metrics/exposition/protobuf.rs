//! Prometheus' protobuf: the messages of `io/prometheus/client/metrics.proto` as far as they are used
//! here (<https://github.com/prometheus/client_model>). Field numbers are the format.

use prost::Message;

use super::{Exemplar, Family, Histogram, Kind, Native, Series, Value};

pub(super) fn write(families: &[Family]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for family in families.iter().filter(|family| !family.series.is_empty()) {
        // It fails where there is no room, and a vector makes some.
        let _ = MetricFamily::from(family).encode_length_delimited(&mut bytes);
    }
    bytes
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricFamily {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) help: String,
    /// 0 counter, 1 gauge, 3 untyped, 4 histogram.
    #[prost(int32, tag = "3")]
    pub(super) kind: i32,
    #[prost(message, repeated, tag = "4")]
    pub(super) metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub(super) gauge: Option<Plain>,
    #[prost(message, optional, tag = "3")]
    pub(super) counter: Option<Counter>,
    #[prost(message, optional, tag = "5")]
    pub(super) untyped: Option<Plain>,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<Buckets>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelPair {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// `Gauge` and `Untyped`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Plain {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Counter {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "2")]
    pub(super) exemplar: Option<Example>,
}

/// `Histogram`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Buckets {
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
    #[prost(double, tag = "2")]
    pub(super) sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub(super) buckets: Vec<Bucket>,
    #[prost(sint32, tag = "5")]
    pub(super) schema: i32,
    #[prost(double, tag = "6")]
    pub(super) zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    pub(super) zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    pub(super) spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    pub(super) deltas: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Bucket {
    #[prost(uint64, tag = "1")]
    pub(super) cumulative: u64,
    #[prost(double, tag = "2")]
    pub(super) upper: f64,
    #[prost(message, optional, tag = "3")]
    pub(super) exemplar: Option<Example>,
}

/// Neighbouring native buckets: how many, and how far from those before.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Span {
    #[prost(sint32, tag = "1")]
    pub(super) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(super) length: u32,
}

/// `Exemplar`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Example {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<LabelPair>,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "3")]
    pub(super) at: Option<Timestamp>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

impl From<&Family> for MetricFamily {
    fn from(family: &Family) -> Self {
        let kind = match family.kind {
            Kind::Counter => 0,
            Kind::Gauge | Kind::Info => 1,
            Kind::Unknown => 3,
            Kind::Histogram => 4,
        };
        Self {
            name: format!("{}{}", family.name, family.kind.ending()),
            help: family.help.clone(),
            kind,
            metrics: family.series.iter().map(|series| metric(family.kind, series)).collect(),
        }
    }
}

fn metric(kind: Kind, series: &Series) -> Metric {
    let mut metric = Metric { labels: pairs(&series.labels), ..Metric::default() };
    match &series.value {
        Value::Histogram(histogram) => metric.histogram = Some(buckets(histogram)),
        Value::Number { number, exemplar } => {
            let value = number.as_f64();
            match kind {
                Kind::Counter => {
                    let exemplar = exemplar.as_ref().map(example);
                    metric.counter = Some(Counter { value, exemplar });
                }
                Kind::Gauge | Kind::Info => metric.gauge = Some(Plain { value }),
                Kind::Histogram | Kind::Unknown => metric.untyped = Some(Plain { value }),
            }
        }
    }
    metric
}

fn pairs(labels: &[(String, String)]) -> Vec<LabelPair> {
    let pair =
        |(name, value): &(String, String)| LabelPair { name: name.clone(), value: value.clone() };
    labels.iter().map(pair).collect()
}

fn example(exemplar: &Exemplar) -> Example {
    let at = exemplar.at_s.map(|at_s| {
        // Seconds since 1970 with microseconds are far below what a float loses whole numbers at.
        #[expect(clippy::cast_possible_truncation, reason = "a cast saturates")]
        let (seconds, nanos) = (at_s.floor() as i64, (at_s.fract() * 1e6).round() as i32 * 1_000);
        Timestamp { seconds, nanos: nanos.clamp(0, 999_999_999) }
    });
    Example { labels: pairs(&exemplar.labels), value: exemplar.value.as_f64(), at }
}

fn buckets(histogram: &Histogram) -> Buckets {
    let Histogram { sum, count, buckets, native } = histogram;
    let mut written = Buckets { count: *count, sum: *sum, ..Buckets::default() };
    written.buckets = buckets
        .iter()
        .map(|bucket| Bucket {
            cumulative: bucket.cumulative,
            upper: bucket.upper,
            exemplar: bucket.exemplar.as_ref().map(example),
        })
        .collect();
    if let Some(native) = native {
        sparse(native, &mut written);
    }
    written
}

/// Runs of neighbours become spans, and each count is told as its difference from the one before.
fn sparse(native: &Native, written: &mut Buckets) {
    written.schema = native.schema;
    written.zero_threshold = native.zero_threshold;
    written.zero_count = native.zero_count;
    let (mut next, mut before) = (None, 0_i64);
    for &(index, count) in &native.positive {
        match (next, written.spans.last_mut()) {
            (Some(next), Some(span)) if next == index => span.length += 1,
            _ => {
                let offset = index - next.unwrap_or(0);
                written.spans.push(Span { offset, length: 1 });
            }
        }
        next = Some(index + 1);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        written.deltas.push(count - before);
        before = count;
    }
}
