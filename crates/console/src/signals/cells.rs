//! Rings of what was counted in a span, and the parts of a chart they are added up in.

use std::collections::VecDeque;

use runtime::metrics::DURATION_BUCKETS_S;

use super::BUCKETS;
use super::read::Row;

/// Exemplars of a line; the oldest go first.
const EXEMPLARS_MAX: usize = 256;
const FINE_US: i64 = 10_000_000;
const FINE_CELLS: usize = 360;
const COARSE_US: i64 = 120_000_000;
const COARSE_CELLS: usize = 720;

/// Requests, by how long they took and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cell {
    /// Cumulative, as in the metrics: how many took at most each bound; the last are all.
    pub(crate) buckets: [u64; BUCKETS],
    pub(crate) client_errors: u64,
    pub(crate) server_errors: u64,
}

impl Cell {
    /// Adds a sample of the histogram; `part` is what its name ends with.
    pub(super) fn count(&mut self, part: &str, row: &Row<'_>) {
        let number = whole(row.value);
        match part {
            "_bucket" => {
                let bound = row.label("le").parse::<f64>().unwrap_or(f64::INFINITY);
                let same = |known: &f64| (known - bound).abs() < 1e-9;
                let index = match DURATION_BUCKETS_S.iter().position(same) {
                    Some(index) => index,
                    None if bound.is_infinite() => BUCKETS - 1,
                    // Of another histogram than ours.
                    None => return,
                };
                self.buckets[index] += number;
            }
            "_count" => match row.label("http_response_status_code").bytes().next() {
                Some(b'4') => self.client_errors += number,
                Some(b'5') => self.server_errors += number,
                _ => {}
            },
            _ => {}
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.buckets[BUCKETS - 1]
    }

    /// Seconds below which this share of requests were; straight lines within buckets, as
    /// Prometheus' `histogram_quantile` does. What is above the last bound is told as that bound.
    #[expect(clippy::cast_precision_loss, reason = "numbers of requests of a span")]
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.requests();
        if total == 0 {
            return None;
        }
        let rank = share * total as f64;
        let (mut below, mut low) = (0.0, 0.0);
        for (up_to, high) in self.buckets.iter().zip(DURATION_BUCKETS_S) {
            let up_to = *up_to as f64;
            if up_to >= rank && up_to > below {
                return Some(low + (high - low) * ((rank - below) / (up_to - below)).max(0.0));
            }
            below = up_to.max(below);
            low = high;
        }
        DURATION_BUCKETS_S.last().copied()
    }

    fn plus(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.client_errors += other.client_errors;
        self.server_errors += other.server_errors;
    }

    fn since(&self, before: &Self) -> Self {
        let mut cell = *self;
        for (mine, theirs) in cell.buckets.iter_mut().zip(&before.buckets) {
            *mine = mine.saturating_sub(*theirs);
        }
        cell.client_errors = cell.client_errors.saturating_sub(before.client_errors);
        cell.server_errors = cell.server_errors.saturating_sub(before.server_errors);
        cell
    }
}

/// A part of a chart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    /// Its middle.
    pub(crate) at_us: i64,
    pub(crate) cell: Cell,
    /// Of how many microseconds the cells are; 0: nobody counted.
    pub(crate) counted_us: i64,
    /// Requests being worked on, and work that waits: the greatest number.
    pub(crate) active: Option<f64>,
    pub(crate) waiting: Option<f64>,
}

impl Slot {
    #[expect(clippy::cast_precision_loss, reason = "a part of a day in microseconds")]
    pub(crate) fn per_second(&self, number: u64) -> Option<f64> {
        (self.counted_us > 0).then(|| number as f64 * 1e6 / self.counted_us as f64)
    }
}

pub(super) fn empty(from_us: i64, to_us: i64, slots: usize) -> Vec<Slot> {
    let number = i64::try_from(slots.max(1)).unwrap_or(1);
    let step = (to_us - from_us).max(number) / number;
    let slot = |index| Slot { at_us: from_us + step * index + step / 2, ..Slot::default() };
    (0..number).map(slot).collect()
}

/// Which part of a span a moment is in.
fn place(slots: usize, from_us: i64, to_us: i64, at_us: i64) -> Option<usize> {
    if at_us <= from_us || at_us > to_us {
        return None;
    }
    let number = i64::try_from(slots).ok()?;
    let step = (to_us - from_us).max(number) / number;
    usize::try_from((at_us - 1 - from_us) / step).ok().map(|index| index.min(slots - 1))
}

/// A request that a bucket names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) trace_id: String,
    pub(crate) seconds: f64,
    pub(crate) at_us: i64,
    pub(crate) failed: bool,
}

/// One service's route group.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The newest totals, and when they were read.
    last: Option<(i64, Cell)>,
    fine: VecDeque<Kept>,
    coarse: VecDeque<Kept>,
    exemplars: VecDeque<Exemplar>,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    at_us: i64,
    spans_us: i64,
    cell: Cell,
}

impl Line {
    /// Totals since the process started.
    pub(super) fn take(&mut self, at_us: i64, total: &Cell) {
        let Some((before_us, before)) = self.last.replace((at_us, *total)) else { return };
        let spans_us = at_us - before_us;
        if spans_us <= 0 {
            return;
        }
        let kept = Kept { at_us, spans_us, cell: total.since(&before) };
        push(&mut self.fine, kept, FINE_US, FINE_CELLS);
        push(&mut self.coarse, kept, COARSE_US, COARSE_CELLS);
    }

    pub(super) fn name(&mut self, exemplar: Exemplar) {
        if self.exemplars.contains(&exemplar) {
            return;
        }
        if self.exemplars.len() >= EXEMPLARS_MAX {
            self.exemplars.pop_front();
        }
        self.exemplars.push_back(exemplar);
    }

    pub(super) fn exemplars(&self, from_us: i64, to_us: i64) -> impl Iterator<Item = &Exemplar> {
        self.exemplars.iter().filter(move |one| one.at_us > from_us && one.at_us <= to_us)
    }

    /// From the fine ring where that reaches, else from the coarse one.
    pub(super) fn add_to(&self, slots: &mut [Slot], from_us: i64, to_us: i64) {
        let reaches =
            self.fine.front().is_some_and(|first| first.at_us - first.spans_us <= from_us);
        let all = self.coarse.len() < 2;
        let ring = if reaches || all { &self.fine } else { &self.coarse };
        // Lines are counted at the same time: the span of a slot is that of its longest.
        let mut counted_us = vec![0; slots.len()];
        for kept in ring {
            if let Some(index) = place(slots.len(), from_us, to_us, kept.at_us) {
                slots[index].cell.plus(&kept.cell);
                counted_us[index] += kept.spans_us;
            }
        }
        for (slot, counted_us) in slots.iter_mut().zip(counted_us) {
            slot.counted_us = slot.counted_us.max(counted_us);
        }
    }
}

/// Adds to the newest cell while that has room for it.
fn push(ring: &mut VecDeque<Kept>, kept: Kept, step_us: i64, cells_max: usize) {
    if let Some(newest) = ring.back_mut()
        && newest.spans_us + kept.spans_us <= step_us
        && kept.at_us - newest.at_us == kept.spans_us
    {
        newest.cell.plus(&kept.cell);
        newest.at_us = kept.at_us;
        newest.spans_us += kept.spans_us;
        return;
    }
    if ring.len() >= cells_max {
        ring.pop_front();
    }
    ring.push_back(kept);
}

/// A number that goes up and down; a part of a chart has the greatest.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    fine: VecDeque<(i64, f64)>,
    coarse: VecDeque<(i64, f64)>,
}

impl Gauge {
    pub(super) fn take(&mut self, at_us: i64, value: f64) {
        if self.fine.len() >= FINE_CELLS {
            self.fine.pop_front();
        }
        self.fine.push_back((at_us, value));
        match self.coarse.back_mut() {
            Some((since, greatest)) if at_us - *since < COARSE_US => {
                *greatest = greatest.max(value)
            }
            _ => {
                if self.coarse.len() >= COARSE_CELLS {
                    self.coarse.pop_front();
                }
                self.coarse.push_back((at_us, value));
            }
        }
    }

    pub(super) fn add_to(
        &self,
        slots: &mut [Slot],
        of: impl Fn(&mut Slot) -> &mut Option<f64>,
        from_us: i64,
        to_us: i64,
    ) {
        let reaches = self.fine.front().is_some_and(|(first, _)| *first <= from_us);
        let ring = if reaches || self.coarse.len() < 2 { &self.fine } else { &self.coarse };
        for (at_us, value) in ring {
            if let Some(index) = place(slots.len(), from_us, to_us, *at_us) {
                let greatest = of(&mut slots[index]);
                *greatest = Some(greatest.map_or(*value, |known| known.max(*value)));
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates; counters are whole and not negative"
)]
fn whole(number: f64) -> u64 {
    number as u64
}
