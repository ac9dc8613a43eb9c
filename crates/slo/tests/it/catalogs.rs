//! The objectives that tests generate from: those that are shipped, and a collection of odd ones.

use slo::Catalog;
use slo::generate::{File, Settings, generate};

/// Odd windows and factors, the loosest and the strictest of targets, calendar windows, texts that mean
/// something to YAML, PromQL, JSON or templates.
const ODD: &str = r#"
version: 1
slos:
  - name: half
    service: odd-service
    description: "Half of all: {{ $value }} & \"quotes\" \\ 'more' # no comment | <b>"
    team: "team {{ .x }} \"a\""
    target: 50
    window: 7d
    alerting:
      bad_events_min: 5
      pairs:
        - {severity: page, long: 90m, short: 7m, factor: 1.9}
        - {severity: ticket, long: 35h, short: 95m, factor: 1.1}
    ratio: {bad: 'b_total', total: t_total}
  - name: five-nines-9
    service: odd-service
    description: "Very strict"
    target: 99.999
    window: 90d
    data_loss: alert
    ratio: {bad: 'b_total', total: t_total}
  - name: by-week
    service: odd-service
    description: "Each week anew"
    target: 99.5
    window: calendar week
    data_loss: ignore
    ratio: {bad: 'b_total', total: t_total}
  - name: by-month
    service: calendars
    description: "Each month anew"
    target: 99.9
    window: calendar month
    data_loss: alert
    ratio: {bad: 'b_total', total: t_total}
  - name: by-quarter
    service: calendars
    description: "Each quarter anew"
    target: 99
    window: calendar quarter
    ratio: {bad: 'b_total', total: t_total}
  - name: by-year
    service: calendars
    description: "Each year anew"
    target: 99
    window: calendar year
    alerting: none
    ratio: {bad: 'b_total', total: t_total}
  - name: a-day
    service: a
    description: "A window as long as one of the pairs'"
    target: 99.9999999
    window: 1d
    alerting:
      bad_events_min: 1
      pairs: [{severity: ticket, long: 1d, short: 2h, factor: 3}]
    ratio: {bad: 'b_total', total: t_total}
"#;

pub(crate) fn shipped() -> Catalog {
    slo::spec::read(slo::spec::SHIPPED).expect("the shipped objectives")
}

pub(crate) fn odd() -> Catalog {
    slo::spec::read(ODD).unwrap_or_else(|refused| panic!("{refused}"))
}

pub(crate) fn files(catalog: &Catalog) -> Vec<File> {
    generate(catalog, &Settings::default())
}
