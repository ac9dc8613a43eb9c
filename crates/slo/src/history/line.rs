//! One cumulative count over time, packed: a step function that holds real samples and nothing made
//! up between them.
//!
//! Points lie in chunks of [`CHUNK_POINTS`]. A chunk's first point is kept whole, the others as
//! differences: time as the change of the step (zigzag), good with two flags in its low bits, bad and
//! excluded only where they changed. A steady service takes three to five bytes a point. A read finds
//! its chunk by binary search and unpacks at most one. Older points are thinned to the last one of
//! each step of their tier.

use super::bytes::{Reader, put_i64, put_u64};
use crate::status::Counts;

/// Points in a chunk: a trade of bytes per point against the work of a read.
pub(super) const CHUNK_POINTS: u16 = 128;
/// Chunks are thinned so many at once, so that thinning costs little per point.
const THIN_CHUNKS: usize = 8;

/// From which age on only the last point of each step is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    pub age_ms: i64,
    pub step_ms: i64,
}

/// Cumulative counts at a moment (milliseconds since 1970).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) at: i64,
    pub(super) counts: Counts,
}

#[derive(Debug, Clone, PartialEq)]
struct Chunk {
    first: Point,
    /// All but the first.
    more: u16,
    /// How often it was thinned: the number of its tier.
    level: u8,
    bytes: Vec<u8>,
}

/// A step function of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Line {
    /// What it was before the first chunk: nothing, or what is older than the retention.
    base: Counts,
    /// By time; the older, the higher the level.
    chunks: Vec<Chunk>,
    last: Option<Point>,
    /// The newest step of time.
    step: i64,
}

impl Line {
    /// The newest counts.
    pub(super) fn total(&self) -> Counts {
        self.last.map_or(self.base, |last| last.counts)
    }

    /// Appends a point later than all others with counts no smaller. Unchanged counts need none.
    pub(super) fn push(&mut self, point: Point) {
        if point.counts == self.total() {
            return;
        }
        debug_assert!(self.last.is_none_or(|last| last.at < point.at));
        self.append(point, 0);
    }

    fn append(&mut self, point: Point, level: u8) {
        let open = self
            .chunks
            .last_mut()
            .filter(|chunk| chunk.more + 1 < CHUNK_POINTS && chunk.level == level);
        if let (Some(chunk), Some(last)) = (open, self.last) {
            let step = point.at - last.at;
            put_i64(&mut chunk.bytes, step - self.step);
            put_difference(&mut chunk.bytes, point.counts.minus(last.counts));
            chunk.more += 1;
            self.step = step;
        } else {
            if let Some(full) = self.chunks.last_mut() {
                full.bytes.shrink_to_fit();
            }
            self.chunks.push(Chunk { first: point, more: 0, level, bytes: Vec::new() });
            self.step = 0;
        }
        self.last = Some(point);
    }

    /// The counts up to and including `at`.
    pub(super) fn value_at(&self, at: i64) -> Counts {
        if let Some(last) = self.last.filter(|last| last.at <= at) {
            return last.counts;
        }
        let after = self.chunks.partition_point(|chunk| chunk.first.at <= at);
        let Some(chunk) = after.checked_sub(1).and_then(|index| self.chunks.get(index)) else {
            return self.base;
        };
        let mut counts = chunk.first.counts;
        for point in chunk.points() {
            if point.at > at {
                break;
            }
            counts = point.counts;
        }
        counts
    }

    /// When the bad events became at least so many, and how many they then were; `None` if they are
    /// fewer.
    pub(super) fn bad_reached(&self, bad: u64) -> Option<(i64, u64)> {
        let after = self.chunks.partition_point(|chunk| chunk.first.counts.bad < bad);
        let before = after.checked_sub(1).and_then(|index| self.chunks.get(index));
        before
            .and_then(|chunk| chunk.points().find(|point| point.counts.bad >= bad))
            .or_else(|| self.chunks.get(after).map(|chunk| chunk.first))
            .map(|point| (point.at, point.counts.bad))
    }

    pub(super) fn points(&self) -> impl Iterator<Item = Point> {
        self.chunks.iter().flat_map(Chunk::points)
    }

    pub(super) fn with_base(base: Counts) -> Self {
        Self { base, ..Self::default() }
    }

    /// Thins what is older than the tiers allow at `now` and forgets what is older than `keep_ms`.
    /// Gives how many points went.
    pub(super) fn thin(&mut self, now: i64, tiers: &[Tier], keep_ms: i64) -> u64 {
        let mut gone = self.forget(now - keep_ms);
        for (index, tier) in tiers.iter().enumerate() {
            let level = u8::try_from(index + 1).unwrap_or(u8::MAX);
            gone += self.thin_level(now - tier.age_ms, level, tier.step_ms);
        }
        gone
    }

    fn thin_level(&mut self, cut: i64, level: u8, step: i64) -> u64 {
        let start = self.chunks.partition_point(|chunk| chunk.level >= level);
        let end = self.whole_before(cut);
        if end < start + THIN_CHUNKS {
            return 0;
        }
        // The chunk before may have room left; it is packed again with what comes after it.
        let from = match start.checked_sub(1).and_then(|index| self.chunks.get(index)) {
            Some(before) if before.level == level && before.more + 1 < CHUNK_POINTS => start - 1,
            _ => start,
        };
        let Some(next) = self.chunks.get(end).map(|chunk| chunk.first) else { return 0 };
        let old = self.chunks.get(from..end).unwrap_or_default();
        let points: Vec<Point> = old.iter().flat_map(Chunk::points).collect();
        let slot = |point: &Point| (point.at - 1).div_euclid(step);
        let mut thinned = Self::default();
        let mut kept = 0;
        for (index, point) in points.iter().enumerate() {
            if slot(point) != slot(points.get(index + 1).unwrap_or(&next)) {
                thinned.append(*point, level);
                kept += 1;
            }
        }
        let gone = points.len() - kept;
        self.chunks.splice(from..end, thinned.chunks);
        gone as u64
    }

    /// How many chunks have no point after `cut`; the newest is never among them.
    fn whole_before(&self, cut: i64) -> usize {
        self.chunks.partition_point(|chunk| chunk.first.at <= cut).saturating_sub(1)
    }

    fn forget(&mut self, cut: i64) -> u64 {
        let mut gone = 0;
        for chunk in self.chunks.drain(..self.whole_before(cut)) {
            gone += u64::from(chunk.more) + 1;
            self.base = chunk.points().last().map_or(self.base, |point| point.counts);
        }
        gone
    }

    /// The sum of both.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut sum = Self::with_base(self.base.plus(other.base));
        let (mut left, mut right) = (self.points().peekable(), other.points().peekable());
        let (mut a, mut b) = (self.base, other.base);
        loop {
            let at = match (left.peek(), right.peek()) {
                (Some(one), Some(two)) => one.at.min(two.at),
                (Some(point), None) | (None, Some(point)) => point.at,
                (None, None) => return sum,
            };
            if let Some(point) = left.next_if(|point| point.at == at) {
                a = point.counts;
            }
            if let Some(point) = right.next_if(|point| point.at == at) {
                b = point.counts;
            }
            sum.push(Point { at, counts: a.plus(b) });
        }
    }

    /// On the heap.
    pub(super) fn size_bytes(&self) -> usize {
        let chunks = self.chunks.capacity() * size_of::<Chunk>();
        chunks + self.chunks.iter().map(|chunk| chunk.bytes.capacity()).sum::<usize>()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_counts(out, self.base);
        put_u64(out, self.chunks.len() as u64);
        for chunk in &self.chunks {
            put_i64(out, chunk.first.at);
            put_counts(out, chunk.first.counts);
            put_u64(out, u64::from(chunk.more));
            out.push(chunk.level);
            put_u64(out, chunk.bytes.len() as u64);
            out.extend_from_slice(&chunk.bytes);
        }
    }

    /// `None` for what no line encodes to: times and counts that go back, wrong lengths.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut line = Self::with_base(counts(reader)?);
        let mut before: Option<Point> = None;
        for _ in 0..reader.count(8)? {
            let first = Point { at: reader.i64()?, counts: counts(reader)? };
            let more = u16::try_from(reader.u64()?).ok().filter(|more| *more < CHUNK_POINTS)?;
            let level = reader.u8()?;
            let len = reader.u64()?;
            let chunk = Chunk { first, more, level, bytes: reader.take(len)?.to_vec() };
            let newer = line.chunks.last().is_none_or(|older| level <= older.level);
            if !newer || before.is_none() && !is_at_least(first.counts, line.base) {
                return None;
            }
            line.step = chunk.check(&mut before)?;
            line.chunks.push(chunk);
        }
        line.last = before;
        Some(line)
    }
}

impl Chunk {
    fn points(&self) -> impl Iterator<Item = Point> {
        let mut reader = Reader::new(&self.bytes);
        let (mut at, mut step, mut now) = (self.first.at, 0_i64, self.first.counts);
        let more = (0..self.more).map_while(move |_| {
            step = step.wrapping_add(reader.i64()?);
            at = at.wrapping_add(step);
            now = now.plus(difference(&mut reader)?);
            Some(Point { at, counts: now })
        });
        std::iter::once(self.first).chain(more)
    }

    /// Whether its points follow `before`, which becomes the last of them, and fill its bytes; gives
    /// the newest step.
    fn check(&self, before: &mut Option<Point>) -> Option<i64> {
        let follows =
            |old: &Point, new: &Point| new.at > old.at && is_at_least(new.counts, old.counts);
        before.is_none_or(|old| follows(&old, &self.first)).then_some(())?;
        let mut reader = Reader::new(&self.bytes);
        let (mut last, mut step) = (self.first, 0_i64);
        for _ in 0..self.more {
            step = step.checked_add(reader.i64()?)?;
            let by = difference(&mut reader)?;
            let point = Point { at: last.at.checked_add(step)?, counts: last.counts.plus(by) };
            follows(&last, &point).then_some(())?;
            last = point;
        }
        *before = Some(last);
        reader.is_empty().then_some(step)
    }
}

fn is_at_least(now: Counts, before: Counts) -> bool {
    now.good >= before.good && now.bad >= before.bad && now.excluded >= before.excluded
}

pub(super) fn put_counts(out: &mut Vec<u8>, counts: Counts) {
    for count in [counts.good, counts.bad, counts.excluded] {
        put_u64(out, count);
    }
}

pub(super) fn counts(reader: &mut Reader<'_>) -> Option<Counts> {
    Some(Counts { good: reader.u64()?, bad: reader.u64()?, excluded: reader.u64()? })
}

/// Differences are below 2^61 (`super::COUNT_MAX`), so that two flags fit beside good.
fn put_difference(out: &mut Vec<u8>, by: Counts) {
    let flags = u64::from(by.bad > 0) | u64::from(by.excluded > 0) << 1;
    put_u64(out, by.good << 2 | flags);
    for count in [by.bad, by.excluded].into_iter().filter(|count| *count > 0) {
        put_u64(out, count);
    }
}

#[inline]
fn difference(reader: &mut Reader<'_>) -> Option<Counts> {
    let head = reader.u64()?;
    let bad = if head & 1 == 0 { 0 } else { reader.u64()? };
    let excluded = if head & 2 == 0 { 0 } else { reader.u64()? };
    Some(Counts { good: head >> 2, bad, excluded })
}
