//! How many requests an address and a key may make.
//!
//! Keys are those of the request, good or not, so a caller can have as many as it likes. That must
//! cost neither memory nor let anybody off: the address counts in every case, and what is kept is
//! bounded by construction, since an address or key only picks one of so many buckets. Which one, a
//! caller cannot know: the hash is seeded at the start.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use runtime::http::server::address_group;

use crate::config::{Config, ConfigError};

/// Buckets of addresses, and of keys: with a thousand callers at once, one in 262 shares its bucket.
const BUCKETS: u64 = 1 << 18;
/// Parts of a limiter, each with a lock of its own.
const SHARDS: u64 = 16;
/// How often one part forgets the buckets that are full again.
const SWEEP_EVERY: Duration = Duration::from_secs(4);

/// Time that never goes back: a machine's clock that is put back stands still for us at that moment,
/// and nobody waits for it to catch up.
#[derive(Debug, Clone)]
struct Steady {
    clock: Arc<dyn runtime::clock::Clock>,
    at: Arc<Mutex<At>>,
}

#[derive(Debug)]
struct At {
    clock_us: i64,
    steady_us: u64,
}

impl Steady {
    fn new(clock: Arc<dyn runtime::clock::Clock>) -> Self {
        let at = At { clock_us: clock.now_us(), steady_us: 0 };
        Self { clock, at: Arc::new(Mutex::new(at)) }
    }

    fn elapsed(&self) -> Duration {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let now_us = self.clock.now_us();
        at.steady_us += u64::try_from(now_us.saturating_sub(at.clock_us)).unwrap_or(0);
        at.clock_us = now_us;
        Duration::from_micros(at.steady_us)
    }
}

impl Clock for Steady {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.elapsed().into()
    }
}

type Limiter = RateLimiter<u32, HashMapStateStore<u32>, Steady, NoOpMiddleware<Nanos>>;

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) whose: Whose,
    /// Until the next request may come.
    pub(crate) wait: Duration,
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Address,
    Key,
}

#[derive(Debug)]
pub(crate) struct Limits {
    addresses: Option<Limit>,
    keys: Option<Limit>,
}

impl Limits {
    pub(crate) fn new(
        config: &Config,
        clock: Arc<dyn runtime::clock::Clock>,
    ) -> Result<Self, ConfigError> {
        let addresses = config.rate_per_address.quota("rate_per_address")?;
        let keys = config.rate_per_key.quota("rate_per_key")?;
        let clock = Steady::new(clock);
        let limit = |whose, quota| Limit::new(whose, quota, clock.clone());
        Ok(Self {
            addresses: addresses.map(|quota| limit(Whose::Address, quota)),
            keys: keys.map(|quota| limit(Whose::Key, quota)),
        })
    }

    /// Counts a request.
    pub(crate) fn check(&self, address: IpAddr, key: Option<&str>) -> Result<(), Exceeded> {
        if let Some(addresses) = &self.addresses {
            addresses.check(&address_group(address))?;
        }
        match (&self.keys, key) {
            (Some(keys), Some(key)) => keys.check(key),
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Limit {
    whose: Whose,
    quota: Quota,
    hasher: RandomState,
    shards: Vec<Limiter>,
    clock: Steady,
    /// When was swept last, in units of [`SWEEP_EVERY`] since the start.
    swept: AtomicU64,
    next_shard: AtomicU64,
}

impl Limit {
    fn new(whose: Whose, quota: Quota, clock: Steady) -> Self {
        let shard = |_| RateLimiter::new(quota, HashMapStateStore::default(), clock.clone());
        let shards = (0..SHARDS).map(shard).collect();
        Self {
            whose,
            quota,
            hasher: RandomState::new(),
            shards,
            clock,
            swept: AtomicU64::new(0),
            next_shard: AtomicU64::new(0),
        }
    }

    fn check(&self, who: &(impl Hash + ?Sized)) -> Result<(), Exceeded> {
        self.sweep();
        let bucket = u32::try_from(self.hasher.hash_one(who) % BUCKETS).unwrap_or(0);
        let shard = &self.shards[usize::try_from(u64::from(bucket) % SHARDS).unwrap_or(0)];
        shard.check_key(&bucket).map_err(|until| Exceeded {
            whose: self.whose,
            wait: until.wait_time_from(self.clock.now()),
            per_second: per_second(self.quota),
            burst: self.quota.burst_size().get(),
        })
    }

    /// Lets one part forget the buckets nobody drew from lately, when it is time.
    fn sweep(&self) {
        let due = self.clock.elapsed().as_secs() / SWEEP_EVERY.as_secs();
        let swept = self.swept.load(Ordering::Relaxed);
        let ours = due > swept
            && self
                .swept
                .compare_exchange(swept, due, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if ours {
            let next = self.next_shard.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let shard = &self.shards[usize::try_from(next).unwrap_or(0)];
            shard.retain_recent();
            shard.shrink_to_fit();
        }
    }
}

fn per_second(quota: Quota) -> u32 {
    let interval_ns = quota.replenish_interval().as_nanos().max(1);
    u32::try_from(1_000_000_000 / interval_ns).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Limits, SHARDS, SWEEP_EVERY, Whose};
    use crate::config::{Config, Rate};
    use runtime::clock::Manual;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    fn limits(per_address: u32, per_key: u32) -> (Limits, Arc<Manual>) {
        let rate = |burst| Rate { per_second: 1, burst };
        let (rate_per_address, rate_per_key) = (rate(per_address), rate(per_key));
        let config = Config { rate_per_address, rate_per_key, ..Config::default() };
        let clock = Arc::new(Manual::at(1_700_000_000_000_000));
        (Limits::new(&config, clock.clone()).unwrap(), clock)
    }

    const ALICE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn the_burst_is_let_through_and_then_one_request_a_second() {
        let (limits, clock) = limits(3, 100);
        for _ in 0..3 {
            limits.check(ALICE, None).unwrap();
        }
        let exceeded = limits.check(ALICE, None).unwrap_err();
        assert_eq!(exceeded.whose, Whose::Address);
        assert!(exceeded.wait > Duration::ZERO && exceeded.wait <= Duration::from_secs(1));
        clock.advance_us(1_000_000);
        limits.check(ALICE, None).unwrap();
        limits.check(ALICE, None).unwrap_err();
    }

    #[test]
    fn a_clock_that_is_put_back_makes_nobody_wait_for_it() {
        let (limits, clock) = limits(1, 1);
        limits.check(ALICE, None).unwrap();
        clock.advance_us(-3_600_000_000);
        limits.check(ALICE, None).unwrap_err();
        clock.advance_us(1_000_000);
        limits.check(ALICE, None).unwrap();
    }

    #[test]
    fn a_key_is_counted_wherever_it_comes_from_and_another_key_lets_no_address_off() {
        let (limits, _) = limits(5, 2);
        let from = |last: u8| IpAddr::from([10, 0, 1, last]);
        limits.check(from(1), Some("sx_a")).unwrap();
        limits.check(from(2), Some("sx_a")).unwrap();
        assert_eq!(limits.check(from(3), Some("sx_a")).unwrap_err().whose, Whose::Key);
        for key in ["b", "c", "d", "e", "f"] {
            limits.check(ALICE, Some(key)).unwrap();
        }
        assert_eq!(limits.check(ALICE, Some("g")).unwrap_err().whose, Whose::Address);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_caller() {
        let (limits, _) = limits(1, 1);
        limits.check("2001:db8:1:2::1".parse().unwrap(), None).unwrap();
        limits.check("2001:db8:1:2:ffff::9".parse().unwrap(), None).unwrap_err();
        limits.check("2001:db8:1:3::1".parse().unwrap(), None).unwrap();
        limits.check("::ffff:10.9.9.9".parse().unwrap(), None).unwrap();
        limits.check("10.9.9.9".parse().unwrap(), None).unwrap_err();
    }

    #[test]
    fn a_million_keys_hold_bounded_memory_and_are_forgotten() {
        let (limits, clock) = limits(2_000_000, 1);
        for key in 0..1_000_000 {
            // A shared bucket refuses; that is its price.
            let _ = limits.check(ALICE, Some(&key.to_string()));
        }
        let keys = limits.keys.as_ref().unwrap();
        let held = || keys.shards.iter().map(super::Limiter::len).sum::<usize>();
        assert!(held() <= usize::try_from(BUCKETS).unwrap());
        for _ in 0..=SHARDS {
            clock.advance_us(i64::try_from(SWEEP_EVERY.as_micros()).unwrap());
            limits.check(ALICE, Some("again")).unwrap();
        }
        assert_eq!(held(), 1);
    }

    #[test]
    fn a_rate_without_a_burst_is_an_error_and_a_rate_of_zero_is_no_limit() {
        let rate_per_key = Rate { per_second: 1, burst: 0 };
        let config = Config { rate_per_key, ..Config::default() };
        assert!(
            Limits::new(&config, Arc::new(Manual::at(0)))
                .unwrap_err()
                .to_string()
                .contains("rate_per_key")
        );
        let off = Rate { per_second: 0, burst: 0 };
        let config = Config { rate_per_key: off, rate_per_address: off, ..Config::default() };
        let limits = Limits::new(&config, Arc::new(Manual::at(0))).unwrap();
        for _ in 0..10_000 {
            limits.check(ALICE, Some("sx_a")).unwrap();
        }
    }
}
