//! The scorecard: what was run, what was found, how often everyday work was suspected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::Context as _;

use super::Shown;
use super::sample::{Kind, Sample};

pub(super) struct Card {
    pub(super) text: String,
    pub(super) summary: String,
}

type All = BTreeMap<String, Vec<Shown>>;

/// Two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_964;

pub(super) fn render(samples: &[Sample], skipped: &[Sample], shown: &All) -> anyhow::Result<Card> {
    let first = shown.values().flatten().next().context("nothing was run")?;
    let of = |kind| samples.iter().filter(move |sample| sample.kind == kind);
    let suspected = |sample: &Sample, one: &Shown| match sample.kind {
        Kind::Benign => matches!(one.verdict.as_str(), "suspicious" | "malicious"),
        Kind::Hostile => sample.detected(one),
    };
    let count = |kind| {
        let each =
            of(kind).flat_map(|sample| shown[&sample.name].iter().map(move |one| (sample, one)));
        each.fold((0_u32, 0_u32), |(hits, all), (sample, one)| {
            (hits + u32::from(suspected(sample, one)), all + 1)
        })
    };
    let (found, hostile) = count(Kind::Hostile);
    let (alarms, benign) = count(Kind::Benign);
    let runs = |kind| of(kind).map(|sample| shown[&sample.name].len()).max().unwrap_or(0);
    let incomplete = shown.values().flatten().filter(|one| !one.complete).count();
    let (low, high) = wilson(alarms, benign);
    let (found_low, found_high) = wilson(found, hostile);
    let summary = format!(
        "hostile: {found} of {hostile} runs detected ({}, 95 % interval {}–{}); benign: {alarms} of \
         {benign} runs suspected ({} per 1,000, 95 % interval {}–{}); incomplete evidence: {incomplete}",
        percent(share(found, hostile)),
        percent(found_low),
        percent(found_high),
        per_thousand(share(alarms, benign)),
        per_thousand(low),
        per_thousand(high),
    );
    let mut text = String::new();
    let tiers: BTreeSet<&str> = shown.values().flatten().map(|one| one.tier.as_str()).collect();
    let tiers: Vec<&str> = tiers.into_iter().collect();
    let [detectors, attack] = &first.versions;
    let _ = write!(
        text,
        "# Scorecard\n\n\
         Written by `cargo xtask corpus`: every script under `corpus/`, each in a \
         sandbox of its own (runner `process`). The corpus is what the detectors were calibrated \
         on, so this says how much they hold and not how they do on what they have not seen.\n\n\
         | | |\n|-|-|\n\
         | detectors | version {detectors}, ATT&CK v{attack} |\n\
         | kernel | {} |\n\
         | tier of evidence | {} |\n\
         | samples, and runs of each | {} benign, {}; {} hostile, {} |\n\
         | not run here, something is not installed | {} |\n\
         | hostile runs detected | {found} of {hostile}: {}, 95 % interval {}–{} |\n\
         | benign runs suspected | {alarms} of {benign}: {} per 1,000, 95 % interval {}–{} |\n\
         | runs with incomplete evidence | {incomplete} |\n\n\
         Detected: called suspicious or malicious, and the technique or its parent is among the \
         detections. Intervals are Wilson's. Repetitions of one script are not independent of each \
         other, so the true intervals are wider.\n",
        kernel(),
        tiers.join(", "),
        of(Kind::Benign).count(),
        runs(Kind::Benign),
        of(Kind::Hostile).count(),
        runs(Kind::Hostile),
        names(skipped),
        percent(share(found, hostile)),
        percent(found_low),
        percent(found_high),
        per_thousand(share(alarms, benign)),
        per_thousand(low),
        per_thousand(high),
    );
    techniques(&mut text, samples, shown);
    hostile_samples(&mut text, samples, shown);
    benign_samples(&mut text, samples, shown);
    Ok(Card { text, summary })
}

fn techniques(text: &mut String, samples: &[Sample], shown: &All) {
    text.push_str("\n## By technique\n\n| technique | samples | runs | detected |\n|-|-:|-:|-:|\n");
    let mut rows: BTreeMap<&str, [u32; 3]> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.kind == Kind::Hostile) {
        let Some(technique) = sample.techniques.first() else { continue };
        let row = rows.entry(technique).or_default();
        row[0] += 1;
        for one in &shown[&sample.name] {
            row[1] += 1;
            row[2] += u32::from(sample.detected(one));
        }
    }
    for (technique, [count, runs, found]) in rows {
        let _ =
            writeln!(text, "| {technique} | {count} | {runs} | {} |", percent(share(found, runs)));
    }
}

fn hostile_samples(text: &mut String, samples: &[Sample], shown: &All) {
    text.push_str(
        "\n## Hostile samples\n\n| sample | techniques | verdicts | detected | detectors |\n\
         |-|-|-|-:|-|\n",
    );
    for sample in samples.iter().filter(|sample| sample.kind == Kind::Hostile) {
        let all = &shown[&sample.name];
        let found = all.iter().filter(|one| sample.detected(one)).count();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {found} of {} | {} |",
            sample.name,
            sample.techniques.join(" "),
            verdicts(all),
            all.len(),
            detectors(all)
        );
    }
}

fn benign_samples(text: &mut String, samples: &[Sample], shown: &All) {
    text.push_str("\n## Benign samples\n\n| sample | verdicts | detectors |\n|-|-|-|\n");
    for sample in samples.iter().filter(|sample| sample.kind == Kind::Benign) {
        let all = &shown[&sample.name];
        let _ = writeln!(text, "| {} | {} | {} |", sample.name, verdicts(all), detectors(all));
    }
}

fn verdicts(all: &[Shown]) -> String {
    joined(all.iter().map(|one| one.verdict.as_str()))
}

fn detectors(all: &[Shown]) -> String {
    joined(all.iter().flat_map(|one| one.detections.iter().map(|(detector, _)| detector.as_str())))
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: BTreeSet<&str> = words.collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}

fn names(samples: &[Sample]) -> String {
    match samples {
        [] => "none".to_owned(),
        _ => samples.iter().map(|sample| sample.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

fn share(part: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(part) / f64::from(whole) }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn per_thousand(share: f64) -> String {
    format!("{:.1}", share * 1000.0)
}

/// Wilson's score interval of a share, 95 % (Wilson 1927, equation 4 in Brown, Cai, DasGupta 2001).
fn wilson(part: u32, whole: u32) -> (f64, f64) {
    if whole == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (f64::from(whole), share(part, whole));
    let centre = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::wilson;

    fn check(part: u32, whole: u32, expect: (f64, f64)) {
        let (low, high) = wilson(part, whole);
        assert!((low - expect.0).abs() < 1e-4, "{part} of {whole}: {low}");
        assert!((high - expect.1).abs() < 1e-4, "{part} of {whole}: {high}");
    }

    #[test]
    fn intervals_are_those_of_the_tables() {
        check(0, 10, (0.0, 0.2775));
        check(5, 10, (0.2366, 0.7634));
        check(10, 10, (0.7225, 1.0));
        check(1, 1000, (0.000_177, 0.005_643));
        check(0, 0, (0.0, 1.0));
    }
}
