//! Rows in columns: the form in which a batch is checked, encoded, kept and read back.
//!
//! This room checks nothing; [`crate::pipeline::validate`] and [`crate::codec`] build batches and
//! answer for them.

use crate::value::{Kind, Value};

/// Rows of one tenant and view.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// When it was accepted, microseconds since 1970. Grows strictly from batch to batch of a
    /// service, so (event time, created) orders any two rows of different batches.
    pub created_us: i64,
    /// Each entity once.
    pub entities: Vec<Box<str>>,
    pub rows: Vec<RowKey>,
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowKey {
    /// Index into [`Batch::entities`].
    pub entity: u32,
    pub event_us: i64,
}

/// One feature's values.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: Box<str>,
    /// `None` while every value is null.
    pub kind: Option<Kind>,
    /// One per row; `None` where the row says nothing of this feature.
    pub cells: Vec<Option<Value>>,
}

impl Batch {
    /// The earliest and latest event time; zeros without rows.
    #[must_use]
    pub fn event_range_us(&self) -> (i64, i64) {
        let times = || self.rows.iter().map(|row| row.event_us);
        (times().min().unwrap_or(0), times().max().unwrap_or(0))
    }

    /// The row's entity.
    #[must_use]
    pub fn entity(&self, row: RowKey) -> &str {
        usize::try_from(row.entity)
            .ok()
            .and_then(|index| self.entities.get(index))
            .map_or("", |name| name)
    }
}
