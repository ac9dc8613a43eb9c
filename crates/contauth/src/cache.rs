//! A bounded memory of what was used lately: two generations, of which the older is dropped whole.
//!
//! Not an exact LRU: an entry survives if it was used since the last turn, so between half of the
//! bound and all of it is held, and every call is one or two map look-ups.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;

/// Values are handed out by cloning; they are `Arc`s or numbers.
pub(crate) struct Cache<V> {
    generations: Mutex<Generations<V>>,
    generation_max: usize,
    /// Entries that had to go.
    evicted: Counter,
}

struct Generations<V> {
    young: HashMap<String, V>,
    old: HashMap<String, V>,
}

impl<V> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("generation_max", &self.generation_max)
            .finish_non_exhaustive()
    }
}

impl<V: Clone> Cache<V> {
    /// Holds `max` entries at most; two at least. Counts what it lets go for that.
    pub(crate) fn new(max: usize, evicted: Counter) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new() };
        Self { generations: Mutex::new(generations), generation_max: (max / 2).max(1), evicted }
    }

    pub(crate) fn get(&self, key: &str) -> Option<V> {
        let mut generations = self.lock();
        if let Some(value) = generations.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = generations.old.remove_entry(key)?;
        self.put(&mut generations, key, value.clone());
        Some(value)
    }

    pub(crate) fn insert(&self, key: String, value: V) {
        let mut generations = self.lock();
        generations.old.remove(&key);
        self.put(&mut generations, key, value);
    }

    pub(crate) fn remove(&self, key: &str) {
        let mut generations = self.lock();
        generations.young.remove(key);
        generations.old.remove(key);
    }

    fn put(&self, generations: &mut Generations<V>, key: String, value: V) {
        if generations.young.len() >= self.generation_max {
            let young = std::mem::take(&mut generations.young);
            let gone = std::mem::replace(&mut generations.old, young).len();
            self.evicted.inc_by(u64::try_from(gone).unwrap_or(u64::MAX));
        }
        generations.young.insert(key, value);
    }

    /// A panic elsewhere leaves the maps whole.
    fn lock(&self) -> MutexGuard<'_, Generations<V>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries now.
    pub(crate) fn len(&self) -> usize {
        let generations = self.lock();
        generations.young.len() + generations.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, Counter};

    #[test]
    fn what_is_used_stays_and_the_bound_holds() {
        let evicted = Counter::default();
        let cache = Cache::new(8, evicted.clone());
        cache.insert("kept".to_owned(), 0);
        for n in 1..100 {
            cache.insert(n.to_string(), n);
            assert_eq!(cache.get("kept"), Some(0));
            assert!(cache.len() <= 8, "{}", cache.len());
        }
        assert_eq!(cache.get("1"), None);
        let held = u64::try_from(cache.len()).unwrap();
        assert_eq!(evicted.get(), 100 - held, "whatever is not here any more was counted");
        cache.insert("kept".to_owned(), 7);
        assert_eq!(cache.get("kept"), Some(7));
        cache.remove("kept");
        assert_eq!(cache.get("kept"), None);
    }
}
