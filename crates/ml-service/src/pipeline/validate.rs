//! First phase: are these rows at all? Pure; knows no view's history.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::batch::{Batch, Column, RowKey};
use crate::error::MlError;
use crate::index::COLUMNS_MAX;
use crate::time::{self, BadTime};
use crate::value::Value;

/// Rows in one batch, whatever is configured.
pub const ROWS_MAX: u32 = 10_000;
/// Values in one row.
pub const VALUES_MAX: usize = 64;
/// Characters of an entity's name.
pub const ENTITY_CHARS_MAX: usize = 512;
/// Characters of a string.
pub const TEXT_CHARS_MAX: usize = 256;
/// Characters of a view's or feature's name: `[a-z_][a-z0-9_]{0,62}`.
pub const NAME_CHARS_MAX: usize = 63;

/// What a caller says of an entity at a time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub entity: String,
    /// RFC 3339 with an offset.
    pub event_time: String,
    pub values: Values,
}

/// Features by name, in the caller's order, with what JSON allows and we do not (a name twice)
/// still to be seen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Values(pub Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ValuesVisitor)
    }
}

struct ValuesVisitor;

impl<'de> Visitor<'de> for ValuesVisitor {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of feature names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
        let mut values = Vec::new();
        while let Some(pair) = map.next_entry()? {
            values.push(pair);
        }
        Ok(Values(values))
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    #[error("entity has {chars} characters; it can have 1 to {ENTITY_CHARS_MAX}")]
    Entity { chars: usize },
    #[error("event_time: {0}")]
    EventTime(BadTime),
    #[error("values is empty; give at least one")]
    NoValues,
    #[error("values has {values} names; it can have {VALUES_MAX}")]
    TooManyValues { values: usize },
    #[error(
        "{name:?} is no feature name; one is 1 to {NAME_CHARS_MAX} of a-z, 0-9 and _, and no digit first"
    )]
    Name { name: String },
    #[error("{name} is there twice")]
    Twice { name: String },
    #[error("{name} has {chars} characters; a string can have {TEXT_CHARS_MAX}")]
    Text { name: String, chars: usize },
}

/// Rows that are rows; made only here.
#[derive(Debug)]
pub struct Validated(Batch);

impl Validated {
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.rows.len()
    }

    pub(super) fn into_batch(self) -> Batch {
        self.0
    }
}

/// Whether the text names a view or a feature.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    (1..=NAME_CHARS_MAX).contains(&text.len())
        && text.bytes().all(word)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Checks every row and puts them into columns.
///
/// # Errors
/// The first row that is none, by its index; a column that is of two kinds within the batch.
#[tracing::instrument(skip_all, name = "validate")]
pub fn validate(view: &str, rows: Vec<Row>, rows_max: u32) -> Result<Validated, MlError> {
    validate_rows(view, rows, rows_max, VALUES_MAX)
}

/// The same for rows that ShieldX makes itself, which may fill a view's whole width.
pub(crate) fn validate_rows(
    view: &str,
    rows: Vec<Row>,
    rows_max: u32,
    values_max: usize,
) -> Result<Validated, MlError> {
    if rows.is_empty() {
        return Err(MlError::NoRows);
    }
    if rows.len() > rows_max as usize {
        return Err(MlError::TooManyRows { rows: rows.len(), max: rows_max });
    }
    let mut builder = Builder::new(view, rows.len());
    for (row, given) in rows.into_iter().enumerate() {
        if given.values.0.len() > values_max {
            let fault = RowFault::TooManyValues { values: given.values.0.len() };
            return Err(MlError::Row { row, fault });
        }
        builder.row(row, given)?;
    }
    Ok(Validated(builder.finish()))
}

struct Builder<'a> {
    view: &'a str,
    batch: Batch,
    entities: HashMap<Box<str>, u32>,
    columns: HashMap<String, usize>,
}

impl<'a> Builder<'a> {
    fn new(view: &'a str, rows: usize) -> Self {
        let batch = Batch { rows: Vec::with_capacity(rows), ..Batch::default() };
        Self { view, batch, entities: HashMap::new(), columns: HashMap::new() }
    }

    fn row(&mut self, row: usize, given: Row) -> Result<(), MlError> {
        let fault = |fault| MlError::Row { row, fault };
        let chars = given.entity.chars().count();
        if !(1..=ENTITY_CHARS_MAX).contains(&chars) {
            return Err(fault(RowFault::Entity { chars }));
        }
        let event_us =
            time::parse(&given.event_time).map_err(|bad| fault(RowFault::EventTime(bad)))?;
        if given.values.0.is_empty() {
            return Err(fault(RowFault::NoValues));
        }
        let entity = self.entity(given.entity.into_boxed_str());
        self.batch.rows.push(RowKey { entity, event_us });
        given.values.0.into_iter().try_for_each(|(name, value)| self.cell(row, name, value))
    }

    fn entity(&mut self, name: Box<str>) -> u32 {
        if let Some(id) = self.entities.get(&name) {
            return *id;
        }
        // There are no more entities than rows.
        let id = u32::try_from(self.batch.entities.len()).unwrap_or(u32::MAX);
        self.batch.entities.push(name.clone());
        self.entities.insert(name, id);
        id
    }

    fn cell(&mut self, row: usize, name: String, value: Value) -> Result<(), MlError> {
        let fault = |fault| MlError::Row { row, fault };
        let at = match self.columns.get(&name) {
            Some(at) => *at,
            None => self.column(row, &name)?,
        };
        if let Value::Text(text) = &value {
            let chars = text.chars().count();
            if chars > TEXT_CHARS_MAX {
                return Err(fault(RowFault::Text { name, chars }));
            }
        }
        let column = &mut self.batch.columns[at];
        if column.cells.len() > row {
            return Err(fault(RowFault::Twice { name }));
        }
        match (column.kind, value.kind()) {
            (Some(had), Some(got)) if had != got => {
                let view = self.view.to_owned();
                return Err(MlError::TypeConflict { view, column: name, row, had, got });
            }
            (had, got) => column.kind = had.or(got),
        }
        column.cells.resize(row, None);
        column.cells.push(Some(value));
        Ok(())
    }

    fn column(&mut self, row: usize, name: &str) -> Result<usize, MlError> {
        if !is_name(name) {
            let name = name.chars().take(2 * NAME_CHARS_MAX).collect();
            return Err(MlError::Row { row, fault: RowFault::Name { name } });
        }
        let at = self.batch.columns.len();
        if at >= COLUMNS_MAX {
            let view = self.view.to_owned();
            return Err(MlError::TooManyColumns { view, columns: at + 1, max: COLUMNS_MAX });
        }
        self.batch.columns.push(Column { name: name.into(), kind: None, cells: Vec::new() });
        self.columns.insert(name.to_owned(), at);
        Ok(at)
    }

    fn finish(mut self) -> Batch {
        for column in &mut self.batch.columns {
            column.cells.resize(self.batch.rows.len(), None);
        }
        self.batch
    }
}
