//! What an unusual run is worth as evidence. It weighs a p-value somebody else computed; it knows
//! no history and no model.

use types::anomaly::decimal;
use types::{Anomaly, Text};

/// The name under which the anomaly's points stand among the contributions. No detector has it.
pub(crate) const CONTRIBUTOR: &str = "anomaly";

/// Anomaly alone is worth at most this many decibans: enough for *suspicious* (13), never for
/// *malicious* (30). Being unusual is not being hostile: the first run after an update is, too.
pub(crate) const DECIBANS_MAX: usize = 17;

/// Entry `d − 1` is the largest p-value, in parts per million, that is worth `d` whole decibans.
///
/// Sellke, Bayarri & Berger, "Calibration of p Values for Testing Precise Null Hypotheses", The
/// American Statistician 55 (2001): for p < 1/e the odds against "as usual" are raised by at most
/// 1 / (−e · p · ln p). The table is 10 · log10 of that bound, rounded down, so that a score needs
/// no floating point.
const P_MAX_PPM: [u32; DECIBANS_MAX] = [
    158_809, 101_434, 68_937, 48_344, 34_575, 25_068, 18_362, 13_556, 10_072, 7_523, 5_644, 4_250,
    3_211, 2_433, 1_848, 1_407, 1_073,
];

/// A name from outside is shown up to this many characters.
const NAME_CHARS_MAX: usize = 64;

/// The evidence in decibans; 0 where too few runs allow no p-value.
pub(crate) fn decibans(anomaly: Option<&Anomaly>) -> u32 {
    let Some(p_ppm) = anomaly.and_then(|anomaly| anomaly.p_ppm) else { return 0 };
    (1..)
        .zip(P_MAX_PPM)
        .take_while(|(_, p_max)| p_ppm <= *p_max)
        .map(|(d, _)| d)
        .last()
        .unwrap_or(0)
}

/// Why, in a clause.
pub(crate) fn words(anomaly: &Anomaly) -> String {
    let p = anomaly.p_ppm.map_or_else(|| "unknown".to_owned(), |p| decimal(i64::from(p), 6));
    let mut text = format!(
        "unusual for this workload: p = {p} against {} run{}",
        anomaly.history_runs,
        if anomaly.history_runs == 1 { "" } else { "s" },
    );
    if let Some(most) = anomaly.deviations.first() {
        let name: String = Text::from(most.feature.as_str()).to_string();
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        text.push_str(&format!(
            "; {name} {} where {} is usual",
            decimal(most.value_milli, 3),
            decimal(most.median_milli, 3),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{DECIBANS_MAX, P_MAX_PPM, decibans, words};
    use types::{Anomaly, Deviation};

    fn anomaly(p_ppm: Option<u32>) -> Anomaly {
        Anomaly {
            workload: "w".into(),
            history_runs: 212,
            p_ppm,
            basis: String::new(),
            deviations: vec![Deviation {
                feature: "write_bytes".into(),
                value_milli: 52_000_500,
                median_milli: 1_200_000,
                robust_z_milli: 14_200,
            }],
            model: "m/1".into(),
        }
    }

    #[test]
    fn the_table_is_the_published_bound_rounded_down() {
        let bound = |ppm: u32| {
            let p = f64::from(ppm) / 1e6;
            10.0 * (1.0 / (-std::f64::consts::E * p * p.ln())).log10()
        };
        for (decibans, &p_max) in (1_u32..).zip(&P_MAX_PPM) {
            assert!(bound(p_max) >= f64::from(decibans), "{decibans}");
            assert!(bound(p_max + 1) < f64::from(decibans), "{decibans}");
        }
    }

    #[test]
    fn a_smaller_p_weighs_more_up_to_the_cap_and_none_weighs_nothing() {
        assert_eq!(decibans(None), 0);
        for (p_ppm, expect) in [
            (None, 0),
            (Some(1_000_000), 0),
            (Some(367_879), 0),
            (Some(158_810), 0),
            (Some(158_809), 1),
            (Some(50_000), 3),
            (Some(10_000), 9),
            (Some(4_000), 12),
            (Some(1_000), 17),
            (Some(1), 17),
            (Some(0), 17),
        ] {
            assert_eq!(decibans(Some(&anomaly(p_ppm))), expect, "{p_ppm:?}");
        }
        assert_eq!(decibans(Some(&anomaly(Some(0)))) as usize, DECIBANS_MAX);
    }

    #[test]
    fn the_reason_names_the_figure_and_escapes_names() {
        let mut strange = anomaly(Some(4_000));
        assert_eq!(
            words(&strange),
            "unusual for this workload: p = 0.004 against 212 runs; write_bytes 52000.5 where 1200 \
             is usual"
        );
        strange.deviations[0].feature = "\u{1b}[2Jx".into();
        strange.history_runs = 1;
        assert!(!words(&strange).contains('\u{1b}'));
        assert!(words(&strange).contains("1 run;"));
    }
}
