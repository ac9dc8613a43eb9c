//! When somebody was counting: spans of time, in milliseconds since 1970.

use super::bytes::{Reader, put_i64, put_u64};

/// Spans that are kept; the oldest go first and are uncovered from then on. A restart or a gap makes
/// one: this is one of every 35 minutes for 400 days.
pub(super) const SPANS_MAX: usize = 16_384;

/// Spans `from..=to` that neither touch nor overlap, by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cover {
    spans: Vec<(i64, i64)>,
}

impl Cover {
    pub(super) fn of(mut spans: Vec<(i64, i64)>) -> Self {
        spans.sort_unstable();
        let mut cover = Self::default();
        for (from, to) in spans {
            cover.push(from, to);
        }
        cover
    }

    pub(super) fn begins(&self) -> Option<i64> {
        self.spans.first().map(|span| span.0)
    }

    pub(super) fn ends(&self) -> Option<i64> {
        self.spans.last().map(|span| span.1)
    }

    /// Adds a span that begins no earlier than the newest one. Gives how many old ones went for it.
    pub(super) fn push(&mut self, from: i64, to: i64) -> u64 {
        match self.spans.last_mut() {
            Some(last) if from <= last.1 => {
                last.1 = last.1.max(to);
                return 0;
            }
            _ => self.spans.push((from, to)),
        }
        let over = self.spans.len().saturating_sub(SPANS_MAX);
        self.spans.drain(..over);
        over as u64
    }

    /// Forgets what is before.
    pub(super) fn forget(&mut self, before: i64) {
        let gone = self.spans.partition_point(|span| span.1 <= before);
        self.spans.drain(..gone);
        if let Some(first) = self.spans.first_mut() {
            first.0 = first.0.max(before);
        }
    }

    /// How much of `from..to` is covered.
    pub(super) fn within(&self, from: i64, to: i64) -> i64 {
        self.parts(from, to).map(|(from, to)| to - from).sum()
    }

    /// The covered parts of `from..to`.
    pub(super) fn parts(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, i64)> {
        let start = self.spans.partition_point(|span| span.1 <= from);
        let rest = self.spans.get(start..).unwrap_or_default().iter();
        rest.take_while(move |span| span.0 < to).map(move |span| (span.0.max(from), span.1.min(to)))
    }

    /// Where any of them covers.
    pub(super) fn union<'a>(covers: impl Iterator<Item = &'a Self>) -> Self {
        Self::of(covers.flat_map(|cover| cover.spans.iter().copied()).collect())
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<(i64, i64)>()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.spans.len() as u64);
        for (from, to) in &self.spans {
            put_i64(out, *from);
            put_i64(out, *to);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for _ in 0..reader.count(2).filter(|count| *count <= SPANS_MAX)? {
            let span = (reader.i64()?, reader.i64()?);
            let later = spans.last().is_none_or(|last| last.1 < span.0);
            (later && span.0 <= span.1).then_some(())?;
            spans.push(span);
        }
        Some(Self { spans })
    }
}
