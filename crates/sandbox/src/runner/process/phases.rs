//! The parts of a run: told when they begin, measured when they end.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::spec::{Observer, Seen};

/// Tells of the parts of a run and measures them.
pub(super) struct Phases<'a> {
    observer: Option<&'a Observer>,
    begun: Option<(&'static str, Instant)>,
    lengths_us: BTreeMap<String, u64>,
}

impl<'a> Phases<'a> {
    pub(super) fn new(observer: Option<&'a Observer>) -> Self {
        Self { observer, begun: None, lengths_us: BTreeMap::new() }
    }

    pub(super) fn begin(&mut self, name: &'static str) {
        self.measure();
        self.begun = Some((name, Instant::now()));
        if let Some(observer) = self.observer {
            observer.tell(Seen::Phase(name));
        }
    }

    fn measure(&mut self) {
        if let Some((name, began)) = self.begun.take() {
            let length_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.lengths_us.insert(name.to_owned(), length_us);
        }
    }

    pub(super) fn end(mut self) -> BTreeMap<String, u64> {
        self.measure();
        self.lengths_us
    }
}
