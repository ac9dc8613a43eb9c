//! One artifact at a time for whoever stores, submits or deletes it; others wait, and other
//! artifacts are not held up.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// Artifacts that are held or waited for, by their place.
#[derive(Debug, Clone, Default)]
pub(super) struct Holds(Arc<Mutex<HashMap<PathBuf, Lock>>>);

/// Says that nobody else of this process stores, submits or removes the artifact meanwhile. Ends
/// when dropped.
#[derive(Debug)]
pub struct Hold {
    // Dropped in this order: unlocked before it is seen whether somebody waits.
    _guard: OwnedMutexGuard<()>,
    entry: Entry,
}

impl Hold {
    pub(super) fn place(&self) -> &Path {
        &self.entry.place
    }
}

impl Holds {
    pub(super) async fn take(&self, place: PathBuf) -> Hold {
        let lock = Arc::clone(self.table().entry(place.clone()).or_default());
        let entry = Entry { holds: self.clone(), place, lock };
        let guard = Arc::clone(&entry.lock).lock_owned().await;
        Hold { _guard: guard, entry }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Lock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who holds or waits; the last one clears the table.
#[derive(Debug)]
struct Entry {
    holds: Holds,
    place: PathBuf,
    lock: Lock,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut table = self.holds.table();
        // The table's own and this one: whoever waits has another.
        if Arc::strong_count(&self.lock) == 2 {
            table.remove(&self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Holds, PathBuf};

    #[tokio::test]
    async fn one_holds_another_waits_and_the_table_is_empty_in_the_end() {
        let holds = Holds::default();
        let (a, b) = (PathBuf::from("a"), PathBuf::from("b"));
        let first = holds.take(a.clone()).await;
        let other = holds.take(b).await;
        let waiting = tokio::time::timeout(Duration::from_millis(5), holds.take(a.clone())).await;
        assert!(waiting.is_err(), "it is held");
        assert_eq!(holds.table().len(), 2, "who gave up waiting took nothing away");
        let next = holds.take(a.clone());
        let (second, ()) = tokio::join!(next, async { drop(first) });
        assert_eq!(second.place(), a);
        drop((second, other));
        assert!(holds.table().is_empty());
    }
}
