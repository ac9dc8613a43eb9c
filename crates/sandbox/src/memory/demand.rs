//! The handle through which somebody outside asks for a look at a run that goes on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

type Serve = Box<dyn Fn() + Send>;

/// Asks for a look at the memory of every process of one run. Copies are the same handle; put one
/// into the run's `Spec`.
#[derive(Clone, Default)]
pub struct Demand(Arc<Mutex<Option<Serve>>>);

impl fmt::Debug for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Demand")
    }
}

impl Demand {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies what is worth a look and returns; what is found in it is in the recording, with
    /// trigger `demand`. The run stands still meanwhile, no longer than its spec lets a process be
    /// held. False when it has not started yet, is over, or is not looked at.
    #[must_use]
    pub fn look(&self) -> bool {
        let serve = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        serve.as_ref().is_some_and(|serve| {
            serve();
            true
        })
    }

    pub(super) fn serve(&self, serve: impl Fn() + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(serve));
    }

    /// The run is over.
    pub(super) fn retire(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
