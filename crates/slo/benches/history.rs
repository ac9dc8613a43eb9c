//! Figures of the embedded history: a thousand objectives, thirty days, a sample every ten seconds.
//! What it takes in memory, what feeding, evaluating, writing and reading it costs. Run by hand, prints
//! one line each.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the figures are the purpose")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use slo::evaluate::{burn_down, status};
use slo::history::{History, Sample, Series};
use slo::status::{Counts, Scope};
use slo::{Slo, spec};

const SLOS: u32 = 1_000;
const DAYS: u32 = 30;
const STEP_S: u32 = 10;
/// 2026-01-01.
const T0: i64 = 1_767_225_600_000_000;
const ROUNDS: usize = 9;

fn main() {
    let slos = slos();
    let samples = DAYS * 86_400 / STEP_S;
    let began = Instant::now();
    let (history, now) = fed(&slos, samples);
    let each = began.elapsed() / samples / SLOS;
    println!("samples: {samples} of {SLOS} series, {each:.0?} a series and sample");
    let bytes = history.size_bytes();
    let per_slo = bytes / usize::try_from(SLOS).unwrap();
    println!("memory: {per_slo} bytes an objective, {} MB in all", bytes / 1_000_000);
    println!("resident: {}", resident());
    let before = on_cpu();
    let evaluated = median(|| {
        for slo in &slos {
            black_box(status(slo, &Scope::All, &history, now));
        }
    });
    let cpu = (on_cpu() - before) / u32::try_from(ROUNDS).unwrap();
    println!(
        "status of {SLOS} objectives over {DAYS} days: {evaluated:.1?}, {cpu:.1?} of them on a CPU"
    );
    let charted = median(|| {
        black_box(burn_down(&slos[7], &Scope::All, &history, now, 300));
    });
    println!("burn-down of one, 300 points: {charted:.1?}");
    let (mut bytes, mut back) = (Vec::new(), History::default());
    let written = time(|| bytes = history.snapshot());
    let read = time(|| back = History::restore(&bytes).unwrap());
    assert!(back.snapshot() == bytes);
    println!(
        "snapshot: {} MB, written in {written:.0?}, read in {read:.0?}",
        bytes.len() / 1_000_000
    );
}

fn slos() -> Vec<Slo> {
    let mut yaml = String::from("version: 1\nslos:\n");
    for number in 0..SLOS {
        yaml.push_str(&format!(
            "  - {{name: slo-{number}, service: ingress, description: Answers., target: 99.9, \
             window: 30d, availability: {{}}}}\n"
        ));
    }
    spec::read(&yaml).unwrap().slos
}

/// Objectives of a few events to a thousand a second; a failure in about two thousand, and an hour a
/// week in which one in fifty fails.
fn fed(slos: &[Slo], samples: u32) -> (History, i64) {
    let mut history = History::new(Duration::from_secs(u64::from(STEP_S)));
    let series = slos.iter().map(|slo| {
        let scope = Scope::All;
        (Series { slo: slo.name.clone(), revision: slo.revision, scope }, Counts::default())
    });
    let (instance, mut random) = ("node-1".to_owned(), 88_172_645_463_325_252_u64);
    let mut sample = Sample { instance, epoch: T0, at_us: T0, series: series.collect() };
    for number in 0..samples {
        // Timers are late by up to some milliseconds.
        sample.at_us = T0 + i64::from(number + 1) * i64::from(STEP_S) * 1_000_000;
        sample.at_us += i64::try_from(random % 3_000).unwrap();
        for (index, (_, counts)) in sample.series.iter_mut().enumerate() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let events = random % (u64::try_from(index).unwrap() * 20 + 3);
            let bad_of = if number % 60_480 < 360 { 50 } else { 2_000 };
            let bad = (events + (random >> 40) % bad_of) / bad_of;
            counts.good += events - bad.min(events);
            counts.bad += bad.min(events);
        }
        assert!(history.add(&sample));
    }
    (history, sample.at_us)
}

fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS).map(|_| time(&mut work)).collect();
    times.sort();
    times[ROUNDS / 2]
}

fn time(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// What this process has had of the CPUs, as Linux tells it: a busy machine shows in the wall clock
/// alone.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let ns = stat.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

/// As Linux tells it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.unwrap_or("not told here").to_owned()
}
