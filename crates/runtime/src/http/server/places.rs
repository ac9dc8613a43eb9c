//! Who may be connected: so many connections in all, so many of one address.
//!
//! At the bound of one address its further connections are closed, so that no address takes what
//! belongs to the others. At the bound of all, connections wait in the kernel's queue and idle ones
//! are ended, those first whose address has most: many addresses full of idle connections make
//! room for somebody who asks something.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::activity::Activity;
use super::counters::{Counters, Ended};
use super::limits::Limits;

/// Idle connections that are ended at once when there is no room.
const EVICTED_AT_ONCE: usize = 32;

#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    per_address_max: usize,
    next_id: AtomicU64,
    book: Mutex<Book>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Book {
    by_address: HashMap<IpAddr, usize>,
    /// Connections that hyper is reading; not those that were upgraded.
    reading: HashMap<u64, (IpAddr, Arc<Activity>)>,
}

impl Places {
    pub(super) fn new(limits: &Limits, counters: Counters) -> Arc<Self> {
        let free = limits.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(free)),
            per_address_max: limits.connections_per_address_max.max(1),
            next_id: AtomicU64::new(0),
            book: Mutex::default(),
            counters,
        })
    }

    /// A place among all, if one is free.
    pub(super) fn try_reserve(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Waits for a free place. The semaphore is never closed.
    pub(super) async fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// A place for a connection of `peer`; `None` when its address has all it may have.
    pub(super) fn enter(
        self: &Arc<Self>,
        peer: IpAddr,
        permit: OwnedSemaphorePermit,
    ) -> Option<Place> {
        let address = group(peer);
        let mut book = self.book();
        let held = book.by_address.entry(address).or_default();
        if *held >= self.per_address_max {
            self.counters.count(Ended::AddressFull);
            return None;
        }
        *held += 1;
        self.counters.open.inc();
        Some(Place { places: Arc::clone(self), address, _permit: permit })
    }

    /// Ends idle connections to make room.
    pub(super) fn make_room(&self) {
        let book = self.book();
        let mut idle: Vec<_> = book
            .reading
            .values()
            .filter_map(|(address, activity)| {
                let held = book.by_address.get(address).copied().unwrap_or(0);
                activity.idle_us().map(|idle_us| ((held, idle_us), activity))
            })
            .collect();
        idle.sort_unstable_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        for (_, activity) in idle.into_iter().take(EVICTED_AT_ONCE) {
            activity.evict();
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Makes the connection one that can be ended to make room, until the guard is dropped.
    pub(super) fn list(&self, activity: &Arc<Activity>) -> Listed {
        let id = self.places.next_id.fetch_add(1, Ordering::Relaxed);
        self.places.book().reading.insert(id, (self.address, Arc::clone(activity)));
        Listed { places: Arc::clone(&self.places), id }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.counters.open.dec();
        let mut book = self.places.book();
        if let Some(held) = book.by_address.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                book.by_address.remove(&self.address);
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Listed {
    places: Arc<Places>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.places.book().reading.remove(&self.id);
    }
}

/// What counts as one address: a /64 with IPv6, since that is what one customer is given
/// (RFC 6177), and IPv4 in IPv6 as what it is.
#[must_use]
pub fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
