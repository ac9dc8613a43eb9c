//! A batch into bytes.

use super::{
    BODY_AT, CELLS_ALL, CELLS_MARKED, HEAD, KIND_BOOL, KIND_NULLS, KIND_NUMBER, KIND_STRING,
    MARK_NOTHING, MARK_NULL, MARK_VALUE, NUMBERS_DOUBLE, NUMBERS_INTEGER, NUMBERS_MIXED, crc,
};
use crate::batch::{Batch, Column};
use crate::value::{Kind, Value};

/// The payload of a batch whose cells fit its columns' kinds.
#[must_use]
pub fn encode(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + batch.rows.len() * (4 + batch.columns.len() * 8));
    out.extend_from_slice(&HEAD);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&batch.created_us.to_le_bytes());
    length(&mut out, batch.rows.len());
    length(&mut out, batch.entities.len());
    length(&mut out, batch.columns.len());
    for entity in &batch.entities {
        text(&mut out, entity);
    }
    for row in &batch.rows {
        varint(&mut out, u64::from(row.entity));
    }
    let mut before = 0i64;
    for row in &batch.rows {
        varint(&mut out, zigzag(row.event_us.wrapping_sub(before)));
        before = row.event_us;
    }
    for one in &batch.columns {
        column(&mut out, one);
    }
    let sum = crc::crc32(out.get(BODY_AT..).unwrap_or_default());
    if let Some(place) = out.get_mut(HEAD.len()..BODY_AT) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
    out
}

fn column(out: &mut Vec<u8>, column: &Column) {
    text(out, &column.name);
    out.push(match column.kind {
        None => KIND_NULLS,
        Some(Kind::Number) => KIND_NUMBER,
        Some(Kind::String) => KIND_STRING,
        Some(Kind::Bool) => KIND_BOOL,
    });
    marks(out, &column.cells);
    let values = || column.cells.iter().flatten().filter(|value| **value != Value::Null);
    match column.kind {
        None => {}
        Some(Kind::Number) => numbers(out, values),
        Some(Kind::String) => values().for_each(|value| {
            if let Value::Text(value) = value {
                text(out, value);
            }
        }),
        Some(Kind::Bool) => {
            packed(out, 1, values().map(|value| u8::from(*value == Value::Bool(true))));
        }
    }
}

fn marks(out: &mut Vec<u8>, cells: &[Option<Value>]) {
    let mark = |cell: &Option<Value>| match cell {
        None => MARK_NOTHING,
        Some(Value::Null) => MARK_NULL,
        Some(_) => MARK_VALUE,
    };
    if cells.iter().all(|cell| mark(cell) == MARK_VALUE) {
        return out.push(CELLS_ALL);
    }
    out.push(CELLS_MARKED);
    packed(out, 2, cells.iter().map(mark));
}

fn numbers<'a, I: Iterator<Item = &'a Value>>(out: &mut Vec<u8>, values: impl Fn() -> I) {
    let integer = |value: &Value| matches!(value, Value::Integer(_));
    let form = match (values().any(integer), values().any(|value| !integer(value))) {
        (_, false) => NUMBERS_INTEGER,
        (false, true) => NUMBERS_DOUBLE,
        (true, true) => NUMBERS_MIXED,
    };
    out.push(form);
    for value in values() {
        if form == NUMBERS_MIXED {
            out.push(if integer(value) { NUMBERS_INTEGER } else { NUMBERS_DOUBLE });
        }
        match value {
            Value::Integer(value) => varint(out, zigzag(*value)),
            Value::Float(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Null | Value::Bool(_) | Value::Text(_) => {}
        }
    }
}

/// `bits` per item, lowest first.
fn packed(out: &mut Vec<u8>, bits: u32, items: impl Iterator<Item = u8>) {
    let (mut byte, mut used) = (0u8, 0u32);
    for item in items {
        byte |= item << used;
        used += bits;
        if used == u8::BITS {
            out.push(byte);
            (byte, used) = (0, 0);
        }
    }
    if used > 0 {
        out.push(byte);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn length(out: &mut Vec<u8>, length: usize) {
    varint(out, length as u64);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Small numbers of either sign become small numbers.
fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}
