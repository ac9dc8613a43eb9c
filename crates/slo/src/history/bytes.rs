//! Numbers and texts as bytes: LEB128, zigzag, length-prefixed UTF-8. What is read back may be
//! anything; every read can fail and none panics.

/// The longest text that is read back: names and labels are far shorter.
const TEXT_MAX: u64 = 4096;

pub(super) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f).to_le_bytes()[0];
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

pub(super) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u64(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Option<u64> {
        let first = self.u8()?;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    pub(super) fn i64(&mut self) -> Option<i64> {
        let raw = self.u64()?;
        Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    pub(super) fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let len = self.u64().filter(|len| *len <= TEXT_MAX)?;
        std::str::from_utf8(self.take(len)?).ok().map(str::to_owned)
    }

    /// How many of something that takes at least `bytes_min` each follow: never more than there is
    /// room for, so that nothing is allocated on the word of a damaged file.
    pub(super) fn count(&mut self, bytes_min: usize) -> Option<usize> {
        let count = usize::try_from(self.u64()?).ok()?;
        (count.checked_mul(bytes_min)? <= self.rest.len()).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, put_i64, put_u64};

    #[test]
    fn numbers_come_back() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1_u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_u64(&mut out, value);
                put_i64(&mut out, value.cast_signed());
                let mut reader = Reader::new(&out);
                assert_eq!(reader.u64(), Some(value));
                assert_eq!(reader.i64(), Some(value.cast_signed()));
                assert!(reader.is_empty());
            }
        }
    }

    #[test]
    fn damage_is_noticed() {
        assert_eq!(Reader::new(&[]).u64(), None);
        assert_eq!(Reader::new(&[0x80]).u64(), None);
        assert_eq!(Reader::new(&[0xff; 11]).u64(), None);
        assert_eq!(Reader::new(&[5, b'a']).text(), None);
        assert_eq!(Reader::new(&[1, 0xff]).text(), None);
        assert_eq!(Reader::new(&[200, 1, 0]).count(1), None);
    }
}
