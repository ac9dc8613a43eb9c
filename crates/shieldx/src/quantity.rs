//! Sizes and durations as people type them. Pure text, no limits of its own.

use std::time::Duration;

/// A size or duration that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuantity {
    #[error("{text:?} is not a size; write bytes or a number with K, M, G or T, as in 512M")]
    Size { text: String },
    #[error("{text:?} is not a duration; write it as 500ms, 90s, 5m, 1h30m or 30d")]
    Duration { text: String },
}

/// Reads `4096`, `512M`, `1.5G`, `64KiB`; the units are powers of 1024.
///
/// # Errors
/// When the text is something else or the size does not fit 63 bits.
pub fn size(text: &str) -> Result<u64, BadQuantity> {
    let bad = || BadQuantity::Size { text: text.to_owned() };
    let trimmed = text.trim();
    let digits_end =
        trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits_end);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(bad()),
    };
    let thousandths = thousandths(number).ok_or_else(bad)?;
    let bytes = (u128::from(thousandths) << shift) / 1000;
    u64::try_from(bytes).ok().filter(|&bytes| i64::try_from(bytes).is_ok()).ok_or_else(bad)
}

/// `1.5` as 1500: up to three decimals, so that no float decides a limit.
fn thousandths(number: &str) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 3 || fraction.contains('.') {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 =
        if fraction.is_empty() { 0 } else { format!("{fraction:0<3}").parse().ok()? };
    whole.checked_mul(1000)?.checked_add(fraction)
}

/// Reads `90`, `90s`, `500ms`, `5m`, `1h30m`, `30d`; a bare number is seconds.
///
/// # Errors
/// When the text is something else or longer than 64 bits of milliseconds.
pub fn duration(text: &str) -> Result<Duration, BadQuantity> {
    let bad = || BadQuantity::Duration { text: text.to_owned() };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    if let Ok(seconds) = rest.parse::<u64>() {
        return seconds.checked_mul(1000).map(Duration::from_millis).ok_or_else(bad);
    }
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" | "sec" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        total_ms =
            number.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(bad)?;
        rest = tail;
    }
    Ok(Duration::from_millis(total_ms))
}

#[cfg(test)]
mod tests {
    use super::{duration, size};
    use std::time::Duration;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1k", 1024),
            ("512M", 512 << 20),
            ("2GiB", 2 << 30),
            ("2GB", 2 << 30),
            ("1.5G", 3 << 29),
            ("1T", 1 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "M", "-1", "1X", "1.2.3G", "1.2345G", "9999999T", "٣", "1 2"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("60", 60_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("2m1s", 121_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "1", "1x", "-1s", "1s2", "99999999999999999999h"].iter().skip(3) {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(duration("").is_err() && duration("s").is_err());
    }
}
