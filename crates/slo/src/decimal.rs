//! Shares of one as exact decimals: 99.95 % is 999,500,000 billionths, and `1 − target` never shows
//! the noise of binary fractions.

use std::fmt;

/// Billionths in one.
const ONE: u32 = 1_000_000_000;

/// A share of one, exact to a billionth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// From a percentage as written, `99.95`; `None` where it is none from 0 to 100, or has more than
    /// seven decimals.
    #[must_use]
    pub fn from_percent(text: &str) -> Option<Self> {
        scaled(text, 7).filter(|billionths| *billionths <= ONE).map(Self)
    }

    /// From a ratio as written, `0.9995`; at most nine decimals.
    #[must_use]
    pub fn from_ratio(text: &str) -> Option<Self> {
        scaled(text, 9).filter(|billionths| *billionths <= ONE).map(Self)
    }

    /// `None` above a billion.
    #[must_use]
    pub const fn from_billionths(billionths: u32) -> Option<Self> {
        if billionths <= ONE { Some(Self(billionths)) } else { None }
    }

    #[must_use]
    pub fn billionths(self) -> u32 {
        self.0
    }

    /// What is missing to one: of a target, the error budget.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(ONE - self.0)
    }

    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(ONE)
    }

    /// `99.95`
    #[must_use]
    pub fn percent(self) -> String {
        fraction(u64::from(self.0), 7)
    }

    /// `0.9995`
    #[must_use]
    pub fn ratio(self) -> String {
        fraction(u64::from(self.0), 9)
    }

    /// This share times a number with one decimal, given in tenths (14.4 is 144), as a ratio:
    /// 14.4 × 0.001 is `0.0144`. It may be above one.
    #[must_use]
    pub fn times_tenths(self, tenths: u32) -> String {
        fraction(u64::from(self.0) * u64::from(tenths), 10)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent())
    }
}

/// A plain decimal number as units of 10^-`decimals`.
fn scaled(text: &str, decimals: usize) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return None;
    }
    let part = part.trim_end_matches('0');
    if part.len() > decimals || whole.len() > 3 {
        return None;
    }
    let padded = format!("{whole}{part:0<decimals$}");
    padded.parse::<u64>().ok().and_then(|units| u32::try_from(units).ok())
}

fn fraction(units: u64, decimals: usize) -> String {
    let text = format!("{units:0>width$}", width = decimals + 1);
    let (whole, part) = text.split_at(text.len() - decimals);
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn percentages_are_exact_both_ways() {
        for text in ["0", "5", "95", "99", "99.9", "99.95", "99.9999999", "100"] {
            let share = Share::from_percent(text).unwrap();
            assert_eq!(share.percent(), text);
            assert_eq!(Share::from_ratio(&share.ratio()), Some(share));
        }
        assert_eq!(Share::from_percent("99.90"), Share::from_percent("99.9"));
        for text in ["", ".9", "-1", "100.1", "1e2", "99,9", "99.99999999", "9999", "99.9%"] {
            assert_eq!(Share::from_percent(text), None, "{text}");
        }
    }

    #[test]
    fn a_budget_has_no_noise() {
        let budget = Share::from_percent("99.9").unwrap().complement();
        assert_eq!(budget.ratio(), "0.001");
        assert_eq!(budget.times_tenths(144), "0.0144");
        assert_eq!(Share::from_percent("95").unwrap().complement().times_tenths(144), "0.72");
        assert_eq!(Share::from_percent("50").unwrap().complement().times_tenths(144), "7.2");
    }
}
