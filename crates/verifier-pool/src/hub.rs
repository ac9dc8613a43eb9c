//! Who is listening to which verification. Tells what happens while it runs; knows neither HTTP nor
//! the store, and keeps nothing: the truth about a verification is in the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use types::Event;
use types::ports::Progress;

/// What a listener that is slower than the run may be behind; more is lost to it, and it is told.
const BACKLOG_MAX: usize = 256;

/// What happens to a verification.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// Its row changed; the store has it.
    State,
    Phase(&'static str),
    Event(Arc<Event>),
}

/// Feeds by verification, each as long as somebody holds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hub(Arc<Mutex<HashMap<String, Arc<Feed>>>>);

#[derive(Debug)]
struct Feed {
    sender: broadcast::Sender<Told>,
    /// For listeners that come late.
    phase: Mutex<Option<&'static str>>,
}

/// A hold on one verification's feed.
#[derive(Debug)]
pub(crate) struct Handle {
    hub: Hub,
    id: String,
    feed: Arc<Feed>,
}

impl Hub {
    pub(crate) fn handle(&self, id: &str) -> Handle {
        let feed = Arc::clone(self.feeds().entry(id.to_owned()).or_insert_with(|| {
            let sender = broadcast::Sender::new(BACKLOG_MAX);
            Arc::new(Feed { sender, phase: Mutex::default() })
        }));
        Handle { hub: self.clone(), id: id.to_owned(), feed }
    }

    /// Tells that a verification's row changed, if anybody listens.
    pub(crate) fn changed(&self, id: &str) {
        if let Some(feed) = self.feeds().get(id) {
            // Without a listener there is nobody to tell.
            let _ = feed.sender.send(Told::State);
        }
    }

    fn feeds(&self) -> MutexGuard<'_, HashMap<String, Arc<Feed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    pub(crate) fn subscribe(&self) -> (broadcast::Receiver<Told>, Option<&'static str>) {
        let phase = self.phase();
        (self.feed.sender.subscribe(), *phase)
    }

    pub(crate) fn tell(&self, progress: Progress) {
        match progress {
            Progress::Phase(name) => {
                // Held while sending, so that a new listener hears of the phase exactly once.
                let mut phase = self.phase();
                *phase = Some(name);
                let _ = self.feed.sender.send(Told::Phase(name));
            }
            Progress::Event(event) if self.feed.sender.receiver_count() > 0 => {
                let _ = self.feed.sender.send(Told::Event(Arc::from(event)));
            }
            Progress::Event(_) => {}
        }
    }

    /// The run is over, for now or for good.
    pub(crate) fn ended(&self) {
        *self.phase() = None;
    }

    fn phase(&self) -> MutexGuard<'_, Option<&'static str>> {
        self.feed.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut feeds = self.hub.feeds();
        // The map's and ours; others are made under the lock that is held here.
        if Arc::strong_count(&self.feed) == 2 {
            feeds.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use types::ports::Progress;

    use super::{Hub, Told};

    #[test]
    fn a_feed_lives_as_long_as_somebody_holds_it() {
        let hub = Hub::default();
        let (run, listener) = (hub.handle("a"), hub.handle("a"));
        drop(run);
        assert_eq!(hub.feeds().len(), 1);
        drop(listener);
        assert_eq!(hub.feeds().len(), 0);
    }

    #[test]
    fn a_late_listener_hears_the_phase_once() {
        let hub = Hub::default();
        let run = hub.handle("a");
        run.tell(Progress::Phase("build"));
        let late = hub.handle("a");
        let (mut receiver, phase) = late.subscribe();
        assert_eq!(phase, Some("build"));
        assert!(receiver.try_recv().is_err());
        run.tell(Progress::Phase("run"));
        assert!(matches!(receiver.try_recv(), Ok(Told::Phase("run"))));
    }
}
