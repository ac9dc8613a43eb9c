//! Spans of time as people write them: `250ms`, `5m`, `1h30m`, `30d`.

use std::time::Duration;

/// From the longest, in milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
/// Longer ones are a mistake: ten years.
const SPAN_MS_MAX: u64 = 3660 * 86_400_000;

/// As Prometheus reads it: whole numbers with a unit, from the longest unit to the shortest.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut last_ms = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
        if *unit_ms >= last_ms {
            return None;
        }
        last_ms = *unit_ms;
        let span_ms = number.parse::<u64>().ok()?.checked_mul(*unit_ms)?;
        total_ms = total_ms.checked_add(span_ms)?;
        rest = tail;
    }
    (1..=SPAN_MS_MAX).contains(&total_ms).then(|| Duration::from_millis(total_ms))
}

/// With the longest unit that says it in one number: `90m`, `1d`, `250ms`. Weeks are days.
#[must_use]
pub fn text(span: Duration) -> String {
    let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let units = UNITS.iter().skip(1);
    let fits = units.filter(|(_, unit_ms)| span_ms > 0 && span_ms.is_multiple_of(*unit_ms));
    let (name, unit_ms) = fits.map(|(name, unit_ms)| (*name, *unit_ms)).next().unwrap_or(("ms", 1));
    format!("{}{name}", span_ms / unit_ms)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse, text};

    #[test]
    fn spans_are_read_and_written() {
        for (written, ms) in
            [("250ms", 250), ("2s", 2000), ("5m", 300_000), ("1d", 86_400_000), ("90m", 5_400_000)]
        {
            assert_eq!(parse(written), Some(Duration::from_millis(ms)), "{written}");
            assert_eq!(text(Duration::from_millis(ms)), written);
        }
        assert_eq!(parse("1h30m"), parse("90m"));
        assert_eq!(parse("4w"), parse("28d"));
        for wrong in ["", "5", "m", "0s", "1.5h", "-5m", "5 m", "30m1h", "5m5m", "5min", "99999w"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
