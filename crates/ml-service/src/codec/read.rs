//! Bytes into a batch, in two steps: the entities first, so that a reader who looks for one can
//! pass over segments without it.

use super::{
    BODY_AT, CELLS_ALL, CELLS_MARKED, COLUMNS_MAX, CodecError, HEAD, KIND_BOOL, KIND_NULLS,
    KIND_NUMBER, KIND_STRING, MARK_NOTHING, MARK_NULL, MARK_VALUE, NUMBERS_DOUBLE, NUMBERS_INTEGER,
    NUMBERS_MIXED, ROWS_MAX, crc,
};
use crate::batch::{Batch, Column, RowKey};
use crate::value::{Kind, Value};

/// A payload whose checksum fits and whose entities are known.
#[derive(Debug)]
pub struct Decoder<'a> {
    bytes: Bytes<'a>,
    created_us: i64,
    rows: usize,
    columns: usize,
    entities: Vec<&'a str>,
}

impl<'a> Decoder<'a> {
    /// # Errors
    /// See [`CodecError`].
    pub fn open(payload: &'a [u8]) -> Result<Self, CodecError> {
        let mut bytes = Bytes(payload);
        if bytes.array()? != HEAD {
            return Err(CodecError::Version);
        }
        let stored = u32::from_le_bytes(bytes.array()?);
        let computed = crc::crc32(payload.get(BODY_AT..).unwrap_or_default());
        if stored != computed {
            return Err(CodecError::Checksum { stored, computed });
        }
        let created_us = i64::from_le_bytes(bytes.array()?);
        let rows = bytes.length(ROWS_MAX, "too many rows")?;
        let count = bytes.length(ROWS_MAX, "too many entities")?;
        let columns = bytes.length(COLUMNS_MAX, "too many columns")?;
        let mut entities = Vec::with_capacity(count.min(bytes.0.len()));
        for _ in 0..count {
            entities.push(bytes.text()?);
        }
        Ok(Self { bytes, created_us, rows, columns, entities })
    }

    #[must_use]
    pub fn has(&self, entity: &str) -> bool {
        self.entities.contains(&entity)
    }

    /// # Errors
    /// See [`CodecError`].
    pub fn batch(mut self) -> Result<Batch, CodecError> {
        let rows = self.row_keys()?;
        let mut columns = Vec::with_capacity(self.columns.min(self.bytes.0.len()));
        for _ in 0..self.columns {
            columns.push(self.bytes.column(rows.len())?);
        }
        if !self.bytes.0.is_empty() {
            return Err(CodecError::Malformed { what: "something follows the last column" });
        }
        let entities = self.entities.into_iter().map(Box::from).collect();
        Ok(Batch { created_us: self.created_us, entities, rows, columns })
    }

    fn row_keys(&mut self) -> Result<Vec<RowKey>, CodecError> {
        let mut rows = Vec::with_capacity(self.rows.min(self.bytes.0.len()));
        for _ in 0..self.rows {
            let entity = u32::try_from(self.bytes.varint()?).ok();
            let entity = entity.filter(|index| (*index as usize) < self.entities.len());
            let entity = entity.ok_or(CodecError::Malformed { what: "a row of no entity" })?;
            rows.push(RowKey { entity, event_us: 0 });
        }
        let mut time = 0i64;
        for row in &mut rows {
            time = time.wrapping_add(self.bytes.zigzag()?);
            row.event_us = time;
        }
        Ok(rows)
    }
}

/// What is left to read.
#[derive(Debug)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(CodecError::Malformed { what: "a number of more than 64 bits" });
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(CodecError::Malformed { what: "a number of more than ten bytes" })
    }

    fn zigzag(&mut self) -> Result<i64, CodecError> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn length(&mut self, max: usize, what: &'static str) -> Result<usize, CodecError> {
        let length = usize::try_from(self.varint()?).ok().filter(|length| *length <= max);
        length.ok_or(CodecError::Malformed { what })
    }

    fn text(&mut self) -> Result<&'a str, CodecError> {
        let length = self.length(usize::MAX, "a text of more bytes than memory has")?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| CodecError::Malformed { what: "text not UTF-8" })
    }

    fn column(&mut self, rows: usize) -> Result<Column, CodecError> {
        let name = self.text()?.into();
        let kind = match self.byte()? {
            KIND_NULLS => None,
            KIND_NUMBER => Some(Kind::Number),
            KIND_STRING => Some(Kind::String),
            KIND_BOOL => Some(Kind::Bool),
            _ => return Err(CodecError::Malformed { what: "a column of no known kind" }),
        };
        let marks = match self.byte()? {
            CELLS_ALL => None,
            CELLS_MARKED => Some(self.take(rows.div_ceil(4))?),
            _ => return Err(CodecError::Malformed { what: "a column of no known form" }),
        };
        let mark = |row: usize| match marks {
            None => MARK_VALUE,
            Some(marks) => (marks[row / 4] >> (row % 4 * 2)) & 3,
        };
        let count = (0..rows).filter(|row| mark(*row) == MARK_VALUE).count();
        let mut values = self.values(kind, count)?.into_iter();
        let mut cells = Vec::with_capacity(rows);
        for row in 0..rows {
            cells.push(match mark(row) {
                MARK_NOTHING => None,
                MARK_NULL => Some(Value::Null),
                MARK_VALUE => values.next(),
                _ => return Err(CodecError::Malformed { what: "a cell of no known mark" }),
            });
        }
        Ok(Column { name, kind, cells })
    }

    fn values(&mut self, kind: Option<Kind>, count: usize) -> Result<Vec<Value>, CodecError> {
        let Some(kind) = kind else {
            let none = CodecError::Malformed { what: "a value in a column of nulls" };
            return if count == 0 { Ok(Vec::new()) } else { Err(none) };
        };
        match kind {
            Kind::Number => self.numbers(count),
            Kind::String => (0..count).map(|_| Ok(Value::Text(self.text()?.into()))).collect(),
            Kind::Bool => {
                let bits = self.take(count.div_ceil(8))?;
                Ok((0..count).map(|at| Value::Bool(bits[at / 8] >> (at % 8) & 1 == 1)).collect())
            }
        }
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<Value>, CodecError> {
        let form = self.byte()?;
        let mut values = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            let one = if form == NUMBERS_MIXED { self.byte()? } else { form };
            values.push(match one {
                NUMBERS_INTEGER => Value::Integer(self.zigzag()?),
                NUMBERS_DOUBLE => {
                    let value = f64::from_le_bytes(self.array()?);
                    if !value.is_finite() {
                        return Err(CodecError::Malformed { what: "a number that is none" });
                    }
                    Value::Float(value)
                }
                _ => return Err(CodecError::Malformed { what: "a number of no known form" }),
            });
        }
        Ok(values)
    }
}
