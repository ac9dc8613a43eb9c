//! Families whose labels have a bound. Beyond it everything is one series, `__other__`, and how much
//! that was is counted in `shieldx_metrics_folded_total{metric}`.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::exposition::{Family as Told, Kind, Number, Series, Value};
use super::histogram::TracedHistogram;

/// Every label of the overflow series.
pub const OVERFLOW: &str = "__other__";
/// Bytes of a label's value; a longer one is counted in the overflow series.
pub const LABEL_BYTES_MAX: usize = 256;

/// A metric that can be told.
pub trait Shown: Send + Sync + 'static {
    const KIND: Kind;
    fn shown(&self) -> Value;
}

/// Something that is told when a registry is asked.
pub(crate) trait Tell: Send + Sync {
    fn tell(&self) -> Vec<Told>;
}

/// Metrics of type `M` by `N` labels. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Family<const N: usize, M>(Arc<Inner<N, M>>);

struct Inner<const N: usize, M> {
    name: String,
    help: String,
    labels: [&'static str; N],
    /// Series, without the overflow.
    series_max: usize,
    make: Box<dyn Fn() -> M + Send + Sync>,
    hasher: RandomState,
    known: RwLock<Known<N, M>>,
    overflow: M,
    folded: Counter,
    /// Whether the overflow series is shown.
    overflowed: AtomicU64,
}

type Labelled<const N: usize, M> = ([Box<str>; N], M);

struct Known<const N: usize, M> {
    /// By the hash of their labels.
    series: HashMap<u64, Vec<Labelled<N, M>>>,
    len: usize,
}

impl<const N: usize, M> fmt::Debug for Family<N, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("name", &self.0.name).finish_non_exhaustive()
    }
}

/// What a family is, for [`super::Metrics::family`].
#[derive(Debug, Clone, Copy)]
pub struct Described<'a, const N: usize> {
    /// In full, without `_total`.
    pub name: &'a str,
    /// One sentence.
    pub help: &'a str,
    pub labels: [&'static str; N],
    /// Label sets that have their own series.
    pub series_max: usize,
}

impl<const N: usize, M: Shown + Clone> Family<N, M> {
    pub(super) fn new(
        what: Described<'_, N>,
        folded: Counter,
        make: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            name: what.name.to_owned(),
            help: what.help.to_owned(),
            labels: what.labels,
            series_max: what.series_max,
            overflow: make(),
            make: Box::new(make),
            hasher: RandomState::new(),
            known: RwLock::new(Known { series: HashMap::new(), len: 0 }),
            folded,
            overflowed: AtomicU64::new(0),
        }))
    }

    /// The series of these values, or the overflow. To keep it spares the look-up; what is added to a
    /// kept handle of the overflow is not counted as folded.
    #[must_use]
    pub fn get(&self, values: [&str; N]) -> M {
        self.find(values).unwrap_or_else(|| self.overflow(0))
    }

    /// `events`: how much is about to be counted there.
    fn get_for(&self, values: [&str; N], events: u64) -> M {
        self.find(values).unwrap_or_else(|| self.overflow(events))
    }

    fn overflow(&self, events: u64) -> M {
        self.0.folded.inc_by(events);
        self.0.overflowed.store(1, Ordering::Relaxed);
        self.0.overflow.clone()
    }

    fn find(&self, values: [&str; N]) -> Option<M> {
        let hash = self.0.hasher.hash_one(values);
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(hash, values) {
            return Some(found);
        }
        let full = known.len >= self.0.series_max;
        drop(known);
        if full || values.iter().any(|value| value.len() > LABEL_BYTES_MAX) {
            return None;
        }
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(hash, values) {
            return Some(found);
        }
        if known.len >= self.0.series_max {
            return None;
        }
        let made = (self.0.make)();
        known.series.entry(hash).or_default().push((values.map(Into::into), made.clone()));
        known.len += 1;
        Some(made)
    }
}

impl<const N: usize, M: Clone> Known<N, M> {
    fn get(&self, hash: u64, values: [&str; N]) -> Option<M> {
        let alike = self.series.get(&hash)?;
        let same = |known: &[Box<str>; N]| known.iter().map(|value| &**value).eq(values);
        alike.iter().find(|(known, _)| same(known)).map(|(_, metric)| metric.clone())
    }
}

impl<const N: usize> Family<N, Counter> {
    /// Adds any amount at once.
    pub fn add(&self, values: [&str; N], events: u64) {
        self.get_for(values, events).inc_by(events);
    }
}

impl<const N: usize> Family<N, Gauge> {
    pub fn set(&self, values: [&str; N], value: i64) {
        self.get_for(values, 1).set(value);
    }
}

impl<const N: usize> Family<N, TracedHistogram> {
    /// Names the current trace; see [`TracedHistogram::observe`].
    pub fn observe(&self, values: [&str; N], value: f64) {
        self.get_for(values, 1).observe(value);
    }
}

impl<const N: usize, M: Shown + Clone> Tell for Family<N, M> {
    fn tell(&self) -> Vec<Told> {
        let inner = &self.0;
        let known = inner.known.read().unwrap_or_else(PoisonError::into_inner);
        let each = known.series.values().flatten();
        let mut series: Vec<([&str; N], &M)> = each
            .map(|(values, metric)| (values.each_ref().map(|value| &**value), metric))
            .collect();
        series.sort_by_key(|(values, _)| *values);
        if inner.overflowed.load(Ordering::Relaxed) > 0 {
            series.push(([OVERFLOW; N], &inner.overflow));
        }
        let label = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let series = series.into_iter().map(|(values, metric)| Series {
            labels: inner.labels.into_iter().zip(values).map(label).collect(),
            value: metric.shown(),
        });
        vec![Told {
            name: inner.name.clone(),
            help: inner.help.clone(),
            kind: M::KIND,
            series: series.collect(),
            labels: inner.labels.into(),
        }]
    }
}

fn plain(number: Number) -> Value {
    Value::Number { number, exemplar: None }
}

impl Shown for Counter {
    const KIND: Kind = Kind::Counter;

    fn shown(&self) -> Value {
        plain(Number::Count(self.get()))
    }
}

impl Shown for Counter<f64, AtomicU64> {
    const KIND: Kind = Kind::Counter;

    fn shown(&self) -> Value {
        plain(Number::Float(self.get()))
    }
}

impl Shown for Gauge {
    const KIND: Kind = Kind::Gauge;

    fn shown(&self) -> Value {
        plain(Number::Signed(self.get()))
    }
}

impl Shown for Gauge<f64, AtomicU64> {
    const KIND: Kind = Kind::Gauge;

    fn shown(&self) -> Value {
        plain(Number::Float(self.get()))
    }
}

impl<T: Tell> Tell for Arc<T> {
    fn tell(&self) -> Vec<Told> {
        T::tell(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Counter, Described, Family, Gauge, LABEL_BYTES_MAX, TracedHistogram};
    use crate::metrics::Metrics;

    fn what(name: &'static str) -> Described<'static, 2> {
        Described { name, help: "Test.", labels: ["a", "b"], series_max: 3 }
    }

    #[track_caller]
    fn has(metrics: &Metrics, line: &str) {
        let text = metrics.text();
        assert!(text.contains(&format!("\n{line}\n")), "{line} is not in {text}");
    }

    #[test]
    fn beyond_the_bound_there_is_one_series_and_a_count_of_what_is_in_it() {
        let metrics = Metrics::new("test");
        let family: Family<2, Counter> = metrics.family(what("x"));
        has(&metrics, "shieldx_metrics_folded_total{metric=\"x\"} 0");
        assert!(!metrics.text().contains("\nx_total"));
        for n in 0..10_u64 {
            family.add([&n.to_string(), "b"], n * 1_000_000_000);
        }
        family.add(["2", "b"], 1);
        has(&metrics, "x_total{a=\"2\",b=\"b\"} 2000000001");
        has(&metrics, "x_total{a=\"__other__\",b=\"__other__\"} 42000000000");
        has(&metrics, "shieldx_metrics_folded_total{metric=\"x\"} 42000000000");
        assert_eq!(metrics.text().matches("\nx_total{").count(), 4);
    }

    #[test]
    fn a_handle_counts_into_the_series_it_was_asked_of() {
        let metrics = Metrics::new("test");
        let family: Family<2, Gauge> = metrics.family(what("x"));
        let handle = family.get(["1", "2"]);
        handle.set(7);
        family.set(["1", "3"], -1);
        has(&metrics, "x{a=\"1\",b=\"2\"} 7");
        has(&metrics, "x{a=\"1\",b=\"3\"} -1");
    }

    #[test]
    fn values_are_escaped_and_a_huge_one_is_folded() {
        let metrics = Metrics::new("test");
        let family: Family<2, Counter> = metrics.family(what("x"));
        family.add(["q\"b\\n\n", "é"], 1);
        has(&metrics, "x_total{a=\"q\\\"b\\\\n\\n\",b=\"é\"} 1");
        let huge = "m".repeat(1_000_000);
        family.add([&huge, "b"], 5);
        has(&metrics, "x_total{a=\"__other__\",b=\"__other__\"} 5");
        assert!(metrics.text().len() < 2_000);
        let longest = "l".repeat(LABEL_BYTES_MAX);
        family.add([&longest, "b"], 1);
        has(&metrics, &format!("x_total{{a=\"{longest}\",b=\"b\"}} 1"));
    }

    #[test]
    fn histograms_fold_too() {
        let metrics = Metrics::new("test");
        let family: Family<2, TracedHistogram> = metrics.histograms(what("x"), &[1.0]);
        for n in 0..5 {
            family.observe([&n.to_string(), ""], 0.5);
        }
        has(&metrics, "x_bucket{le=\"1.0\",a=\"__other__\",b=\"__other__\"} 2");
        has(&metrics, "shieldx_metrics_folded_total{metric=\"x\"} 2");
    }

    #[test]
    fn many_threads_make_one_series_each_once() {
        let metrics = Metrics::new("test");
        let what = Described { series_max: 16, ..what("x") };
        let family: Family<2, Counter> = metrics.family(what);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for n in 0..1_600 {
                        family.add([&(n % 16).to_string(), "b"], 1);
                    }
                });
            }
        });
        for n in 0..16 {
            has(&metrics, &format!("x_total{{a=\"{n}\",b=\"b\"}} 800"));
        }
        has(&metrics, "shieldx_metrics_folded_total{metric=\"x\"} 0");
    }
}
