//! The one place where wall-clock time comes from.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use uuid::{NoContext, Uuid};

/// Tells the time. Handed to whoever needs it, so a test decides what time it is.
pub trait Clock: Send + Sync + Debug {
    /// Microseconds since 1970, UTC.
    fn now_us(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now_us(&self) -> i64 {
        Timestamp::now().as_microsecond()
    }
}

/// A clock that stands until it is moved.
#[derive(Debug, Default)]
pub struct Manual(AtomicI64);

impl Manual {
    #[must_use]
    pub fn at(now_us: i64) -> Self {
        Self(AtomicI64::new(now_us))
    }

    pub fn advance_us(&self, by: i64) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for Manual {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A UUIDv7 (RFC 9562) of now: of a later millisecond, a greater one.
#[must_use]
pub fn uuid_v7(clock: &dyn Clock) -> Uuid {
    let now_us = u64::try_from(clock.now_us()).unwrap_or(0);
    let ns = u32::try_from(now_us % 1_000_000 * 1_000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, now_us / 1_000_000, ns))
}

/// RFC 3339 in UTC; a time out of range (±9999 years) is shown as the number it is.
#[must_use]
pub fn rfc3339(us: i64) -> String {
    Timestamp::from_microsecond(us).map_or_else(|_| us.to_string(), |time| time.to_string())
}
