//! RFC 3339 with an offset, strictly: what other parsers let pass (a time without offset, a week
//! date, a comma) is a mistake that would move a row by hours.

use jiff::Timestamp;

/// Longest accepted text: `2026-01-01T00:00:00.123456789+01:00`.
pub const TIME_CHARS_MAX: usize = 35;

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    #[error(
        "{text:?} is not an RFC 3339 time with an offset, like 2026-11-24T10:00:00Z or 2026-11-24T11:00:00.5+01:00"
    )]
    Shape { text: String },
    #[error("{text:?} has a blank where the offset's sign stands; write + as %2B in a URL")]
    Blank { text: String },
    #[error("{text:?} is no date and time of the years 0001 to 9998")]
    Range { text: String },
}

/// Microseconds since 1970; finer digits are cut off.
///
/// # Errors
/// See [`BadTime`].
pub fn parse(text: &str) -> Result<i64, BadTime> {
    let shown = || text.chars().take(TIME_CHARS_MAX).collect::<String>();
    if !shaped(text.as_bytes()) {
        let blank = text.len() >= 6 && text.as_bytes().get(text.len() - 6) == Some(&b' ');
        return Err(if blank {
            BadTime::Blank { text: shown() }
        } else {
            BadTime::Shape { text: shown() }
        });
    }
    let year_fits = !text.starts_with("0000") && !text.starts_with("9999");
    let time = text.parse::<Timestamp>().ok().filter(|_| year_fits);
    time.map(|time| time.as_microsecond()).ok_or_else(|| BadTime::Range { text: shown() })
}

/// `date-time` of RFC 3339, section 5.6, with at most nine digits of a second's fraction.
fn shaped(text: &[u8]) -> bool {
    const HEAD: &[u8; 19] = b"0000-00-00T00:00:00";
    let Some((head, tail)) = text.split_at_checked(HEAD.len()) else { return false };
    let (fraction, offset) = match tail.strip_prefix(b".") {
        Some(tail) => tail.split_at(tail.iter().take_while(|c| c.is_ascii_digit()).count()),
        None => (&b"0"[..], tail),
    };
    matches(head, HEAD)
        && (1..=9).contains(&fraction.len())
        && (matches(offset, b"Z") || matches(offset, b"+00:00") || matches(offset, b"-00:00"))
}

/// `0` in the pattern stands for a digit; letters may be small.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    text.len() == pattern.len()
        && text.iter().zip(pattern).all(|(c, p)| match p {
            b'0' => c.is_ascii_digit(),
            p => c.eq_ignore_ascii_case(p),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_and_nothing_else() {
        for (text, us) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t01:00:00+01:00", 0),
            ("1970-01-01T00:00:00.5Z", 500_000),
            ("1970-01-01T00:00:00.000001999z", 1),
            ("1969-12-31T23:59:59-00:00", -1_000_000),
        ] {
            assert_eq!(parse(text), Ok(us), "{text}");
        }
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01 00:00:00Z",
            "1970-01-01T00:00Z",
            "1970-01-01T00:00:00,5Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.1234567890Z",
            "1970-01-01T00:00:00+01",
            "1970-01-01T00:00:00Z[UTC]",
            "1970-02-30T00:00:00Z",
            "1970-01-01T25:00:00Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "1970-01-01T00:00:00\u{661}Z",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(matches!(parse("1970-01-01T00:00:00 01:00"), Err(BadTime::Blank { .. })));
    }
}
