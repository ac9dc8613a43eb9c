//! A histogram that has everything at once: the classic buckets that objectives stand on, native ones
//! for whoever asks in protobuf, and for each classic bucket the trace of the newest observation in it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::DURATION_BUCKETS_S;
use super::exposition::{Bucket, Histogram, Kind, Native, Value};
use super::family::Shown;
use super::traced::Newest;
use crate::telemetry::{self, SpanIds};

/// Native buckets grow by 2^(1/8), 9 %.
const SCHEMA: i32 = 3;
const BUCKETS_PER_DOUBLING: i32 = 8;
/// 2^-20, about a millionth: what is not greater is in the zero bucket.
const ZERO_THRESHOLD: f64 = 1.0 / 1_048_576.0;
/// 2^44, about 17 trillion: what is greater is in the last native bucket. With [`ZERO_THRESHOLD`] it
/// bounds their number to 512.
const INDEX_MAX: i32 = 44 * BUCKETS_PER_DOUBLING;

/// The bounds of schema 3 between a half and one: 2^(k/8 - 1).
const BOUNDS: [f64; 8] = [
    0.5,
    0.545_253_866_332_628_8,
    0.594_603_557_501_360_5,
    0.648_419_777_325_504_8,
    std::f64::consts::FRAC_1_SQRT_2,
    0.771_105_412_703_970_4,
    0.840_896_415_253_714_4,
    0.917_004_043_204_671_1,
];

/// Cloning gives another handle to the same. To observe takes a lock, so that a scrape sees whole
/// observations.
#[derive(Clone)]
pub struct TracedHistogram(Arc<Inner>);

struct Inner {
    bounds: &'static [f64],
    state: Mutex<State>,
}

struct State {
    sum: f64,
    /// One more than bounds.
    buckets: Vec<u64>,
    exemplars: Vec<Option<(Newest, f64)>>,
    zero: u64,
    native: Vec<(i32, u64)>,
}

impl fmt::Debug for TracedHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedHistogram").finish_non_exhaustive()
    }
}

impl Default for TracedHistogram {
    fn default() -> Self {
        Self::new(&DURATION_BUCKETS_S)
    }
}

impl TracedHistogram {
    /// With these upper bounds, ascending and finite.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let buckets = bounds.len() + 1;
        let state = State {
            sum: 0.0,
            buckets: vec![0; buckets],
            exemplars: vec![None; buckets],
            zero: 0,
            native: Vec::new(),
        };
        Self(Arc::new(Inner { bounds, state: Mutex::new(state) }))
    }

    /// Observes something that is not negative, and names the current trace where that is kept: call
    /// it within the span.
    pub fn observe(&self, value: f64) {
        self.observe_in(value, telemetry::current_sampled_span());
    }

    pub(crate) fn observe_in(&self, value: f64, span: Option<SpanIds>) {
        if !value.is_finite() || value < 0.0 {
            return;
        }
        let bucket = self.0.bounds.partition_point(|upper| *upper < value);
        let newest = span.map(|ids| Newest::now(ids, 1));
        let mut state = self.state();
        state.sum += value;
        if let Some(count) = state.buckets.get_mut(bucket) {
            *count += 1;
        }
        if let (Some(newest), Some(place)) = (newest, state.exemplars.get_mut(bucket)) {
            *place = Some((newest, value));
        }
        if value <= ZERO_THRESHOLD {
            state.zero += 1;
            return;
        }
        let index = index(value).min(INDEX_MAX);
        match state.native.binary_search_by_key(&index, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, count)) = state.native.get_mut(at) {
                    *count += 1;
                }
            }
            Err(at) => state.native.insert(at, (index, 1)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown for TracedHistogram {
    const KIND: Kind = Kind::Histogram;

    fn shown(&self) -> Value {
        let state = self.state();
        let uppers = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(state.buckets.len());
        for ((upper, count), exemplar) in uppers.zip(&state.buckets).zip(&state.exemplars) {
            cumulative += count;
            let exemplar = exemplar.map(|(newest, value)| newest.shown(value));
            buckets.push(Bucket { upper, cumulative, exemplar });
        }
        let native = Native {
            schema: SCHEMA,
            zero_threshold: ZERO_THRESHOLD,
            zero_count: state.zero,
            positive: state.native.clone(),
        };
        let (sum, count) = (state.sum, cumulative);
        Value::Histogram(Box::new(Histogram { sum, count, buckets, native: Some(native) }))
    }
}

/// The native bucket of a positive, normal number: the least `i` with value ≤ 2^(i/8). Read from its
/// bits, since a logarithm is not exact where it matters, at the bounds.
fn index(value: f64) -> i32 {
    /// The exponent of numbers from a half to one, as it is kept in the bits.
    const HALF: u64 = 1022;
    let bits = value.to_bits();
    let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0) - 1022;
    let fraction = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | HALF << 52);
    let within = BOUNDS.partition_point(|bound| *bound < fraction);
    i32::try_from(within).unwrap_or(0) + (exponent - 1) * BUCKETS_PER_DOUBLING
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS, TracedHistogram, ZERO_THRESHOLD, index};
    use crate::metrics::exposition::{Histogram, Value};
    use crate::metrics::family::Shown as _;

    fn shown(histogram: &TracedHistogram) -> Histogram {
        match histogram.shown() {
            Value::Histogram(shown) => *shown,
            Value::Number { .. } => unreachable!(),
        }
    }

    #[test]
    fn the_bounds_are_powers_of_two_to_the_eighth() {
        for (k, bound) in (0..).zip(BOUNDS) {
            let exact = 2_f64.powf(f64::from(k) / 8.0 - 1.0);
            assert!((bound - exact).abs() < 1e-15, "{bound} {exact}");
        }
    }

    #[test]
    fn a_value_is_in_the_bucket_whose_upper_bound_it_does_not_exceed() {
        for (value, expect) in
            [(1.0, 0), (1.000_001, 1), (2.0, 8), (0.5, -8), (0.25, -16), (0.35, -12), (1e-6, -159)]
        {
            assert_eq!(index(value), expect, "{value}");
            let (lower, upper) = (f64::from(expect - 1) / 8.0, f64::from(expect) / 8.0);
            assert!(value > lower.exp2() && value <= upper.exp2(), "{value}");
        }
    }

    #[test]
    fn classic_and_native_buckets_hold_the_same_observations() {
        let histogram = TracedHistogram::new(&[0.1, 1.0]);
        for value in [0.0, ZERO_THRESHOLD, 0.1, 0.100_001, 1.0, 7.0, 1e300] {
            histogram.observe(value);
        }
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            histogram.observe(value);
        }
        let shown = shown(&histogram);
        let cumulative: Vec<u64> = shown.buckets.iter().map(|bucket| bucket.cumulative).collect();
        assert_eq!(cumulative, [3, 5, 7]);
        assert_eq!(shown.count, 7);
        let native = shown.native.unwrap();
        assert_eq!(native.zero_count, 2);
        assert_eq!(native.positive.iter().map(|(_, count)| count).sum::<u64>(), 5);
        assert!(native.positive.is_sorted());
    }

    #[test]
    fn native_buckets_have_a_bound() {
        let histogram = TracedHistogram::default();
        let mut value = 1e-12;
        while value < 1e60 {
            histogram.observe(value);
            value *= 1.01;
        }
        assert!(shown(&histogram).native.unwrap().positive.len() <= 512);
    }
}
