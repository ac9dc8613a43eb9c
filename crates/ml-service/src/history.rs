//! An entity's rows in the order of (event time, created, place in the batch), page by page.
//!
//! Segments lie in the log in the order of their arrival, not of their event times, so a page looks
//! at every segment that overlaps what is left of the range. Memory stays that of a few segments
//! and one page.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use runtime::metrics::Dependency;
use store::domain::{FeatureLog, Segment};
use types::Tenant;

use crate::batch::Batch;
use crate::codec::Decoder;
use crate::error::MlError;
use crate::value::Value;

/// Segments read at once.
const SEGMENTS_PER_READ: u32 = 16;
/// Segments one page looks at; beyond it the range is too wide.
pub const SEGMENTS_MAX: usize = 100_000;

/// A row's place in an entity's history; also the cursor behind which the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub event_us: i64,
    pub created_us: i64,
    /// Within its batch.
    pub row: u32,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub entity: String,
    /// Both ends belong to the range.
    pub from_us: i64,
    pub to_us: i64,
    pub after: Option<Place>,
    /// Rows in a page, at least one.
    pub limit: usize,
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub rows: Vec<HistoryRow>,
    /// There is more behind this place.
    pub next: Option<Place>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRow {
    pub place: Place,
    /// By name.
    pub values: BTreeMap<Box<str>, Value>,
}

pub(crate) async fn read(
    log: &dyn FeatureLog,
    store: &Dependency,
    tenant: &Tenant,
    view: &str,
    question: &Question,
) -> Result<Page, MlError> {
    let mut found = Found::new(question);
    let (mut position, mut looked_at) = (0, 0usize);
    while found.from_us <= found.to_us {
        let (from, to) = (found.from_us, found.to_us);
        let read = log.segments_after(tenant, view, from, to, position, SEGMENTS_PER_READ);
        let read = store.time(read).await.map_err(MlError::store)?;
        let Some((newest, _)) = read.last() else { break };
        position = *newest;
        looked_at += read.len();
        if looked_at > SEGMENTS_MAX {
            return Err(MlError::RangeTooWide { max: SEGMENTS_MAX });
        }
        for (position, segment) in &read {
            found.look_at(*position, segment)?;
        }
    }
    Ok(found.page())
}

/// The first rows of what is asked for, among what was looked at so far.
struct Found<'a> {
    question: &'a Question,
    from_us: i64,
    /// Shrinks when there are enough rows before it.
    to_us: i64,
    rows: BTreeMap<Place, BTreeMap<Box<str>, Value>>,
}

impl<'a> Found<'a> {
    fn new(question: &'a Question) -> Self {
        let after_us = question.after.map_or(i64::MIN, |place| place.event_us);
        let from_us = question.from_us.max(after_us);
        Self { question, from_us, to_us: question.to_us, rows: BTreeMap::new() }
    }

    fn look_at(&mut self, position: u64, segment: &Segment) -> Result<(), MlError> {
        let damaged = |source| MlError::Damaged { position, source };
        let decoder = Decoder::open(&segment.payload).map_err(damaged)?;
        if decoder.has(&self.question.entity) {
            self.take(&decoder.batch().map_err(damaged)?);
        }
        Ok(())
    }

    fn take(&mut self, batch: &Batch) {
        let created_us = batch.created_us;
        for (row, (key, at)) in batch.rows.iter().zip(0..).enumerate() {
            let place = Place { event_us: key.event_us, created_us, row: at };
            let wanted = (self.from_us..=self.to_us).contains(&key.event_us)
                && self.question.after.is_none_or(|after| place > after)
                && batch.entity(*key) == self.question.entity;
            if !wanted {
                continue;
            }
            let said = |column: &crate::batch::Column| {
                let value = column.cells.get(row).cloned().flatten()?;
                Some((column.name.clone(), value))
            };
            self.rows.insert(place, batch.columns.iter().filter_map(said).collect());
            // One more than the page, to know whether there is another.
            if self.rows.len() > self.question.limit + 1 {
                self.rows.pop_last();
            }
            if self.rows.len() > self.question.limit
                && let Some((last, _)) = self.rows.last_key_value()
            {
                self.to_us = self.to_us.min(last.event_us);
            }
        }
    }

    fn page(mut self) -> Page {
        let more = self.rows.len() > self.question.limit;
        if more {
            self.rows.pop_last();
        }
        let next = self.rows.last_key_value().filter(|_| more).map(|(place, _)| *place);
        let rows = self.rows.into_iter().map(|(place, values)| HistoryRow { place, values });
        Page { rows: rows.collect(), next }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.event_us, self.created_us, self.row)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(());
        let place = Self {
            event_us: part()?.parse().map_err(drop)?,
            created_us: part()?.parse().map_err(drop)?,
            row: part()?.parse().map_err(drop)?,
        };
        // One text per place: no plus signs, no leading zeros, nothing behind.
        if place.to_string() == text { Ok(place) } else { Err(()) }
    }
}
