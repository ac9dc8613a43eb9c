//! One view's columns and latest values.
//!
//! A value is replaced only by one with a greater (event time, created): late data never overwrites
//! newer, however it arrives.

use std::collections::HashMap;

use super::Growth;
use crate::batch::{Batch, Column};
use crate::value::{Kind, Value};

/// Columns one view may have, and so features one entity may have.
pub const COLUMNS_MAX: usize = 256;
/// What an entity takes beside its name and slots: its place in the table.
const ENTITY_BYTES: usize = 64;

/// When a value was true, and when it was told. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    pub event_us: i64,
    pub created_us: i64,
}

/// The latest of one feature of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub stamp: Stamp,
    pub value: Value,
}

#[derive(Debug)]
struct Slot {
    column: u16,
    reading: Reading,
}

#[derive(Debug)]
struct Known {
    name: Box<str>,
    kind: Option<Kind>,
}

/// Columns, entities and what they have.
#[derive(Debug, Default)]
pub struct Latest {
    columns: Vec<Known>,
    ids: HashMap<Box<str>, u16>,
    /// Slots in the order of their column.
    entities: HashMap<Box<str>, Vec<Slot>>,
    rows: u64,
    newest_us: Option<i64>,
}

impl Latest {
    /// Rows ever accepted.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    #[must_use]
    pub fn entities(&self) -> usize {
        self.entities.len()
    }

    /// Latest event time of any row.
    #[must_use]
    pub fn newest_us(&self) -> Option<i64> {
        self.newest_us
    }

    /// Names and kinds in the order of first use; a kind is absent while there are only nulls.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Option<Kind>)> {
        self.columns.iter().map(|column| (&*column.name, column.kind))
    }

    #[must_use]
    pub fn kind(&self, column: &str) -> Option<Kind> {
        self.columns.get(usize::from(*self.ids.get(column)?))?.kind
    }

    /// How many columns there would be with those of the batch.
    #[must_use]
    pub fn columns_with(&self, batch: &Batch) -> usize {
        let new = batch.columns.iter().filter(|column| !self.ids.contains_key(&column.name));
        self.columns.len() + new.count()
    }

    /// `None`: nothing was ever told.
    #[must_use]
    pub fn reading(&self, entity: &str, column: &str) -> Option<&Reading> {
        let id = self.ids.get(column)?;
        let slots = self.entities.get(entity)?;
        let at = slots.binary_search_by_key(id, |slot| slot.column).ok()?;
        slots.get(at).map(|slot| &slot.reading)
    }

    /// At most what [`Self::apply`] will add.
    #[must_use]
    pub fn growth(&self, batch: &Batch) -> Growth {
        let ids: Vec<Option<u16>> =
            batch.columns.iter().map(|column| self.ids.get(&column.name).copied()).collect();
        let mut growth = Growth::default();
        let known: Vec<Option<&Vec<Slot>>> =
            batch.entities.iter().map(|name| self.entities.get(name)).collect();
        for (name, slots) in batch.entities.iter().zip(&known) {
            if slots.is_none() {
                growth.entities += 1;
                growth.bytes += (name.len() + ENTITY_BYTES) as u64;
            }
        }
        let mut told = vec![false; batch.entities.len()];
        for (column, id) in batch.columns.iter().zip(&ids) {
            told.fill(false);
            for (row, cell) in batch.rows.iter().zip(&column.cells) {
                let Some(value) = cell else { continue };
                let at = row.entity as usize;
                growth.bytes += value.heap_bytes() as u64;
                if !std::mem::replace(&mut told[at], true) {
                    let has = |slots: &Vec<Slot>, id| {
                        slots.binary_search_by_key(id, |slot: &Slot| slot.column).is_ok()
                    };
                    let there =
                        known[at].zip(id.as_ref()).is_some_and(|(slots, id)| has(slots, id));
                    growth.bytes += if there { 0 } else { size_of::<Slot>() as u64 };
                }
            }
        }
        growth
    }

    /// Takes the batch in, whose kinds fit; gives what it added.
    pub fn apply(&mut self, batch: &Batch) -> Growth {
        let ids: Vec<u16> = batch.columns.iter().map(|column| self.column(column)).collect();
        let mut growth = Growth::default();
        for (row, key) in batch.rows.iter().enumerate() {
            let stamp = Stamp { event_us: key.event_us, created_us: batch.created_us };
            let entity = batch.entity(*key);
            let slots = match self.entities.get_mut(entity) {
                Some(slots) => slots,
                None => {
                    growth.entities += 1;
                    growth.bytes += (entity.len() + ENTITY_BYTES) as u64;
                    self.entities.entry(entity.into()).or_default()
                }
            };
            for (column, id) in batch.columns.iter().zip(&ids) {
                if let Some(Some(value)) = column.cells.get(row) {
                    put(slots, *id, stamp, value, &mut growth);
                }
            }
            self.newest_us = self.newest_us.max(Some(key.event_us));
        }
        self.rows += batch.rows.len() as u64;
        growth
    }

    /// The column's id, given where it has none. A log holds no more than the bound allowed.
    fn column(&mut self, column: &Column) -> u16 {
        if let Some(id) = self.ids.get(&column.name) {
            if let Some(known) = self.columns.get_mut(usize::from(*id)) {
                known.kind = known.kind.or(column.kind);
            }
            return *id;
        }
        let id = u16::try_from(self.columns.len()).unwrap_or(u16::MAX);
        self.columns.push(Known { name: column.name.clone(), kind: column.kind });
        self.ids.insert(column.name.clone(), id);
        id
    }
}

fn put(slots: &mut Vec<Slot>, column: u16, stamp: Stamp, value: &Value, growth: &mut Growth) {
    match slots.binary_search_by_key(&column, |slot| slot.column) {
        Ok(at) => {
            let Some(slot) = slots.get_mut(at) else { return };
            if stamp >= slot.reading.stamp {
                growth.bytes += value.heap_bytes() as u64;
                growth.freed += slot.reading.value.heap_bytes() as u64;
                slot.reading = Reading { stamp, value: value.clone() };
            }
        }
        Err(at) => {
            growth.bytes += (size_of::<Slot>() + value.heap_bytes()) as u64;
            slots.insert(at, Slot { column, reading: Reading { stamp, value: value.clone() } });
        }
    }
}
