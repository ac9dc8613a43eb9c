//! One value of one feature, and the three kinds a feature can be of.
//!
//! This room knows no rows and no files.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// A value as a caller gave it.
///
/// A number that is a 64-bit signed integer keeps every digit; any other number is the nearest
/// double (RFC 8259, section 6).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// Finite: JSON has no other, and what is computed here is checked.
    Float(f64),
    Text(Box<str>),
}

/// What a feature holds. Fixed by its first value that is not null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Number,
    String,
    Bool,
}

impl Kind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Bool => "bool",
        }
    }
}

impl Value {
    /// `None` for null, which fits every kind.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Value::Null => None,
            Value::Bool(_) => Some(Kind::Bool),
            Value::Integer(_) | Value::Float(_) => Some(Kind::Number),
            Value::Text(_) => Some(Kind::String),
        }
    }

    /// A number as a double; `None` for everything else.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a score needs no 16th digit")]
            Value::Integer(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::Null | Value::Bool(_) | Value::Text(_) => None,
        }
    }

    /// The number, or null where it is not finite.
    #[must_use]
    pub fn from_double(value: f64) -> Self {
        /// Integers up to here are exact in a double.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        if !value.is_finite() {
            return Value::Null;
        }
        if value.fract() == 0.0 && value.abs() <= EXACT_MAX && !value.is_sign_negative() {
            #[expect(clippy::cast_possible_truncation, reason = "an integer up to 2^53")]
            return Value::Integer(value as i64);
        }
        Value::Float(value)
    }

    /// Bytes outside the value itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => 0,
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl Visitor<'_> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a string, a bool or null")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "beyond 64 signed bits: nearest double")]
        let double = value as f64;
        Ok(i64::try_from(value).map_or(Value::Float(double), Value::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value.into_boxed_str()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_64_bits_keep_every_digit_and_larger_ones_become_doubles() {
        let read = |text: &str| serde_json::from_str::<Value>(text);
        assert_eq!(read("9007199254740993").unwrap(), Value::Integer(9_007_199_254_740_993));
        assert_eq!(read("-9223372036854775808").unwrap(), Value::Integer(i64::MIN));
        assert_eq!(read("18446744073709551615").unwrap(), Value::Float(1.844_674_407_370_955_2e19));
        assert_eq!(read("1e300").unwrap(), Value::Float(1e300));
        assert!(read("1e999").is_err());
        assert!(read("[1]").is_err());
        assert!(read("NaN").is_err());
    }

    #[test]
    fn a_computed_number_that_is_none_becomes_null() {
        assert_eq!(Value::from_double(f64::NAN), Value::Null);
        assert_eq!(Value::from_double(f64::INFINITY), Value::Null);
        assert_eq!(Value::from_double(3.0), Value::Integer(3));
        assert_eq!(Value::from_double(0.5), Value::Float(0.5));
    }
}
