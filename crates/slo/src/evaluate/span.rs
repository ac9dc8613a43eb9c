//! Of which time an objective speaks at a moment. Calendars are UTC; a week begins on Monday.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::spec::{Calendar, Window};

pub(super) const DAY_US: i64 = 86_400_000_000;

/// The window around a moment, microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) from_us: i64,
    /// The end of a calendar window; of a rolling one, now.
    pub(super) until_us: i64,
    /// Old events leave it as time goes on.
    pub(super) rolls: bool,
}

impl Extent {
    pub(super) fn of(window: Window, now_us: i64) -> Self {
        match window {
            Window::Rolling { days } => Self {
                from_us: now_us.saturating_sub(i64::from(days) * DAY_US),
                until_us: now_us,
                rolls: true,
            },
            Window::Calendar(calendar) => {
                let (from_us, until_us) = period(calendar, now_us)
                    .unwrap_or((now_us.saturating_sub(30 * DAY_US), now_us));
                Self { from_us, until_us, rolls: false }
            }
        }
    }

    pub(super) fn length_us(self) -> i64 {
        self.until_us - self.from_us
    }
}

/// `None` only for times jiff does not know (beyond the year 9999).
fn period(calendar: Calendar, now_us: i64) -> Option<(i64, i64)> {
    let today = Timestamp::from_microsecond(now_us).ok()?.to_zoned(TimeZone::UTC).date();
    let month = |date: Date, month: i8| Date::new(date.year(), month, 1).ok();
    let (first, next) = match calendar {
        Calendar::Week => {
            let first =
                today.checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days());
            (first.ok()?, 7.days())
        }
        Calendar::Month => (month(today, today.month())?, 1.month()),
        Calendar::Quarter => (month(today, (today.month() - 1) / 3 * 3 + 1)?, 3.months()),
        Calendar::Year => (month(today, 1)?, 1.year()),
    };
    Some((midnight_us(first)?, midnight_us(first.checked_add(next).ok()?)?))
}

fn midnight_us(date: Date) -> Option<i64> {
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::Extent;
    use crate::spec::{Calendar, Window};

    fn check(calendar: Calendar, now: &str, from: &str, until: &str) {
        let us = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        let extent = Extent::of(Window::Calendar(calendar), us(now));
        assert_eq!((extent.from_us, extent.until_us), (us(from), us(until)), "{calendar:?} {now}");
    }

    #[test]
    fn calendars_begin_at_midnight_utc() {
        use Calendar::{Month, Quarter, Week, Year};
        check(Week, "2026-03-01T12:00:00Z", "2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z");
        check(Week, "2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z");
        check(Month, "2024-02-29T23:59:59Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z");
        check(Month, "2026-12-31T00:00:01Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check(Quarter, "2026-06-30T23:00:00Z", "2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z");
        check(Quarter, "2026-11-05T00:00:00Z", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check(Year, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    }
}
