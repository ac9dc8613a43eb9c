//! From p-values of windows to evidence about a session: a conformal test martingale that forgets.
//!
//! If the subject types, p-values are uniform (or larger); if somebody else does, they crowd at the
//! small end. The density `ξ · p^(ξ−1)` describes the latter, so each window's log-likelihood ratio
//! is `ln ξ + (ξ − 1) · ln p`: the *power martingale* of Vovk, Nouretdinov & Gammerman ("Testing
//! Exchangeability On-Line", ICML 2003), a calibrator in the sense of Vovk & Wang ("E-values", Ann.
//! Statist. 2021). Its expectation under the subject is 1, so by Ville's inequality the running
//! product exceeds 1/α with probability α at most.
//!
//! (Windows of one session resemble each other, so this holds for sessions more than for windows; see
//! [`crate::reference`].)
//!
//! Sums are kept between a floor and a cap and fade with every window. The floor makes it a CUSUM
//! (Page 1954): an hour of good typing buys no more credit than a minute, and a change of person shows
//! within a few windows. Fading, and the cap, let a wrong alarm end.

use serde::{Deserialize, Serialize};

use crate::reference::Score;
use crate::vector::Vector;

/// How one kind of behaviour is weighed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// ξ, 0–1: smaller believes in a sharper difference between people.
    pub(crate) exponent: f64,
    /// What remains of the sum at each new window.
    pub(crate) remember: f64,
    /// Least sum, negative: the credit a matching session can have.
    pub(crate) floor: f64,
    /// Greatest sum.
    pub(crate) cap: f64,
}

pub(crate) const TYPING: Rule = Rule { exponent: 0.4, remember: 0.9, floor: -2.5, cap: 5.5 };
/// Pointer movement tells people apart less well, and depends on what is on the screen.
pub(crate) const POINTER: Rule = Rule { exponent: 0.5, remember: 0.9, floor: -0.7, cap: 2.5 };

/// Behaviour of all kinds together says at most this, so that with the prior it stays below *high*
/// (`risk::HIGH`): the best published detectors err in 3 of 100 cases, and whoever is blocked by
/// typing alone is then most often the subject (facts: KVC-onGoing, arXiv 2412.20530).
pub(crate) const BEHAVIOUR_MAX: f64 = 5.5;

impl Rule {
    /// Natural log-likelihood ratio of one window.
    pub(crate) fn ratio(&self, p: f64) -> f64 {
        self.exponent.ln() + (self.exponent - 1.0) * p.clamp(f64::MIN_POSITIVE, 1.0).ln()
    }
}

/// Evidence of one kind in one session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ledger {
    /// Natural log-likelihood ratio; positive speaks for somebody else.
    pub(crate) sum: f64,
    /// Windows weighed in this session.
    pub(crate) windows: u32,
    /// The newest window's p-value.
    pub(crate) p: f64,
    /// Windows of the profile it was compared with.
    pub(crate) basis: u32,
    /// The feature that differed most, as an index, and whether it was larger.
    pub(crate) odd: (usize, bool),
    /// Windows to learn if the session is still trusted some windows later.
    pub(crate) waiting: Vec<Vector>,
    /// Windows this session taught the profile.
    pub(crate) learned: u32,
}

impl Ledger {
    /// Adds a window that was compared with `basis` own ones.
    pub(crate) fn weigh(&mut self, rule: &Rule, score: &Score, basis: usize) {
        self.sum = (self.sum * rule.remember + rule.ratio(score.p)).clamp(rule.floor, rule.cap);
        self.windows = self.windows.saturating_add(1);
        (self.p, self.odd) = (score.p, score.odd);
        self.basis = u32::try_from(basis).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::{Ledger, POINTER, TYPING};
    use crate::reference::Score;

    #[test]
    fn the_ratio_bets_fairly_against_uniform_p_values() {
        for rule in [TYPING, POINTER] {
            let n = 200_000;
            let mean = (0..n).map(|i| rule.ratio((f64::from(i) + 0.5) / f64::from(n)).exp());
            let mean = mean.sum::<f64>() / f64::from(n);
            assert!((0.97..=1.001).contains(&mean), "{mean}");
        }
    }

    #[test]
    fn an_hour_of_good_typing_does_not_hide_a_change_of_person() {
        let score = |p| Score { p, odd: (0, true) };
        let mut ledger = Ledger::default();
        for _ in 0..1000 {
            ledger.weigh(&TYPING, &score(0.6), 200);
        }
        assert_eq!(ledger.sum, TYPING.floor);
        for _ in 0..4 {
            ledger.weigh(&TYPING, &score(1.0 / 201.0), 200);
        }
        assert!(ledger.sum > 4.0, "{}", ledger.sum);
        for _ in 0..100 {
            ledger.weigh(&TYPING, &score(1.0 / 201.0), 200);
        }
        assert_eq!(ledger.sum, TYPING.cap);
    }
}
