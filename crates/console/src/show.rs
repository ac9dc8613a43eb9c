//! Numbers and times as people read them. A number and its unit are one word: the space between
//! them does not break.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use slo::status::Scope;

/// `62.3 %`; more decimals where two shares differ late.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let text =
        if percent.abs() >= 1000.0 { format!("{percent:.0}") } else { format!("{percent:.1}") };
    format!("{}\u{a0}%", minus(&text))
}

/// A share of good events, with as many decimals as the target has and two more, so that it can be
/// compared: never rounded up to 100 %.
pub(crate) fn level(share: f64, target_percent: &str) -> String {
    let decimals = target_percent.split_once('.').map_or(0, |(_, part)| part.len()) + 2;
    let places = i32::try_from(decimals.min(7)).unwrap_or(7);
    let scale = 10_f64.powi(places);
    let down = (share * 100.0 * scale + 1e-6).floor() / scale;
    let text = format!("{down:.*}", decimals.min(7));
    if text.starts_with("100") { "100\u{a0}%".to_owned() } else { format!("{text}\u{a0}%") }
}

/// `14.4×`
pub(crate) fn burn(rate: f64) -> String {
    if rate >= 100.0 {
        format!("{rate:.0}×")
    } else if rate >= 10.0 {
        format!("{rate:.1}×")
    } else if rate == 0.0 {
        "0×".to_owned()
    } else if rate < 0.005 {
        "<0.01×".to_owned()
    } else {
        format!("{rate:.2}×")
    }
}

/// `1,234,567`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of events that need not be whole, `1,234` or `2.5`.
pub(crate) fn events(number: f64) -> String {
    let sign = if number < 0.0 { "−" } else { "" };
    let size = number.abs();
    if size < 10.0 && size.fract() > 0.05 {
        return format!("{sign}{size:.1}");
    }
    format!("{sign}{}", count(whole(size)))
}

/// `1.2 k`, for axes.
pub(crate) fn short(number: f64) -> String {
    let text = match number {
        n if n >= 1e9 => format!("{:.1}\u{a0}G", n / 1e9),
        n if n >= 1e6 => format!("{:.1}\u{a0}M", n / 1e6),
        n if n >= 1e4 => format!("{:.0}\u{a0}k", n / 1e3),
        n if n >= 1e3 => format!("{:.1}\u{a0}k", n / 1e3),
        n if n >= 10.0 || n == 0.0 => format!("{n:.0}"),
        n if n >= 1.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    };
    text.replace(".0\u{a0}", "\u{a0}")
}

/// `350 ms`, `1.25 s`, `80 µs`
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds == 0.0 {
        return "0".to_owned();
    }
    let (number, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    let text = match number {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 10.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    };
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}\u{a0}{unit}")
}

pub(crate) fn micros(us: i64) -> String {
    seconds(Duration::from_micros(u64::try_from(us).unwrap_or(0)).as_secs_f64())
}

/// Minutes of a budget: `13.4 min`, `3 h 12 min`.
pub(crate) fn minutes(minutes: f64) -> String {
    let sign = if minutes < 0.0 { "−" } else { "" };
    let size = minutes.abs();
    if size < 1.0 {
        format!("{sign}{:.0}\u{a0}s", size * 60.0)
    } else if size < 100.0 {
        format!("{sign}{size:.1}\u{a0}min")
    } else {
        let whole = whole(size);
        format!("{sign}{}\u{a0}h\u{a0}{}\u{a0}min", whole / 60, whole % 60)
    }
}

/// A window: `5m`, `1h`, `3d`.
pub(crate) fn window(seconds: u64) -> String {
    match seconds {
        s if s >= 86_400 && s.is_multiple_of(86_400) => format!("{}d", s / 86_400),
        s if s >= 3600 && s.is_multiple_of(3600) => format!("{}h", s / 3600),
        s if s >= 60 && s.is_multiple_of(60) => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// How far away a moment is: `in 3 h 5 min`, `12 s ago`.
pub(crate) fn distance(at_us: i64, now_us: i64) -> String {
    let seconds = at_us.saturating_sub(now_us) / 1_000_000;
    if seconds == 0 {
        return "now".to_owned();
    }
    let text = span(seconds.unsigned_abs());
    if seconds < 0 { format!("{text} ago") } else { format!("in {text}") }
}

/// Seconds in the two units that matter.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        s if s >= 2 * 86_400 => match s % 86_400 / 3600 {
            0 => format!("{}\u{a0}d", s / 86_400),
            hours => format!("{}\u{a0}d\u{a0}{hours}\u{a0}h", s / 86_400),
        },
        s if s >= 3600 => match s % 3600 / 60 {
            0 => format!("{}\u{a0}h", s / 3600),
            minutes => format!("{}\u{a0}h\u{a0}{minutes}\u{a0}min", s / 3600),
        },
        s if s >= 60 => format!("{}\u{a0}min", s / 60),
        s => format!("{s}\u{a0}s"),
    }
}

/// A moment for a page: UTC, which its script turns into the viewer's zone.
pub(crate) fn time(us: i64) -> Markup {
    let text = utc(us, "%-d %b %H:%M UTC");
    html! { time datetime=(runtime::clock::rfc3339(us)) { (text) } }
}

/// The same to the second, for the newest.
pub(crate) fn clock(us: i64) -> Markup {
    let text = utc(us, "%H:%M:%S UTC");
    html! { time datetime=(runtime::clock::rfc3339(us)) data-form="clock" { (text) } }
}

/// Text of a moment in UTC.
pub(crate) fn utc(us: i64, form: &str) -> String {
    Timestamp::from_microsecond(us).map_or_else(
        |_| us.to_string(),
        |time| time.to_zoned(TimeZone::UTC).strftime(form).to_string(),
    )
}

/// Whose events, in words.
pub(crate) fn scope(scope: &Scope) -> String {
    match scope {
        Scope::All => "all events".to_owned(),
        Scope::Tenant(name) => format!("tenant {}", visible(name)),
        Scope::RouteGroup(name) => format!("route group {}", visible(name)),
    }
}

/// Text from outside: control characters and those that reorder text are shown as what they are.
pub(crate) fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// At most so many characters of text from outside.
pub(crate) fn clip(text: &str, chars: usize) -> String {
    let shown = visible(text);
    match shown.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// A part of a path or query, percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn minus(text: &str) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|b| b == b'0' || b == b'.') => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text.to_owned(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and the number is rounded and not negative"
)]
fn whole(number: f64) -> u64 {
    number.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::{
        burn, clip, count, encoded, events, level, minutes, percent, seconds, short, span,
    };

    /// With plain spaces.
    fn plain(text: String) -> String {
        text.replace('\u{a0}', " ")
    }

    #[test]
    fn shares_are_never_shown_better_than_they_are() {
        assert_eq!(plain(percent(0.623)), "62.3 %");
        assert_eq!(plain(percent(-0.0001)), "0.0 %");
        assert_eq!(plain(percent(-1.5)), "−150.0 %");
        assert_eq!(plain(level(0.999_999_9, "99.95")), "99.9999 %");
        assert_eq!(plain(level(1.0, "99.95")), "100 %");
        assert_eq!(plain(level(0.9721, "95")), "97.21 %");
        assert_eq!(plain(level(0.999, "99.9")), "99.900 %");
    }

    #[test]
    fn numbers_have_their_units() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(events(-1234.0), "−1,234");
        assert_eq!(events(2.5), "2.5");
        assert_eq!(
            [burn(0.0), burn(0.001), burn(0.42), burn(14.4), burn(1000.0)],
            ["0×", "<0.01×", "0.42×", "14.4×", "1000×"]
        );
        assert_eq!(
            [seconds(0.35), seconds(2.0), seconds(0.00008)].map(plain),
            ["350 ms", "2 s", "80 µs"]
        );
        assert_eq!(
            [minutes(0.5), minutes(21.6), minutes(432.0), minutes(-3.0)].map(plain),
            ["30 s", "21.6 min", "7 h 12 min", "−3.0 min"]
        );
        assert_eq!(
            [short(0.0), short(1500.0), short(2000.0), short(0.25)].map(plain),
            ["0", "1.5 k", "2 k", "0.25"]
        );
        assert_eq!(
            [span(59), span(7500), span(200_000)].map(plain),
            ["59 s", "2 h 5 min", "2 d 7 h"]
        );
    }

    #[test]
    fn text_from_outside_shows_what_it_hides() {
        assert_eq!(clip("a\u{202e}b\n", 100), "a\\u{202e}b\\u{a}");
        assert_eq!(clip("abcdef", 3), "abc…");
        assert_eq!(encoded("a b/ü"), "a%20b%2F%C3%BC");
    }
}
